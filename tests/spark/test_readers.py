"""Promise: every image is answered once, in bounded memory; a broken store is never blamed on a photo."""

import threading
from pathlib import Path

import pytest

from fruit_spark import readers
from fruit_spark.errors import RejectedImage, StepError
from fruit_spark.readers import AHEAD, IN_FLIGHT, fetch_image, read_images
from fruit_spark.work_items import WorkItem


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
    assert taken <= AHEAD
    reading.close()  # type: ignore[attr-defined]


def test_at_most_the_agreed_number_is_in_flight() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def fetch(item: WorkItem) -> bytes:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1
        return b"x"

    list(read_images(items(300), fetch))
    assert 1 <= most <= IN_FLIGHT


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


def test_a_local_file_that_vanished_or_changed_is_rejected(tmp_path: Path) -> None:
    gone = tmp_path / "gone.jpg"
    with pytest.raises(RejectedImage, match="gone"):
        fetch_image(WorkItem(str(gone), str(gone), "", 3))
    gone.write_bytes(b"1234")
    with pytest.raises(RejectedImage, match="had 3 bytes, now 4"):
        fetch_image(WorkItem(str(gone), str(gone), "", 3))
    assert fetch_image(WorkItem(str(gone), str(gone), "", -1)) == b"1234"


def test_a_file_too_large_for_memory_is_rejected_unread() -> None:
    with pytest.raises(RejectedImage, match="too large"):
        fetch_image(WorkItem("a", "/does/not/exist", "", readers.MAX_BYTES + 1))
