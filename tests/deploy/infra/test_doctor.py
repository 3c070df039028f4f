"""The doctor finds what a run would miss, names the remedy, and lets no check that fails hide the others."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ProfileNotFound
from botocore.parsers import ResponseParserError
from typer.testing import CliRunner

from fruit_pipeline.aws import no_answer
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from infra import doctor
from infra.__main__ import cli
from infra.account_clients import Account
from infra.doctor import Finding, Target
from infra.stack import Stack, StackError
from local_aws.server import LocalAws
from tests.deploy.infra.moto_account import BUCKET, REGION, client, finish_bucket


@pytest.fixture
def deployed(aws: LocalAws) -> None:
    CliRunner().invoke(cli, ["deploy", "--bucket", BUCKET, "--yes"], catch_exceptions=False)
    finish_bucket(client(aws, "s3"), BUCKET)


@pytest.fixture
def target() -> Target:
    account = Account(REGION)
    return Target(
        account,
        Stack(account.client("cloudformation"), "fruit-features"),
        RunParameters(),
        Deployment(),
    )


def verdicts(findings: Iterator[Finding]) -> set[str]:
    return {finding.verdict for finding in findings}


def test_an_account_without_a_stack_is_told_to_deploy_one(aws: LocalAws, target: Target) -> None:
    [finding] = doctor.stack(target)
    assert (finding.verdict, finding.remedy) == ("wrong", "make deploy")


@pytest.mark.usefixtures("deployed")
def test_what_the_stack_made_is_right(aws: LocalAws, target: Target) -> None:
    for check in (
        doctor.credentials,
        doctor.clock,
        doctor.region,
        doctor.stack,
        doctor.bucket,
        doctor.subnets,
    ):
        assert verdicts(check(target)) == {"right"}, check.__name__
    assert verdicts(doctor.roles(target)) == {"right"}


@pytest.mark.usefixtures("deployed")
def test_settings_that_are_not_the_stacks_are_named(aws: LocalAws, target: Target) -> None:
    [finding] = doctor.settings(target)
    assert finding.verdict == "doubtful"
    assert "FRUITS_SERVICE_ROLE" in finding.seen
    assert "python -m infra env" in finding.remedy


@pytest.mark.usefixtures("deployed")
def test_a_bucket_that_lost_its_policy_is_wrong(aws: LocalAws, target: Target) -> None:
    s3 = client(aws, "s3")
    s3.delete_bucket_policy(Bucket=BUCKET)
    [finding] = doctor.bucket(target)
    assert finding.verdict == "wrong"
    assert "a TLS-only policy" in finding.seen


@pytest.mark.usefixtures("deployed")
def test_a_subnet_without_emrs_tag_is_wrong_and_the_remedy_mends_it(aws: LocalAws, target: Target) -> None:
    ec2 = client(aws, "ec2")
    subnet = target.stack.outputs()["SubnetId"].split(",")[0]
    tag = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}
    ec2.delete_tags(Resources=[subnet], Tags=[tag])
    [wrong] = [finding for finding in doctor.subnets(target) if finding.verdict == "wrong"]
    assert wrong.remedy == (
        f"aws ec2 create-tags --resources {subnet} --tags "
        "Key=for-use-with-amazon-emr-managed-policies,Value=true"
    )
    ec2.create_tags(Resources=[subnet], Tags=[tag])
    assert verdicts(doctor.subnets(target)) == {"right"}


@pytest.mark.usefixtures("deployed")
def test_a_missing_linked_role_is_wrong(
    aws: LocalAws, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(doctor.LINKED_SERVICES, "batch.amazonaws.com", "Batch")
    [wrong] = [finding for finding in doctor.roles(target) if finding.verdict == "wrong"]
    assert wrong.remedy == "aws iam create-service-linked-role --aws-service-name batch.amazonaws.com"


class _Answers:
    """A client of a service that moto does not have, or not enough of."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return lambda **_: self._answers[name]


