"""``python -m bench.driver_memory``: what the Spark driver needs for 10,000 and for 100,000 feature files.

They are 10 and 100 million photos. Executors are apart from the driver, which has the heap of the product.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from bench.feature_tables import write_features
from bench.measurements import APPLICATIONS, NO_OPTIONS
from bench.scale_record import record, recorded
from bench.spark_process import Java, submit
from fruit_contract.manifest import LIVE
from fruit_contract.work_list import WORK_LIST_COLUMNS
from fruit_spark.features.carried_rows import MANIFEST_SCHEMA

FILES: Final = (10_000, 100_000)
HEAP_MIB: Final = 2048
"""As ``spark_settings.DRIVER_MIB`` has it, which this environment cannot import."""
PHOTOS: Final = 10_000_000
"""Of the long work list, which the driver reads a batch at a time."""
_ROWS_AT_ONCE: Final = 50_000
_DIFFERENT: Final = 512
"""Feature files; the others are these under other names."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.driver_memory", description=__doc__, allow_abbrev=False)
    parser.add_argument("--files", type=int, nargs="+", default=FILES)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--heap-mib", type=int, default=HEAP_MIB)
    parser.add_argument("--record", action="store_true", help="keep the figures for docs/evidence/scale.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruit-bench-") as folder:
        photos = Path(folder, "photos.parquet")
        _write_again_and_again(photos, _work(_ROWS_AT_ONCE), given.photos)
        for files in given.files:
            run = measure(Path(folder, str(files)), files, photos, given.heap_mib)
            print(run, flush=True)
            if given.record:
                keep(run, {"photos": given.photos, "heap_mib": given.heap_mib})
    return 0


def keep(run: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Record a run beside those of other numbers of files that had the same inputs."""
    before = recorded().get("driver", {})
    others = before["runs"] if before.items() >= inputs.items() else []
    runs = [run, *(other for other in others if other["files"] != run["files"])]
    record("driver", {**inputs, "runs": sorted(runs, key=lambda each: int(each["files"]))})


def measure(folder: Path, files: int, photos: Path, heap_mib: int) -> dict[str, Any]:
    """Seconds, and the peaks of the JVM, of its old generation, and of Python, in MiB."""
    _prepare(folder, files)
    run = submit(
        APPLICATIONS / "many_files.py",
        {"--files": files, "--photos": photos, "--folder": folder},
        master="local-cluster[1,2,1024]",
        java=Java(NO_OPTIONS, heap_mib),
        result=folder / "result.json",
    )
    return {
        "files": files,
        "seconds": round(run.seconds),
        "old_heap_mib": round(run.result["old_heap_mib"]),  # type: ignore[call-overload]
        "jvm_mib": round(run.jvm_peak),
        "python_mib": round(run.python_peak),
    }


def _prepare(folder: Path, files: int) -> None:
    """Work list, draft and features of as many photos as files."""
    folder.mkdir()
    rows = min(files, _ROWS_AT_ONCE)
    work = _work(rows)
    _write_again_and_again(folder / "work.parquet", work, files)
    columns = {name: work.column(name) for name in ("key", "etag", "size")}
    live = {"state": [LIVE] * rows, "reason": [None] * rows, "source": ["features"] * rows}
    _write_again_and_again(folder / "draft.parquet", pa.table({**columns, **live}, MANIFEST_SCHEMA), files)
    few = sorted(write_features(folder / "few", _DIFFERENT, _DIFFERENT).iterdir())
    features = folder / "features"
    features.mkdir()
    for number in range(files):
        # The name is as long as that of a part of the featurize step.
        file = features / f"part-{number:05}-{number:012x}.parquet"
        file.hardlink_to(few[number % _DIFFERENT])


def _work(rows: int) -> pa.Table:
    keys = [f"Test/fruit/{number:09}_100.jpg" for number in range(rows)]
    etags = [f"{number:032x}" for number in range(rows)]
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in WORK_LIST_COLUMNS])
    columns = (keys, [f"s3://bucket/{key}" for key in keys], etags, [6_000] * rows)
    return pa.table(dict(zip(schema.names, columns, strict=True)), schema)


def _write_again_and_again(file: Path, table: pa.Table, rows: int) -> None:
    """So many rows, which nobody looks at whether they differ."""
    with pq.ParquetWriter(file, table.schema, compression="zstd") as writer:
        for _ in range(rows // table.num_rows):
            writer.write_table(table)


if __name__ == "__main__":
    sys.exit(main())
