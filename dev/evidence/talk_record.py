"""docs/evidence/talk.json: what a run was and left, read back from local AWS, and its report.

Every figure of docs/tour.md and docs/evidence/talk.md is written from it.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from evidence.marked_text import EVIDENCE
from fruit_contract.layout import INPUT_PREFIX, RunLayout, run_key
from fruit_contract.report_schema import Report
from fruit_contract.variance import components_for
from fruit_pipeline.cluster.identity import FEATURIZE, LIVE_STATES, REDUCE, TRAIN
from fruit_pipeline.security import encryption, residency
from local_aws import bucket_tree

RECORD: Final = EVIDENCE / "talk.json"
_STAGES: Final = (
    ("Plan, guards, artifacts", "publish_artifacts", None),
    ("Cluster, until it is ready", "wait_for_cluster", None),
    ("Features", "wait_for_featurize", FEATURIZE),
    ("PCA", "wait_for_pca", REDUCE),
    ("Classifier", "wait_for_train", TRAIN),
)
"""Stages of a run, the task that ends each, and its Spark step. What follows them is the last stage."""
LAST_STAGE: Final = "Verification, publication, report; the cluster's end"


def written(record: Mapping[str, Any]) -> None:
    """Replace the record by that of another run."""
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read() -> dict[str, Any]:
    """What the last ``make tour`` has kept."""
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def gathered(s3: Any, emr: Any, report: Report, paints_ms: tuple[float, float]) -> dict[str, Any]:
    """All figures of a run that has just ended: what AWS's own answers say, and the run's report."""
    bucket, cluster_id = report["bucket"], str(report["cluster"]["id"])
    layout = RunLayout(bucket, run_key(report["run_id"]))
    return {
        "run": _run(report, paints_ms),
        "photos": _photos(s3, report),
        "stages": _stages(report),
        "pca": _pca(report),
        "classifier": _classifier(report),
        "cluster": _cluster(emr, cluster_id),
        "cost": _cost(report),
        "region": residency.location_of(s3, bucket),
        "encryption": encryption.seen(s3, emr, layout, cluster_id),
        "bucket": {"name": bucket, "tree": [asdict(each) for each in _tree(s3, bucket)]},
    }


def _run(report: Report, paints_ms: tuple[float, float]) -> dict[str, Any]:
    return {
        "id": report["run_id"],
        "state": report["state"],
        "started_at": report["started_at"],
        "seconds": _seconds(report),
        "images_per_second": report["images_per_second"],
        "images_per_second_per_core": report["images_per_second_per_core"],
        "model_loads": report["model_loads"],
        "model": report["model"],
        "tasks": dict(Counter(task["state"] for task in report["tasks"])),
        "first_paints_ms": [round(each) for each in paints_ms],
    }


def _seconds(report: Report) -> float:
    ended, started = (datetime.fromisoformat(report[name]) for name in ("ended_at", "started_at"))
    return (ended - started).total_seconds()


def _photos(s3: Any, report: Report) -> dict[str, int]:
    """Bytes as S3 lists them."""
    (whole, *_) = bucket_tree.tree(_objects(s3, report["bucket"], INPUT_PREFIX), INPUT_PREFIX)
    counts = report["images"]
    return {
        "found": counts["found"],
        "processed": counts["processed"],
        "rejected": counts["rejected"],
        "bytes": whole.size,
        "labels": whole.folders,
    }


def _stages(report: Report) -> list[dict[str, Any]]:
    """Each from the end of the one before it to its own, so that they sum to the run."""
    tasks = {task["name"]: task for task in report["tasks"]}
    spark = {step["name"]: step["seconds"] for step in report["timing"]["steps"]}
    found, before = [], 0.0
    for name, last, step in _STAGES:
        # None is left out: the run was green, and every task of it has been.
        end = float(tasks[last]["started_after"] or 0.0) + float(tasks[last]["seconds"] or 0.0)
        found.append({"name": name, "seconds": round(end - before, 1), "step_seconds": spark.get(step or "")})
        before = end
    rest = round(_seconds(report) - before, 1)
    return [*found, {"name": LAST_STAGE, "seconds": rest, "step_seconds": None}]


def _pca(report: Report) -> dict[str, Any]:
    ratio, minimum = report["explained_variance_ratio"] or [], report["parameters"]["minimum_variance"]
    return {
        "components": report["components"],
        "explained_variance": report["explained_variance"],
        "minimum_variance": minimum,
        "components_for_minimum": components_for(ratio, float(str(minimum))),
        "feature_dim": report["feature_dim"],
    }


def _classifier(report: Report) -> dict[str, Any] | None:
    trained = report["classifier"]
    if trained is None or trained["judged"] is None:
        return None
    judged = trained["judged"]
    return {"kind": trained["kind"], "labels": trained["labels"], **judged}


def _cluster(emr: Any, cluster_id: str) -> dict[str, Any]:
    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    fleets = emr.list_instance_fleets(ClusterId=cluster_id)["InstanceFleets"]
    instances = emr.list_instances(ClusterId=cluster_id)["Instances"]
    live = emr.list_clusters(ClusterStates=list(LIVE_STATES))["Clusters"]
    return {
        "id": cluster_id,
        "state": cluster["Status"]["State"],
        "reason": cluster["Status"]["StateChangeReason"].get("Code"),
        "release": cluster["ReleaseLabel"],
        "applications": [f"{each['Name']} {each['Version']}" for each in cluster["Applications"]],
        "left_alive": len(live),
        "fleets": [_fleet(fleet, instances) for fleet in fleets],
    }


def _fleet(fleet: Mapping[str, Any], instances: list[dict[str, Any]]) -> dict[str, Any]:
    """What was asked for, as EMR shows it, and the instances that came."""
    came = Counter(
        f"{each['InstanceType']} {each['Market']}"
        for each in instances
        if each["InstanceFleetId"] == fleet["Id"]
    )
    spot = fleet.get("LaunchSpecifications", {}).get("SpotSpecification", {})
    return {
        "role": fleet["InstanceFleetType"],
        "asked": {"SPOT": fleet["TargetSpotCapacity"], "ON_DEMAND": fleet["TargetOnDemandCapacity"]},
        "types": [each["InstanceType"] for each in fleet["InstanceTypeSpecifications"]],
        "without_spot": spot.get("TimeoutAction"),
        "got": dict(came),
    }


def _cost(report: Report) -> dict[str, Any]:
    cost, sizing = report["cost"], report["sizing"]
    return {
        "budget": report["parameters"]["budget_eur"],
        **{name: cost[name] for name in ("currency", "estimate", "expected", "actual", "groups", "prices")},
        "expected_minutes": sizing["expected_minutes"] if sizing else None,
    }


def _tree(s3: Any, bucket: str) -> list[bucket_tree.Folder]:
    return bucket_tree.tree(_objects(s3, bucket, ""))


def _objects(s3: Any, bucket: str, prefix: str) -> list[tuple[str, int]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [(each["Key"], each["Size"]) for page in pages for each in page.get("Contents", ())]
