"""``python -m bench``: measure everything, print each target, write docs/performance.md."""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.machine import describe
from bench.measurements import Bench
from bench.report import write_report
from bench.sizes import FULL, QUICK
from bench.spark_process import LOCAL, ROOT, SHORT_LIVED
from bench.targets import judge

DOCS = ROOT / "docs"
RESULTS = ROOT / "out" / "bench" / "results.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--images", type=Path, help="folder of real photos; generated ones by default")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, once: ratios are printed, not judged, and not kept"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the measurements, printed as JSON")
    given = parser.parse_args()
    sizes = QUICK if given.quick else FULL
    machine = describe()
    method = asdict(sizes) | {"spark": f"Spark {machine['pyspark']}", "master": LOCAL, "java": SHORT_LIVED}
    results: dict[str, Any] = {"machine": machine, "method": method}
    with tempfile.TemporaryDirectory(prefix="fruit-bench-") as folder:
        print(f"{sizes.photos:,} photos", flush=True)
        bench = Bench(Path(folder), sizes, given.images)
        for name, measure in bench.measurements().items():
            if given.only and name not in given.only:
                continue
            started = time.perf_counter()
            results[name] = measure()
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
            if given.only:
                print(json.dumps(results[name], indent=1), flush=True)
            else:
                # At once: what was measured is not lost when a later measurement fails.
                _keep(results, given.quick)
    if given.only:
        return 0
    return conclude(results, given.quick)


def conclude(results: dict[str, Any], quick: bool) -> int:
    """Write the page and print the targets; 1 when one is missed."""
    # As it was kept, so that a report written from the file is the same.
    results = json.loads(_keep(results, quick).read_text())
    where = RESULTS.parent if quick else DOCS
    write_report(results, where / "performance.md", where / "performance.png")
    verdicts = judge(results)
    for verdict in verdicts:
        mark = "quick" if quick else "met" if verdict.met else "MISSED"
        print(f"{mark:7} {verdict.target}: {verdict.measured_text} ({verdict.limit_text})")
    missed = [verdict for verdict in verdicts if not verdict.met]
    if quick:
        print(f"Small sizes are for trying: nothing is judged. The page is {where / 'performance.md'}.")
        return 0
    print(
        f"{len(verdicts) - len(missed)} of {len(verdicts)} targets are met. The page is docs/performance.md."
    )
    return 1 if missed else 0


def _keep(results: dict[str, Any], quick: bool) -> Path:
    kept = RESULTS.with_name("quick.json") if quick else RESULTS
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(results, indent=1) + "\n")
    return kept


if __name__ == "__main__":
    sys.exit(main())
