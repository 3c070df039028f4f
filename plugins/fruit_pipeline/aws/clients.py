"""The AWS clients of a run, from Airflow's connection, and what its logs must not show of the account."""

import logging
from functools import cache
from typing import Any

import boto3
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.sdk import Context
from airflow.sdk.log import mask_secret
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fruit_pipeline.aws import retries
from fruit_pipeline.aws.fast_sessions import made_fast
from fruit_pipeline.security import residency
from fruit_pipeline.security.regions import ResidencyError
from fruit_pipeline.settings.deployment import Deployment

_log = logging.getLogger(__name__)
_REPEATED = Config(**retries.REPEATED)
_ACCOUNT_CONFIG = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1})


def client(service: str, region: str, config: Config = _REPEATED) -> Any:
    """A boto3 client as every task of the run uses it; ``ResidencyError`` for a connection out of the EU."""
    return _hook(service, region, config).get_conn()


def check_residency(region: str, bucket: str, *documents: Any) -> None:
    """:func:`fruit_pipeline.security.residency.check` with the clients of the run."""
    residency.check(cache(lambda service: client(service, region)), region, bucket, *documents)


class _Hook(AwsBaseHook):  # type: ignore[misc]
    """Airflow's, with sessions that are made fast."""

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> boto3.Session:
        return made_fast(super().get_session(region_name, deferrable))


def _hook(service: str, region: str, config: Config) -> _Hook:
    connection = Deployment().aws_conn_id
    hook = _Hook(aws_conn_id=connection, client_type=service, region_name=region, config=config)
    checked(hook)
    return hook


def checked(hook: AwsBaseHook) -> AwsBaseHook:
    """The hook; ``ResidencyError`` for one whose connection leads out of the EU."""
    residency.check_connection(hook.conn_config.extra_config)
    return hook


def mask_account(_: Context) -> None:
    """Have Airflow write ``***`` for the account's id and keys in the task's log: an on_execute_callback.

    The id stands in every ARN, and so in most error messages of AWS. Any identity may ask for its
    own, without a permission; where STS cannot be asked the task goes on, and says so.
    """
    try:
        hook = _hook("sts", Deployment().region, _ACCOUNT_CONFIG)
        sts = hook.get_conn()
        residency.check_client(sts, "sts")
        mask_secret(sts.get_caller_identity()["Account"])
        hook.get_credentials()  # masks the secret key and the session token
    except (BotoCoreError, ClientError, ResidencyError) as error:
        _log.warning("The account's id is not masked in this log: %s", error)
