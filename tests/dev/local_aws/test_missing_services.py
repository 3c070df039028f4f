"""Promise: a service that local AWS does not have is refused at once, and no client asks for it twice."""

import pytest
from botocore.exceptions import ClientError

from local_aws.server import LocalAws
from tests.dev.local_aws.emr_client import client


def test_a_service_that_is_not_there_is_refused_without_a_retry(aws: LocalAws) -> None:
    pricing = client(aws, "pricing")
    with pytest.raises(ClientError, match="Local AWS does not have this service") as refused:
        pricing.get_products(ServiceCode="AmazonEC2")
    assert refused.value.response["ResponseMetadata"]["RetryAttempts"] == 0
