"""S3 on loopback whose bucket lists as many photos as are asked for, and keeps what is written to it.

moto, in a process of its own; only ListObjectsV2 below the input prefix is answered here, from keys that are
generated, for moto would need gigabytes for a million objects.
"""

import contextlib
import logging
import multiprocessing
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import Any, Final
from urllib.parse import parse_qs, quote_plus

BUCKET: Final = "generated"
PREFIX: Final = "Test/"
PHOTO_BYTES: Final = 6_000
_PAGE: Final = 1000
_LAST: Final = "\U0010ffff"
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def generated_keys(count: int, folders: int) -> list[str]:
    """So many keys in so many folders, sorted."""
    return sorted(f"{PREFIX}Épi {n % folders:06} + co/{n:07}_100.jpg" for n in range(count))


def page(keys: list[str], query: dict[str, str]) -> str:
    """The XML of one ListObjectsV2 over sorted keys, as S3 answers it: in URL encoding, a thousand at a time.

    A continuation token is the number of keys that lie before the page.
    """
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token, after = query.get("continuation-token"), query.get("start-after", "")
    at = int(token) if token else max(bisect_left(keys, prefix), bisect_right(keys, after))
    end = bisect_left(keys, prefix + _LAST)
    entries: list[str] = []
    while at < end and len(entries) < _PAGE:
        folder, found, _ = keys[at].removeprefix(prefix).partition(delimiter or _LAST)
        if found:
            folder = prefix + folder + delimiter
            entries.append(f"<CommonPrefixes><Prefix>{quote_plus(folder, '/')}</Prefix></CommonPrefixes>")
            at = bisect_left(keys, folder + _LAST)
        else:
            entries.append(
                f"<Contents><Key>{quote_plus(keys[at], '/')}</Key><ETag>&quot;{at:032x}&quot;</ETag>"
                f"<Size>{PHOTO_BYTES}</Size><LastModified>2026-11-20T10:00:00.000Z</LastModified>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
            )
            at += 1
    more = f"<NextContinuationToken>{at}</NextContinuationToken>" if at < end else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>'
        f"<IsTruncated>{str(at < end).lower()}</IsTruncated>{''.join(entries)}{more}</ListBucketResult>"
    )


@contextlib.contextmanager
def generated_bucket(count: int, folders: int, seconds: float = 0.0) -> Iterator[str]:
    """The endpoint of the bucket while the context is open; a LIST takes ``seconds`` longer than it must."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, count, folders, seconds), daemon=True)
    server.start()
    # So that a server that ends early is an EOFError here, and no long wait.
    theirs.close()
    try:
        yield str(ours.recv())
    finally:
        server.terminate()
        server.join()


def _serve(ready: Connection, count: int, folders: int, seconds: float) -> None:
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line a request
    keys, moto = generated_keys(count, folders), DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        if "list-type" not in query or not query.get("prefix", "").startswith(PREFIX):
            found: Iterable[bytes] = moto(environ, start_response)
            return found
        time.sleep(seconds)
        body = page(keys, query).encode()
        start_response("200 OK", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    ready.send(f"http://127.0.0.1:{server.server_address[1]}")
    server.serve_forever()
