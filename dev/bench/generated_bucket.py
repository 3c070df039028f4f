"""S3 on loopback whose bucket lists as many photos as are asked for, and keeps what is written to it.

moto, in a process of its own; only ListObjectsV2 below the input prefix is answered here, from keys that are
generated, for moto would need gigabytes for a million objects.
"""

import contextlib
import logging
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import Any, Final
from urllib.parse import parse_qs

from bench.list_objects import page
from fruit_contract.layout import INPUT_PREFIX

BUCKET: Final = "generated"
PHOTO_BYTES: Final = 6_000
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def generated_keys(count: int, folders: int) -> list[str]:
    """So many keys in so many folders, sorted."""
    return sorted(f"{INPUT_PREFIX}Épi {n % folders:06} + co/{n:07}_100.jpg" for n in range(count))


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


def client(endpoint: str) -> Any:
    """An S3 client of that bucket, as Airflow's tasks have it."""
    import boto3

    from fruit_pipeline.aws.fast_sessions import made_fast

    session = boto3.Session("testing", "testing", region_name="eu-west-1")
    return made_fast(session).client("s3", endpoint_url=endpoint)


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
        if "list-type" not in query or not query.get("prefix", "").startswith(INPUT_PREFIX):
            found: Iterable[bytes] = moto(environ, start_response)
            return found
        time.sleep(seconds)
        body = page(keys, lambda number: (f"{number:032x}", PHOTO_BYTES), query).encode()
        start_response("200 OK", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    ready.send(f"http://127.0.0.1:{server.server_address[1]}")
    server.serve_forever()
