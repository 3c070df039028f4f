"""A read-only S3 on loopback that answers as late as a real one: GET, HEAD and ListObjectsV2.

The delay of a request is drawn from a lognormal distribution seeded with its method and address, so
the same request waits equally long on every side, in every repeat and in whichever process answers
it. Delays overlap, as in S3. Several processes share the port, so that the server is not the limit.
"""

import asyncio
import contextlib
import hashlib
import math
import multiprocessing
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from bench.list_objects import page

BUCKET: Final = "photos"
PROCESSES: Final = 2
SIGMA: Final = 0.5
"""Of the logarithm: with a mean of 20 ms, one request in a hundred takes 57 ms or longer."""
_SEED: Final = 20_261_122
_DATE: Final = "Thu, 01 Jan 2026 00:00:00 GMT"


def delay(mean: float, method: str, target: str) -> float:
    """Seconds that this request waits; lognormal with this mean, and the same whenever it is asked."""
    if not mean:
        return 0.0
    # The mean of a lognormal is exp(mu + sigma^2 / 2).
    mu = math.log(mean) - SIGMA**2 / 2
    return random.Random(f"{_SEED} {method} {target}").lognormvariate(mu, SIGMA)


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an answer; the body of a HEAD is counted but not sent."""

    status: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def to_bytes(self, with_body: bool) -> bytes:
        lines = [f"HTTP/1.1 {self.status}", *(f"{name}: {value}" for name, value in self.headers)]
        head = "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "\r\n"]).encode()
        return head + self.body if with_body else head


class Objects:
    """The files below a folder as the objects of one bucket; read once, then kept in memory."""

    def __init__(self, root: Path) -> None:
        self._content = {
            str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
        }
        self._keys = sorted(self._content)
        self._etags = {key: hashlib.md5(data).hexdigest() for key, data in self._content.items()}

    def answer(self, method: str, target: str, byte_range: str | None) -> Answer:
        path, _, query = target.partition("?")
        bucket, _, key = unquote(path).removeprefix("/").partition("/")
        if method not in ("GET", "HEAD") or bucket != BUCKET:
            return Answer("405 Method Not Allowed")
        if not key:
            asked = {name: values[0] for name, values in parse_qs(query, True).items()}
            return Answer("200 OK", (("Content-Type", "application/xml"),), self._page(asked).encode())
        if key not in self._content:
            error = f"<Error><Code>NoSuchKey</Code><Key>{escape(key)}</Key></Error>"
            return Answer("404 Not Found", (("Content-Type", "application/xml"),), error.encode())
        data = self._content[key]
        headers = [("ETag", f'"{self._etags[key]}"'), ("Last-Modified", _DATE), ("Accept-Ranges", "bytes")]
        headers.append(("Content-Type", "image/jpeg"))
        if byte_range is None:
            return Answer("200 OK", tuple(headers), data)
        first, _, last = byte_range.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last) if last else len(data) - 1, len(data) - 1)
        headers.append(("Content-Range", f"bytes {start}-{end}/{len(data)}"))
        return Answer("206 Partial Content", tuple(headers), data[start : end + 1])

    def _page(self, query: dict[str, str]) -> str:
        def facts(number: int) -> tuple[str, int]:
            key = self._keys[number]
            return self._etags[key], len(self._content[key])

        return page(self._keys, facts, query)


class _Connection(asyncio.Protocol):
    """One kept-alive connection; the client waits for an answer before it asks again."""

    def __init__(self, objects: Objects, mean: float) -> None:
        self._objects, self._mean, self._received = objects, mean, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ", 2)
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            answer = self._objects.answer(method, target, headers.get("range")).to_bytes(method != "HEAD")
            loop = asyncio.get_running_loop()
            loop.call_later(delay(self._mean, method, target), self._transport.write, answer)


def _serve(root: Path, mean: float, port: int, ready: Semaphore) -> None:
    async def run() -> None:
        objects, loop = Objects(root), asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Connection(objects, mean), "127.0.0.1", port, reuse_port=True
        )
        ready.release()
        await server.serve_forever()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


@contextlib.contextmanager
def object_store(root: Path, mean: float) -> Iterator[str]:
    """Serve the files below ``root`` at the endpoint given, each request ``mean`` seconds late."""
    context = multiprocessing.get_context("spawn")
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        ready = context.Semaphore(0)
        servers = [
            context.Process(target=_serve, args=(root, mean, port, ready), daemon=True)
            for _ in range(PROCESSES)
        ]
        try:
            for server in servers:
                server.start()
            for _ in servers:
                if not ready.acquire(timeout=60):
                    raise RuntimeError(f"The object store on port {port} was not ready within a minute.")
            yield f"http://127.0.0.1:{port}"
        finally:
            for server in servers:
                server.terminate()
            for server in servers:
                server.join()
