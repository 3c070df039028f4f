"""A run that would leave the EU, by a region, a bucket, a copy or an endpoint, never starts."""

import ast
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.session import Session
from moto.core import set_initial_no_auth_action_count

from fruit_pipeline.security import residency
from fruit_pipeline.security.regions import (
    EU_REGIONS,
    GLOBAL_HOSTS,
    SERVICES,
    ResidencyError,
    check_arns,
    check_endpoint,
    check_environment,
)
from fruit_pipeline.settings.deployment import Deployment
from local_run import local_account
from tests.conftest import REPOSITORY
from tests.fruit_pipeline.conftest import BUCKET, REGION

NOT_IN_THE_UNION = {"eu-west-2": "London", "eu-central-2": "Zurich"}


def clients(region: str = REGION, **instead: Any) -> Callable[[str], Any]:
    """What makes a run's clients, with others for the services named."""
    return lambda service: instead.get(service) or boto3.client(service, region_name=region)


def replicate(s3: Any, source: str, destination: str, status: str = "Enabled") -> None:
    rule = {
        "ID": "to-elsewhere",
        "Status": status,
        "Priority": 1,
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{destination}"},
    }
    s3.put_bucket_replication(
        Bucket=source, ReplicationConfiguration={"Role": "arn:aws:iam:::role/replication", "Rules": [rule]}
    )


def bucket_in(region: str, name: str) -> None:
    client = boto3.client("s3", region_name=region)
    if region == "us-east-1":
        client.create_bucket(Bucket=name)
    else:
        local_account.create_bucket(client, name, region)


# --- regions --------------------------------------------------------------------------------------


def test_the_list_is_botocores_european_regions_without_london_and_zurich() -> None:
    european = {name for name in Session().get_available_regions("s3") if name.startswith("eu-")}
    assert european - set(NOT_IN_THE_UNION) == set(EU_REGIONS), (
        "botocore knows another set of eu- regions: decide by the country each lies in"
    )
    assert set(NOT_IN_THE_UNION) <= european


@pytest.mark.parametrize("region", [*NOT_IN_THE_UNION, "us-east-1", "eusc-de-east-1", "eu-isoe-west-1", ""])
def test_a_region_outside_the_list_is_refused(region: str) -> None:
    with pytest.raises(ResidencyError, match=f"Region '{region}' is not in the EU: choose one of eu-central"):
        residency.check(clients(), region, BUCKET)


# --- settings, at parse ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("FRUITS_REGION", "us-east-1", "FRUITS_REGION 'us-east-1' is not in the EU"),
        ("FRUITS_REGION", "eu-west-2", "FRUITS_REGION 'eu-west-2' is not in the EU"),
        (
            "FRUITS_LOG_KMS_KEY",
            "arn:aws:kms:us-east-1:111122223333:key/1",
            "FRUITS_LOG_KMS_KEY has an ARN whose region 'us-east-1' is not in the EU",
        ),
        (
            "AWS_ENDPOINT_URL",
            "https://s3.us-east-1.amazonaws.com",
            "AWS_ENDPOINT_URL is https://s3.us-east-1",
        ),
        ("AWS_ENDPOINT_URL_S3", "https://s3.amazonaws.com", "AWS_ENDPOINT_URL_S3 is https://s3.amazonaws"),
        ("AWS_ENDPOINT_URL_STS", "https://sts.amazonaws.com", "AWS_ENDPOINT_URL_STS is https://sts.amazon"),
    ],
)
def test_settings_outside_the_eu_fail_at_once_in_one_sentence(
    setting: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, value)
    with pytest.raises(ResidencyError) as caught:
        Deployment()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_any_endpoint_of_a_service_that_is_not_used_is_accepted() -> None:
    check_environment({"AWS_ENDPOINT_URL_DYNAMODB": "https://dynamodb.us-east-1.amazonaws.com"})


