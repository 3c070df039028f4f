"""Features to components. ``spark-submit --py-files code.zip spark/reduce.py --help`` lists the options."""

import sys
from pathlib import Path

# From a checkout the contract lies beside the steps; on a cluster both come in code.zip.
_CONTRACT = Path(__file__).resolve().parent.parent / "plugins"
if _CONTRACT.is_dir():
    sys.path.append(str(_CONTRACT))

from fruit_spark.arguments import reduce_settings  # noqa: E402
from fruit_spark.reduce import reduce  # noqa: E402
from fruit_spark.step import run_step  # noqa: E402


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
