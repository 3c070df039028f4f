"""Images to features. ``spark-submit --py-files code.zip spark/featurize.py --help`` lists the options."""

import sys
from pathlib import Path

# From a checkout the contract lies beside the steps; on a cluster both come in code.zip.
_CONTRACT = Path(__file__).resolve().parent.parent / "plugins"
if _CONTRACT.is_dir():
    sys.path.append(str(_CONTRACT))

from fruit_spark.arguments import featurize_settings  # noqa: E402
from fruit_spark.featurize import featurize  # noqa: E402
from fruit_spark.step import run_step  # noqa: E402


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
