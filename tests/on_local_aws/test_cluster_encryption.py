"""What the report says of a cluster's encryption is what EMR's own description of it says."""

import json
from typing import Any

import pytest
from botocore.client import BaseClient

from fruit_contract.layout import RunLayout
from fruit_contract.report_schema import AtRest, ClusterEncryption
from fruit_pipeline.security import encryption
from tests.dev.local_aws.emr_client import job_flow

WHOLE = {
    "EncryptionConfiguration": {
        "EnableAtRestEncryption": True,
        "EnableInTransitEncryption": True,
        "AtRestEncryptionConfiguration": {
            "S3EncryptionConfiguration": {"EncryptionMode": "SSE-S3"},
            "LocalDiskEncryptionConfiguration": {
                "EncryptionKeyProviderType": "AwsKms",
                "AwsKmsKey": "alias/fruits",
                "EnableEbsEncryption": True,
            },
        },
        "InTransitEncryptionConfiguration": {
            "TLSCertificateConfiguration": {
                "CertificateProviderType": "PEM",
                "S3Object": "s3://fruits/certificates.zip",
            }
        },
    },
    "InstanceMetadataServiceConfiguration": {
        "MinimumInstanceMetadataServiceVersion": 2,
        "HttpPutResponseHopLimit": 1,
    },
}
S3_ALONE = {
    "EncryptionConfiguration": {
        "EnableAtRestEncryption": True,
        "EnableInTransitEncryption": False,
        "AtRestEncryptionConfiguration": {"S3EncryptionConfiguration": {"EncryptionMode": "SSE-S3"}},
    }
}


def seen_of(emr: Any, name: str, document: Any, **changes: Any) -> ClusterEncryption:
    if document is not None:
        emr.create_security_configuration(Name=name, SecurityConfiguration=json.dumps(document))
        changes["SecurityConfiguration"] = name
    cluster_id = emr.run_job_flow(**job_flow(**changes))["JobFlowId"]
    return encryption.of_cluster(emr, cluster_id)


def test_a_whole_configuration_is_read_back(emr: BaseClient) -> None:
    assert seen_of(emr, "whole", WHOLE, LogUri="s3://fruits/logs/", LogEncryptionKmsKeyId="alias/logs") == {
        "security_configuration": "whole",
        "at_rest": AtRest(s3="SSE-S3", local_disk="AwsKms", ebs=True),
        "in_transit": True,
        "imdsv2": True,
        "logs_kms_key": "alias/logs",
    }


def test_what_a_configuration_leaves_out_is_not_claimed(emr: BaseClient) -> None:
    assert seen_of(emr, "s3-alone", S3_ALONE) == {
        "security_configuration": "s3-alone",
        "at_rest": AtRest(s3="SSE-S3", local_disk=None, ebs=False),
        "in_transit": False,
        "imdsv2": False,
        "logs_kms_key": None,
    }


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("off", {"EncryptionConfiguration": {"EnableAtRestEncryption": False}}),
        ("kerberos", {"AuthenticationConfiguration": {}}),
        ("none", None),
    ],
)
def test_a_cluster_without_encryption_is_seen_as_one(emr: BaseClient, name: str, document: Any) -> None:
    seen = seen_of(emr, name, document)
    assert (seen["at_rest"], seen["in_transit"], seen["imdsv2"]) == (None, False, False)


def test_a_configuration_that_was_deleted_is_named_as_not_seen(
    emr: BaseClient, s3: BaseClient, bucket: str
) -> None:
    emr.create_security_configuration(Name="short-lived", SecurityConfiguration=json.dumps(WHOLE))
    cluster_id = emr.run_job_flow(**job_flow(SecurityConfiguration="short-lived"))["JobFlowId"]
    emr.delete_security_configuration(Name="short-lived")
    seen = encryption.seen(s3, emr, RunLayout(bucket, "run-1"), cluster_id)
    assert seen["cluster"] is None
    assert seen["not_seen"] == {"cluster": "DescribeSecurityConfiguration: InvalidRequestException"}
    assert seen["bucket"] is not None
