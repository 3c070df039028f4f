"""``python -m bench.speed_model``: both steps on 1, 2 and 4 executors, beside the model of the estimate.

Executors of one core each, by ``local-cluster``. The raw engine is measured before and after each step, in
one process and in as many as the machine has cores. The speed of one is the unit; by how much more all do, so
many cores are there. A machine with other work has fewer than it has else.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.bench_photos import local_work_list, prepare_photos
from bench.feature_tables import write_features
from bench.measurements import FEATURIZE, MODEL
from bench.raw_litert import images_per_second
from bench.scale_record import record
from bench.spark_process import ROOT, submit
from fruit_contract.partitions import image_partitions

STEPS: Final = ("featurize", "reduce")
EXECUTORS: Final = (1, 2, 4)
REDUCE: Final = ROOT / "spark" / "reduce.py"
_RAW_PHOTOS: Final = 300
_COMPONENTS: Final = 256


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.speed_model", description=__doc__, allow_abbrev=False)
    parser.add_argument("--photos", type=int, default=3_000)
    parser.add_argument("--rows", type=int, default=40_000, help="feature vectors to reduce")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--record", action="store_true", help="keep the figures for docs/evidence/scale.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruit-bench-") as folder:
        for found in measure(Path(folder), given.photos, given.rows, given.repeats):
            print(json.dumps(found), flush=True)
            if given.record:
                record("speed", found)
    return 0


def measure(folder: Path, photos: int, rows: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Of each step on so many executors: seconds, unit and cores there; after each repeat all so far."""
    taken = prepare_photos(folder / "photos", photos)
    work_list = local_work_list(folder / "work.parquet", taken)
    features = write_features(folder / "features", rows, 20)
    runs: list[dict[str, Any]] = []
    for number in range(repeats):
        for executors in EXECUTORS:
            for step in STEPS:
                output = folder / f"{step}-{executors}-{number}"
                before = _raw(taken)
                if step == "featurize":
                    seconds = _featurize(work_list, output, executors, photos)
                else:
                    seconds = _reduce(features, output, executors)
                alone, together = ((one + other) / 2 for one, other in zip(before, _raw(taken), strict=True))
                # Two processes are never slower than one, but for chance.
                cores = max(1.0, together / alone)
                run = {"seconds": round(seconds, 2), "raw": round(alone, 1), "cores": round(cores, 2)}
                runs.append({"step": step, "executors": executors, **run})
                print(runs[-1], file=sys.stderr, flush=True)
        yield {
            "photos": photos,
            "photo_bytes": round(sum(path.stat().st_size for path in taken) / photos),
            "rows": rows,
            "runs": [_of(runs, step, executors) for step in STEPS for executors in EXECUTORS],
        }


def _of(runs: list[dict[str, Any]], step: str, executors: int) -> dict[str, Any]:
    alike = [run for run in runs if (run["step"], run["executors"]) == (step, executors)]
    figures = {figure: [run[figure] for run in alike] for figure in ("seconds", "raw", "cores")}
    return {"step": step, "executors": executors, **figures}


def _raw(photos: list[Path]) -> tuple[float, float]:
    """Photos a second of one process, and of a process on each core."""
    model = MODEL / "mobilenetv2.tflite"
    alone, together = (
        images_per_second(model, photos, _RAW_PHOTOS * processes, processes)
        for processes in (1, os.cpu_count() or 1)
    )
    return alone, together


def _featurize(work_list: Path, output: Path, executors: int, photos: int) -> float:
    given = {
        "--work-list": work_list,
        "--features": output / "features",
        "--rejected": output / "rejected",
        "--metrics": output / "featurize.json",
        "--model": MODEL,
        # Spark would cut by the executors that are there so early.
        "--partitions": image_partitions(photos, executors),
    }
    return submit(FEATURIZE, given, master=_master(executors)).seconds


def _reduce(features: Path, output: Path, executors: int) -> float:
    given = {
        "--features": features,
        "--output": output / "components",
        "--model-output": output / "model",
        "--metrics": output / "reduce.json",
        "--plot": output / "variance.png",
        "--components": _COMPONENTS,
        "--min-variance": 0,
    }
    return submit(REDUCE, given, master=_master(executors)).seconds


def _master(executors: int) -> str:
    return f"local-cluster[{executors},1,1024]"


if __name__ == "__main__":
    sys.exit(main())
