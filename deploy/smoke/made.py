"""What one smoke test makes in an account: all of its names follow from one token.

So one small file, written before anything is made, is enough to find everything again.
"""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from fruit_contract.layout import INPUT_PREFIX
from fruit_pipeline.settings.deployment import PROJECT
from infra.stack import Stack


@dataclass(frozen=True)
class Made:
    """The names of one smoke test."""

    token: str
    region: str
    given_stack: str | None
    """A stack that was there; None where the smoke test makes its own."""

    @classmethod
    def anew(cls, region: str, given_stack: str | None) -> Self:
        return cls(f"smoke-{secrets.token_hex(5)}", region, given_stack)

    @classmethod
    def read(cls, journal: Path) -> Self | None:
        """What an earlier command has noted and not yet removed."""
        return cls(**json.loads(journal.read_text())) if journal.exists() else None

    def note(self, journal: Path) -> None:
        """Write it down, whole or not at all."""
        partial = journal.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)))
        partial.replace(journal)

    @property
    def stack(self) -> str:
        return self.given_stack or f"fruits-{self.token}"

    @property
    def parameters(self) -> dict[str, str]:
        """Of a stack of its own: its installation is its own, so no other Airflow's reaper looks."""
        return {"BucketName": self.stack, "Installation": self.token}

    @property
    def run_ids(self) -> tuple[str, str]:
        """Of the plain run, and of the one that loses a node."""
        return f"{self.token}-plain", f"{self.token}-spot"

    @property
    def fault_role(self) -> str:
        """The role that AWS FIS takes a node with."""
        return f"fruits-{self.token}"

    @property
    def tags(self) -> dict[str, str]:
        return {"project": PROJECT, "installation": self.token}


@dataclass(frozen=True)
class Place:
    """Where a smoke test works: what it needs of its stack, be it finished or half made."""

    bucket: str
    installation: str
    prefix: str
    """Of its photos."""

    @classmethod
    def of(cls, made: Made, stack: Stack) -> Self:
        if made.given_stack is None:
            own = made.parameters
            return cls(own["BucketName"], own["Installation"], f"{INPUT_PREFIX}{made.token}/")
        names = ("BucketName", "Installation", "InputPrefix")
        bucket, installation, photos = (stack.parameter(name) for name in names)
        return cls(bucket, installation, f"{photos}{made.token}/")
