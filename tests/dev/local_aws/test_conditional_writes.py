"""Promise: of several conditional writes at once local S3 accepts one, as S3 does, and answers all."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.s3 import urls

from local_aws import moto_gaps

WRITERS = 8
ROUNDS = 12


@pytest.mark.parametrize("there", [True, False])
def test_of_many_writes_on_one_condition_one_is_accepted(restless: None, there: bool) -> None:
    moto_gaps.mend()
    with mock_aws(), ThreadPoolExecutor(WRITERS) as writers:
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="bucket")
        for number in range(ROUNDS):
            key, condition = str(number), {"IfNoneMatch": "*"}
            if there:
                condition = {"IfMatch": s3.put_object(Bucket="bucket", Key=key, Body=b"before")["ETag"]}

            def is_accepted(body: bytes, key: str = key, condition: Any = condition) -> bool:
                try:
                    s3.put_object(Bucket="bucket", Key=key, Body=body, **condition)
                except ClientError as error:
                    if error.response["Error"]["Code"] != "PreconditionFailed":
                        raise
                    return False
                return True

            assert sum(writers.map(is_accepted, [bytes([writer]) for writer in range(WRITERS)])) == 1


def test_no_request_reads_moto_s_addresses_anew() -> None:
    moto_gaps.mend()
    addresses = urls.url_bases
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").list_buckets()
    assert urls.url_bases is addresses
