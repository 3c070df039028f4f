"""The operations of SQS, by botocore's own model of the service."""

from functools import cache

import botocore.session
from botocore.model import ServiceModel

TARGET_PREFIX = "AmazonSQS"
"""Of the header X-Amz-Target, before the operation."""


@cache
def sqs_model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("sqs")
