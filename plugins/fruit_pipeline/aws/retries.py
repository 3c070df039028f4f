"""How AWS calls are retried: botocore's own retries where a repeat does no harm, none where it does."""

from typing import Any, Final

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

REPEATED: Final[dict[str, Any]] = {"retries": {"mode": "standard", "total_max_attempts": 12}}
"""For calls that may be repeated: backs off to 20 s, two minutes in all (botocore's guide to retries)."""

ONCE: Final[dict[str, Any]] = {"retries": {"total_max_attempts": 1}}
"""For RunJobFlow and AddJobFlowSteps, which have no client token: an answer may be lost after the call took
effect, and botocore would then repeat it. Who uses this looks at what is there before asking again."""

_TRANSIENT_CODES: Final = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later: throttled, a fault of the service, or no answer at all."""
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return error.response["Error"]["Code"] in _TRANSIENT_CODES or status >= 500
    return isinstance(error, ConnectionError | HTTPClientError)
