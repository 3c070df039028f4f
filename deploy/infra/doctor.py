"""Check that a run would find what it needs in the account. It changes nothing.

Each check answers with findings, and each finding that is not right comes with its remedy. A check
that AWS refuses to answer is itself a finding.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from fruit_pipeline.aws import no_answer
from fruit_pipeline.cluster import offers
from fruit_pipeline.cost import substitutes
from fruit_pipeline.cost.billing import rate_warning
from fruit_pipeline.cost.live_prices import CLIENT_CONFIG, PRICING_REGION, read_prices, spot_prices
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.security import encryption, residency
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from infra.account_clients import Account
from infra.linked_roles import LINKED_SERVICES, has_linked_role
from infra.stack import Stack, StackError

Verdict = Literal["right", "doubtful", "wrong"]

SKEW_SECONDS: Final = 300
"""AWS refuses a signature that is older or newer than five minutes."""
SPOT_QUOTA: Final = "L-34B43A08"
"""Service Quotas' code of "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", in vCPUs."""
ON_DEMAND_QUOTA: Final = "L-1216C47A"
"""The same of "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"."""
_EMR_TAG: Final = "for-use-with-amazon-emr-managed-policies"


@dataclass(frozen=True)
class Finding:
    """What one check saw."""

    what: str
    verdict: Verdict
    seen: str
    remedy: str = ""


@dataclass(frozen=True)
class Target:
    """What is looked at: the account, the stack, and the run that would be started."""

    account: Account
    stack: Stack
    run: RunParameters
    deployment: Deployment

    @property
    def types(self) -> list[str]:
        return sorted({self.run.primary_type, self.run.fleet.worker_type})

    @property
    def types_that_may_come(self) -> list[str]:
        return sorted({*substitutes.primary_types(self.run), *substitutes.worker_types(self.run)})


Check = Callable[[Target], Iterator[Finding]]


def credentials(target: Target) -> Iterator[Finding]:
    """sts:GetCallerIdentity"""
    identity = target.account.client("sts").get_caller_identity()
    yield Finding("credentials", "right", f"they are those of {identity['Arn'].rpartition(':')[2]}")


def clock(target: Target) -> Iterator[Finding]:
    """sts:GetCallerIdentity (the date of its answer)"""
    answer = target.account.client("sts").get_caller_identity()
    theirs = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    skew = abs((datetime.now(UTC) - theirs).total_seconds())
    verdict: Verdict = "right" if skew < SKEW_SECONDS / 5 else "doubtful" if skew < SKEW_SECONDS else "wrong"
    remedy = "" if verdict == "right" else "set the clock by NTP: AWS refuses what is signed five minutes off"
    yield Finding("clock", verdict, f"{skew:.0f} s apart from AWS's", remedy)


def region(target: Target) -> Iterator[Finding]:
    """ec2:DescribeRegions"""
    name = target.account.region
    [found] = target.account.client("ec2").describe_regions(RegionNames=[name], AllRegions=True)["Regions"]
    if found.get("OptInStatus") == "not-opted-in":
        yield Finding("region", "wrong", f"{name} is not enabled in this account", _ENABLE.format(name))
    else:
        yield Finding("region", "right", f"{name}, in the EU and enabled")


_ENABLE: Final = "aws account enable-region --region-name {}; it takes some minutes"


def stack(target: Target) -> Iterator[Finding]:
    """cloudformation:DescribeStacks"""
    described = target.stack.describe()
    name, state = target.stack.name, described["StackStatus"] if described else "not there"
    good = state in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    remedy = "" if good else "make deploy" if described is None else "see its events, then make deploy again"
    yield Finding("stack", "right" if good else "wrong", f"{name} is {state}", remedy)


