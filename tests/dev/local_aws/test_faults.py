"""Faults of EMR's and S3's calls, seen by unmodified boto3, and the count of what took effect."""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ConnectionClosedError

from local_aws.clock import Factors, ManualClock
from local_aws.control import Control, ControlError
from local_aws.emr.outside_events import LosePrimary
from local_aws.faults import CauseEvent, Delay, Drop, Error, Fault, Faults, Throttle
from local_aws.s3_operations import UNKNOWN, _forms, s3_model, s3_operation
from local_aws.server import LocalAws
from tests.dev.local_aws.emr_client import client, cluster_in, job_flow

NO_SPACE = Error(status=500, code="InternalFailure", message="nothing works")


@pytest.fixture
def once_emr(aws: LocalAws) -> Any:
    """An EMR client that does not try again."""
    return client(aws, "emr", attempts=1)


@pytest.fixture
def once_s3(aws: LocalAws) -> Any:
    """An S3 client that does not try again."""
    return client(aws, "s3", attempts=1)


def code_of(error: ClientError) -> tuple[str, str, int]:
    answer = error.response
    return (
        answer["Error"]["Code"],
        answer["Error"]["Message"],
        answer["ResponseMetadata"]["HTTPStatusCode"],
    )


def test_without_rules_calls_are_only_counted(
    once_emr: Any, once_s3: Any, control: Control, bucket: str
) -> None:
    control.clear()
    cluster_id = once_emr.run_job_flow(**job_flow())["JobFlowId"]
    with pytest.raises(ClientError):
        once_emr.run_job_flow(**job_flow(ReleaseLabel="emr-0.0.0"))
    once_s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    assert once_s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"
    seen = control.logged_calls()
    assert (seen.seen("RunJobFlow"), seen.took_effect("RunJobFlow")) == (2, 1)
    assert [(each.operation, each.target, each.status) for each in seen.calls] == [
        ("RunJobFlow", cluster_id, 200),
        ("RunJobFlow", None, 400),
        ("PutObject", f"{bucket}/a", 200),
        ("GetObject", f"{bucket}/a", 200),
    ]
    assert [each.operation for each in control.logged_calls(service="s3").calls] == ["PutObject", "GetObject"]


def test_emr_throttles_as_emr_does_and_boto3_tries_again(
    aws: LocalAws, once_emr: Any, emr: BaseClient, control: Control
) -> None:
    fault = control.add_fault(Fault(service="emr", operation="ListClusters", calls=2, effect=Throttle()))
    with pytest.raises(ClientError) as refused:
        once_emr.list_clusters()
    assert code_of(refused.value) == ("ThrottlingException", "Rate exceeded", 400)
    emr.list_clusters()
    record = control.fault(fault)
    assert (record.hits, record.matched) == (2, 3)
    assert [each.status for each in control.logged_calls(operation="ListClusters").calls] == [400, 400, 200]


def test_so_many_calls_go_through_in_each_second() -> None:
    clock = ManualClock()
    faults = Faults(clock)
    faults.add(Fault(service="s3", operation="GetObject", effect=Throttle(above=2)))

    def refused() -> bool:
        return faults.plan("s3", "GetObject", "a").ending is not None

    assert [refused() for _ in range(4)] == [False, False, True, True]
    clock.advance(1)
    assert [refused() for _ in range(3)] == [False, False, True]


def test_s3_throttles_as_s3_does_by_key(once_s3: Any, control: Control, bucket: str) -> None:
    control.add_fault(Fault(service="s3", operation="PutObject", key_prefix="Results/", effect=Throttle()))
    control.add_fault(Fault(service="s3", operation="*", key_pattern=r"\.parquet$", effect=Throttle()))
    once_s3.put_object(Bucket=bucket, Key="Test/Results/a", Body=b"x")
    for key in ("Results/a é", "x/part.parquet"):
        with pytest.raises(ClientError) as refused:
            once_s3.put_object(Bucket=bucket, Key=key, Body=b"x" * 200_000)
        assert code_of(refused.value) == ("SlowDown", "Please reduce your request rate.", 503)
    with pytest.raises(ClientError, match="503"):
        once_s3.head_object(Bucket=bucket, Key="x/part.parquet")
    listed = once_s3.list_objects_v2(Bucket=bucket, Prefix="Results/")
    assert listed["KeyCount"] == 0


