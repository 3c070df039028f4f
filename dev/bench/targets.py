"""The targets, each a ratio of what was measured to a limit, and whether it is met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

MIB_APART = 300
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
    ours = ours_images_per_second(results)
    stages = latency["stage_seconds"]
    growth = _median(featurized["ours"], "stage_seconds") / _median(featurized["quarter"], "stage_seconds")
    memory = _median(featurized["ours"], "worker_peak_mib") / _median(
        featurized["quarter"], "worker_peak_mib"
    )
    return [
        Verdict(
            f"featurize, {featurized['photos']:,} photos with start-up, against raw LiteRT",
            ours / median(featurized["raw_images_per_second"]),
            "at least",
            0.88,
        ),
        Verdict(
            "featurize against the usual notebook",
            ours / peer_images_per_second(results, "notebook"),
            "at least",
            3.5,
            "x",
        ),
        Verdict(
            "featurize against a scalar UDF, image by image",
            ours / peer_images_per_second(results, "scalar_udf"),
            "at least",
            8,
            "x",
        ),
        Verdict(
            "read stage at 20 ms a request, against S3A binaryFile",
            median(read["peer"]) / median(read["ours"]),
            "at least",
            8,
            "x",
        ),
        Verdict(
            "featurize stage at 20 ms a request, against none",
            median(stages["without"]) / median(stages["with"]),
            "at least",
            0.90,
        ),
        Verdict("featurize stage at four times the photos", growth, "at most", 4.1, "x"),
        Verdict("peak memory of a worker at four times the photos", memory, "at most", 1.10, "x"),
    ]


def _reduce(results: Results) -> list[Verdict]:
    fit, transform = results["reduce"]["fit"], results["reduce"]["transform"]
    few, many = results["partitions"]["few"], results["partitions"]["many"]
    return [
        Verdict(
            f"PCA fit at {results['reduce']['rows']:,} rows, against pyspark.ml",
            median(fit["peer"]) / median(fit["ours"]),
            "at least",
            8,
            "x",
        ),
        Verdict(
            f"PCA fit of {many['partitions']:,} files against {few['partitions']}",
            median(many["seconds"]) / median(few["seconds"]),
            "at most",
            1.3,
            "x",
        ),
        Verdict(
            "peak memory of the driver, Java and Python, likewise: difference",
            abs(median(many["driver_peak_mib"]) - median(few["driver_peak_mib"])),
            "at most",
            MIB_APART,
            " MiB",
        ),
        Verdict(
            "PCA transform and write, against pyspark.ml",
            median(transform["peer"]) / median(transform["ours"]),
            "at least",
            3,
            "x",
        ),
        Verdict(
            "PCA fit at four times the rows",
            median(fit["ours"]) / median(fit["quarter"]),
            "at most",
            4.1,
            "x",
        ),
    ]


def _also(results: Results) -> list[Verdict]:
    ours, resume = results["featurize"]["ours"], results["resume"]
    loads = max(run["model_loads"] for run in ours)
    unfinished = resume["photos"] - resume["in_finished_files"]
    return [
        Verdict(
            "longest task beyond the median one, of the stage's time",
            _median(ours, "straggling"),
            "at most",
            0.10,
        ),
        Verdict("loads of the model by an executor of two cores", loads, "at most", 2),
        Verdict(
            "first prediction of a fresh Python worker",
            median(results["first_prediction"]["seconds"]),
            "at most",
            2,
            " s",
        ),
        Verdict(
            "photos computed again after a kill at 80 %, beyond the unfinished files",
            resume["recomputed"] - unfinished + resume["rows"] - resume["different_rows"],
            "at most",
            0,
        ),
    ]


def _plan(plan: Mapping[str, Any]) -> list[Verdict]:
    keys = f"plan over {plan['keys']:,} keys"
    return [
        Verdict(f"{keys}, listing on loopback included", plan["seconds"], "at most", 60, " s"),
        Verdict(
            f"{keys}: peak memory of its process, Airflow's included",
            plan["peak_mib"],
            "at most",
            400,
            " MiB",
        ),
    ]


def _median(runs: Sequence[Mapping[str, float]], name: str) -> float:
    return median(run[name] for run in runs)
