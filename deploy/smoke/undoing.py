"""What a smoke test has left, looked for in the account itself, and its removal. Safe to repeat."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil
from botocore.exceptions import ClientError

from fruit_contract.layout import DAG_ID, OUTPUT_PREFIXES
from fruit_pipeline.cluster.identity import clusters_of_run
from fruit_pipeline.cluster.termination import terminate, terminate_and_wait
from infra import removal
from infra.account_clients import Account
from infra.stack import Stack
from smoke.made import Made, Place

_SETTLE_SECONDS: Final = 5.0
"""A call that was under way when its caller was killed takes effect by then, and shows in AWS's lists."""
_REFUSED: Final = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


@dataclass(frozen=True)
class Left:
    """One thing that is there."""

    what: str
    remove: Callable[[], Any]


def left(account: Account, made: Made, poll_seconds: float) -> Iterator[Left]:
    """Everything of a smoke test that is there now, in the order in which it can be removed."""
    emr, stack = account.client("emr"), Stack(account.client("cloudformation"), made.stack)
    place, there = Place.of(made, stack), stack.describe() is not None
    for cluster_id in _clusters(emr, made, place):
        yield Left(f"cluster {cluster_id}", partial(terminate_and_wait, emr, [cluster_id], poll_seconds))
    yield from _faults(account, made)
    s3 = account.client("s3")
    if made.given_stack is None:
        if there:
            yield Left(f"stack {stack.name} with its bucket", partial(removal.delete_stack, account, stack))
        elif place.bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
            yield Left(f"bucket {place.bucket}", partial(_delete_bucket, s3, place.bucket))
        return
    for prefix in (place.prefix, *OUTPUT_PREFIXES) if there else ():
        if found := removal.count(s3, place.bucket, prefix):
            what = f"{found} objects and versions below s3://{place.bucket}/{prefix}"
            yield Left(what, partial(removal.empty, s3, place.bucket, prefix))


def ask_clusters_to_end(account: Account, made: Made) -> None:
    """The first thing to do: it costs seconds, and what costs money ends though nobody waits for it."""
    emr, stack = account.client("emr"), Stack(account.client("cloudformation"), made.stack)
    for cluster_id in _clusters(emr, made, Place.of(made, stack)):
        terminate(emr, cluster_id)


def remove(account: Account, made: Made, poll_seconds: float, say: Callable[[str], None]) -> dict[str, float]:
    """Remove until two looks find nothing; how many seconds each thing took."""
    took: dict[str, float] = {}
    looks = 0
    while looks < 2:
        if looks:
            time.sleep(_SETTLE_SECONDS)
        looks += 1
        for each in list(left(account, made, poll_seconds)):
            say(f"Removing {each.what}")
            began, looks = time.monotonic(), 0
            each.remove()
            took[each.what] = time.monotonic() - began
    return took


def end_strays(home: Path) -> None:
    """End the processes of the smoke test's Airflow, whoever started them: they could make a cluster yet."""
    strays = [each for each in psutil.process_iter() if _home_of(each) == str(home)]
    for each in strays:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(strays, timeout=10)


def _home_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("AIRFLOW_HOME") if process.pid != os.getpid() else None
    except (psutil.Error, OSError):
        return None


def _clusters(emr: Any, made: Made, place: Place) -> list[str]:
    runs = [clusters_of_run(emr, place.installation, DAG_ID, run_id) for run_id in made.run_ids]
    return [str(cluster["Id"]) for run in runs for cluster in run]


def _faults(account: Account, made: Made) -> Iterator[Left]:
    """What FIS needed. Who may not ask for it could not make it."""
    fis, iam = account.client("fis"), account.client("iam")
    try:
        pages = fis.get_paginator("list_experiment_templates").paginate()
        for template in (each for page in pages for each in page["experimentTemplates"]):
            if made.tags.items() <= template.get("tags", {}).items():
                remove = partial(fis.delete_experiment_template, id=template["id"])
                yield Left(f"FIS template {template['id']}", remove)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _REFUSED:
            raise
    try:
        iam.get_role(RoleName=made.fault_role)
        yield Left(f"role {made.fault_role}", partial(_delete_role, iam, made.fault_role))
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchEntity", *_REFUSED):
            raise


def _delete_role(iam: Any, name: str) -> None:
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def _delete_bucket(s3: Any, bucket: str) -> None:
    removal.empty(s3, bucket)
    s3.delete_bucket(Bucket=bucket)
