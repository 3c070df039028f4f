"""Images to features. ``spark-submit --py-files code.zip spark/featurize.py --help`` lists the options."""

import sys

from fruit_spark.steps.arguments import featurize_settings
from fruit_spark.steps.featurize_job import featurize
from fruit_spark.steps.step import run_step


def main() -> int:
    settings = featurize_settings(sys.argv[1:])

    def job(session: object) -> str:
        metrics = featurize(session, settings)  # type: ignore[arg-type]
        return (
            f"{metrics['found']} images: {metrics['processed']} processed, {metrics['rejected']} rejected, "
            f"{metrics['seconds']:.1f} s, {metrics['images_per_second']:.0f} images/s, "
            f"model loaded {metrics['model_loads']} times."
        )

    return run_step("featurize", job, settings.time_limit)


if __name__ == "__main__":
    sys.exit(main())
