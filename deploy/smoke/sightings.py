"""What the runs left in the account, read before it is removed: the evidence of all answers."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from fruit_contract.layout import DAG_ID, LOGS_PREFIX, REPORTS_PREFIX
from fruit_pipeline.cluster import offers
from fruit_pipeline.cluster.facts import cluster_steps
from fruit_pipeline.cluster.identity import ALL_STATES, STEPS, clusters_of_run
from fruit_pipeline.drops.s3_events import NotAnS3EventError, changes_in
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from infra import doctor
from infra.account_clients import Account
from infra.stack import Stack
from smoke.made import Made, Place

_LARGEST_LOG: Final = 20_000_000
"""Bytes of a log on S3 that is still read."""


class NotSeenError(Exception):
    """The runs did not show it; the message says why."""


@dataclass(frozen=True)
class Ending:
    """A state of EMR's: of a cluster, a step or a node."""

    state: str
    code: str
    message: str
    times: dict[str, datetime]
    """``CreationDateTime``, ``ReadyDateTime``, ``StartDateTime``, ``EndDateTime``: what there is of them."""

    @classmethod
    def of(cls, described: dict[str, Any]) -> "Ending":
        status = described["Status"]
        reason = status.get("StateChangeReason", {})
        times = status.get("Timeline", {})
        return cls(status["State"], reason.get("Code", ""), reason.get("Message", ""), times)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.state, self.code, self.message)))

    def seconds(self, earlier: str, later: str) -> float:
        return (self.times[later] - self.times[earlier]).total_seconds()


@dataclass(frozen=True)
class Cluster:
    """One cluster, after its end."""

    id: str
    end: Ending
    nodes: list[tuple[str, str, Ending]]
    """Type, market, and how it ended."""
    steps: list[tuple[str, Ending]]
    limits: dict[str, Any]
    """Its policies of idleness and of scaling."""
    instances: list[str]
    """EC2's ids of the nodes."""
    logs: dict[str, str]
    """What EMR delivered to S3, by key."""

    @property
    def completed(self) -> bool:
        return len(self.steps) == len(STEPS) and all(end.state == "COMPLETED" for _, end in self.steps)

    @property
    def work(self) -> str:
        return ", ".join(f"{name} {end.state}" for name, end in self.steps) or "no step"

    @property
    def last_node_gone(self) -> datetime:
        return max(end.times["EndDateTime"] for _, _, end in self.nodes)

    @property
    def delivered(self) -> dict[str, str]:
        """The logs, where there are any."""
        if not self.logs:
            raise NotSeenError("EMR had delivered no log yet")
        return self.logs

    def said(self, pattern: str) -> list[str]:
        """The lines of all logs that have the pattern in them."""
        found, lines = re.compile(pattern), (text.splitlines() for text in self.delivered.values())
        return [line for each in lines for line in each if found.search(line)]


@dataclass(frozen=True)
class Run:
    """One run, when it had ended."""

    id: str
    parameters: RunParameters
    state: str
    report: dict[str, Any]
    """Empty where it left none; likewise what its featurize step measured."""
    featurized: dict[str, Any]
    clusters: list[Cluster]
    """Oldest first."""

    @property
    def cluster(self) -> Cluster:
        """Its first one."""
        if not self.clusters:
            raise NotSeenError(f"no cluster: {self.report.get('failure') or self.state}")
        return self.clusters[0]


@dataclass
class Seen:
    """Everything."""

    region: str
    where: str
    """``AWS``, or local AWS."""
    plain: Run
    spot: Run | None
    """None where the account allows no interruption."""
    interruption: str
    photos_told: int
    """Of how many photos the queue was told."""
    rules: list[str]
    """The bucket's lifecycle rules in force."""
    budget: str | None
    """The state of the stack's budget."""
    node_tags: list[dict[str, str]]
    types: set[str]
    """What EMR offers with the release."""
    findings: list[doctor.Finding]
    removal: dict[str, float] = field(default_factory=dict)
    """Seconds that the removal of each thing took; known at the very end."""


def run_seen(account: Account, place: Place, run_id: str, run: RunParameters, state: str) -> Run:
    """A run that has ended, with its clusters."""
    emr, s3 = account.client("emr"), account.client("s3")
    found = clusters_of_run(emr, place.installation, DAG_ID, run_id, ALL_STATES)
    clusters = [_cluster(emr, s3, place.bucket, each) for each in found]
    files = dict(_texts(s3, place.bucket, f"{REPORTS_PREFIX}{run_id}/", ".json"))
    report, featurized = (
        json.loads(files.get(f"{REPORTS_PREFIX}{run_id}/{name}.json", "{}"))
        for name in ("report", "featurize")
    )
    return Run(run_id, run, state, report, featurized, clusters[::-1])