def with_client(target: Target, service: str, **answers: Any) -> Target:
    """The target, of whose services one answers with this."""
    target.account._clients[service, REGION] = _Answers(**answers)
    return target


def test_release_and_types_are_looked_for_in_emr_s_own_lists(aws: LocalAws, target: Target) -> None:
    [finding] = doctor.offered(target)
    assert finding.verdict == "right"
    assert "EMR offers emr-7.13.0 with m6g.xlarge, m7g.xlarge, r6g.xlarge" in finding.seen


def test_a_type_that_emr_does_not_offer_is_wrong(
    aws: LocalAws, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = {
        "list_release_labels": {"ReleaseLabels": ["emr-7.13.0"]},
        "list_supported_instance_types": {"SupportedInstanceTypes": [{"Type": "m6g.2xlarge"}]},
    }
    monkeypatch.setattr(doctor, "CHECKS", (doctor.offered,))
    [finding] = doctor.examine(with_client(target, "emr", **lists))
    assert finding.verdict == "wrong"
    assert "EMR does not offer it with emr-7.13.0 in eu-west-1: choose m6g.2xlarge." in finding.seen


@pytest.mark.parametrize(("allowed", "verdict"), [(5.0, "wrong"), (12.0, "right"), (640.0, "right")])
def test_a_quota_below_what_a_run_needs_is_wrong(
    aws: LocalAws, target: Target, allowed: float, verdict: str
) -> None:
    quota = {"Quota": {"QuotaName": "Spot", "Value": allowed}}
    [finding] = doctor.quotas(with_client(target, "service-quotas", get_service_quota=quota))
    assert finding.verdict == verdict
    assert "a run needs 12" in finding.seen
    assert ("--quota-code L-34B43A08 --desired-value 32" in finding.remedy) == (verdict == "wrong")


@pytest.mark.usefixtures("deployed")
def test_a_topic_that_nobody_hears_is_doubtful(aws: LocalAws, target: Target) -> None:
    [finding] = doctor.topic(target)
    assert (finding.verdict, finding.seen) == ("doubtful", "0 subscriptions are confirmed, 0 wait for it")
    assert "--email" in finding.remedy


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("confirmed", "pending", "key", "verdict", "remedy"),
    [
        (1, 0, "alias/aws/sns", "right", ""),
        (1, 1, "alias/aws/sns", "doubtful", "confirm the subscription in the mail that SNS has sent"),
        (1, 0, None, "wrong", "make deploy puts it back"),
    ],
)
def test_a_topic_is_judged_by_its_subscriptions_and_its_key(
    aws: LocalAws, target: Target, confirmed: int, pending: int, key: str | None, verdict: str, remedy: str
) -> None:
    """moto counts no subscriptions."""
    attributes = {"SubscriptionsConfirmed": str(confirmed), "SubscriptionsPending": str(pending)}
    answer = {"Attributes": attributes | ({"KmsMasterKeyId": key} if key else {})}
    [finding] = doctor.topic(with_client(target, "sns", get_topic_attributes=answer))
    assert (finding.verdict, finding.remedy) == (verdict, remedy)


@pytest.mark.parametrize(("minutes", "verdict"), [(0, "right"), (2, "doubtful"), (-6, "wrong")])
def test_a_clock_that_is_off_is_seen(aws: LocalAws, target: Target, minutes: int, verdict: str) -> None:
    date = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    [finding] = doctor.clock(with_client(target, "sts", get_caller_identity=answer))
    assert finding.verdict == verdict


@pytest.mark.usefixtures("deployed")
def test_a_check_that_aws_refuses_is_a_finding_and_the_others_go_on(
    aws: LocalAws, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Target) -> Iterator[Finding]:
        """iam:GetRole"""
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetRole")

    refused.__name__ = "roles"
    monkeypatch.setattr(doctor, "CHECKS", (refused, doctor.region))
    first, second = doctor.examine(target)
    assert (first.verdict, first.seen, first.remedy) == (
        "wrong",
        "GetRole: AccessDenied, no",
        "let this identity do iam:GetRole",
    )
    assert second.verdict == "right"


