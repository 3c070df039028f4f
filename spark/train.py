"""Components to a classifier: holds the place of the step, and says that there is none."""

import argparse
import json
import sys

from fruit_contract.classifier import TrainMetrics
from fruit_spark.steps.step import run_step
from fruit_spark.storage import hadoop


def main() -> int:
    parser = argparse.ArgumentParser(prog="train.py")
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--classifier", required=True)
    parser.add_argument("--time-limit", type=int, required=True)
    given, _ = parser.parse_known_args()
    metrics = TrainMetrics(
        skipped="This version learns no classifier.",
        kind=given.classifier,
        labels=0,
        photos=0,
        judged=None,
        by_hash=None,
        not_tested=[],
        not_tested_count=0,
        coverage=[],
        reliability=[],
        worst_labels=[],
        confusions=[],
        thresholds=None,
        gate=None,
        drift=None,
        pca=None,
        bytes=0,
        seconds=0.0,
        versions={},
    )

    def job(session: object) -> str:
        hadoop.write_bytes(session, given.metrics, json.dumps(metrics).encode())  # type: ignore[arg-type]
        return f"No classifier: {metrics['skipped']}"

    return run_step("train", job, given.time_limit)


if __name__ == "__main__":
    sys.exit(main())
