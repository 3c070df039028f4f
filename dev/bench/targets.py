"""The targets, each a ratio of what was measured to a limit, and whether it is met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Results = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One target: what it says, what was measured, and the limit."""

    target: str
    measured: float
    sense: Literal["at least", "at most"]
    limit: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.sense == "at least" else self.measured <= self.limit

    @property
    def measured_text(self) -> str:
        return f"{_rounded(self.measured)}{self.unit}"

    @property
    def limit_text(self) -> str:
        return f"{self.sense} {_rounded(self.limit)}{self.unit}"


def at_least(limit: float, measured: float, target: str, unit: str = "") -> Verdict:
    return Verdict(target, measured, "at least", limit, unit)


def at_most(limit: float, measured: float, target: str, unit: str = "") -> Verdict:
    return Verdict(target, measured, "at most", limit, unit)


def _rounded(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"


def judge(results: Results) -> list[Verdict]:
    """A verdict for every target."""
    return [*_featurize(results), *_reduce(results), *_also(results), *_plan(results["plan"])]


def ours_images_per_second(results: Results) -> float:
    """End to end at the full number of photos, Spark's start-up included."""
    featurized = results["featurize"]
    return float(featurized["photos"] / _median(featurized["ours"], "seconds"))


def peer_images_per_second(results: Results, name: str) -> float:
    """A peer's at ours' number of photos: all that it does once, once; each more photo as measured."""
    photos, peer = results["featurize"]["photos"], results["featurize"]["peers"][name]
    half = peer["photos"] // 2
    seconds = _median(peer["runs"], "seconds")
    a_photo = (seconds - _median(peer["runs"], "half_seconds")) / (peer["photos"] - half)
    return float(photos / (seconds + (photos - peer["photos"]) * a_photo))


def _featurize(results: Results) -> list[Verdict]:
    featurized, latency, read = results["featurize"], results["latency"], results["read_stage"]["seconds"]
    whole, quarter, stages = featurized["ours"], featurized["quarter"], latency["stage_seconds"]
    ours = ours_images_per_second(results)
    raw = ours / median(featurized["raw_images_per_second"])
    growth = _median(whole, "stage_seconds") / _median(quarter, "stage_seconds")
    memory = _median(whole, "worker_peak_mib") / _median(quarter, "worker_peak_mib")
    notebook, scalar = (ours / peer_images_per_second(results, name) for name in ("notebook", "scalar_udf"))
    read_ratio = median(read["peer"]) / median(read["ours"])
    late = median(stages["without"]) / median(stages["with"])
    photos = f"{featurized['photos']:,} photos with start-up"
    return [
        at_least(0.88, raw, f"featurize, {photos}, against raw LiteRT"),
        at_least(3.5, notebook, "featurize against the usual notebook", "x"),
        at_least(8, scalar, "featurize against a scalar UDF, image by image", "x"),
        at_least(8, read_ratio, "read stage at 20 ms a request, against S3A binaryFile", "x"),
        at_least(0.90, late, "featurize stage at 20 ms a request, against none"),
        at_most(4.1, growth, "featurize stage at four times the photos", "x"),
        at_most(1.10, memory, "peak memory of a worker at four times the photos", "x"),
    ]


def _reduce(results: Results) -> list[Verdict]:
    fit, transform, rows = results["reduce"]["fit"], results["reduce"]["transform"], results["reduce"]["rows"]
    few, many = results["partitions"]["few"], results["partitions"]["many"]
    files = f"{many['partitions']:,} files against {few['partitions']}"
    apart = abs(median(many["driver_peak_mib"]) - median(few["driver_peak_mib"]))
    by_files = median(many["seconds"]) / median(few["seconds"])
    fits, transforms = (median(each["peer"]) / median(each["ours"]) for each in (fit, transform))
    growth = median(fit["ours"]) / median(fit["quarter"])
    return [
        at_least(8, fits, f"PCA fit at {rows:,} rows, against pyspark.ml", "x"),
        at_most(1.3, by_files, f"PCA fit of {files}", "x"),
        at_most(300, apart, "peak memory of the driver, Java and Python, likewise: difference", " MiB"),
        at_least(3, transforms, "PCA transform and write, against pyspark.ml", "x"),
        at_most(4.1, growth, "PCA fit at four times the rows", "x"),
    ]


def _also(results: Results) -> list[Verdict]:
    ours, resume = results["featurize"]["ours"], results["resume"]
    loads = max(run["model_loads"] for run in ours)
    started = median(results["first_prediction"]["seconds"])
    unfinished = resume["photos"] - resume["in_finished_files"]
    again = resume["recomputed"] - unfinished + resume["rows"] - resume["different_rows"]
    straggling = _median(ours, "straggling")
    return [
        at_most(0.10, straggling, "longest task beyond the median one, of the stage's time"),
        at_most(2, loads, "loads of the model by an executor of two cores"),
        at_most(2, started, "first prediction of a fresh Python worker", " s"),
        at_most(0, again, "photos computed again after a kill at 80 %, beyond the unfinished files"),
    ]


def _plan(plan: Mapping[str, Any]) -> list[Verdict]:
    keys = f"plan over {plan['keys']:,} keys"
    return [
        at_most(60, plan["seconds"], f"{keys}, listing on loopback included", " s"),
        at_most(400, plan["peak_mib"], f"{keys}: peak memory of its process, Airflow's included", " MiB"),
    ]


def _median(runs: Sequence[Mapping[str, float]], name: str) -> float:
    return median(run[name] for run in runs)
