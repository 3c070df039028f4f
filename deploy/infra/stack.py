"""The stack: what a change would do, doing it, and what came out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError, WaiterError

TEMPLATE: Final = Path(__file__).with_name("template.yaml")
WAIT_SECONDS: Final = 1200
"""The longest wait for a change; the stack takes about three minutes."""
_WAIT: Final = {"Delay": 5, "MaxAttempts": WAIT_SECONDS // 5}
_UNCHANGED: Final = re.compile(r"didn't contain changes|No updates are to be performed", re.IGNORECASE)


class StackError(RuntimeError):
    """CloudFormation did not do what it was asked for; the message says what it said."""


@dataclass(frozen=True)
class Change:
    """One resource that a deployment would touch."""

    action: str
    """Add, Modify or Remove."""
    name: str
    kind: str
    replacement: str
    """True, False or Conditional for Modify, else empty."""


class Stack:
    """One stack of :data:`TEMPLATE`."""

    def __init__(self, cloudformation: Any, name: str) -> None:
        self._cloudformation = cloudformation
        self.name = name

    def describe(self) -> dict[str, Any] | None:
        """The stack as CloudFormation describes it, None where there is none."""
        try:
            return dict(self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0])
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def outputs(self) -> dict[str, str]:
        """What the stack made, by the names of the template; ``StackError`` where it is not there."""
        described = self.describe()
        if described is None or not described.get("Outputs"):
            raise StackError(f"There is no finished stack {self.name!r} in this region: run `make deploy`.")
        return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def parameter(self, name: str) -> str:
        """What the stack was given for a parameter; empty where there is no stack or no such parameter."""
        described = self.describe() or {}
        found = {each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters", [])}
        return str(found.get(name, ""))

    def resources(self) -> list[dict[str, Any]]:
        """Every resource of the stack, with its type, id and state."""
        return list(self._cloudformation.describe_stack_resources(StackName=self.name)["StackResources"])

    def plan(self, parameters: Mapping[str, str]) -> tuple[str | None, list[Change]]:
        """A change set and what it would change; (None, []) where nothing differs.

        Parameters that are not given keep the value that the stack has, or the template's default.
        """
        there = self._in_use()
        name = f"deploy-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        try:
            self._cloudformation.create_change_set(
                StackName=self.name,
                ChangeSetName=name,
                ChangeSetType="UPDATE" if there else "CREATE",
                TemplateBody=TEMPLATE.read_text(),
                Parameters=self._parameters(parameters, there),
                Capabilities=["CAPABILITY_IAM"],
            )
            self._wait("change_set_create_complete", ChangeSetName=name)
        except ClientError as error:
            if _UNCHANGED.search(str(error)):
                return None, []
            raise
        except StackError:
            # CloudFormation says so by failing the change set; others refuse it at once.
            described = self._cloudformation.describe_change_set(StackName=self.name, ChangeSetName=name)
            self.discard(name)
            if _UNCHANGED.search(described.get("StatusReason", "")):
                return None, []
            raise
        return name, list(self._changes(name))

    def _in_use(self) -> dict[str, Any] | None:
        """The stack when it can be updated; one that only holds a change set is as good as none."""
        described = self.describe()
        if described is None or described["StackStatus"] == "REVIEW_IN_PROGRESS":
            return None
        if described["StackStatus"] in ("ROLLBACK_COMPLETE", "DELETE_FAILED", "ROLLBACK_FAILED"):
            raise StackError(
                f"Stack {self.name!r} is {described['StackStatus']}: run `make destroy`, then deploy again."
            )
        return described

    @staticmethod
    def _parameters(given: Mapping[str, str], there: dict[str, Any] | None) -> list[dict[str, Any]]:
        wanted: list[dict[str, Any]] = [
            {"ParameterKey": key, "ParameterValue": value} for key, value in given.items()
        ]
        kept = [each["ParameterKey"] for each in (there or {}).get("Parameters", [])]
        wanted += [{"ParameterKey": key, "UsePreviousValue": True} for key in kept if key not in given]
        return wanted

    def _changes(self, name: str) -> list[Change]:
        pages = self._cloudformation.get_paginator("describe_change_set").paginate(
            StackName=self.name, ChangeSetName=name
        )
        return [
            Change(
                change["Action"],
                change["LogicalResourceId"],
                change["ResourceType"],
                change.get("Replacement", ""),
            )
            for page in pages
            for change in (each["ResourceChange"] for each in page["Changes"])
        ]

    def execute(self, change_set: str) -> None:
        """Make the changes, and wait until they are made; ``StackError`` with the first failure."""
        described = self.describe()
        assert described is not None, "a change set has made the stack, if only an empty one"
        new = described["StackStatus"] == "REVIEW_IN_PROGRESS"
        self._cloudformation.execute_change_set(StackName=self.name, ChangeSetName=change_set)
        self._wait(
            "stack_create_complete" if new else "stack_update_complete", StackName=described["StackId"]
        )

    def discard(self, change_set: str) -> None:
        """Forget a change set, and the empty stack that CloudFormation made for the first one."""
        described = self.describe()
        self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set)
        if described is not None and described["StackStatus"] == "REVIEW_IN_PROGRESS":
            self._cloudformation.delete_stack(StackName=self.name)

    def delete(self) -> None:
        """Delete the stack, and wait until it is gone."""
        self._cloudformation.delete_stack(StackName=self.name)
        self._wait("stack_delete_complete")

    def _wait(self, what: str, **arguments: str) -> None:
        which = {"StackName": self.name, **arguments}
        try:
            self._cloudformation.get_waiter(what).wait(WaiterConfig=_WAIT, **which)
        except WaiterError as error:
            raise StackError(f"Stack {self.name!r}: {self._first_failure() or error}") from error

    def _first_failure(self) -> str | None:
        """The oldest failed event that is not merely the consequence of another."""
        try:
            events = self._cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        except ClientError:
            return None
        for event in reversed(events):
            reason = event.get("ResourceStatusReason", "")
            if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason:
                return f"{event['LogicalResourceId']} is {event['ResourceStatus']}: {reason}"
        return None
