"""``python -m bench.listings``: the plan of a run over a million generated keys; prints JSON.

The process that prints is the one that is measured: as a task of Airflow it has the DAG's own modules loaded.
"""

import argparse
import importlib
import itertools
import json
import os
import sys
import tempfile
import time
from typing import Any

from bench.generated_bucket import BUCKET, client, generated_bucket
from bench.memory import peak_mib
from fruit_contract.layout import INPUT_PREFIX, RunLayout


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.listings", description=__doc__, allow_abbrev=False)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--folders", type=int, default=131, help="label folders that share the keys")
    parser.add_argument("--list-seconds", type=float, default=0.0, help="what a LIST takes beyond its work")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="fruit-bench-") as home,
        generated_bucket(given.keys, given.folders, given.list_seconds) as endpoint,
    ):
        # Airflow makes a folder where it is told to be at home, when it is first imported.
        os.environ["AIRFLOW_HOME"] = home
        print(json.dumps(measure(endpoint) | vars(given), indent=1))
    return 0


def measure(endpoint: str) -> dict[str, Any]:
    """Seconds, LIST requests and the peak of this process' memory."""
    importlib.import_module("fruit_pipeline.dag.tasks")
    write_lists = importlib.import_module("fruit_pipeline.photos.changes").write_lists
    s3 = client(endpoint)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    lists = itertools.count()
    s3.meta.events.register("after-call.s3.ListObjectsV2", lambda **_: next(lists))
    before, started, cpu = peak_mib(), time.perf_counter(), time.process_time()
    changes = write_lists(s3, RunLayout(BUCKET, "bench"), INPUT_PREFIX)
    return {
        "images": changes.found,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "lists": next(lists),
        "peak_mib": peak_mib(),
        "peak_before_mib": before,
    }


if __name__ == "__main__":
    sys.exit(main())
