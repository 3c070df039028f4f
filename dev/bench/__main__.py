"""``python -m bench``: measure everything, print each target, write docs/evidence/performance.md."""

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
from bench.performance_report import draw, report
from bench.sizes import FULL, QUICK
from bench.spark_process import LOCAL, ROOT, SHORT_LIVED
from bench.targets import judge
from evidence import marked_text

OUT = ROOT / "out" / "bench"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--images", type=Path, help="folder of real photos; generated ones by default")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, once: ratios are printed, not judged, and not kept"
    )
    given = parser.parse_args()
    sizes = QUICK if given.quick else FULL
    method = asdict(sizes) | {"master": LOCAL, "java of featurize and its peers": SHORT_LIVED}
    results: dict[str, Any] = {"machine": describe(), "method": method}
    with tempfile.TemporaryDirectory(prefix="fruit-bench-") as folder:
        print(f"{sizes.photos:,} photos", flush=True)
        bench = Bench(Path(folder), sizes, given.images)
        for name, measure in bench.measurements().items():
            started = time.perf_counter()
            results[name] = measure()
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
            # At once: what was measured is not lost when a later measurement fails.
            OUT.mkdir(parents=True, exist_ok=True)
            (OUT / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return conclude(results, given.quick)


def conclude(results: dict[str, Any], quick: bool) -> int:
    """Write the page and print the targets; 1 when one is missed."""
    folder = OUT if quick else marked_text.EVIDENCE
    page = folder / "performance.md"
    if quick:
        page.write_text(marked_text.BEGIN + marked_text.END)
    marked_text.write(page, report(results))
    (folder / "performance.png").write_bytes(draw(results))
    verdicts = judge(results)
    for verdict in verdicts:
        mark = "quick" if quick else "met" if verdict.met else "MISSED"
        print(f"{mark:7} {verdict.target}: {verdict.measured_text} ({verdict.limit_text})")
    missed = [verdict for verdict in verdicts if not verdict.met]
    if quick:
        print(f"Small sizes are for trying: nothing is judged. The page is {page}.")
        return 0
    print(f"{len(verdicts) - len(missed)} of {len(verdicts)} targets are met. The page is {page}.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
