"""moto's state between two starts: written at a clean end, read at the next start.

The file begins with one JSON line that names the format and moto's version, because a pickle of
moto's objects is only good for the moto that wrote it. Anything else is set aside, never a crash.
"""

import json
import pickle
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import moto
from moto.core.base_backend import BackendDict, BaseBackend
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.s3.utils import _VersionedKeyStore
from moto.sqs.models import sqs_backends

from local_aws.sorted_keys import SortedKeyStore

_FORMAT = 1
_STATE_FILE = "moto.state"
# Only those whose objects can be pickled (most others hold keys, locks and lambdas), and that hold
# something a person put there. CloudFormation stacks are not kept: they refer to all the others.
_KEPT: dict[str, BackendDict[Any]] = {"s3": s3_backends, "iam": iam_backends, "sqs": sqs_backends}

_Snapshot = dict[tuple[str, str, str], dict[str, Any]]


class _Pickler(pickle.Pickler):
    """What pickle by itself would lose or refuse.

    moto's store of object versions is a dict whose ``items`` show the newest version only; and its
    queues hold locks, which have no state that matters and are made anew.
    """

    def reducer_override(self, obj: object) -> Any:
        if isinstance(obj, _VersionedKeyStore):
            return _key_store, (dict(dict.items(obj)),)
        if isinstance(obj, type(threading.RLock())):
            return threading.RLock, ()
        if isinstance(obj, type(threading.Lock())):
            return threading.Lock, ()
        return NotImplemented


def _key_store(versions: dict[str, list[Any]]) -> SortedKeyStore:
    store = SortedKeyStore()
    for key, each in versions.items():
        store.setlist(key, each)
    return store


def save(state_dir: Path) -> None:
    """Write the kept backends atomically. The caller has stopped the server first."""
    snapshot: _Snapshot = {
        (service, account, region): backend.__dict__
        for service, backends in _KEPT.items()
        for account, region, backend in backends.iter_backends()
    }
    target = state_dir / _STATE_FILE
    partial = target.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(json.dumps({"format": _FORMAT, "moto": moto.__version__}).encode() + b"\n")
        _Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(snapshot)
    partial.replace(target)


def restore(state_dir: Path, say: Callable[[str], None]) -> None:
    """Load what :func:`save` wrote, if anything. A file that cannot be used is renamed, and said so."""
    path = state_dir / _STATE_FILE
    try:
        with path.open("rb") as file:
            snapshot = _read(file)
    except FileNotFoundError:
        return
    except Exception as error:  # a damaged pickle can raise nearly anything
        aside = path.with_suffix(".unreadable")
        with suppress(OSError):
            path.replace(aside)
        say(f"The saved S3 state could not be used ({error}): it was set aside as {aside}, S3 starts empty.")
        return
    for (service, account, region), attributes in snapshot.items():
        backend: BaseBackend = _KEPT[service][account][region]
        if service == "iam":
            # AWS's own policies are there, also where a server without them wrote the file.
            attributes["managed_policies"] = backend.managed_policies | attributes["managed_policies"]
        backend.__dict__.update(attributes)
        if service == "s3":
            # Which account has which bucket is kept beside the backends; without it, a bucket that is
            # there could be created again, and would then be empty.
            owners = dict.fromkeys(attributes["buckets"], (backend.partition, account))
            s3_backends.bucket_accounts.update(owners)


def _read(file: BinaryIO) -> _Snapshot:
    header = json.loads(file.readline())
    if header.get("format") != _FORMAT or header.get("moto") != moto.__version__:
        raise ValueError(f"it was written by moto {header.get('moto')}, this is moto {moto.__version__}")
    snapshot: _Snapshot = pickle.load(file)  # our own file, in the state directory of its owner
    return snapshot
