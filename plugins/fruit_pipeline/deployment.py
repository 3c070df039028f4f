"""What differs from one installation to the next, read from ``FRUITS_*`` environment variables.

Parameters of a run are in :mod:`fruit_pipeline.parameters`; here is what its operator decides
once: names of roles, where the artifacts lie, how often to ask EMR.
"""

import os
from datetime import date
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fruit_pipeline.publication import REMEMBERED
from fruit_pipeline.regions import check_arns, check_environment, check_region

_REPOSITORY = Path(__file__).resolve().parents[2]


class Deployment(BaseSettings):
    """The installation's settings. Every field is an environment variable ``FRUITS_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="FRUITS_", frozen=True)

    bucket: str = "fruits-classification-p9"
    region: str = "eu-west-1"
    aws_conn_id: str = "aws_default"
    service_role: str = "EMR_DefaultRole_V2"
    instance_profile: str = "EMR_EC2_DefaultRole"
    subnet_id: str | None = None
    """One subnet, or several separated by commas, of which EMR chooses by Spot capacity."""
    node_security_group: str | None = None
    """Security group of the nodes; without it, and the next, EMR makes groups of its own and leaves them."""
    service_security_group: str | None = None
    """Security group of EMR's interface to nodes in private subnets."""
    security_configuration: str | None = None
    require_security_configuration: bool = False
    """Refuse a run whose cluster is not encrypted at rest and in transit by a security configuration."""
    log_kms_key: str | None = None
    """ARN of a KMS key for EMR's logs; without it they are encrypted by the bucket's default."""
    installation: str = Field("fruits", min_length=1, max_length=64, pattern=r"^[\w .:/=+@-]+$")
    """Name of this Airflow, as a tag on its clusters: its reaper judges no other installation's. Of the
    characters that EMR lets a tag have."""
    poll_seconds: int = Field(30, ge=1)
    """How often the sensors ask EMR. EMR itself refreshes about twice a minute."""
    task_minutes: float = Field(30.0, gt=0)
    """Longest run of a task in a worker. Waiting for EMR is not in it, but has limits of its own."""
    keep_runs: int = Field(7, ge=1, le=REMEMBERED)
    """Published runs whose files are kept, the current one included; their reports stay for ever."""
    code_dir: Path = _REPOSITORY / "spark"
    model_dir: Path = _REPOSITORY / ".cache" / "model"
    runtime_archive: Path = _REPOSITORY / ".cache" / "runtime" / "runtime-aarch64.tar.gz"
    usd_per_eur: float = Field(1.16, gt=0, allow_inf_nan=False)
    """Exchange rate; invoices are in USD, budgets in EUR."""
    usd_per_eur_date: date = date(2026, 11, 1)
    """The day of that rate; one that is old is used with a warning."""
    monthly_budget_eur: float = Field(50.0, gt=0, allow_inf_nan=False)
    """What runs may cost in a calendar month (UTC) before scheduled and asset-triggered ones pause."""

    @model_validator(mode="after")
    def _is_in_the_eu(self) -> Self:
        """No DAG can be parsed with settings outside the EU: ``ResidencyError``, which says which."""
        check_region(self.region, "FRUITS_REGION")
        check_arns([self.log_kms_key or ""], "FRUITS_LOG_KMS_KEY")
        check_environment(os.environ)
        return self