def test_an_error_is_the_one_that_was_asked_for(once_emr: Any, once_s3: Any, control: Control) -> None:
    control.add_fault(Fault(service="emr", operation="*", effect=NO_SPACE))
    denied = Error(status=403, code="AccessDenied", message="not <you>")
    control.add_fault(Fault(service="s3", operation="ListBuckets", effect=denied))
    with pytest.raises(ClientError) as broken:
        once_emr.list_clusters()
    assert code_of(broken.value) == ("InternalFailure", "nothing works", 500)
    with pytest.raises(ClientError) as refused:
        once_s3.list_buckets()
    assert code_of(refused.value) == ("AccessDenied", "not <you>", 403)


def test_a_delayed_call_is_made_late(once_emr: Any, control: Control) -> None:
    control.add_fault(Fault(service="emr", operation="ListClusters", calls=1, effect=Delay(seconds=0.3)))
    started = time.monotonic()
    once_emr.list_clusters()
    assert time.monotonic() - started >= 0.3
    assert control.logged_calls(operation="ListClusters").took_effect("ListClusters") == 1


def test_a_dropped_run_job_flow_has_made_its_cluster(once_emr: Any, control: Control) -> None:
    fault = control.add_fault(Fault(service="emr", operation="RunJobFlow", calls=1, effect=Drop()))
    with pytest.raises(ConnectionClosedError):
        once_emr.run_job_flow(**job_flow(Name="lost answer"))
    [made] = [each for each in once_emr.list_clusters()["Clusters"] if each["Name"] == "lost answer"]
    [call] = control.logged_calls(operation="RunJobFlow").calls
    assert (call.target, call.status, call.took_effect, call.faults) == (made["Id"], None, True, [fault])


def test_a_client_that_tries_a_dropped_run_job_flow_again_has_two_clusters(
    emr: BaseClient, control: Control
) -> None:
    control.add_fault(Fault(service="emr", operation="RunJobFlow", calls=1, effect=Drop()))
    emr.run_job_flow(**job_flow())
    assert control.logged_calls().took_effect("RunJobFlow") == 2


def test_a_dropped_put_has_put_its_object(once_s3: Any, control: Control, bucket: str) -> None:
    control.add_fault(Fault(service="s3", operation="PutObject", calls=1, effect=Drop()))
    with pytest.raises(ConnectionClosedError):
        once_s3.put_object(Bucket=bucket, Key="a", Body=b"there")
    assert once_s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"there"


def test_a_call_can_move_the_cluster_that_it_names(once_emr: Any, control: Control) -> None:
    event = CauseEvent(event=LosePrimary())
    control.add_fault(Fault(service="emr", operation="DescribeCluster", first=2, calls=1, effect=event))
    cluster_id = once_emr.run_job_flow(**job_flow())["JobFlowId"]
    seen = [once_emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"] for _ in range(3)]
    assert [state.startswith("TERMINAT") for state in seen] == [False, False, True]
    ended = cluster_in(once_emr, cluster_id, "TERMINATED_WITH_ERRORS")
    assert ended["Status"]["StateChangeReason"]["Code"] == "INSTANCE_FAILURE"


def test_a_multipart_upload_meets_faults_by_its_parts(
    s3: BaseClient, control: Control, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(bytes(9 * 1024 * 1024))
    control.add_fault(Fault(service="s3", operation="UploadPart", calls=1, effect=Throttle()))
    s3.upload_file(str(tmp_path / "big"), bucket, "big")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "big"}]})
    seen = control.logged_calls(service="s3")
    assert (seen.seen("UploadPart"), seen.took_effect("UploadPart")) == (3, 2)
    for operation in ("CreateMultipartUpload", "CompleteMultipartUpload", "DeleteObjects"):
        assert seen.took_effect(operation) == 1


def test_other_services_of_the_same_server_meet_no_fault_of_s3(aws: LocalAws, control: Control) -> None:
    control.add_fault(Fault(service="s3", operation="*", effect=Throttle()))
    client(aws, "sqs", attempts=1).create_queue(QueueName="undisturbed")
    assert client(aws, "iam", attempts=1).list_roles()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert control.logged_calls(service="s3").counts == []


