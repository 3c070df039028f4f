"""S3 clients of a Python process, with the endpoint, region and credentials of its environment."""

import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from obstore.store import S3Store
    from pyarrow.fs import S3FileSystem

MAX_RETRIES: Final = 8
"""Of obstore, within one request: half a minute or so. S3 may throttle a prefix until it is split."""
RETRY_BASE: Final = 5
"""A wait is drawn at random, up to so many times the one before: that grows on average only above e, 2.7. At
obstore's own 2, five retries were over in 0.6 s."""
LONGEST_WAIT: Final = timedelta(seconds=20)
RETRY_TIME: Final = timedelta(minutes=3)
"""After the first attempt none is repeated any more. obstore repeats with the same credentials."""

# One client per bucket and Python worker: it holds the connections and the credentials.
_STORES: dict[str, "S3Store"] = {}
_STORES_LOCK = threading.Lock()


def is_s3(uri: str) -> bool:
    """Whether an address names an object on S3, by EMR's scheme or by Hadoop's.

    >>> is_s3("s3://bucket/key"), is_s3("s3a://bucket/key"), is_s3("/photos/a.jpg")
    (True, True, False)
    """
    return uri.startswith(("s3://", "s3a://"))


def store_for(bucket: str) -> "S3Store":
    """The S3 client of this Python worker for ``bucket``.

    Endpoint, region and credentials are the environment's (AWS_ENDPOINT_URL, AWS_REGION, ...) or
    the instance profile's. It retries server errors, SlowDown and dropped connections itself, with backoff
    and jitter.
    """
    from obstore.store import S3Store

    with _STORES_LOCK:
        if bucket not in _STORES:
            endpoint = s3_endpoint()
            options: dict[str, Any] = {"region": s3_region()}
            if endpoint:
                options |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
            _STORES[bucket] = S3Store(
                bucket,
                client_options={
                    "allow_http": bool(endpoint and endpoint.startswith("http:")),
                    "connect_timeout": timedelta(seconds=5),
                    "timeout": timedelta(seconds=30),
                },
                retry_config={
                    "max_retries": MAX_RETRIES,
                    "retry_timeout": RETRY_TIME,
                    "backoff": {"base": RETRY_BASE, "max_backoff": LONGEST_WAIT},
                },
                **options,
            )
        return _STORES[bucket]


def s3_endpoint() -> str | None:
    """Another S3 than Amazon's, as the AWS tools name it in the environment."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def s3_region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "eu-west-1"


def s3_file_system() -> "S3FileSystem":
    """Arrow's own client, with the endpoint, region and credentials of the environment."""
    from pyarrow import fs

    scheme, _, address = (s3_endpoint() or "https://").partition("://")
    return fs.S3FileSystem(endpoint_override=address.rstrip("/") or None, scheme=scheme, region=s3_region())
