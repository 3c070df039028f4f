"""The one pass over the images of a task: read, decode, predict, and out as Arrow."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa

from fruit_contract.layout import label_of
from fruit_spark.model.engines import FEATURE_DIM, Engine, Features
from fruit_spark.model.model_broadcast import BroadcastModel
from fruit_spark.photos.decode import Pixels, resize
from fruit_spark.photos.fetch import read_images
from fruit_spark.photos.read_rate import ReadRate
from fruit_spark.photos.taken import taken
from fruit_spark.photos.work_items import ReadImage, WorkItem
from fruit_spark.step_errors import RejectedImage
from fruit_spark.storage.part_files import Batches

if TYPE_CHECKING:
    from pyspark.accumulators import Accumulator

FEATURES_DDL: Final = "path string, label string, features array<float>, reason string, taken string"
"""The features of a run as Spark sees them. ``features`` has 1,280 values and is null for a rejected
image; ``reason`` is null for a processed one; ``taken`` is of :mod:`fruit_spark.photos.taken`."""


class Decoded(NamedTuple):
    """An image on its way to the model."""

    path: str
    pixels: Pixels | None
    """uint8 [size, size, 3] RGB; None for a rejected one."""
    reason: str | None = None
    taken: str | None = None


def featurize_work_list(
    model: BroadcastModel, batch_size: int, reads_a_second: float
) -> Callable[[Batches], Batches]:
    """For ``mapInArrow`` over the work list: batches of work items to batches of features.

    Each Python worker makes at most so many ``reads_a_second``.
    """

    def featurize(batches: Batches) -> Batches:
        engine = model.load()
        images = read_images(work_items(batches), rate=ReadRate(reads_a_second))
        yield from to_feature_batches(_decode(images, engine, model.image_size), engine, batch_size)

    return featurize


def counting(
    function: Callable[[Batches], Batches], done: "Accumulator[int]"
) -> Callable[[Batches], Batches]:
    """``function``, whose rows are added to ``done`` when their task has succeeded, and then once."""

    def counted(batches: Batches) -> Batches:
        for batch in function(batches):
            done.add(batch.num_rows)
            yield batch

    return counted


def featurize_spark_images(model: BroadcastModel, batch_size: int) -> Callable[[Batches], Batches]:
    """For ``mapInArrow`` over Spark's image source: ``path`` and the struct's fields, to features."""

    def featurize(batches: Batches) -> Batches:
        engine = model.load()
        yield from to_feature_batches(_unpack(batches, model.image_size), engine, batch_size)

    return featurize


def work_items(batches: Iterable[pa.RecordBatch]) -> Iterator[WorkItem]:
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in WorkItem._fields)
        yield from map(WorkItem._make, zip(*columns, strict=True))


def _decode(images: Iterable[ReadImage], engine: Engine, size: int) -> Iterator[Decoded]:
    for image in images:
        if image.data is None:
            yield Decoded(image.item.uri, None, image.reason)
            continue
        data = bytes(image.data)
        try:
            yield Decoded(image.item.uri, engine.decode(data, size), taken=taken(data))
        except RejectedImage as reason:
            yield Decoded(image.item.uri, None, str(reason))


def _unpack(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[Decoded]:
    """Spark's image struct: ``data`` is uint8 BGR (or grey, or BGRA) by rows; -1 channels: undecodable."""
    for batch in batches:
        for row in range(batch.num_rows):
            path, height, width, channels, data = (batch.column(name)[row] for name in SPARK_IMAGE_COLUMNS)
            shape = height.as_py(), width.as_py(), channels.as_py()
            if shape[2] not in (1, 3, 4):
                yield Decoded(path.as_py(), None, "corrupt: Spark's image source cannot decode it")
                continue
            pixels = np.frombuffer(data.as_buffer(), np.uint8).reshape(shape)
            # Grey repeats its one channel; alpha is dropped, as in the fast reader.
            rgb = np.repeat(pixels, 3, axis=2) if shape[2] == 1 else np.ascontiguousarray(pixels[..., 2::-1])
            yield Decoded(path.as_py(), resize(rgb, size))


SPARK_IMAGE_COLUMNS: Final = ("path", "height", "width", "nChannels", "data")


def to_feature_batches(decoded: Iterable[Decoded], engine: Engine, batch_size: int) -> Batches:
    """Predict up to ``batch_size`` images at a time; rejected ones ride along with the batch."""
    rows: list[Decoded] = []
    pixels: list[Pixels] = []
    for image in decoded:
        rows.append(image._replace(pixels=None))
        if image.pixels is not None:
            pixels.append(image.pixels)
        if len(pixels) == batch_size or len(rows) == 4 * batch_size:
            yield _to_arrow(rows, engine.predict(np.stack(pixels)) if pixels else None)
            rows, pixels = [], []
    if rows:
        yield _to_arrow(rows, engine.predict(np.stack(pixels)) if pixels else None)


def _to_arrow(rows: list[Decoded], features: Features | None) -> pa.RecordBatch:
    """Rows in order; float32 [processed, 1280] goes into Arrow as the one buffer that it is."""
    rejected = np.array([row.reason is not None for row in rows])
    lengths = np.where(rejected, 0, FEATURE_DIM)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    values = np.empty(0, np.float32) if features is None else features.reshape(-1)
    columns = {
        "path": pa.array([row.path for row in rows], pa.string()),
        "label": pa.array([label_of(row.path) for row in rows], pa.string()),
        "features": pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), mask=pa.array(rejected)),
        "reason": pa.array([row.reason for row in rows], pa.string()),
        "taken": pa.array([row.taken for row in rows], pa.string()),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