def test_a_call_of_iam_can_be_refused_and_is_counted(aws: LocalAws, control: Control) -> None:
    control.add_fault(Fault(service="iam", operation="ListRoles", calls=1, effect=Throttle()))
    iam = client(aws, "iam", attempts=1)
    with pytest.raises(ClientError, match="Throttling"):
        iam.list_roles()
    assert iam.list_roles()["ResponseMetadata"]["HTTPStatusCode"] == 200
    calls = control.logged_calls()
    assert (calls.seen("ListRoles"), calls.took_effect("ListRoles")) == (2, 1)


def test_rules_are_listed_and_removed_one_by_one_or_all(once_emr: Any, control: Control) -> None:
    first = control.add_fault(Fault(service="emr", operation="ListClusters", effect=Throttle()))
    second = control.add_fault(Fault(service="emr", operation="ListClusters", effect=NO_SPACE))
    assert [each.id for each in control.faults()] == [first, second]
    with pytest.raises(ClientError, match="ThrottlingException"):
        once_emr.list_clusters()
    control.remove_fault(first)
    with pytest.raises(ClientError, match="InternalFailure"):
        once_emr.list_clusters()
    with pytest.raises(ControlError, match=f"no fault '{first}'"):
        control.remove_fault(first)
    control.clear()
    assert once_emr.list_clusters()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_rule_acts_from_its_first_call_on_for_its_calls_or_its_time() -> None:
    clock = ManualClock()
    faults = Faults(clock)
    faults.add(Fault(service="emr", operation="*", first=3, calls=2, effect=Throttle()))
    met = [faults.plan("emr", "ListClusters", None).ending is not None for _ in range(6)]
    assert met == [False, False, True, True, False, False]
    faults.clear()
    faults.add(Fault(service="emr", operation="*", seconds=10, effect=Throttle()))
    faults.add(Fault(service="emr", operation="*", effect=Delay(seconds=1)))
    clock.advance(100)
    assert faults.plan("emr", "ListClusters", None).ending == Throttle()
    clock.advance(9)
    assert faults.plan("emr", "ListClusters", None).ending == Throttle()
    clock.advance(1)
    last = faults.plan("emr", "ListClusters", None)
    assert (last.ending, last.delay) == (None, 1)
    assert [each.hits for each in faults.records()] == [2, 3]


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation"),
    [
        ("GET", "/", "", {}, "ListBuckets"),
        ("PUT", "/b", "", {}, "CreateBucket"),
        ("PUT", "/b/", "", {}, "CreateBucket"),
        ("HEAD", "/b", "", {}, "HeadBucket"),
        ("GET", "/b", "prefix=a", {}, "ListObjects"),
        ("GET", "/b/", "list-type=2&prefix=a%2F", {}, "ListObjectsV2"),
        ("GET", "/b", "versions", {}, "ListObjectVersions"),
        ("GET", "/b", "location", {}, "GetBucketLocation"),
        ("POST", "/b", "delete", {}, "DeleteObjects"),
        ("PUT", "/b/k/l", "", {}, "PutObject"),
        ("PUT", "/b/k", "", {"x-amz-copy-source": "/b/j"}, "CopyObject"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {}, "UploadPart"),
        ("PUT", "/b/k", "partNumber=1&uploadId=u", {"x-amz-copy-source": "/b/j"}, "UploadPartCopy"),
        ("POST", "/b/k", "uploads", {}, "CreateMultipartUpload"),
        ("POST", "/b/k", "uploadId=u", {}, "CompleteMultipartUpload"),
        ("DELETE", "/b/k", "uploadId=u", {}, "AbortMultipartUpload"),
        ("DELETE", "/b/k", "versionId=v", {}, "DeleteObject"),
        ("GET", "/b/k", "X-Amz-Signature=s&X-Amz-Expires=60", {}, "GetObject"),
        ("HEAD", "/b/k", "", {}, "HeadObject"),
        ("POST", "/b", "", {}, UNKNOWN),
    ],
)
def test_a_request_to_s3_is_named_by_what_it_is(
    method: str, path: str, query: str, headers: dict[str, str], operation: str
) -> None:
    assert s3_operation(method, path, query, headers) == operation


