"""What comes of photos that were uploaded: which run takes them, and when."""

from typing import Any, Final

from botocore.exceptions import ClientError

from fruit_contract.layout import DAG_ID, INPUT_PREFIX
from fruit_pipeline.settings.deployment import Deployment

_CREATED: Final = "s3:ObjectCreated:"


def what_follows(s3: Any, bucket: str, prefix: str) -> str:
    """In words, from what the bucket tells of its photos and from the installation's settings."""
    # Runs that nobody parametrizes have the form's own prefix, by schedule and by drop.
    if not prefix.startswith(INPUT_PREFIX):
        return f"No run takes them by itself: trigger {DAG_ID} with input_prefix={prefix!r}."
    settings = Deployment()
    soon = f"A run follows by itself once no photo has come for {settings.drop_quiet_minutes:g} minutes"
    regular = f"the scheduled run takes them ({settings.schedule}, UTC), or" if settings.schedule else ""
    later = f"{regular} trigger {DAG_ID}".strip()
    try:
        told = s3.get_bucket_notification_configuration(Bucket=bucket).get("QueueConfigurations", [])
    except ClientError:
        return f"{soon}, if a queue is told of them and Airflow watches it. Otherwise {later}."
    if any(_tells_of(queue, prefix) for queue in told):
        return f"{soon}, if Airflow watches the queue that S3 tells of them. Otherwise {later}."
    return f"S3 tells no queue of them: {later}."


def _tells_of(queue: dict[str, Any], prefix: str) -> bool:
    rules = queue.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    prefixes = [rule["Value"] for rule in rules if rule["Name"].lower() == "prefix"]
    created = any(event.startswith(_CREATED) for event in queue["Events"])
    return created and all(prefix.startswith(told) for told in prefixes)
