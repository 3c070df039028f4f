"""Features to components. ``spark-submit --py-files code.zip spark/reduce.py --help`` lists the options."""

import sys

from fruit_spark.steps.arguments import reduce_settings
from fruit_spark.steps.reduce_job import reduce
from fruit_spark.steps.step import run_step


def main() -> int:
    settings = reduce_settings(sys.argv[1:])

    def job(session: object) -> str:
        metrics = reduce(session, settings)  # type: ignore[arg-type]
        return (
            f"{metrics['rows']} rows: {metrics['components']} components keep "
            f"{metrics['explained_variance']:.4f} of the variance, {metrics['seconds']:.1f} s."
        )

    return run_step("reduce", job, settings.time_limit)


if __name__ == "__main__":
    sys.exit(main())
