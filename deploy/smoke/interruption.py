"""One Spot worker of a run, taken by AWS's own fault injection (FIS), where the account allows it."""

import json
import time
from typing import Any, Final

from botocore.exceptions import ClientError

from fruit_contract.layout import DAG_ID
from fruit_pipeline.cluster.identity import clusters_of_run
from fruit_pipeline.settings.deployment import PROJECT
from infra.account_clients import Account
from smoke.made import Made, Place

_POLICY: Final = "take-a-worker"
_ACTION: Final = "aws:ec2:send-spot-instance-interruptions"
_NOTICE: Final = "PT2M"
"""Between the notice and the loss: the least that FIS allows, and what Spot itself gives."""
_READY: Final = ("RUNNING", "WAITING")


class Interruption:
    """Waits until the run's cluster is ready, and has one of its workers taken."""

    def __init__(self, account: Account, made: Made, place: Place, poll_seconds: float) -> None:
        self._account, self._made, self._place, self._poll = account, made, place, poll_seconds
        self._role, self._next_look, self._asked = "", 0.0, False
        self._experiment: str | None = None
        self.said = "the run's cluster was never ready"
        """How it went, in words."""

    def allow(self) -> bool:
        """Make the role that FIS acts as, on our nodes alone; whether the account lets us."""
        iam, name = self._account.client("iam"), self._made.fault_role
        # EMR gives nodes the tags of their cluster.
        ours = {"aws:ResourceTag/project": PROJECT, "aws:ResourceTag/installation": self._place.installation}
        trust = {"Principal": {"Service": "fis.amazonaws.com"}, "Action": "sts:AssumeRole"}
        look = {"Action": "ec2:DescribeInstances", "Resource": "*"}
        take = {"Action": "ec2:SendSpotInstanceInterruptions", "Resource": "arn:aws:ec2:*:*:instance/*"}
        try:
            role = iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=_policy(trust),
                Tags=[{"Key": key, "Value": value} for key, value in self._made.tags.items()],
            )
            document = _policy(look, take | {"Condition": {"StringEquals": ours}})
            iam.put_role_policy(RoleName=name, PolicyName=_POLICY, PolicyDocument=document)
        except ClientError as error:
            self.said = _refusal(error)
            return False
        self._role = role["Role"]["Arn"]
        return True

    def look(self) -> None:
        """Called while the run goes on: starts the experiment once, and looks no more often than need be."""
        if self._asked or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + self._poll
        if worker := self._worker():
            self._asked = True
            try:
                self._take(worker)
            except ClientError as error:
                self.said = _refusal(error)

    def _worker(self) -> str | None:
        emr = self._account.client("emr")
        run_id = self._made.run_ids[1]
        for cluster in clusters_of_run(emr, self._place.installation, DAG_ID, run_id, _READY):
            listed = emr.list_instances(
                ClusterId=cluster["Id"], InstanceFleetType="CORE", InstanceStates=["RUNNING"]
            )
            for instance in listed["Instances"]:
                if instance["Market"] == "SPOT":
                    return str(instance["Ec2InstanceId"])
        return None

    def _take(self, instance: str) -> None:
        fis, account = self._account.client("fis"), self._account
        arn = f"arn:aws:ec2:{account.region}:{account.id}:instance/{instance}"
        target = {"resourceType": "aws:ec2:spot-instance", "resourceArns": [arn], "selectionMode": "ALL"}
        action = {
            "actionId": _ACTION,
            "parameters": {"durationBeforeInterruption": _NOTICE},
            "targets": {"SpotInstances": "worker"},
        }
        template = fis.create_experiment_template(
            clientToken=self._made.token,
            description="The fruit pipeline's smoke test takes one of its own workers",
            stopConditions=[{"source": "none"}],
            targets={"worker": target},
            actions={"take": action},
            roleArn=self._role,
            tags=self._made.tags,
        )["experimentTemplate"]
        started = fis.start_experiment(
            clientToken=self._made.token, experimentTemplateId=template["id"], tags=self._made.tags
        )["experiment"]
        self._experiment = started["id"]
        self.said = f"FIS was asked to take {instance}"

    def ended(self) -> str:
        """How it went, with what FIS says of its experiment."""
        if self._experiment is None:
            return self.said
        try:
            shown = self._account.client("fis").get_experiment(id=self._experiment)["experiment"]["state"]
        except ClientError as error:
            return f"{self.said}; {_refusal(error)}"
        return f"{self.said}: {shown['status']} {shown.get('reason', '')}".strip()


def _policy(*statements: dict[str, Any]) -> str:
    allowed = [{"Effect": "Allow", **each} for each in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": allowed})


def _refusal(error: ClientError) -> str:
    return f"not allowed: {error.operation_name}: {error.response['Error']['Code']}"