def raising(error: Exception) -> doctor.Check:
    def quotas(_: Target) -> Iterator[Finding]:
        """servicequotas:GetServiceQuota"""
        raise error
        yield

    return quotas


@pytest.mark.parametrize(
    ("error", "seen", "remedy"),
    [
        (
            ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}, "GetServiceQuota"),
            "GetServiceQuota: UnauthorizedOperation, no",
            "let this identity do servicequotas:GetServiceQuota",
        ),
        (
            ClientError({"Error": {"Code": "NoSuchResourceException", "Message": "none"}}, "GetServiceQuota"),
            "GetServiceQuota: NoSuchResourceException, none",
            "look in AWS at what servicequotas:GetServiceQuota answers",
        ),
        (ResponseParserError("b'<html>a page'"), "the answer is none of AWS's", no_answer.FIND_A_WAY),
        (NoCredentialsError(), "Unable to locate credentials", no_answer.SIGN_IN),
        (ProfileNotFound(profile="x"), "The config profile (x) could not be found", no_answer.SIGN_IN),
        (
            EndpointConnectionError(endpoint_url="u"),
            'Could not connect to the endpoint URL: "u"',
            no_answer.FIND_A_WAY,
        ),
        (StackError("There is none: make one."), "There is none: make one.", ""),
    ],
)
def test_what_kept_a_check_from_its_answer_has_its_own_remedy(
    target: Target, error: Exception, seen: str, remedy: str
) -> None:
    [finding] = doctor.examine(target, [raising(error)])
    assert (finding.verdict, finding.seen, finding.remedy) == ("wrong", seen, remedy)


def test_one_cause_is_said_once(aws: LocalAws, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    target = replace(target, stack=Stack(target.account.client("cloudformation"), "nowhere"))
    findings = {finding.what: finding for finding in doctor.examine(target, doctor.CHECKS[:8])}
    assert [name for name, each in findings.items() if each.verdict == "wrong"] == ["stack"]
    unasked = [name for name, each in findings.items() if each.remedy == "put stack right first"]
    assert unasked == ["settings", "bucket", "roles", "topic"]

    monkeypatch.setitem(target.account._clients, ("sts", REGION), _Refusing())
    findings = {finding.what: finding for finding in doctor.examine(target)}
    assert [name for name, each in findings.items() if each.verdict == "wrong"] == ["credentials"]
    others = {(each.seen, each.remedy) for name, each in findings.items() if name != "credentials"}
    assert others == {("not asked", "put credentials right first")}


class _Refusing:
    def get_caller_identity(self) -> Any:
        raise NoCredentialsError


@pytest.mark.usefixtures("deployed")
def test_the_command_says_all_of_it_and_fails_when_something_is_wrong(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (doctor.region, doctor.stack))
    assert CliRunner().invoke(cli, ["doctor"]).exit_code == 0
    client(aws, "s3").delete_bucket_policy(Bucket=BUCKET)
    monkeypatch.setattr(doctor, "CHECKS", (doctor.bucket,))
    done = CliRunner().invoke(cli, ["doctor"])
    assert done.exit_code == 1
    assert "make deploy puts it back" in done.output


def test_a_dry_run_lists_the_checks_and_asks_nobody(aws: LocalAws) -> None:
    done = CliRunner().invoke(cli, ["doctor", "--dry-run"])
    assert done.exit_code == 0
    for check in doctor.CHECKS:
        assert check.__name__ in done.output


def test_no_command_leaves_the_eu(aws: LocalAws) -> None:
    done = CliRunner().invoke(cli, ["doctor", "--region", "us-west-2"])
    assert "is not in the EU" in str(done.exception)
