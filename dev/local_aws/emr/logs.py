"""Logs where EMR puts them, each as ``{controller,stdout,stderr}.gz``.

Those of a step are below ``<LogUri>/<cluster>/steps/<step>/``, those of a bootstrap action below
``<LogUri>/<cluster>/node/<instance>/bootstrap-actions/<number>/``.
"""

import gzip
import re
from pathlib import Path

from botocore.client import BaseClient

LOG_NAMES = ("controller", "stdout", "stderr")
_TAIL_BYTES = 64 * 1024
_LONGEST_MESSAGE = 500
_EXCEPTION = re.compile(r"^(Caused by: )?([\w.$]+(Error|Exception|Interrupt|Exit)\b.*|.*\bERROR\b.*)$")


def step_log_uri(log_uri: str, cluster_id: str, step_id: str) -> str:
    """The folder of a step's logs, ending in a slash, always with the scheme s3."""
    return f"{_cluster_log_uri(log_uri, cluster_id)}steps/{step_id}/"


def bootstrap_log_uri(log_uri: str, cluster_id: str, ec2_instance_id: str, number: int) -> str:
    """The folder of a bootstrap action's logs; ``number`` counts from 1."""
    return f"{_cluster_log_uri(log_uri, cluster_id)}node/{ec2_instance_id}/bootstrap-actions/{number}/"


def _cluster_log_uri(log_uri: str, cluster_id: str) -> str:
    return f"s3://{log_uri.partition('://')[2].rstrip('/')}/{cluster_id}/"


def upload(s3: BaseClient, folder: Path, destination: str) -> None:
    """Compress and put each log. Raises botocore's errors."""
    bucket, _, prefix = destination.removeprefix("s3://").partition("/")
    for name in LOG_NAMES:
        path = folder / name
        body = gzip.compress(path.read_bytes() if path.exists() else b"")
        s3.put_object(Bucket=bucket, Key=f"{prefix}{name}.gz", Body=body, ContentType="application/x-gzip")


def failure_message(stderr: Path) -> str | None:
    """The line of the log that most likely says why: the last one that looks like an error."""
    if not stderr.exists():
        return None
    with stderr.open("rb") as file:
        file.seek(max(0, stderr.stat().st_size - _TAIL_BYTES))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if _EXCEPTION.match(line)]
    chosen = telling[-1] if telling else lines[-1] if lines else None
    return chosen[:_LONGEST_MESSAGE] if chosen else None
