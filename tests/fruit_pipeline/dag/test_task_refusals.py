"""The DAG's own tasks ask about residency and encryption where it matters, and fail without a retry."""

from typing import Any

import boto3
import pytest
from airflow.sdk.exceptions import AirflowFailException

from fruit_contract.layout import RunLayout
from fruit_pipeline.cluster.identity import check_run_id
from fruit_pipeline.dag import tasks
from fruit_pipeline.results.publication import write_json
from tests.fruit_pipeline.conftest import BUCKET, REGION, planned
from tests.fruit_pipeline.dag.conftest import InTask


@pytest.fixture
def params(s3: Any, in_task: InTask, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Parameters of the run that the tasks believe to be in."""
    values = {"bucket": BUCKET, "region": REGION}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    in_task(values)
    return values


def keys(bucket: str = BUCKET, region: str = REGION) -> list[str]:
    listed = boto3.client("s3", region_name=region).list_objects_v2(Bucket=bucket)
    return [entry["Key"] for entry in listed.get("Contents", [])]


def test_plan_goes_as_far_as_the_photos_where_all_is_right(params: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match="There are no images under"):
        tasks.plan()


def test_plan_gives_up_before_its_time_is_over(
    s3: Any, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRUITS_PLAN_MINUTES", "1e-9")
    s3.put_object(Bucket=BUCKET, Key="Test/Kiwi/1.jpg", Body=b"a photo")
    with pytest.raises(
        AirflowFailException, match=r"has more than the 1 objects .* raise FRUITS_PLAN_MINUTES"
    ):
        tasks.plan()


@pytest.mark.parametrize("run_id", ["spare~1", "a#b", "r" * 257])
def test_plan_refuses_a_run_id_that_no_tag_of_emr_can_be(
    params: dict[str, Any], run_id: str, in_task: InTask
) -> None:
    in_task(params, run_id=run_id)
    with pytest.raises(
        AirflowFailException, match="cannot be a tag of the run's cluster: trigger a run whose id"
    ):
        tasks.plan()
    assert keys() == []


@pytest.mark.parametrize("run_id", ["manual__2026-11-22T10:00:00+00:00", "nightly 7", "épi@home", "r" * 256])
def test_a_run_id_that_airflow_makes_is_accepted(run_id: str) -> None:
    check_run_id(run_id)


def test_plan_refuses_a_bucket_without_tls_and_writes_nothing(params: dict[str, Any], s3: Any) -> None:
    s3.delete_bucket_policy(Bucket=BUCKET)
    with pytest.raises(AirflowFailException, match="can be read without TLS"):
        tasks.plan()
    assert keys() == []


def test_plan_refuses_an_endpoint_of_the_connection(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT",
        '{"conn_type": "aws", "extra": {"endpoint_url": "https://s3.amazonaws.com"}}',
    )
    with pytest.raises(
        AirflowFailException, match=r"endpoint_url of the AWS connection is https://s3\.amazon"
    ):
        tasks.plan()


@pytest.mark.parametrize("task", [tasks.plan, tasks.report])
def test_neither_plan_nor_report_writes_to_a_bucket_outside_the_eu(task: Any, params: dict[str, Any]) -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="in-virginia")
    params["bucket"] = "in-virginia"
    with pytest.raises(AirflowFailException, match="'in-virginia' lies in us-east-1, outside the EU"):
        task()
    assert keys("in-virginia", "us-east-1") == []


def test_guards_refuse_a_run_without_the_configuration_that_is_required(
    params: dict[str, Any], in_task: InTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fruit_pipeline.settings.deployment import Deployment
    from local_run import local_account

    local_account.create_roles(boto3.client("iam"), Deployment())
    monkeypatch.setenv("FRUITS_REQUIRE_SECURITY_CONFIGURATION", "true")
    in_task(params, plan=planned(10))
    with pytest.raises(AirflowFailException, match="set FRUITS_SECURITY_CONFIGURATION"):
        tasks.check_guards()


def test_verify_refuses_a_run_that_is_not_encrypted_before_it_reads_the_result(
    params: dict[str, Any], s3: Any, layout: RunLayout, in_task: InTask
) -> None:
    in_task(params, plan=planned(3))
    s3.delete_bucket_encryption(Bucket=BUCKET)
    for key in (layout.featurize_metrics, layout.reduce_metrics, layout.train_metrics):
        write_json(s3, BUCKET, key, {})
    with pytest.raises(AirflowFailException, match=r"3 of 3 objects of the run .* are not encrypted"):
        tasks.verify()


@pytest.mark.parametrize("classifier", ["linear", "none"])
def test_verify_asks_for_the_metrics_of_the_steps_that_the_run_has(
    params: dict[str, Any], s3: Any, layout: RunLayout, in_task: InTask, classifier: str
) -> None:
    in_task({**params, "classifier": classifier}, plan=planned(3))
    s3.delete_bucket_encryption(Bucket=BUCKET)
    for key in (layout.featurize_metrics, layout.reduce_metrics):
        write_json(s3, BUCKET, key, {})
    sentence = "The steps left no metrics" if classifier == "linear" else "are not encrypted"
    with pytest.raises(AirflowFailException, match=sentence):
        tasks.verify()