def test_a_client_that_shortens_addresses_in_the_model_hides_no_operation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """botocore takes the bucket out of an operation's address where its client is in the same process."""
    monkeypatch.setitem(s3_model().operation_model("GetObject").http, "requestUri", "/{Key+}")
    _forms.cache_clear()
    assert s3_operation("GET", "/bucket/key", "", {}) == "GetObject"


def ask(aws: LocalAws, method: str, path: str, body: bytes) -> tuple[int, str]:
    request = urllib.request.Request(f"{aws.emr_url}/_control{path}", data=body, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"]


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (b"{", "The request body is not JSON"),
        (b"[]", "The request body is not a JSON object"),
        (b"{}", "service: Field required"),
        (b'{"service": "ec2", "operation": "*", "effect": {"kind": "drop"}}', "service: "),
        (b'{"service": "emr", "operation": "*", "effect": {"kind": "explode"}}', "effect: "),
        (b'{"service": "emr", "operation": "*"}', "effect: Field required"),
        (
            b'{"service": "emr", "operation": "RunJobflow", "effect": {"kind": "drop"}}',
            "operation 'RunJobflow' is not one of emr's",
        ),
        (
            b'{"service": "emr", "operation": "*", "first": 0, "effect": {"kind": "drop"}}',
            "first: Input should be greater than or equal to 1",
        ),
        (
            b'{"service": "emr", "operation": "*", "key_prefix": "a", "effect": {"kind": "drop"}}',
            "for service s3 only",
        ),
        (
            b'{"service": "s3", "operation": "*", "effect": {"kind": "event", "event": {"kind": "hold"}}}',
            "effect event is for service emr only",
        ),
        (
            b'{"service": "s3", "operation": "*", "key_pattern": "(", "effect": {"kind": "drop"}}',
            "is no regular expression",
        ),
        (b'{"service": "s3", "operation": "*", "often": 1, "effect": {"kind": "drop"}}', "often: "),
        (
            b'{"service": "s3", "operation": "*", "effect": {"kind": "error", "status": 200, "code": "a"}}',
            "effect.error.status: ",
        ),
    ],
)
def test_a_bad_rule_is_refused_with_one_sentence(
    aws: LocalAws, control: Control, rule: bytes, complaint: str
) -> None:
    status, sentence = ask(aws, "POST", "/faults", rule)
    assert status == 400
    assert complaint in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert control.faults() == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "complaint"),
    [
        ("GET", "/nothing", b"", 404, "GET /_control/nothing is not part of the control interface."),
        ("PUT", "/faults", b"{}", 405, "PUT /_control/faults is not part of the control interface."),
        ("POST", "/clusters/j-1/explode", b"", 400, "The event cannot be used"),
        (
            "POST",
            "/pending-events",
            b'{"event": {"kind": "hold"}, "when": {}}',
            400,
            "give either state or step",
        ),
        ("POST", "/clusters/j-1/hold", b'{"state": "RUNNING"}', 400, "hold.state"),
    ],
)
def test_a_bad_request_is_refused_with_one_sentence(
    aws: LocalAws, method: str, path: str, body: bytes, status: int, complaint: str
) -> None:
    answered, sentence = ask(aws, method, path, body)
    assert answered == status
    assert complaint in sentence


def test_factors_are_changed_for_limits_and_waits_under_way(
    aws: LocalAws, emr: BaseClient, control: Control
) -> None:
    before = Factors(time_factor=aws.settings.time_factor, limit_factor=aws.settings.limit_factor)
    control.set_factors(Factors(time_factor=4, limit_factor=2))
    try:
        assert (aws.clock.real(60), aws.clock.limit(60)) == (15, 30)
        control.set_factors(Factors(time_factor=before.time_factor, limit_factor=1))
        policy = {"IdleTimeout": 7 * 24 * 3600}
        cluster_id = emr.run_job_flow(**job_flow(AutoTerminationPolicy=policy))["JobFlowId"]
        cluster_in(emr, cluster_id, "WAITING")
        control.set_factors(Factors(time_factor=before.time_factor, limit_factor=1e7))
        cluster_in(emr, cluster_id, "TERMINATED")
        with pytest.raises(ControlError, match="greater than 0"):
            control._call("PUT", "/clock", {"limit_factor": 0})
    finally:
        control.set_factors(before)