def settings(target: Target) -> Iterator[Finding]:
    """no call: FRUITS_* against the stack's outputs"""
    outputs, deployment = target.stack.outputs(), target.deployment
    differing = [
        name
        for name, value in (
            ("FRUITS_BUCKET", deployment.bucket == outputs["Bucket"]),
            ("FRUITS_REGION", deployment.region == outputs["Region"]),
            ("FRUITS_SERVICE_ROLE", deployment.service_role == outputs["ServiceRole"]),
            ("FRUITS_INSTANCE_PROFILE", deployment.instance_profile == outputs["InstanceProfile"]),
            ("FRUITS_SUBNET_ID", deployment.subnet_id == outputs["SubnetId"]),
            ("FRUITS_INSTALLATION", deployment.installation == outputs["Installation"]),
            ("FRUITS_QUEUE_URL", deployment.queue_url == outputs["QueueUrl"]),
            ("FRUITS_NOTIFY", deployment.notify == outputs.get("Notify")),
        )
        if not value
    ]
    if differing:
        seen = f"{', '.join(differing)} differ from what the stack made"
        yield Finding("settings", "doubtful", seen, 'eval "$(python -m infra env)" where Airflow starts')
    else:
        yield Finding("settings", "right", "FRUITS_* are those of the stack")


def bucket(target: Target) -> Iterator[Finding]:
    """s3:GetBucketLocation, GetBucketPolicy, GetEncryptionConfiguration, GetReplicationConfiguration, ..."""
    s3, name = target.account.client("s3"), target.stack.outputs()["Bucket"]
    location = residency.location_of(s3, name)
    residency.check_replication(s3, name)
    found = encryption.of_bucket(s3, name)
    lacking = [
        what
        for what, there in (
            ("a TLS-only policy", found["tls_only"]),
            ("blocked public access", found["public_access_blocked"]),
            ("versioning", found["versioning"] == "Enabled"),
            ("default encryption", found["default_algorithm"]),
        )
        if not there
    ]
    if lacking:
        yield Finding("bucket", "wrong", f"{name} lacks {', '.join(lacking)}", "make deploy puts it back")
    else:
        yield Finding(
            "bucket", "right", f"{name} in {location}, {found['default_algorithm']}, TLS only, versioned"
        )


def roles(target: Target) -> Iterator[Finding]:
    """iam:GetRole, GetInstanceProfile, ListRoles"""
    iam, outputs = target.account.client("iam"), target.stack.outputs()
    iam.get_role(RoleName=outputs["ServiceRole"])
    profile = iam.get_instance_profile(InstanceProfileName=outputs["InstanceProfile"])["InstanceProfile"]
    if profile["Roles"]:
        yield Finding("roles", "right", "the service role and the instance profile with its role are there")
    else:
        yield Finding("roles", "wrong", "the instance profile has no role", "make deploy puts it back")
    for service, name in LINKED_SERVICES.items():
        if has_linked_role(iam, service):
            yield Finding("roles", "right", f"the role that {name} keeps for itself is there")
        else:
            remedy = f"aws iam create-service-linked-role --aws-service-name {service}"
            seen = f"the role that {name} keeps for itself is not there: no cluster would start"
            yield Finding("roles", "wrong", seen, remedy)


def topic(target: Target) -> Iterator[Finding]:
    """sns:GetTopicAttributes"""
    arn = target.stack.outputs().get("Notify")
    if arn is None:
        yield Finding("topic", "wrong", "the stack is older than its topic", "make deploy")
        return
    found = target.account.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
    confirmed, pending = int(found["SubscriptionsConfirmed"]), int(found["SubscriptionsPending"])
    if not found.get("KmsMasterKeyId"):
        yield Finding("topic", "wrong", "its messages are not encrypted", "make deploy puts it back")
    elif pending or not confirmed:
        remedy = "confirm the subscription in the mail that SNS has sent" if pending else _SUBSCRIBE
        seen = f"{confirmed} subscriptions are confirmed, {pending} wait for it"
        yield Finding("topic", "doubtful", seen, remedy)
    else:
        yield Finding("topic", "right", f"encrypted, with {confirmed} confirmed subscriptions")


