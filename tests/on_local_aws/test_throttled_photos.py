"""A featurize step over a bucket that throttles has every photo in the end, and rejects none."""

import json

import pytest
from botocore.client import BaseClient

from local_aws.control import Control
from local_aws.faults import Fault, Throttle
from local_run.generated_photos import FRUITS, encode, photo
from tests.conftest import REPOSITORY
from tests.dev.local_aws.emr_client import ENDED, job_flow, step, step_in

PHOTOS = 60


@pytest.mark.spark
def test_no_photo_is_lost_to_slow_down(
    emr: BaseClient, s3: BaseClient, bucket: str, control: Control
) -> None:
    for number in range(PHOTOS):
        body = encode(photo(FRUITS[0], number))
        s3.put_object(Bucket=bucket, Key=f"Test/Kiwi/{number}.jpg", Body=body)
    gets = {"service": "s3", "operation": "GetObject", "key_prefix": "Test/"}
    # The first ones, which those reads meet that are under way together: fewer for each than a read repeats.
    # Then what is above a rate, as S3 has it.
    control.add_fault(Fault.model_validate({**gets, "calls": PHOTOS, "effect": Throttle()}))
    control.add_fault(Fault.model_validate({**gets, "effect": Throttle(above=15)}))
    command = ["spark-submit", str(REPOSITORY / "spark" / "featurize.py"), "--input", f"s3://{bucket}/Test/"]
    for name in ("features", "rejected"):
        command += [f"--{name}", f"s3://{bucket}/Results/{name}"]
    command += ["--metrics", f"s3://{bucket}/Results/metrics.json", "--image-size", "96"]
    command += ["--model", str(REPOSITORY / ".cache" / "model")]
    cluster = emr.run_job_flow(**job_flow(Steps=[step(*command)]))["JobFlowId"]
    number = emr.list_steps(ClusterId=cluster)["Steps"][0]["Id"]

    done = step_in(emr, cluster, number, *ENDED)
    assert done["Status"]["State"] == "COMPLETED", done["Status"]
    metrics = json.loads(s3.get_object(Bucket=bucket, Key="Results/metrics.json")["Body"].read())
    assert (metrics["found"], metrics["processed"], metrics["rejected"]) == (PHOTOS, PHOTOS, 0)
    refused = [call for call in control.logged_calls().calls if call.status == 503]
    assert len(refused) > PHOTOS
