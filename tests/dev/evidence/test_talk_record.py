"""Promise: what is told of a run's cluster and bucket is what AWS answers, and its stages sum to the run."""

from typing import Any

import pytest
from botocore.client import BaseClient

from evidence import talk_page, talk_record
from local_run import local_account
from tests.dev.local_aws.emr_client import eventually, fleet, job_flow

OBJECTS = {
    "Test/Kiwi/1.jpg": b"12345",
    "Test/Pink Lady/1.jpg": b"1234567",
    "Results/pca_output/run=r/part-0.parquet": b"12",
}
INSTANCES = {
    "KeepJobFlowAliveWhenNoSteps": True,
    "InstanceFleets": [
        {**fleet("MASTER", "m6g.xlarge", 0), "TargetOnDemandCapacity": 1},
        fleet("CORE", "m6g.xlarge", 2),
    ],
}
TASKS = {
    "publish_artifacts": (2.0, 3.0),
    "wait_for_cluster": (6.0, 4.0),
    "wait_for_featurize": (11.0, 50.0),
    "wait_for_pca": (62.0, 18.0),
    "wait_for_train": (81.0, 9.0),
}
"""Start and length, in seconds."""


def report(bucket: str, cluster_id: str) -> Any:
    """Of a run of 100 seconds, as far as it is read."""
    groups = [{"group": "EC2 Spot", "expected": 0.25, "estimate": 1.5, "actual": 0.125}]
    return {
        "run_id": "r",
        "state": "success",
        "started_at": "2026-11-30T10:00:00+00:00",
        "ended_at": "2026-11-30T10:01:40+00:00",
        "bucket": bucket,
        "parameters": {"minimum_variance": 0.9, "budget_eur": 10.0},
        "images": {"found": 2, "processed": 2, "rejected": 0},
        "feature_dim": 1280,
        "components": 2,
        "explained_variance": 0.95,
        "explained_variance_ratio": [0.92, 0.03],
        "images_per_second": 40.0,
        "images_per_second_per_core": 20.0,
        "model_loads": 2,
        "model": {"name": "MobileNetV2 1.0", "weights": "pretrained", "image_size": 224},
        "classifier": None,
        "tasks": [
            {"name": name, "started_after": start, "seconds": seconds, "state": "success"}
            for name, (start, seconds) in TASKS.items()
        ],
        "timing": {"steps": [{"name": "featurize", "seconds": 45.0}, {"name": "reduce", "seconds": 15.0}]},
        "sizing": {"expected_minutes": 13.0},
        "cluster": {"id": cluster_id},
        "cost": {
            **{"currency": "EUR", "estimate": 1.5, "expected": 0.25, "actual": 0.125, "groups": groups},
            "prices": {"source": "snapshot", "date": "2025-03-02", "stale": False},
        },
    }


@pytest.fixture
def record(s3: BaseClient, emr: BaseClient, bucket: str) -> dict[str, Any]:
    """Of a cluster that has ended, and a bucket as the local runs have it."""
    local_account.create_bucket(s3, bucket, "eu-west-1")
    for key, content in OBJECTS.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    local_account.create_security_configuration(emr, bucket)
    cluster = job_flow(Instances=INSTANCES, SecurityConfiguration=bucket)
    cluster_id = emr.run_job_flow(**cluster)["JobFlowId"]
    status = lambda: emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"]  # noqa: E731
    eventually(lambda: status() == "WAITING", "the cluster is ready")
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    eventually(lambda: status() == "TERMINATED", "the cluster has ended")
    found = talk_record.gathered(s3, emr, report(bucket, cluster_id), (40.2, 12.4))
    emr.delete_security_configuration(Name=bucket)
    return found


def test_the_cluster_is_told_as_it_was_asked_for_and_as_it_came(record: dict[str, Any]) -> None:
    primary, workers = record["cluster"]["fleets"]
    assert (primary["asked"], primary["got"]) == ({"SPOT": 0, "ON_DEMAND": 1}, {"m6g.xlarge ON_DEMAND": 1})
    assert (workers["asked"], workers["got"]) == ({"SPOT": 2, "ON_DEMAND": 0}, {"m6g.xlarge SPOT": 2})
    assert (record["cluster"]["state"], record["cluster"]["left_alive"]) == ("TERMINATED", 0)
    assert (record["cluster"]["release"], record["cluster"]["applications"]) == (
        "emr-7.13.0",
        ["Spark 3.5.6"],
    )


def test_region_encryption_and_objects_are_read_back(record: dict[str, Any]) -> None:
    assert record["region"] == "eu-west-1"
    assert record["encryption"]["bucket"]["default_algorithm"] == "AES256"
    assert record["encryption"]["objects"]["algorithms"] == {"AES256": 1}
    assert record["encryption"]["cluster"]["at_rest"]["s3"] == "SSE-S3"
    assert record["encryption"]["cluster"]["in_transit"] is False
    assert record["photos"] == {"found": 2, "processed": 2, "rejected": 0, "bytes": 12, "labels": 2}
    whole = record["bucket"]["tree"][0]
    assert (whole["objects"], whole["size"]) == (3, 14)


def test_the_stages_follow_each_other_to_the_end_of_the_run(record: dict[str, Any]) -> None:
    assert [stage["seconds"] for stage in record["stages"]] == [5, 5, 51, 19, 10, 10]
    assert [stage["step_seconds"] for stage in record["stages"]] == [None, None, 45, 15, None, None]


def test_the_page_tells_it(record: dict[str, Any]) -> None:
    lines = list(talk_page.lines(record))
    assert "| bytes of them | 12 | measured here |" in lines
    assert "| primary | 1 ON_DEMAND: m6g.xlarge | 1 m6g.xlarge ON_DEMAND |  | local AWS |" in lines
    assert "| EC2 Spot | 0.250 | 1.500 | 0.125 | model of AWS |" in lines
    assert "| components that keep 90% | 1 | measured here |" in lines
    assert "No classifier was judged." in lines
    assert "| `Test/` | 2 | 12 | 2 |" in lines
