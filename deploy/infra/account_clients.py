"""Clients of one account in one region, none of which leaves the EU."""

from functools import cached_property
from typing import Any, Final

import boto3
from botocore.config import Config

from fruit_pipeline.aws import retries
from fruit_pipeline.security import residency
from fruit_pipeline.security.regions import check_region
from fruit_pipeline.upload.uploading import IN_FLIGHT

_CONFIG: Final = Config(connect_timeout=10, max_pool_connections=IN_FLIGHT, **retries.REPEATED)


class Account:
    """An account as the AWS credentials of the environment show it."""

    def __init__(self, region: str) -> None:
        check_region(region, "--region")
        self.region = region
        self._session = boto3.Session(region_name=region)
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str | None = None, config: Config = _CONFIG) -> Any:
        """A client of ``service`` in this region or another EU one; ``ResidencyError`` elsewhere.

        There is one of each, with the ``config`` of the first call.
        """
        key = (service, region or self.region)
        if key not in self._clients:
            check_region(key[1], "The region")
            made = self._session.client(service, region_name=key[1], config=config)
            residency.check_client(made, service)
            self._clients[key] = made
        return self._clients[key]

    @cached_property
    def id(self) -> str:
        """The account's id: asked for, never written down."""
        return str(self.client("sts").get_caller_identity()["Account"])
