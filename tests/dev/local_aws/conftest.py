"""One local AWS for each module of tests, and clients of it."""

import hashlib
import sys
from collections.abc import Iterator

import pytest
from botocore.client import BaseClient

from local_aws.control import Control
from local_aws.server import LocalAws, Settings
from tests.dev.local_aws.emr_client import JARS, SPARK_PYTHON, TIME_FACTOR, client


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    settings = Settings(
        state_dir=tmp_path_factory.mktemp("aws"),
        spark_python=SPARK_PYTHON,
        jars_dir=JARS if JARS.is_dir() else None,
        time_factor=TIME_FACTOR,
        limit_factor=TIME_FACTOR,
    )
    with LocalAws(settings) as running:
        yield running


@pytest.fixture
def restless() -> Iterator[None]:
    """This process changes threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def emr(aws: LocalAws) -> Iterator[BaseClient]:
    """An EMR client; clusters left alive by the test are terminated after it."""
    emr: BaseClient = client(aws, "emr")
    yield emr
    alive = emr.list_clusters(ClusterStates=["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"])["Clusters"]
    for cluster in alive:
        emr.set_termination_protection(JobFlowIds=[cluster["Id"]], TerminationProtected=False)
        emr.terminate_job_flows(JobFlowIds=[cluster["Id"]])


@pytest.fixture
def control(aws: LocalAws) -> Iterator[Control]:
    """Faults and events of one test: none before it, none after it."""
    control = Control(aws.emr_url)
    control.clear()
    yield control
    control.clear()


@pytest.fixture
def s3(aws: LocalAws) -> BaseClient:
    found: BaseClient = client(aws, "s3")
    return found


@pytest.fixture
def bucket(s3: BaseClient, request: pytest.FixtureRequest) -> str:
    name = "test-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return name
