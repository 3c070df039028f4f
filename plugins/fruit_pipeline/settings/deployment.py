"""What differs from one installation to the next, read from ``FRUITS_*`` environment variables.

Parameters of a run are in :mod:`fruit_pipeline.settings.parameters`; here is what its operator decides
once: names of roles, where the artifacts lie, how often to ask EMR.
"""

import math
import os
from datetime import date
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

import fruit_pipeline
from fruit_pipeline.security.regions import check_arns, check_endpoint, check_environment, check_region
from fruit_pipeline.settings import notifier

# Counted from the package, wherever in it this module lies.
_REPOSITORY = Path(fruit_pipeline.__file__).resolve().parents[2]

PROJECT: Final = "fruit-features"
"""The tag by which AWS knows what belongs to this project, of every installation."""
MOST_KEPT_RUNS: Final = 100
"""Published runs that the pointer to the current result names, itself first; clean-up keeps some of them."""
MOST_PHOTOS: Final = 100_000_000
"""What ``plan`` has time for by default."""
PLANNED_A_MINUTE: Final = 1_200_000
"""Photos that ``plan`` lists, compares and writes, the work of one core: a million in 49 s, by ``make bench``
(docs/evidence/performance.md, "plan over 1,000,000 keys")."""
LISTING_SHARE: Final = 0.9
"""Of the time of ``plan``: the rest is for its lists to go to S3, 20 bytes a photo each."""
PERSISTED_SECONDS: Final = 5.0
"""How long the watcher keeps messages that it has told Airflow of: a triggerer that dies before it has stored
the event finds them again. Airflow's triggerer and its supervisor exchange events about once a second."""


class Deployment(BaseSettings):
    """The installation's settings. Every field is an environment variable ``FRUITS_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="FRUITS_", frozen=True, use_attribute_docstrings=True)

    bucket: str = "fruits-classification-p9"
    """Bucket that a run uses unless its form names another."""
    region: str = "eu-west-1"
    """Region that a run uses unless its form names another; it must be in the EU."""
    aws_conn_id: str = "aws_default"
    """Airflow connection that gives every task its AWS credentials."""
    service_role: str = "EMR_DefaultRole_V2"
    """IAM role of the EMR service."""
    instance_profile: str = "EMR_EC2_DefaultRole"
    """Instance profile of the cluster's nodes."""
    subnet_id: str | None = None
    """One subnet, or several separated by commas, of which EMR chooses by Spot capacity."""
    node_security_group: str | None = None
    """Security group of the nodes; without it EMR creates groups and leaves them behind."""
    service_security_group: str | None = None
    """Security group through which EMR reaches nodes in private subnets."""
    security_configuration: str | None = None
    """Name of the EMR security configuration that encrypts the cluster."""
    require_security_configuration: bool = False
    """Refuse a run unless a security configuration encrypts its cluster at rest and in transit."""
    log_kms_key: str | None = None
    """ARN of a KMS key for EMR's logs; without it the bucket's default encrypts them."""
    installation: str = Field("fruits", min_length=1, max_length=64, pattern=r"^[\w .:/=+@-]+$")
    """Name of this Airflow, as a tag on its clusters; the reaper ends no other installation's clusters."""
    poll_seconds: int = Field(30, ge=1)
    """Seconds between two questions of a sensor to EMR, which itself refreshes twice a minute."""
    task_minutes: float = Field(30.0, gt=0)
    """Longest run of a task in a worker, in minutes; the waits for EMR have limits of their own."""
    plan_minutes: float = Field(float(math.ceil(2 * MOST_PHOTOS / PLANNED_A_MINUTE)), gt=0)
    """Longest run of `plan` and of a look for drops, in minutes; half of it is for 100 million photos."""
    keep_runs: int = Field(7, ge=1, le=MOST_KEPT_RUNS)
    """Number of published runs whose files are kept, the current one included; all reports are kept."""
    code_dir: Path = _REPOSITORY / "spark"
    """Folder of the Spark code that a run uploads."""
    model_dir: Path = _REPOSITORY / ".cache" / "model"
    """Folder of the model that a run uploads."""
    runtime_archive: Path = _REPOSITORY / ".cache" / "runtime" / "runtime-aarch64.tar.gz"
    """Archive of the Python packages that the Spark steps import on EMR."""
    python_archive: Path = _REPOSITORY / ".cache" / "runtime" / "python-aarch64.tar.gz"
    """Archive of the Python for emr-6.15.0; no other release needs it."""
    notebooks_dir: Path = _REPOSITORY / "notebooks"
    """Folder of the notebook that a run with interactive time puts into JupyterHub."""
    predict_python: str = ""
    """Python of the Spark side that classifies photos on the tab Result; when empty, none does."""
    usd_per_eur: float = Field(1.16, gt=0, allow_inf_nan=False)
    """Exchange rate that converts AWS's prices in USD to EUR."""
    usd_per_eur_date: date = date(2026, 11, 1)
    """Day of that rate; an old one causes a warning."""
    monthly_budget_eur: float = Field(50.0, gt=0, allow_inf_nan=False)
    """Refuse runs by schedule or drop when the calendar month (UTC) would cost more than this, in EUR."""
    schedule: str = "0 3 * * *"
    """Cron expression (UTC) of the regular run; when empty, only drops and people start runs."""
    queue_url: str = ""
    """URL of the SQS queue that S3 tells of photos; when empty, no drop starts a run."""
    drop_poll_seconds: float = Field(30.0, ge=0.1, le=600)
    """Seconds between two reads of the queue."""
    drop_quiet_minutes: float = Field(5.0, gt=0, le=24 * 60)
    """A drop ends when no photo has come or gone for this many minutes."""
    drop_max_wait_hours: float = Field(6.0, gt=0, le=7 * 24)
    """A drop that never falls quiet ends this many hours after its first photo."""
    drop_min_new_images: int = Field(1, ge=1)
    """Fewer new, changed or deleted photos than this start no run."""
    notify: str = ""
    """SNS topic (its ARN) or notifier (class, JSON arguments) that tells people; when empty, none does."""

    @property
    def listing_minutes(self) -> float:
        """After so many minutes a listing gives up, in time to say what it has seen."""
        return LISTING_SHARE * self.plan_minutes

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
    def _can_tell_people(self) -> Self:
        notifier.check(self.notify)
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
