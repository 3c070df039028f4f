"""An account in memory (moto), with the bucket and roles that the local run makes."""

from collections.abc import Iterator
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.loaders import create_loader
from moto import mock_aws

from fruit_contract.layout import RunLayout
from fruit_contract.report_schema import ChosenFleet, ExpectedSizing, GroupCost, ModelFacts
from fruit_pipeline.results.publication import FeatureIdentity
from fruit_pipeline.results.run_plan import RunEstimate, RunPlan
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from local_aws import moto_gaps
from local_run import local_account

BUCKET = "fruits-test"
REGION = "eu-west-1"
FEATURES = FeatureIdentity(
    fingerprint="f" * 64,
    image_size=224,
    precision="float32",
    engine="litert",
    reader="fast",
    input_prefix="Test/",
)


MODEL = ModelFacts(
    name="MobileNetV2 1.0",
    weights='"ImageNet"',
    fingerprint=FEATURES["fingerprint"],
    image_size=FEATURES["image_size"],
    engine=FEATURES["engine"],
    precision=FEATURES["precision"],
)


@pytest.fixture(scope="package", autouse=True)
def _models_are_parsed_once() -> Iterator[None]:
    """moto forgets boto3's session with every mock, and with it what it parsed: most of a test's time.

    For one module at a time: making a client changes its model (the bucket leaves the paths).
    """
    shared = create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda search_path_string=None: shared)
        yield


@pytest.fixture(autouse=True)
def _no_real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EMR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)


def planned(images: int = 3, **changes: Any) -> RunPlan:
    """What ``plan`` hands on: as of a first run, but for the changes."""
    usual = RunPlan(
        images=images,
        new=images,
        changed=0,
        deleted=0,
        reused=0,
        bytes=6_000 * images,
        ignored=0,
        left_out={},
        run_key="run-1",
        features=FEATURES,
        base=None,
        model=None,
        classifier_run=None,
        pointer_etag=None,
        fewer_components=False,
        nothing_new=False,
        waits=False,
        summary="",
    )
    return usual | changes  # type: ignore[return-value]


def sized(worker_type: str, workers: int, minutes: float = 1.0) -> RunEstimate:
    chosen = ChosenFleet(worker_type=worker_type, workers=workers)
    sizing = ExpectedSizing(chosen=chosen, automatic=True, expected_minutes=minutes, arithmetic="sum")
    groups = [GroupCost(group="EC2 Spot", estimate=2.0, expected=1.0, actual=None)]
    return RunEstimate(estimate=2.0, expected=1.0, groups=groups, sizing=sizing)


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


@pytest.fixture
def s3() -> Iterator[Any]:
    moto_gaps.mend()
    with mock_aws():
        client = boto3.client("s3", region_name=REGION)
        local_account.create_bucket(client, BUCKET, REGION)
        yield client


@pytest.fixture
def layout() -> RunLayout:
    return RunLayout(BUCKET, "run-1")


@pytest.fixture
def parameters() -> RunParameters:
    return RunParameters(bucket=BUCKET, components=2, minimum_variance=0.5)