# --- endpoints ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.eu-west-1.amazonaws.com",
        "https://s3.dualstack.eu-central-1.amazonaws.com",
        "https://s3-fips.eu-west-3.amazonaws.com/",
        "https://ec2.eu-north-1.api.aws",
        "https://api.pricing.eu-central-1.amazonaws.com",
        "https://vpce-0a1b-2c.s3.eu-south-1.vpce.amazonaws.com",
        "https://bucket.vpce-0a1b-2c.s3.eu-south-2.vpce.amazonaws.com:443",
        "http://127.0.0.1:5000",
        "http://127.8.9.10:5000",
        "http://localhost:4566",
        "http://s3.localhost:4566",
        "http://[::1]:5000",
        *(f"https://{host}" for host in GLOBAL_HOSTS),
    ],
)
def test_an_endpoint_in_the_eu_or_on_this_machine_is_accepted(url: str) -> None:
    check_endpoint(url, "The endpoint")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://s3.amazonaws.com", "names 's3'"),
        ("https://s3.us-east-1.amazonaws.com", "names 'us-east-1'"),
        ("https://s3.dualstack.us-east-1.amazonaws.com", "names 'us-east-1'"),
        ("https://s3-fips.us-east-2.amazonaws.com", "names 'us-east-2'"),
        ("https://s3.eu-west-2.amazonaws.com", "names 'eu-west-2'"),
        ("https://elasticmapreduce.eu-central-2.amazonaws.com", "names 'eu-central-2'"),
        ("https://s3.global.api.aws", "names 'global'"),
        ("https://sts.amazonaws.com", "names 'sts'"),
        ("https://iam-fips.amazonaws.com", "names 'iam-fips'"),
        ("https://s3-accelerate.amazonaws.com", "names 's3-accelerate'"),
        ("https://s3-accelerate.dualstack.amazonaws.com", "names 'dualstack'"),
        # A bucket may be called like a region, and a host of anybody's may begin like AWS's.
        ("https://eu-west-1.s3.amazonaws.com", "names 's3'"),
        ("https://eu-west-1.s3.us-west-2.amazonaws.com", "names 'us-west-2'"),
        ("https://s3.eu-west-1.amazonaws.com.example.org", "is not AWS's"),
        ("https://s3.eu-west-1.evilamazonaws.com", "is not AWS's"),
        ("https://eu-west-1@s3.example.org", "is not AWS's"),
        ("https://s3.eusc-de-east-1.amazonaws.eu", "is not AWS's"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "is not AWS's"),
        ("https://10.0.0.5", "is not AWS's"),
        ("https://minio", "is not AWS's"),
        ("s3.eu-west-1.amazonaws.com", "is not AWS's"),
    ],
)
def test_any_other_endpoint_is_refused(url: str, why: str) -> None:
    with pytest.raises(ResidencyError) as caught:
        check_endpoint(url, "The endpoint of s3")
    assert f"The endpoint of s3 is {url}, and its host {why}" in str(caught.value)


def test_an_endpoint_without_tls_is_refused() -> None:
    with pytest.raises(ResidencyError, match="not encrypted in transit: write it with https"):
        check_endpoint("http://s3.eu-west-1.amazonaws.com", "The endpoint")


def services_asked_for() -> set[str]:
    """The service of every client that the plugins make, wherever they make it."""
    return {
        argument.value
        for path in (REPOSITORY / "plugins" / "fruit_pipeline").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in ("client", "_hook")
        for argument in call.args[:1]
        if isinstance(argument, ast.Constant)
    }


def test_every_service_that_is_called_is_checked() -> None:
    assert {"ec2", "emr", "s3"} <= services_asked_for()
    assert services_asked_for() <= set(SERVICES)


@pytest.mark.parametrize("service", [service for service in SERVICES if service != "iam"])
def test_an_endpoint_outside_the_eu_in_the_environment_is_refused(service: str) -> None:
    url = f"https://{service}.us-east-1.amazonaws.com"
    with pytest.raises(ResidencyError, match="'us-east-1', which is not an EU region"):
        check_environment({f"AWS_ENDPOINT_URL_{service.upper()}": url})


@pytest.mark.parametrize("region", EU_REGIONS)
@pytest.mark.parametrize("service", SERVICES)
def test_every_client_of_an_eu_region_is_accepted(service: str, region: str) -> None:
    residency.check_client(boto3.client(service, region_name=region), service)


