"""Promise: every image is answered once, in bounded memory; a broken store is never blamed on a photo."""

import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fruit_spark.photos.fetch import AHEAD, BYTES_AHEAD, IN_FLIGHT, MAX_BYTES, fetch_image, read_images
from fruit_spark.photos.read_rate import ReadRate
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.step_errors import RejectedImage, StepError
from fruit_spark.storage import s3
from tests.fruit_spark.odd_files import NO_RIGHTS, make_odd_files


def items(count: int) -> list[WorkItem]:
    return [WorkItem(str(n), f"/{n}", "", 1) for n in range(count)]


def test_every_item_is_answered_once() -> None:
    read = list(read_images(items(500), lambda item: item.key.encode()))
    assert sorted(int(image.item.key) for image in read) == list(range(500))
    assert all(bytes(image.data or b"") == image.item.key.encode() for image in read)


def test_one_slow_photo_stalls_none_of_the_others() -> None:
    others_are_done = threading.Event()

    def fetch(item: WorkItem) -> bytes:
        if item.key == "0":
            assert others_are_done.wait(30)
        return b"x"

    order = []
    # Fewer than may be ahead, so that all of them can pass the slow one.
    for image in read_images(items(AHEAD), fetch):
        order.append(image.item.key)
        if len(order) == AHEAD - 1:
            others_are_done.set()
    assert order[-1] == "0"


def test_reading_stays_a_bounded_distance_ahead_of_the_model() -> None:
    taken = 0

    def planned() -> object:
        nonlocal taken
        for item in items(10_000):
            taken += 1
            yield item

    reading = read_images(planned(), lambda item: b"x")  # type: ignore[arg-type]
    next(reading)
    # One more is looked at, to know whether there is room for it.
    assert taken <= AHEAD + 1
    reading.close()  # type: ignore[attr-defined]


def test_at_most_the_agreed_number_is_in_flight() -> None:
    lock, begun, go_on = threading.Lock(), 0, threading.Event()
    full = threading.Event()

    def fetch(item: WorkItem) -> bytes:
        nonlocal begun
        with lock:
            begun += 1
            if begun == IN_FLIGHT:
                full.set()
        assert go_on.wait(30)
        return b"x"

    reading = threading.Thread(target=lambda: list(read_images(items(300), fetch)))
    reading.start()
    # With none answered, all that can be in flight is; one more would be counted before it waits.
    assert full.wait(30)
    assert begun == IN_FLIGHT
    go_on.set()
    reading.join(30)
    assert begun == 300


def test_large_photos_are_held_a_few_at_a_time() -> None:
    taken: list[WorkItem] = []
    large = BYTES_AHEAD // 3

    def planned() -> Iterator[WorkItem]:
        for number in range(20):
            taken.append(WorkItem(str(number), f"/{number}", "", large))
            yield taken[-1]

    read = 0
    for _ in read_images(planned(), lambda item: b"x"):
        read += 1
        # Three under way, and the one that has to wait.
        assert len(taken) - read <= 4
    assert read == 20


def test_a_rejected_item_keeps_its_reason_and_the_rest_goes_on() -> None:
    def fetch(item: WorkItem) -> bytes:
        if item.key == "3":
            raise RejectedImage("gone")
        return b"x"

    read = {image.item.key: image.reason for image in read_images(items(10), fetch)}
    assert read == {str(n): "gone" if n == 3 else None for n in range(10)}


def test_a_failing_store_fails_the_task() -> None:
    def fetch(item: WorkItem) -> bytes:
        raise StepError("S3 refused")

    with pytest.raises(StepError, match="S3 refused"):
        list(read_images(items(10), fetch))


def test_every_photo_waits_for_its_turn() -> None:
    class Counted(ReadRate):
        turns = 0

        def wait(self) -> None:
            with self._lock:
                self.turns += 1

    rate = Counted(1)
    assert len(list(read_images(items(100), lambda item: b"x", rate))) == rate.turns == 100


def test_a_local_file_that_vanished_or_changed_is_rejected(tmp_path: Path) -> None:
    gone = tmp_path / "gone.jpg"
    with pytest.raises(RejectedImage, match="gone"):
        fetch_image(WorkItem(str(gone), str(gone), "", 3))
    gone.write_bytes(b"1234")
    with pytest.raises(RejectedImage, match="had 3 bytes, now 4"):
        fetch_image(WorkItem(str(gone), str(gone), "", 3))
    assert fetch_image(WorkItem(str(gone), str(gone), "", -1)) == b"1234"


def test_what_is_no_regular_file_is_rejected_unopened(tmp_path: Path) -> None:
    for name, reason in make_odd_files(tmp_path).items():
        for address in (str(tmp_path / name), f"file://{tmp_path / name}"):
            with pytest.raises(RejectedImage) as rejected:
                fetch_image(WorkItem(name, address, "", -1))
            assert str(rejected.value) == reason


def test_a_local_file_without_access_fails_the_task(tmp_path: Path) -> None:
    photo = tmp_path / "closed.jpg"
    photo.touch(0o000)
    program = (
        "import sys; from fruit_spark.photos import fetch, work_items; "
        "fetch.fetch_image(work_items.WorkItem('a', sys.argv[1], '', -1))"
    )
    done = subprocess.run(
        [*NO_RIGHTS, sys.executable, "-c", program, str(photo)], capture_output=True, text=True, check=False
    )
    said = f"StepError: {photo} could not be read: Permission denied. Check the file system."
    assert done.stderr.splitlines()[-1].endswith(said)


def test_a_file_too_large_for_memory_is_rejected_unread(tmp_path: Path) -> None:
    grown = tmp_path / "grown.jpg"
    with grown.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(RejectedImage, match="too large"):
        fetch_image(WorkItem("a", str(grown), "", 5))
    with pytest.raises(RejectedImage, match="too large"):
        fetch_image(WorkItem("a", "/does/not/exist", "", MAX_BYTES + 1))


PHOTO = b"all the bytes of a photo"


def slow_down(answer: BaseHTTPRequestHandler) -> None:
    answer.send_response(503, "Slow Down")
    answer.send_header("Content-Length", "0")
    answer.end_headers()


def reset(answer: BaseHTTPRequestHandler) -> None:
    # Closed without lingering, a connection ends with RST (man 7 socket).
    answer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    answer.connection.close()


def send(answer: BaseHTTPRequestHandler, body: bytes) -> None:
    answer.send_response(200)
    answer.send_header("Content-Length", str(len(PHOTO)))
    answer.send_header("ETag", '"tag"')
    answer.send_header("Last-Modified", "Tue, 24 Nov 2026 10:00:00 GMT")
    answer.end_headers()
    answer.wfile.write(body)
    answer.close_connection = True


def cut_short(answer: BaseHTTPRequestHandler) -> None:
    send(answer, PHOTO[:5])


@pytest.mark.parametrize("trouble", [slow_down, reset, cut_short])
def test_a_request_that_fails_is_repeated_until_all_bytes_are_there(
    trouble: Callable[[BaseHTTPRequestHandler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    class Store(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal asked
            asked += 1
            trouble(self) if asked == 1 else send(self, PHOTO)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test's own words are enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        monkeypatch.setattr(s3, "_STORES", {})
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        assert fetch_image(WorkItem("a.jpg", "s3://fruits/a.jpg", '"tag"', len(PHOTO))) == PHOTO
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
    assert asked >= 2
