"""Refuses, before they leave, the AWS calls of this process that a policy does not permit."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiobotocore.client import AioBaseClient
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local_aws.fault_injection import INTERNAL_AGENT
from tests.deploy.infra.authorization import Need, hides_absence, needs, permits

_call, _call_async = BaseClient._make_api_call, AioBaseClient._make_api_call


@dataclass
class Guard:
    """The calls of one identity. ``tags_of`` and ``role_of`` are asked without a guard."""

    statements: list[dict[str, Any]]
    tags_of: Callable[[str], dict[str, str]]
    role_of: Callable[[str], str]
    """The role in an instance profile: that is what RunJobFlow hands to EC2."""
    needed: list[Need] = field(default_factory=list)
    refused: list[Need] = field(default_factory=list)
    internal: list[Need] = field(default_factory=list)
    """Local AWS's own calls: what EMR itself does on the nodes."""
    _asking: threading.local = field(default_factory=threading.local)

    @contextmanager
    def on(self) -> Iterator[None]:
        def guarded(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            return self._made(client, operation, parameters)

        async def guarded_async(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            service, region = client.meta.service_model.service_name, client.meta.region_name
            for need in needs(service, operation, parameters, region, self.tags_of):
                self._check(need, operation)
            return await _call_async(client, operation, parameters)

        BaseClient._make_api_call, AioBaseClient._make_api_call = guarded, guarded_async
        try:
            yield
        finally:
            BaseClient._make_api_call, AioBaseClient._make_api_call = _call, _call_async

    def _made(self, client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if getattr(self._asking, "now", False):
            return _call(client, operation, parameters)
        service, region = client.meta.service_model.service_name, client.meta.region_name
        internal = INTERNAL_AGENT in (client.meta.config.user_agent_extra or "")
        self._asking.now = True
        try:
            if operation == "RunJobFlow":
                profile = {"JobFlowRole": self.role_of(parameters["JobFlowRole"])}
                found = needs(service, operation, {**parameters, **profile}, region, self.tags_of)
            else:
                found = needs(service, operation, parameters, region, self.tags_of)
        finally:
            self._asking.now = False
        if internal:
            self.internal += found
            return _call(client, operation, parameters)
        for need in found:
            self._check(need, operation)
        try:
            return _call(client, operation, parameters)
        except ClientError as error:
            absent = hides_absence(operation, parameters.get("Bucket", "")) if service == "s3" else None
            if absent and error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                self._check(absent, operation)
            raise

    def _check(self, need: Need, operation: str) -> None:
        self.needed.append(need)
        if not permits(self.statements, need):
            self.refused.append(need)
            response: Any = {
                "Error": {"Code": "AccessDenied", "Message": f"no identity-based policy allows {need}"},
                "ResponseMetadata": {"HTTPStatusCode": 403},
            }
            raise ClientError(response, operation)