@pytest.mark.parametrize(
    ("region", "fips", "dualstack"),
    [
        *((region, False, False) for region in ("us-east-1", *NOT_IN_THE_UNION)),
        *(("us-east-1", fips, dualstack) for fips, dualstack in ((True, False), (False, True), (True, True))),
    ],
)
@pytest.mark.parametrize("service", sorted(set(SERVICES) - {"iam"}))
def test_every_client_of_another_region_is_refused(
    service: str, region: str, fips: bool, dualstack: bool
) -> None:
    config = Config(use_dualstack_endpoint=dualstack, use_fips_endpoint=fips)
    with pytest.raises(ResidencyError, match=f"The endpoint of {service} is"):
        residency.check_client(boto3.client(service, region_name=region, config=config), service)


def test_transfer_acceleration_is_refused_though_the_clients_address_hides_it() -> None:
    client = boto3.client("s3", region_name=REGION, config=Config(s3={"use_accelerate_endpoint": True}))
    assert "accelerate" not in client.meta.endpoint_url
    with pytest.raises(ResidencyError, match="Transfer Acceleration"):
        residency.check_client(client, "s3")


@pytest.mark.parametrize("service", SERVICES)
def test_one_client_outside_the_eu_is_enough_to_refuse(service: str, s3: Any) -> None:
    elsewhere = boto3.client(service, region_name=REGION, endpoint_url="https://proxy.example.org")
    with pytest.raises(ResidencyError, match=rf"The endpoint of {service} is https://proxy\.example\.org"):
        residency.check(clients(**{service: elsewhere}), REGION, BUCKET)


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        ({"endpoint_url": "https://s3.amazonaws.com"}, "endpoint_url"),
        (
            {"service_config": {"sts": {"endpoint_url": "https://sts.amazonaws.com"}}},
            r"service_config\.sts\.",
        ),
    ],
)
def test_an_endpoint_of_the_connection_is_refused(extra: dict[str, Any], name: str) -> None:
    with pytest.raises(ResidencyError, match=f"^{name}.* of the AWS connection is https"):
        residency.check_connection(extra)


def test_a_connection_without_endpoints_or_with_local_ones_is_accepted() -> None:
    residency.check_connection({})
    residency.check_connection({"endpoint_url": None, "service_config": {"s3": {"bucket_name": "b"}}})
    residency.check_connection({"endpoint_url": "http://127.0.0.1:5000", "role_arn": "arn:aws:iam:::role/r"})


# --- buckets --------------------------------------------------------------------------------------


def test_a_bucket_in_the_runs_region_is_accepted(s3: Any) -> None:
    residency.check(clients(), REGION, BUCKET, {"LogUri": f"s3n://{BUCKET}/logs/"})


def test_a_bucket_outside_the_eu_is_refused(s3: Any) -> None:
    bucket_in("us-east-1", "elsewhere")
    with pytest.raises(ResidencyError, match="'elsewhere' lies in us-east-1, outside the EU"):
        residency.check(clients(), REGION, "elsewhere")


def test_a_bucket_in_london_is_refused(s3: Any) -> None:
    bucket_in("eu-west-2", "london")
    with pytest.raises(ResidencyError, match="'london' lies in eu-west-2, outside the EU"):
        residency.check(clients(), REGION, "london")


def test_a_bucket_in_another_eu_region_is_refused(s3: Any) -> None:
    bucket_in("eu-west-3", "paris")
    with pytest.raises(
        ResidencyError, match="lies in eu-west-3 but the run asks for eu-west-1: set region=eu-west-3"
    ):
        residency.check(clients(), REGION, "paris")


def test_a_missing_bucket_is_refused(s3: Any) -> None:
    with pytest.raises(ResidencyError, match=r"'nowhere' cannot be used \(NoSuchBucket"):
        residency.check(clients(), REGION, "nowhere")