_SUBSCRIBE: Final = 'make deploy ARGS="--email you@example.org", or nobody hears what Airflow tells'


def subnets(target: Target) -> Iterator[Finding]:
    """ec2:DescribeSubnets, DescribeVpcEndpoints"""
    ec2, ids = target.account.client("ec2"), target.stack.outputs()["SubnetId"].split(",")
    needed = 1 + target.run.fleet.workers
    found = ec2.describe_subnets(SubnetIds=ids)["Subnets"]
    for subnet in found:
        name, free = subnet["SubnetId"], subnet["AvailableIpAddressCount"]
        if {tag["Key"]: tag["Value"] for tag in subnet.get("Tags", [])}.get(_EMR_TAG) != "true":
            remedy = f"aws ec2 create-tags --resources {name} --tags Key={_EMR_TAG},Value=true"
            yield Finding("subnets", "wrong", f"{name} lacks the tag that EMR's service role needs", remedy)
        elif free < needed:
            seen = f"{name} has {free} free addresses, and a run needs {needed}"
            yield Finding("subnets", "wrong", seen, "end what uses them, or give other SubnetIds")
        else:
            yield Finding(
                "subnets", "right", f"{name} in {subnet['AvailabilityZone']}, {free} free addresses"
            )
    yield _route_to_s3(ec2, found[0]["VpcId"], target.account.region)


def _route_to_s3(ec2: Any, vpc: str, region_name: str) -> Finding:
    filters = [
        {"Name": "vpc-id", "Values": [vpc]},
        {"Name": "service-name", "Values": [f"com.amazonaws.{region_name}.s3"]},
    ]
    if ec2.describe_vpc_endpoints(Filters=filters)["VpcEndpoints"]:
        return Finding("subnets", "right", "S3 is reached through an endpoint of the VPC")
    remedy = "add a gateway endpoint for S3 to the VPC (it is free), or be sure that the subnets have a NAT"
    return Finding("subnets", "doubtful", "the VPC has no endpoint for S3", remedy)


def offered(target: Target) -> Iterator[Finding]:
    """elasticmapreduce:ListReleaseLabels, ListSupportedInstanceTypes"""
    offers.check(target.account.client("emr"), target.run)
    names = ", ".join(target.types_that_may_come)
    yield Finding("offered", "right", f"EMR offers {target.run.release_label} with {names}")


def quotas(target: Target) -> Iterator[Finding]:
    """servicequotas:GetServiceQuota, ec2:DescribeInstanceTypes"""
    answer = target.account.client("ec2").describe_instance_types(InstanceTypes=target.types)
    cpus = {each["InstanceType"]: each["VCpuInfo"]["DefaultVCpus"] for each in answer["InstanceTypes"]}
    needed = cpus[target.run.primary_type] + target.run.most_workers * cpus[target.run.fleet.worker_type]
    wanted = {"spot": [SPOT_QUOTA], "on-demand": [ON_DEMAND_QUOTA]}
    for code in wanted.get(target.run.spot, [SPOT_QUOTA, ON_DEMAND_QUOTA]):
        quota = target.account.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=code)
        allowed = quota["Quota"]["Value"]
        seen = f"{quota['Quota']['QuotaName']}: {allowed:g} vCPUs allowed, a run needs {needed}"
        remedy = (
            f"aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {code} "
            f"--desired-value {max(32, 2 * needed)} --region {target.account.region}"
        )
        enough = allowed >= needed
        yield Finding("quotas", "right" if enough else "wrong", seen, "" if enough else remedy)


