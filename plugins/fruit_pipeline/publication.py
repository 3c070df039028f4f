"""The pointer to the current result, and the small JSON documents of a run."""

import json
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from fruit_contract.layout import LATEST_KEY, RunLayout


def move_pointer(s3: Any, layout: RunLayout, run_id: str) -> dict[str, str]:
    """Make this run's result the current one. A reader sees the old result or this one, whole."""
    pointer = {
        "run_id": run_id,
        "run_key": layout.run_key,
        "pca_output": layout.uri(layout.pca_output),
        "pca_model": layout.uri(layout.pca_model),
        "report": layout.uri(layout.report),
        "published_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(s3, layout.bucket, LATEST_KEY, pointer)
    return pointer


def write_json(s3: Any, bucket: str, key: str, document: Any) -> None:
    body = json.dumps(document, indent=2, ensure_ascii=False).encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")


def read_json(s3: Any, bucket: str, key: str) -> Any | None:
    """The document, or None where there is none."""
    try:
        return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