@pytest.mark.parametrize(
    "document",
    [
        {"LogUri": "s3://elsewhere/logs/"},
        {"LogUri": "s3n://elsewhere/logs/"},
        {"HadoopJarStep": {"Args": ["spark-submit", "s3://elsewhere/artifacts/featurize.py"]}},
        {"HadoopJarStep": {"Args": ["--conf", "spark.archives=s3a://elsewhere/a/runtime.tar.gz#runtime"]}},
        {"BootstrapActions": [{"ScriptBootstrapAction": {"Path": "s3://elsewhere/shutdown.sh"}}]},
    ],
)
def test_any_bucket_that_a_request_names_must_lie_in_the_eu(document: Any, s3: Any) -> None:
    bucket_in("us-east-1", "elsewhere")
    with pytest.raises(ResidencyError, match="'elsewhere' lies in us-east-1"):
        residency.check(clients(), REGION, BUCKET, document)


def test_another_bucket_may_lie_elsewhere_in_the_eu(s3: Any) -> None:
    bucket_in("eu-west-3", "logs-in-paris")
    residency.check(clients(), REGION, BUCKET, {"LogUri": "s3://logs-in-paris/logs/"})


def test_an_arn_of_another_region_is_refused(s3: Any) -> None:
    with pytest.raises(ResidencyError, match="an ARN whose region 'us-east-1' is not in the EU"):
        residency.check(
            clients(), REGION, BUCKET, {"LogEncryptionKmsKeyId": "arn:aws:kms:us-east-1:111122223333:key/1"}
        )
    check_arns(["arn:aws:iam::111122223333:role/r", "arn:aws:s3:::b", "arn:aws:kms:eu-west-1:1:key/1"], "It")


# --- replication ----------------------------------------------------------------------------------


def test_a_bucket_that_is_replicated_within_the_eu_is_accepted(s3: Any) -> None:
    bucket_in("eu-central-1", "copy")
    replicate(s3, BUCKET, "copy")
    residency.check(clients(), REGION, BUCKET)


@pytest.mark.parametrize("status", ["Enabled", "Disabled"])
def test_a_bucket_that_is_replicated_out_of_the_eu_is_refused(status: str, s3: Any) -> None:
    bucket_in("us-east-1", "copy")
    s3.put_bucket_versioning(Bucket="copy", VersioningConfiguration={"Status": "Enabled"})
    replicate(s3, BUCKET, "copy", status)
    with pytest.raises(
        ResidencyError, match=f"'{BUCKET}' is replicated by rule 'to-elsewhere'.*'copy' lies in us-east-1"
    ):
        residency.check(clients(), REGION, BUCKET)


def test_a_log_bucket_that_is_replicated_out_of_the_eu_is_refused(s3: Any) -> None:
    bucket_in(REGION, "log-bucket")
    bucket_in("us-east-1", "copy")
    s3.put_bucket_versioning(Bucket="copy", VersioningConfiguration={"Status": "Enabled"})
    replicate(s3, "log-bucket", "copy")
    with pytest.raises(ResidencyError, match="'log-bucket' is replicated"):
        residency.check(clients(), REGION, BUCKET, {"LogUri": "s3://log-bucket/"})


def test_a_replication_whose_end_cannot_be_seen_is_refused(s3: Any) -> None:
    bucket_in(REGION, "gone")
    replicate(s3, BUCKET, "gone")
    s3.delete_bucket(Bucket="gone")
    with pytest.raises(ResidencyError, match=r"replicated by rule .*'gone' cannot be used \(NoSuchBucket"):
        residency.check(clients(), REGION, BUCKET)


def test_a_replication_that_may_not_be_read_is_refused(s3: Any) -> None:
    iam = boto3.client("iam")
    iam.create_user(UserName="reader")
    allowed = {"Effect": "Allow", "Action": "s3:GetBucketLocation", "Resource": "*"}
    iam.put_user_policy(
        UserName="reader",
        PolicyName="locations",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    reader = boto3.client(
        "s3",
        region_name=REGION,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )

    @set_initial_no_auth_action_count(0)  # from here on moto goes by IAM's policies
    def check() -> None:
        assert residency.location_of(reader, BUCKET) == REGION
        residency.check_replication(reader, BUCKET)

    with pytest.raises(ResidencyError, match=r"replication of bucket .* cannot be read \(AccessDenied"):
        check()
