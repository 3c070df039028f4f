"""JupyterHub's storage on EMR opens the notebook that a run has put there, and a run leaves what is saved."""

import json
from typing import Any

import boto3
import pytest

from fruit_contract.layout import NOTEBOOKS_PREFIX
from fruit_pipeline.cluster import artifacts, step_requests
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from local_aws.server import LocalAws
from tests.clients.conftest import CLIENTS, PROGRAMS, Run

BUCKET = "fruits-notebooks"
URIS = artifacts.ArtifactUris(*(f"s3://{BUCKET}/artifacts/0/{name}" for name in "abcdefg"))


@pytest.fixture
def s3(aws: LocalAws) -> Any:
    return boto3.client("s3", endpoint_url=aws.aws_url, aws_access_key_id="x", aws_secret_access_key="x")


def publish(s3: Any) -> str:
    values = step_requests.notebook_values(RunParameters(bucket=BUCKET), URIS)
    uri = artifacts.publish_notebook(s3, BUCKET, Deployment().notebooks_dir, values)
    return uri.removeprefix(f"s3://{BUCKET}/")


def test_the_notebook_is_there_is_saved_and_stays_as_it_was_saved(s3: Any, run: Run) -> None:
    s3.create_bucket(Bucket=BUCKET)
    key = publish(s3)
    name = key.rpartition("/")[2]
    said = json.loads(run(CLIENTS / "python", PROGRAMS / "jupyter_contents.py", BUCKET))
    assert said == {"before": [name], "after": sorted([name, "mine.ipynb"]), "saved": "mine"}
    saved = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert publish(s3) == key
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == saved
    assert json.loads(saved)["cells"][0]["source"] == "mine"
    written = [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert [each for each in written if not each.startswith(NOTEBOOKS_PREFIX)] == []
