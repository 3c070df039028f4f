"""What differs from one installation to the next, read from ``FRUITS_*`` environment variables.

Parameters of a run are in :mod:`fruit_pipeline.parameters`; here is what its operator decides
once: names of roles, where the artifacts lie, how often to ask EMR.
"""

import os
from datetime import date
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fruit_pipeline.publication import REMEMBERED
from fruit_pipeline.regions import check_arns, check_endpoint, check_environment, check_region

_REPOSITORY = Path(__file__).resolve().parents[2]

PERSISTED_SECONDS: Final = 5.0
"""How long the watcher keeps messages that it has told Airflow of: a triggerer that dies before it has stored
the event finds them again. Airflow's triggerer and its supervisor exchange events about once a second."""


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
    python_archive: Path = _REPOSITORY / ".cache" / "runtime" / "python-aarch64.tar.gz"
    """Of a Python for the releases that have none new enough; it need not exist for the others."""
    usd_per_eur: float = Field(1.16, gt=0, allow_inf_nan=False)
    """Exchange rate; invoices are in USD, budgets in EUR."""
    usd_per_eur_date: date = date(2026, 11, 1)
    """The day of that rate; one that is old is used with a warning."""
    monthly_budget_eur: float = Field(50.0, gt=0, allow_inf_nan=False)
    """What runs may cost in a calendar month (UTC) before scheduled and asset-triggered ones pause."""
    schedule: str = "0 3 * * *"
    """Cron expression (UTC) of the run that finds what no event told of; empty: drops and people alone."""
    queue_url: str = ""
    """URL of the SQS queue that S3 tells of photos; empty: nobody watches, and no drop starts a run."""
    drop_poll_seconds: float = Field(30.0, ge=0.1, le=600)
    """How often the queue is read."""
    drop_quiet_minutes: float = Field(5.0, gt=0, le=24 * 60)
    """A drop is complete when no photo has come or gone for so long."""
    drop_max_wait_hours: float = Field(6.0, gt=0, le=7 * 24)
    """A drop that never falls quiet is taken as it is so long after its first photo."""
    drop_min_new_images: int = Field(1, ge=1)
    """Fewer new, changed or deleted photos than this start no run; they wait for more, or the schedule."""

    @model_validator(mode="after")
    def _is_in_the_eu(self) -> Self:
        """No DAG can be parsed with settings outside the EU: ``ResidencyError``, which says which."""
        check_region(self.region, "FRUITS_REGION")
        check_arns([self.log_kms_key or ""], "FRUITS_LOG_KMS_KEY")
        check_environment(os.environ)
        if self.queue_url:
            # Without its path, which holds the account's id: the message goes where everybody reads it.
            parts = urlsplit(self.queue_url)
            check_endpoint(f"{parts.scheme}://{parts.netloc}", "FRUITS_QUEUE_URL")
        return self

    @model_validator(mode="after")
    def _hears_a_drop_before_it_is_over(self) -> Self:
        longest_silence = self.drop_poll_seconds + PERSISTED_SECONDS
        if self.drop_quiet_minutes * 60 <= longest_silence:
            raise ValueError(
                f"FRUITS_DROP_QUIET_MINUTES {self.drop_quiet_minutes:g} is no longer than the "
                f"{longest_silence:g} s between two looks into the queue, so that any drop would seem to "
                "be over: raise it, or lower FRUITS_DROP_POLL_SECONDS."
            )
        return self