def seen(account: Account, made: Made, played: list[Run], interruption: str) -> Seen:
    """The rest of what the account shows, beside the plain run and, where it was allowed, the other one."""
    plain, spot = played[0], played[1] if len(played) > 1 else None
    stack = Stack(account.client("cloudformation"), made.stack)
    emr, s3, ec2 = account.client("emr"), account.client("s3"), account.client("ec2")
    instances = plain.clusters[0].instances if plain.clusters else []
    rules = _asked(s3.get_bucket_lifecycle_configuration, Bucket=plain.parameters.bucket).get("Rules", [])
    reserved = _asked(ec2.describe_instances, InstanceIds=instances).get("Reservations", [])
    nodes = [node for reservation in reserved for node in reservation["Instances"]]
    target = doctor.Target(account, stack, plain.parameters, Deployment())
    states = {each["ResourceType"]: each["ResourceStatus"] for each in stack.resources()}
    return Seen(
        region=made.region,
        where="AWS" if emr.meta.endpoint_url.endswith((".amazonaws.com", ".api.aws")) else "local AWS",
        plain=plain,
        spot=spot,
        interruption=interruption,
        photos_told=_told(account.client("sqs"), stack.outputs()["QueueUrl"], plain.parameters.input_prefix),
        rules=[each["ID"] for each in rules if each["Status"] == "Enabled"],
        budget=states.get("AWS::Budgets::Budget"),
        node_tags=[{tag["Key"]: tag["Value"] for tag in node.get("Tags", [])} for node in nodes],
        types=offers.instance_types(emr, plain.parameters.release_label),
        findings=list(doctor.examine(target, (doctor.spot, doctor.quotas, doctor.prices))),
    )


def _cluster(emr: Any, s3: Any, bucket: str, described: dict[str, Any]) -> Cluster:
    cluster = {"ClusterId": described["Id"]}
    pages = emr.get_paginator("list_instances").paginate(**cluster)
    nodes = [node for page in pages for node in page["Instances"]]
    idle = _asked(emr.get_auto_termination_policy, **cluster)
    scaling = _asked(emr.get_managed_scaling_policy, **cluster)
    return Cluster(
        id=described["Id"],
        end=Ending.of(described),
        nodes=[(node["InstanceType"], node["Market"], Ending.of(node)) for node in nodes],
        steps=[(step["Name"], Ending.of(step)) for step in reversed(cluster_steps(emr, described["Id"]))],
        limits={**idle.get("AutoTerminationPolicy", {}), **scaling.get("ManagedScalingPolicy", {})},
        instances=[node["Ec2InstanceId"] for node in nodes],
        logs=dict(_texts(s3, bucket, f"{LOGS_PREFIX}{described['Id']}/")),
    )


def _texts(s3: Any, bucket: str, prefix: str, suffix: str = "") -> Iterator[tuple[str, str]]:
    """The objects below a prefix, unpacked; an empty text for what is too large to look into."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for key, size in ((each["Key"], each["Size"]) for each in page.get("Contents", [])):
            if key.endswith(suffix):
                small = size <= _LARGEST_LOG
                body = s3.get_object(Bucket=bucket, Key=key)["Body"].read() if small else b""
                unpacked = gzip.decompress(body) if key.endswith(".gz") and body else body
                yield key, unpacked.decode(errors="replace")


def _told(sqs: Any, queue: str, prefix: str) -> int:
    """Of how many of our photos S3 has told the queue; these messages are taken out, and no others."""
    keys: set[str] = set()
    asked: dict[str, Any] = {"QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 2}
    while messages := _asked(sqs.receive_message, **asked).get("Messages", []):
        for message in messages:
            with suppress(NotAnS3EventError):
                ours = {each.key for each in changes_in(message["Body"]) if each.key.startswith(prefix)}
                keys |= ours
                if ours:
                    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return len(keys)


def _asked(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """The answer, or an empty one where AWS gives none: the answers then say that nothing was seen."""
    try:
        return dict(call(**arguments))
    except (ClientError, BotoCoreError):
        return {}
