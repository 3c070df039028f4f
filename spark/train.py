"""Components to labels. ``spark-submit --py-files code.zip spark/train.py --help`` lists the options."""

import sys

from fruit_spark.steps.arguments import train_settings
from fruit_spark.steps.step import run_step
from fruit_spark.steps.train_job import train


def main() -> int:
    settings = train_settings(sys.argv[1:])

    def job(session: object) -> str:
        metrics = train(session, settings)  # type: ignore[arg-type]
        judged = metrics["judged"] or metrics["by_hash"]
        if judged is None:
            return f"No classifier. {metrics['skipped']}"
        return (
            f"{metrics['labels']} labels of {metrics['photos']} photos: {judged['top1']:.1%} right by "
            f"{judged['split']}, {metrics['seconds']:.1f} s."
        )

    return run_step("train", job, settings.time_limit)


if __name__ == "__main__":
    sys.exit(main())
