"""A step is added only while everything it would touch lies in the EU, whatever was true at the start."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from chaos.task_context import context
from fruit_pipeline.aws import clients
from fruit_pipeline.dag.operators import AddStepOperator
from local_aws.moto_server import ACCOUNT_ID
from local_aws.server import LocalAws
from local_run import local_account
from tests.dev.local_aws.emr_client import client, job_flow, step

REGION = "eu-west-1"


@pytest.fixture(autouse=True)
def _airflow_speaks_to_local_aws(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")


@pytest.fixture
def cluster(emr: BaseClient, s3: BaseClient, bucket: str) -> str:
    local_account.create_bucket(s3, bucket, REGION)
    return str(emr.run_job_flow(**job_flow(LogUri=f"s3://{bucket}/logs/"))["JobFlowId"])


def add(cluster: str, bucket: str, *args: str) -> str:
    operator = AddStepOperator(
        task_id="add",
        job_flow_id=cluster,
        step=step(*args),
        poll_seconds=0,
        aws_conn_id="aws_default",
        region_name=REGION,
    )
    return operator.execute(context(bucket=bucket))


def refused(emr: BaseClient, cluster: str, bucket: str, *args: str) -> str:
    """The sentence of a refusal that no retry follows, and that left no step behind."""
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException) as caught:
        add(cluster, bucket, *args)
    assert emr.list_steps(ClusterId=cluster)["Steps"] == []
    return str(caught.value)


def bucket_in_virginia(aws: LocalAws, name: str) -> str:
    elsewhere = client(aws, "s3", "us-east-1")
    elsewhere.create_bucket(Bucket=name)
    elsewhere.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def test_a_step_within_the_eu_is_added(emr: BaseClient, cluster: str, bucket: str) -> None:
    step_id = add(cluster, bucket, "spark-submit", f"s3://{bucket}/artifacts/a/featurize.py")
    assert [each["Id"] for each in emr.list_steps(ClusterId=cluster)["Steps"]] == [step_id]


def test_a_step_whose_code_lies_elsewhere_is_refused(
    aws: LocalAws, emr: BaseClient, cluster: str, bucket: str
) -> None:
    code = bucket_in_virginia(aws, "code-in-virginia")
    assert f"'{code}' lies in us-east-1" in refused(emr, cluster, bucket, f"s3://{code}/featurize.py")


def test_a_replication_that_began_after_the_cluster_is_refused(
    aws: LocalAws, emr: BaseClient, s3: BaseClient, cluster: str, bucket: str
) -> None:
    copy = bucket_in_virginia(aws, "copy-in-virginia")
    rule = {
        "ID": "late",
        "Status": "Enabled",
        "Prefix": "",
        "Destination": {"Bucket": f"arn:aws:s3:::{copy}"},
    }
    s3.put_bucket_replication(
        Bucket=bucket, ReplicationConfiguration={"Role": "arn:aws:iam:::role/r", "Rules": [rule]}
    )
    assert f"is replicated by rule 'late', which must end in the EU. Bucket '{copy}'" in refused(
        emr, cluster, bucket, "true"
    )


def test_a_cluster_whose_logs_go_elsewhere_is_refused(
    aws: LocalAws, emr: BaseClient, s3: BaseClient, bucket: str
) -> None:
    local_account.create_bucket(s3, bucket, REGION)
    logs = bucket_in_virginia(aws, "logs-in-virginia")
    cluster = str(emr.run_job_flow(**job_flow(LogUri=f"s3://{logs}/logs/"))["JobFlowId"])
    assert f"'{logs}' lies in us-east-1" in refused(emr, cluster, bucket, "true")


def test_a_connection_with_an_endpoint_elsewhere_is_refused(
    emr: BaseClient, cluster: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"service_config": {"s3": {"endpoint_url": "https://s3.us-east-1.amazonaws.com"}}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": extra}))
    assert "service_config.s3.endpoint_url of the AWS connection is https://s3.us-east-1" in refused(
        emr, cluster, bucket, "true"
    )


def test_an_endpoint_of_an_aws_profile_is_refused_too(
    tmp_path: Path, emr: BaseClient, cluster: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the environment nor the connection names it: only the client shows where it would go."""
    config = tmp_path / "config"
    config.write_text(
        "[default]\nservices = ours\n[services ours]\npricing =\n  endpoint_url = https://prices.example.org\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert "The endpoint of pricing is https://prices.example.org" in refused(emr, cluster, bucket, "true")


def test_the_account_is_masked_in_the_log_of_a_task() -> None:
    from airflow.sdk._shared.secrets_masker import _secrets_masker, redact

    words = f"User: arn:aws:iam::{ACCOUNT_ID}:user/x is not authorized"
    _secrets_masker().reset_masker()
    assert redact(words) == words
    context: Any = {"ti": None, "params": {}}
    clients.mask_account(context)
    assert redact(words) == "User: arn:aws:iam::***:user/x is not authorized"
    _secrets_masker().reset_masker()


def test_a_task_goes_on_where_the_account_cannot_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Instance:
        task_id = "plan"

    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    context: Any = {"ti": Instance(), "params": {}}
    clients.mask_account(context)
    assert "is not masked in this log" in caplog.text
