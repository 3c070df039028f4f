"""``python -m bench.large_run``: the Airflow side of a run over ten million generated keys.

Plan, verify, publish, and the plan of the next run, each in a process of its own that has the DAG's own
modules loaded, as a task of Airflow has. Between plan and verify, a stand-in for the cluster leaves what
verify reads: the photos' names, each with the same components. Feature files are there by name alone.
"""

import argparse
import importlib
import io
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Final

from bench.generated_bucket import BUCKET, client, generated_bucket
from bench.memory import peak_mib
from bench.scale_record import record
from fruit_contract.layout import RunLayout
from fruit_contract.partitions import image_partitions, output_partitions

CORES: Final = 8
"""Of the workers by default: they decide the number of files."""
_COMPONENTS: Final = 256


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.large_run", description=__doc__, allow_abbrev=False)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--folders", type=int, default=131, help="label folders that share the keys")
    parser.add_argument("--record", action="store_true", help="keep the figures for docs/evidence/scale.md")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="fruit-bench-") as home,
        generated_bucket(given.keys, given.folders) as endpoint,
    ):
        # Airflow makes a folder where it is told to be at home, when it is first imported.
        os.environ["AIRFLOW_HOME"] = home
        tasks = {}
        for name, figures in measure(endpoint):
            tasks[name] = figures
            print(name, json.dumps(figures), flush=True)
            if given.record:
                record("airflow", {"keys": given.keys, "tasks": tasks})
    return 0


def measure(endpoint: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Seconds, of a processor too, and the peak of the process' memory in MiB, task by task."""
    s3 = client(endpoint)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    plan, figures = _measured(_plan, endpoint, "first")
    yield "plan, all new", figures
    _measured(_play_the_cluster, endpoint, plan)
    for task in (_verify, _publish):
        yield task.__name__.strip("_"), _measured(task, endpoint, plan)[1]
    again, figures = _measured(_plan, endpoint, "second")
    if not again["nothing_new"]:
        raise RuntimeError(f"Something is new right after a run: {again['summary']}")
    yield "plan, nothing new", figures


def _measured(task: Callable[..., Any], *arguments: Any) -> tuple[Any, dict[str, float]]:
    """What a task returns, and its figures."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        answer: tuple[Any, dict[str, float]] = process.submit(_in_a_fresh_process, task, *arguments).result()
    return answer


def _in_a_fresh_process(task: Callable[..., Any], *arguments: Any) -> tuple[Any, dict[str, float]]:
    importlib.import_module("fruit_pipeline.dag.tasks")
    started, cpu = time.perf_counter(), time.process_time()
    answer = task(*arguments)
    return answer, {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_mib": round(peak_mib(), 1),
    }


def _parameters() -> Any:
    from fruit_pipeline.settings.parameters import RunParameters

    return RunParameters(bucket=BUCKET, components=_COMPONENTS)


def _owner(run_id: str) -> Any:
    from fruit_pipeline.results.claims import Owner

    return Owner("bench", "fruit_features", run_id)


def _plan(endpoint: str, run_id: str) -> Any:
    from fruit_pipeline.photos import planner
    from fruit_pipeline.settings.deployment import Deployment

    return planner.plan(client(endpoint), _parameters(), Deployment(), _owner(run_id))


def _reduced(plan: Any) -> Any:
    share = 1 / _COMPONENTS
    return {
        "rows": plan["images"],
        "rejected": 0,
        "components": _COMPONENTS,
        "share_asked": None,
        "solver": "blocks",
        "scaling": "none",
        "explained_variance": 1.0,
        "explained_variance_ratio": [share] * _COMPONENTS,
    }


def _play_the_cluster(endpoint: str, plan: Any) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from fruit_pipeline.results.tables import batches_of

    s3, layout = client(endpoint), RunLayout(BUCKET, plan["run_key"])

    def put(key: str, table: pa.Table) -> None:
        body = io.BytesIO()
        pq.write_table(table, body)
        s3.put_object(Bucket=BUCKET, Key=key, Body=body.getvalue())

    manifest = f"{layout.manifest}rows.parquet"
    s3.copy_object(Bucket=BUCKET, Key=manifest, CopySource={"Bucket": BUCKET, "Key": layout.draft})
    for number in range(image_partitions(plan["images"], CORES)):
        s3.put_object(Bucket=BUCKET, Key=f"{layout.features}part-{number:05}.parquet")
    nothing = pa.table({"path": pa.array([], pa.string()), "reason": pa.array([], pa.string())})
    put(f"{layout.rejected}part-00000.parquet", nothing)
    rows = -(-plan["images"] // output_partitions(plan["images"], CORES))
    values = pa.array(np.zeros(rows * _COMPONENTS, np.float32))
    offsets = pa.array(np.arange(0, rows * _COMPONENTS + 1, _COMPONENTS, dtype=np.int32))
    vectors = pa.ListArray.from_arrays(offsets, values)
    numbers = itertools.count()
    keys = itertools.chain.from_iterable(
        batch.column("key").to_pylist() for batch in batches_of(s3, BUCKET, manifest, ["key"])
    )
    while paths := [layout.uri(key) for key in itertools.islice(keys, rows)]:
        part = pa.table({"path": paths, "features": vectors.slice(0, len(paths))})
        put(f"{layout.pca_output}part-{next(numbers):05}.parquet", part)


def _verify(endpoint: str, plan: Any) -> None:
    from fruit_pipeline.results.verification import verify

    layout, used = RunLayout(BUCKET, plan["run_key"]), plan["features"]
    featurized: Any = {"processed": plan["images"], "rejected": 0, "model": used}
    verify(client(endpoint), layout, _parameters(), plan, featurized, _reduced(plan))


def _publish(endpoint: str, plan: Any) -> None:
    from fruit_pipeline.results.publication import pointer_to
    from fruit_pipeline.results.publishing import publish

    s3, layout = client(endpoint), RunLayout(BUCKET, plan["run_key"])
    # The model itself is no part of a result's size.
    s3.put_object(Bucket=BUCKET, Key=f"{layout.pca_model}metadata/part-00000", Body=b"{}")
    pointer = pointer_to(layout, "first", plan["features"], plan["features"], _reduced(plan))
    publish(s3, layout, _owner("first"), pointer, plan["pointer_etag"])


if __name__ == "__main__":
    sys.exit(main())
