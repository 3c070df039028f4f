"""Account ids and keys never reach a report, an artifact, a request or a message of ours."""

import json
from copy import deepcopy
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from fruit_contract.layout import RunLayout
from fruit_contract.report_schema import (
    AtRest,
    BucketEncryption,
    ClusterEncryption,
    ClusterFacts,
    Cost,
    Encryption,
    ObjectEncryption,
    StepTime,
    TaskTime,
    Timing,
)
from fruit_pipeline.cluster import artifacts, step_requests
from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.results import reporting
from fruit_pipeline.results.run_record import RunRecord
from fruit_pipeline.security import encryption
from fruit_pipeline.security.redaction import redacted, redacted_text
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters, form
from tests.conftest import REPOSITORY
from tests.fruit_pipeline.conftest import MODEL, planned
from tests.fruit_pipeline.results.test_reporting import START
from tests.fruit_pipeline.security.test_encryption import RIGHT
from tests.repository.secrets_scan import scan, scan_files
from tests.repository.test_secrets_scan import ACCESS_KEY, ACCOUNT, PLANTED, SECRET, TEMPORARY_KEY, TOKEN

KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd"


@pytest.mark.parametrize("text", [text for text, kind in PLANTED.items() if kind != "private key"])
def test_what_the_scanner_finds_is_blotted_out(text: str) -> None:
    cleaned = redacted_text(f"before {text} after")
    assert scan(cleaned) == []
    assert "***" in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")


@pytest.mark.parametrize(
    "text",
    [
        "s3://fruits/Test/Pink Lady/123456789012.jpg",
        "arn:aws:s3:::fruits/Test/123456789012.jpg",
        "sha256 " + "0123456789abcdef" * 4,
        "run=manual__2026-11-22T10-00-00-00-00-4ff2a843",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redacted({"a": [text, 1, None, 0.5]}) == {"a": [text, 1, None, 0.5]}


def test_a_report_shows_neither_account_nor_keys_whatever_it_is_told() -> None:
    dirty = f"{KEY} {ACCESS_KEY} {TEMPORARY_KEY} secret={SECRET} SessionToken={TOKEN}"
    seen = Encryption(
        bucket=BucketEncryption(
            tls_only=True,
            default_algorithm="aws:kms",
            default_kms_key=KEY,
            bucket_key=True,
            public_access_blocked=True,
            versioning="Enabled",
        ),
        objects=ObjectEncryption(
            checked=1, total=1, algorithms={"aws:kms": 1}, kms_keys=[KEY], bucket_keys=1, unencrypted=[dirty]
        ),
        cluster=ClusterEncryption(
            security_configuration="s",
            at_rest=AtRest(s3="SSE-KMS", local_disk="AwsKms", ebs=True),
            in_transit=True,
            imdsv2=True,
            logs_kms_key=KEY,
        ),
        not_seen={"cluster": dirty},
    )
    model: Any = {"name": "m", "weights": dirty, "fingerprint": "f", "image_size": 224, "engine": "litert"}
    metrics: Any = {
        "processed": 1,
        "rejected": 0,
        "feature_dim": 1280,
        "images_per_second": 1.0,
        "cores": 2,
        "model_loads": 1,
        "model": model,
        "versions": {"spark": dirty, dirty: "1"},
    }
    cluster = ClusterFacts(id="j-1", release=dirty, final_state=KEY, instances=[{"id": dirty, "type": KEY}])
    report = reporting.build_report(
        RunRecord(
            dirty,
            START,
            {"region": "eu-west-1", "bucket": dirty},
            plan=planned(1, summary=dirty),
            featurized=metrics,
            clusters=(cluster,),
        ),
        why={dirty: dirty},
        tasks=[TaskTime(name=dirty, started_after=0.0, waited=0.0, seconds=1.0, state="failed")],
        timing=Timing(
            to_cluster=None,
            provisioning=None,
            to_first_step=None,
            steps=[
                StepTime(
                    name=dirty, state=KEY, started_after=None, queued=None, seconds=None, noticed_after=None
                )
            ],
            after_last_step=None,
            idle=None,
        ),
        cost=Cost(currency="EUR", estimate=1.0, actual=None, lines=[{"service": dirty, "amount": 1.0}]),
        encryption=seen,
    )
    text = json.dumps(report)
    assert scan(text) == []
    assert ACCOUNT not in text
    assert "arn:aws:kms:eu-west-1:***:key/1234abcd" in text, "what is no secret must stay readable"


def test_a_message_about_the_cluster_shows_no_account() -> None:
    seen = deepcopy(RIGHT)
    seen["cluster"] = ClusterEncryption(
        security_configuration=None, at_rest=None, in_transit=False, imdsv2=False, logs_kms_key=KEY
    )
    with pytest.raises(encryption.EncryptionError) as caught:
        encryption.check("b-b", seen, cluster_too=True)
    assert "key/1234abcd" in str(caught.value)
    assert scan(str(caught.value)) == []


def test_a_refused_request_is_told_by_its_code_alone() -> None:
    """AWS's own words name the caller's ARN."""
    words = f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: s3:GetBucketPolicy"

    s3, emr = (boto3.client(service, region_name="eu-west-1") for service in ("s3", "emr"))
    with Stubber(s3) as refusing_s3, Stubber(emr) as refusing_emr:
        for stubber, operation in (
            (refusing_s3, "get_bucket_encryption"),
            (refusing_s3, "list_objects_v2"),
            (refusing_emr, "describe_cluster"),
        ):
            stubber.add_client_error(operation, "AccessDenied", words, 403)
        seen = encryption.seen(s3, emr, RunLayout("b-b", "r"), "j-1")
    assert set(seen["not_seen"]) == {"bucket", "objects", "cluster"}
    assert scan(json.dumps(seen)) == []
    assert all("AccessDenied" in why for why in seen["not_seen"].values())


def test_the_code_that_goes_to_s3_holds_no_secret() -> None:
    archive = artifacts.code_archive(REPOSITORY / "spark")
    assert archive.startswith(b"PK")
    assert scan(archive, "code.zip") == []
    assert scan_files(REPOSITORY / "spark", REPOSITORY / "dags", REPOSITORY / "plugins") == []


def test_the_rendered_run_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    values, layout = RunParameters(), RunLayout("b-b", "r")
    uris = artifacts.ArtifactUris(*(f"s3://b-b/artifacts/{name}" for name in "abcdefg"))
    rendered = [
        job_flow(values, Deployment(), uris.hard_lifetime, "fruit_features", "r"),
        step_requests.featurize_step(values, layout, uris, planned()),
        step_requests.reduce_step(values, layout, uris, planned()),
        step_requests.train_step(values, layout, uris, planned(), MODEL),
        {name: parameter.serialize() for name, parameter in form().items()},
    ]
    text = json.dumps(rendered)
    assert "fruit_features" in text
    assert scan(text) == []
    assert not {word for word in (ACCESS_KEY, SECRET, TOKEN) if word in text}


def test_the_rest_of_the_repository_holds_no_secret() -> None:
    names = ("deploy", "dev", "docs", "requirements")
    files = [
        path
        for name in names
        for path in (REPOSITORY / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert {path.relative_to(REPOSITORY).parts[0] for path in files} == set(names)
    assert scan_files(*files, REPOSITORY / "README.md", REPOSITORY / "Makefile") == []
