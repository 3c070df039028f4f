"""Each role can do its part and nothing else: a run succeeds under exactly the template's policies, fails
without any one of their statements, and neither role reaches what is not its own.

The first run is a whole one with real Spark steps, which the others replay: see pipeline_run.py.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from evidence.marked_text import EVIDENCE
from tests.deploy.infra.authorization import ACCOUNT, Need, permits
from tests.deploy.infra.document import Row, airflow_rows, listed, node_rows, write
from tests.deploy.infra.moto_account import BUCKET, client
from tests.deploy.infra.pipeline_run import Installed, Outcome, PipelineRun, installed

CLUSTERS = f"arn:aws:elasticmapreduce:eu-west-1:{ACCOUNT}:cluster/"
OURS = {
    "elasticmapreduce:ResourceTag/project": "fruit-features",
    "elasticmapreduce:ResourceTag/installation": "fruits",
}
ANOTHERS = OURS | {"elasticmapreduce:ResourceTag/installation": "orchard"}
PROJECTS = {"elasticmapreduce:ResourceTag/project": "fruit-features"}
OURS_ASKED = {key.replace("Resource", "Request"): value for key, value in OURS.items()}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(tmp_path_factory.mktemp("account")) as found:
        yield found


@pytest.fixture(scope="module")
def run(account: Installed) -> PipelineRun:
    return PipelineRun(account)


@pytest.fixture(scope="module")
def whole(account: Installed, run: PipelineRun) -> Outcome:
    """A run with every statement, and with Spark."""
    return run.play(account.statements("AirflowRole"), steps="spark")


@pytest.fixture(scope="module")
def node_requests(account: Installed, whole: Outcome) -> list[Need]:
    """What the steps and JupyterHub asked of S3, and what EMR does on the nodes: fetch code, ship logs."""
    save_notebook(nodes_client(account))
    return [*account.needed_by("NodeRole"), *whole.guard.internal]


@pytest.fixture(scope="module")
def rows(account: Installed, run: PipelineRun, whole: Outcome, node_requests: list[Need]) -> list[Row]:
    found = [*airflow_rows(account, run), *node_rows(account, node_requests)]
    if document := os.environ.get("INFRA_DOCUMENT"):
        write(Path(document), found)
    return found


def nodes_client(account: Installed) -> Any:
    session = account.sessions["NodeRole"]
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return client(account.aws, "s3", **dict(zip(names, session.values(), strict=True)))


def save_notebook(s3: Any) -> None:
    """Somebody opens the shipped notebook, saves and renames it: the calls of JupyterHub's s3contents."""
    folder = {"Bucket": BUCKET, "Prefix": "jupyter/jovyan/"}
    [shipped] = [each["Key"] for each in s3.list_objects_v2(**folder)["Contents"]]
    s3.put_object(Bucket=BUCKET, Key="jupyter/jovyan/.s3keep", Body=b"")
    opened = s3.get_object(Bucket=BUCKET, Key=shipped)["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=shipped, Body=opened + b" ")
    renamed = {"Bucket": BUCKET, "Key": "jupyter/jovyan/mine.ipynb"}
    s3.copy_object(**renamed, CopySource={"Bucket": BUCKET, "Key": shipped})
    s3.delete_object(**renamed)


def test_a_run_succeeds_under_the_policies_of_the_template(whole: Outcome) -> None:
    assert whole.failed is None, f"{whole.failed}: {whole.error!r}"
    assert whole.guard.refused == []
    assert whole.report is not None
    assert whole.report["encryption"]["not_seen"] == {}


def test_a_run_whose_cluster_is_lost_goes_on_under_the_same_policies(
    account: Installed, run: PipelineRun, whole: Outcome
) -> None:
    lost = run.play(account.statements("AirflowRole"), steps="replayed", lost_in="reduce")
    assert lost.failed is None, f"{lost.failed}: {lost.error!r}"
    assert lost.guard.refused == []
    assert lost.report is not None
    # Earlier runs of these tests had clusters, too.
    first, second = lost.report["clusters"][-2:]
    assert {each["market"] for each in first["instances"]} == {"SPOT"}
    assert {each["market"] for each in second["instances"]} == {"ON_DEMAND"}


def test_the_steps_asked_only_for_what_their_role_permits(
    account: Installed, node_requests: list[Need]
) -> None:
    assert len(node_requests) > 50
    assert [need for need in node_requests if not permits(account.statements("NodeRole"), need)] == []


def test_without_any_one_statement_something_fails(rows: list[Row]) -> None:
    assert [row for row in rows if not row.refused] == [], "statements that nothing needs"


def test_the_documented_table_has_every_statement(rows: list[Row]) -> None:
    assert listed(EVIDENCE / "policies.md") == {(row.role, row.statement) for row in rows}


def test_every_action_of_airflows_role_is_used(account: Installed, whole: Outcome) -> None:
    granted = {
        action
        for statement in account.statements("AirflowRole")
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert granted - {need.action for need in whole.guard.needed} == set()


def test_every_action_of_the_nodes_role_is_used_but_those_of_emrs_committer(
    account: Installed, node_requests: list[Need]
) -> None:
    granted = {
        action
        for statement in account.statements("NodeRole")
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    # The committer of EMR's S3A writes by multipart uploads; the one of the Spark at hand renames.
    committer = {"s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads"}
    assert granted - {need.action for need in node_requests} == committer


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("s3:GetObject", f"arn:aws:s3:::{BUCKET}/private/1.jpg", {}),
        ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/Test/Apple/1.jpg", {}),
        ("s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/Results/latest.json", {}),
        ("s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/Results/reports/run=a/report.json", {}),
        ("s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/Test/Apple/1.jpg", {}),
        ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/Results/pca_output/run=a/x.parquet", {}),
        ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/jupyter/jovyan/cluster-0.ipynb", {}),
        ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/jupyter/diego/x.ipynb", {"s3:if-none-match": "*"}),
        ("s3:GetObject", f"arn:aws:s3:::{BUCKET}/jupyter/jovyan/mine.ipynb", {}),
        ("s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/jupyter/jovyan/mine.ipynb", {}),
        ("s3:PutBucketPolicy", f"arn:aws:s3:::{BUCKET}", {}),
        ("s3:ListBucket", "arn:aws:s3:::another", {}),
        ("s3:GetObject", "arn:aws:s3:::another/Results/x", {}),
        ("elasticmapreduce:TerminateJobFlows", f"{CLUSTERS}j-1", {}),
        ("elasticmapreduce:TerminateJobFlows", f"{CLUSTERS}j-1", ANOTHERS),
        ("elasticmapreduce:AddJobFlowSteps", f"{CLUSTERS}j-1", PROJECTS),
        ("elasticmapreduce:AddTags", f"{CLUSTERS}j-1", OURS_ASKED),
        ("elasticmapreduce:PutAutoTerminationPolicy", f"{CLUSTERS}j-1", ANOTHERS),
        ("elasticmapreduce:PutManagedScalingPolicy", f"{CLUSTERS}j-1", PROJECTS),
        ("elasticmapreduce:RunJobFlow", "*", {"aws:RequestedRegion": "eu-west-1"}),
        ("elasticmapreduce:RunJobFlow", "*", OURS_ASKED | {"aws:RequestedRegion": "eu-west-3"}),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/Admin", {"iam:PassedToService": "ec2.amazonaws.com"}),
        ("iam:GetRole", f"arn:aws:iam::{ACCOUNT}:role/Admin", {}),
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/New", {}),
        ("ec2:RunInstances", "*", {}),
        ("ssm:StartSession", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-0123456789abcdef0", {}),
        ("sqs:ReceiveMessage", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:another", {}),
        ("sns:Publish", f"arn:aws:sns:eu-west-1:{ACCOUNT}:another", {}),
    ],
)
def test_airflows_role_reaches_nothing_else(
    account: Installed, action: str, resource: str, context: dict[str, str]
) -> None:
    assert not permits(account.statements("AirflowRole"), Need(action, resource, context))


def test_the_nodes_role_is_not_handed_to_another_service(account: Installed) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/{account.role('NodeRole')}"
    for logical in ("AirflowRole", "ServiceRole"):
        statements = account.statements(logical)
        assert permits(statements, Need("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"}))
        other = {"iam:PassedToService": "lambda.amazonaws.com"}
        assert not permits(statements, Need("iam:PassRole", role, other))


@pytest.mark.parametrize(
    ("operation", "key"),
    [
        ("put_object", "Results/latest.json"),
        ("put_object", "Test/Apple/1.jpg"),
        ("put_object", "artifacts/x/code.zip"),
        ("put_object", "jupyter-of-others/x.ipynb"),
        ("delete_object", "Test/Apple/broken.jpg"),
        ("get_object", "logs/j-1/steps/s-1/stderr.gz"),
    ],
)
def test_the_nodes_are_refused_by_the_server_what_is_not_theirs(
    account: Installed, operation: str, key: str
) -> None:
    s3 = nodes_client(account)
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(s3, operation)(Bucket=BUCKET, Key=key)
