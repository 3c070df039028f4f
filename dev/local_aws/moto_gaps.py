"""What moto (5.2) does otherwise than S3 and SQS, fixed in this process.

TLS-only bucket policies, permissions for batches of messages, newlines in keys, characters that XML does
not carry, folders of a versioned bucket whose objects are all deleted, the notifications of a versioned
bucket's deletions, conditional writes of several clients at once, messages of a queue that several clients
use at once, the time that a full queue or a full bucket takes, and the addresses that moto reads anew for
each request.
"""

import re
import threading
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from moto.core.base_backend import BaseBackend
from moto.core.responses import ActionResult
from moto.core.serialize import S3Serializer
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.moto_server import werkzeug_app
from moto.moto_server.utilities import RegexConverter
from moto.s3 import models as s3_models
from moto.s3.exceptions import MalformedXML
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeTableStorageBucket, S3Backend
from moto.s3.notifications import S3NotificationEvent, send_event
from moto.s3.responses import S3Response
from moto.sqs import models as sqs_models
from moto.sqs.models import Message, Queue, SQSBackend

from local_aws.sorted_keys import SortedKeyStore

_list = S3Backend.list_objects
_list_v2 = S3Backend.list_objects_v2
_mark_deleted = S3Backend._set_delete_marker
_evaluate = IAMPolicyStatement.is_action_permitted
_serialize = S3Response.serialized
_write_body = S3Serializer._serialize_body
_delete_objects = S3Response._bucket_response_delete_keys
_put_object = S3Response.put_object
_receive_messages = SQSBackend.receive_message
_delete_message = Queue.delete_message

_WRITES: Final = [threading.Lock() for _ in range(64)]
"""Of the keys that hash alike one is written at a time."""
_NAMES: Final = frozenset(
    {"Key", "Prefix", "Delimiter", "Marker", "NextMarker", "StartAfter", "KeyMarker", "NextKeyMarker"}
)
"""What S3 encodes in a listing where ``encoding-type=url`` asks for it."""
_ENCODED_BY_MOTO: Final = {"ListObjects": {"Key"}, "ListObjectsV2": {"Key", "Prefix"}}
_NOT_PLAIN_IN_XML: Final = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
"""What XML 1.0 cannot carry, and the carriage return, which its readers take for a newline."""


def _is_for_insecure_transport(statement: dict[str, Any]) -> bool:
    asked = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return str(asked).lower() == "false"


def _permitted(self: IAMPolicyStatement, action: str, *args: Any, **kwargs: Any) -> PermissionResult:
    """moto evaluates no ``Bool`` condition, so the usual TLS-only policy would deny every request.

    Here loopback counts as secure transport: a statement about insecure transport does not apply,
    as it would not to a client that uses TLS. And SQS has no permissions for batches: a batch needs
    that of a single message (SQS API Reference, AddPermission).
    """
    if _is_for_insecure_transport(self._statement):
        return PermissionResult.NEUTRAL
    if action.startswith("sqs:"):
        action = action.removesuffix("Batch")
    return _evaluate(self, action, *args, **kwargs)


class _AnyCharacter(RegexConverter):
    """moto's routes match keys with ``.+``, in which the dot stops at a newline; S3's keys do not."""

    def __init__(self, url_map: Any, *items: Any) -> None:
        super().__init__(url_map, *items)
        self.regex = f"(?s:{items[0]})"


def _serialized(self: S3Response, answer: ActionResult) -> Any:
    """moto encodes some names of a listing, of some listings none, and takes 0.1 s for a page of objects."""
    if not isinstance(answer.result, dict):
        return _serialize(self, answer)
    rest, objects = answer.result, []
    if self.data["Action"] == "ListObjectsV2":
        objects = rest.pop("Contents")
    if self.querystring.get("encoding-type") == ["url"]:
        names = _NAMES - _ENCODED_BY_MOTO.get(self.data["Action"], set())
        rest = _encoded(rest, names) | {"EncodingType": "url"}
    status, headers, body = _serialize(self, ActionResult(rest))
    if objects:
        # Where moto puts them.
        before, between, after = body.partition("</IsTruncated>")
        body = "".join([before, between, _plain_in_xml("".join(map(_listed, objects))), after])
    return status, headers, body


def _listed(entry: dict[str, Any]) -> str:
    """An object in a page of ListObjectsV2."""
    algorithms = [
        f"<ChecksumAlgorithm>{each}</ChecksumAlgorithm>" for each in entry.get("ChecksumAlgorithm", ())
    ]
    owner = "<Owner><DisplayName>{DisplayName}</DisplayName><ID>{ID}</ID></Owner>"
    return (
        f"<Contents><Key>{escape(entry['Key'])}</Key><LastModified>{entry['LastModified']}</LastModified>"
        f"<ETag>{entry['ETag']}</ETag>{''.join(algorithms)}<Size>{entry['Size']}</Size>"
        f"<StorageClass>{entry['StorageClass']}</StorageClass>"
        f"{owner.format_map(entry['Owner']) if 'Owner' in entry else ''}</Contents>"
    )