def spot(target: Target) -> Iterator[Finding]:
    """ec2:GetSpotPlacementScores, DescribeSpotPriceHistory"""
    ec2, now = target.account.client("ec2"), datetime.now(UTC)
    scores = ec2.get_spot_placement_scores(
        InstanceTypes=target.types_that_may_come,
        TargetCapacity=1 + target.run.most_workers,
        RegionNames=[target.account.region],
    )["SpotPlacementScores"]
    # EC2 scores a request of fewer than three types low, whatever there is: only 1 and 2 are worth a word.
    score = max((each["Score"] for each in scores), default=0)
    remedy = "" if score > 2 else "choose spot=spot-or-on-demand, or other types, if no cluster starts"
    yield Finding("spot", "right" if score > 2 else "doubtful", f"placement score {score} of 10", remedy)
    prices = spot_prices(ec2, dict.fromkeys(target.types, float("inf")), now, now)
    for name in target.types:
        if name in prices:
            yield Finding("spot", "right", f"{name} is offered, at most {prices[name]:.4f} USD/h now")
        else:
            yield Finding("spot", "wrong", f"{name} has no Spot price here", "choose another type or region")


def prices(target: Target) -> Iterator[Finding]:
    """pricing:GetProducts, ec2:DescribeSpotPriceHistory"""
    pricing = target.account.client("pricing", PRICING_REGION, CLIENT_CONFIG)
    ec2 = target.account.client("ec2")
    found = read_prices(target.account.region, target.types, pricing, ec2, datetime.now(UTC))
    seen = f"{found.source} prices of {found.date}, {_usd(found.on_demand)}"
    old = [rate_warning(target.deployment, _today()) or ""]
    if found.stale:
        old.insert(0, "The prices are old: allow pricing:GetProducts to use today's.")
    remedy = " ".join(filter(None, old))
    yield Finding("prices", "doubtful" if remedy else "right", seen, remedy)


def _usd(on_demand: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {usd:.4f} USD/h" for name, usd in sorted(on_demand.items()))


def _today() -> date:
    return datetime.now(UTC).date()


CHECKS: Final[tuple[Check, ...]] = (
    credentials,
    clock,
    region,
    stack,
    settings,
    bucket,
    roles,
    topic,
    subnets,
    offered,
    quotas,
    spot,
    prices,
)

_NEEDED: Final[Mapping[Check, tuple[Check, ...]]] = {
    **dict.fromkeys(CHECKS[1:], (credentials,)),
    **dict.fromkeys((settings, bucket, roles, topic, subnets), (credentials, stack)),
}
"""Without what these find, a check could only say the same once more."""


def examine(target: Target, checks: Iterable[Check] | None = None) -> Iterator[Finding]:
    """These checks or all, in turn; one that fails is a finding, and hides only what needs it."""
    failed = set[Check]()
    for check in checks or CHECKS:
        if lacking := [needed.__name__ for needed in _NEEDED.get(check, ()) if needed in failed]:
            yield Finding(check.__name__, "doubtful", "not asked", f"put {' and '.join(lacking)} right first")
            continue
        for finding in _found(check, target):
            if finding.verdict == "wrong":
                failed.add(check)
            yield finding


def _found(check: Check, target: Target) -> Iterator[Finding]:
    """What the check finds, or why it could not. The pipeline's own errors have a remedy in their words."""
    name, asked = check.__name__, (check.__doc__ or "").strip()
    try:
        yield from check(target)
    except ClientError as error:
        said = error.response["Error"]
        denied = any(word in said["Code"] for word in ("Denied", "Unauthorized"))
        remedy = f"let this identity do {asked}" if denied else f"look in AWS at what {asked} answers"
        yield Finding(name, "wrong", f"{error.operation_name}: {said['Code']}, {said.get('Message')}", remedy)
    except ResponseParserError:
        yield Finding(name, "wrong", "the answer is none of AWS's", no_answer.FIND_A_WAY)
    except BotoCoreError as error:
        remedy = no_answer.SIGN_IN if no_answer.never_asked(error) else no_answer.FIND_A_WAY
        yield Finding(name, "wrong", str(error), remedy)
    except (StackError, PipelineError) as error:
        yield Finding(name, "wrong", str(error))