def _encoded(part: Any, names: frozenset[str]) -> Any:
    if isinstance(part, dict):
        return {
            name: quote(value) if name in names and value else _encoded(value, names)
            for name, value in part.items()
        }
    return [_encoded(each, names) for each in part] if isinstance(part, list) else part


def _serialize_body(self: S3Serializer, body: Mapping[str, Any]) -> str:
    """moto writes every character as it is, where S3 writes a character reference."""
    return _plain_in_xml(_write_body(self, body))


def _plain_in_xml(text: str) -> str:
    return _NOT_PLAIN_IN_XML.sub(lambda found: f"&#{ord(found[0])};", text)


def _delete_keys(self: S3Response, *args: Any, **kwargs: Any) -> Any:
    """moto breaks off at a request that is no XML."""
    try:
        return _delete_objects(self, *args, **kwargs)
    except ExpatError as error:
        raise MalformedXML from error


def _put(self: S3Response) -> Any:
    """moto looks at the condition of a write first, and writes then: two writers both find that it holds."""
    with _WRITES[hash((self.bucket_name, self.parse_key_name())) % len(_WRITES)]:
        return _put_object(self)


def _list_objects(
    self: S3Backend, bucket: FakeBucket, prefix: str | None, delimiter: str | None, *args: Any, **kwargs: Any
) -> Any:
    """moto lists a common prefix below which a versioned bucket holds nothing but delete markers.

    Hadoop would take it for a folder that is still there, and a repeated Spark write would fail.
    """
    keys, folders, *rest = _list(self, bucket, prefix, delimiter, *args, **kwargs)
    if folders and delimiter and bucket.is_versioned:
        start = len(prefix or "")
        live = (
            name
            for name, key in bucket.keys.items()
            if name.startswith(prefix or "") and not isinstance(key, FakeDeleteMarker)
        )
        there = {
            name[: name.find(delimiter, start) + len(delimiter)] for name in live if delimiter in name[start:]
        }
        folders = [folder for folder in folders if folder in there]
    return keys, folders, *rest


def _list_objects_v2(
    self: S3Backend,
    bucket: FakeBucket,
    prefix: str | None,
    delimiter: str | None,
    continuation_token: str | None,
    start_after: str | None,
    max_keys: int,
) -> Any:
    """moto goes through all keys of the bucket, and sorts them, for each page."""
    after = self._pagination_tokens.get(continuation_token) if continuation_token else start_after or ""
    if isinstance(bucket, FakeTableStorageBucket) or max_keys < 1 or after is None:
        return _list_v2(self, bucket, prefix, delimiter, continuation_token, start_after, max_keys)
    entries = bucket.keys.page(prefix or "", delimiter or "", after, max_keys + 1)
    return self._truncate_result(entries, max_keys)


def _set_delete_marker(self: S3Backend, bucket_name: str, key_name: str) -> FakeDeleteMarker:
    """moto tells nobody when an object of a versioned bucket is deleted."""
    bucket = self.get_bucket(bucket_name)
    newest = bucket.keys[key_name]
    marker = _mark_deleted(self, bucket_name, key_name)
    while isinstance(newest, FakeDeleteMarker):  # deleted already: the event has the key of the object below
        newest = newest.key
    send_event(
        self.account_id, S3NotificationEvent.OBJECT_REMOVED_DELETE_MARKER_CREATED_EVENT, bucket, newest
    )
    return marker


def _is_retained(self: SQSBackend, queue_name: str, message: Message) -> bool:
    """moto works out the queue's attributes, and so counts its messages, for each that it hands out."""
    retained = int(self.get_queue(queue_name).message_retention_period)
    return bool(_milliseconds() < message.sent_timestamp + 1000 * retained)


def _receive(self: SQSBackend, queue_name: str, *args: Any, **kwargs: Any) -> list[Message]:
    """moto may hand one message to two clients that ask at once. Its wait for messages releases the lock."""
    with self.get_queue(queue_name)._messages_lock:
        return list(_receive_messages(self, queue_name, *args, **kwargs))


def _delete(self: Queue, receipt_handle: str) -> None:
    """moto makes a new list without the message: others delete and send meanwhile in vain."""
    with self._messages_lock:
        _delete_message(self, receipt_handle)


def _milliseconds() -> float:
    """moto's own takes the way over four datetimes, twice for each message of a queue at each call."""
    return time.time() * 1000


def mend() -> None:
    """Mend moto in this process, before its server is made."""
    IAMPolicyStatement.is_action_permitted = _permitted
    S3Response.serialized = _serialized
    S3Response._bucket_response_delete_keys = _delete_keys
    S3Response.put_object = _put
    S3Serializer._serialize_body = _serialize_body
    S3Backend.list_objects = _list_objects
    S3Backend.list_objects_v2 = _list_objects_v2
    s3_models._VersionedKeyStore = SortedKeyStore
    S3Backend._set_delete_marker = _set_delete_marker
    # S3's own reloads the module of addresses for each request: of two threads one finds it gone.
    S3Backend._url_module = BaseBackend._url_module
    SQSBackend.is_message_valid_based_on_retention_period = _is_retained
    SQSBackend.receive_message = _receive
    Queue.delete_message = _delete
    sqs_models.unix_time_millis = _milliseconds
    werkzeug_app.RegexConverter = _AnyCharacter
