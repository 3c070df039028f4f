"""How the model travels: compressed, once per executor, and loaded once per Python worker."""

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fruit_spark.model.engines import ENGINES, Engine, check_output
from fruit_spark.step_errors import StepError

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.accumulators import Accumulator
    from pyspark.broadcast import Broadcast

BROADCAST_LIMIT: Final = 2**31 - 1
"""Bytes. A Java array, and so one broadcast value, holds no more (``Integer.MAX_VALUE``)."""

# The engines of this Python process. Spark keeps a worker for the next tasks, so most tasks find theirs here.
_LOADED: dict[tuple[str, str, int], Engine] = {}


def check_size(size: int, what: str) -> None:
    """``StepError`` when ``size`` bytes do not fit into a broadcast."""
    if size >= BROADCAST_LIMIT:
        raise StepError(
            f"{what} has {size:,} bytes; a Spark broadcast holds less than {BROADCAST_LIMIT:,} (2 GB): "
            "use a smaller model or a lower precision."
        )


@dataclass(frozen=True)
class BroadcastModel:
    """What a task needs to get its engine. Cheap to pickle: the bytes stay in the broadcast."""

    packed: "Broadcast[bytes]"
    loads: "Accumulator[int]"
    engine: str
    image_size: int
    fingerprint: str
    """SHA-256 of the model file, hex."""

    def load(self) -> Engine:
        """The engine of this Python worker, loaded and counted the first time."""
        key = (self.fingerprint, self.engine, self.image_size)
        if key not in _LOADED:
            _LOADED[key] = ENGINES[self.engine](gzip.decompress(self.packed.value), self.image_size)
            self.loads.add(1)
        return _LOADED[key]


def broadcast_model(
    context: "SparkContext",
    model: bytes,
    engine: str,
    image_size: int,
    check: Callable[[Engine, int], None] = check_output,
) -> BroadcastModel:
    """Check the model on the driver, then send it. ``StepError`` before any image is read.

    A load is counted when its task succeeds: Spark drops the updates of a failed one.
    """
    check_size(len(model), "The model")
    check(ENGINES[engine](model, image_size), image_size)
    # Weights hardly compress, so the fastest level gives what there is to gain.
    packed = gzip.compress(model, compresslevel=1, mtime=0)
    check_size(len(packed), "The compressed model")
    return BroadcastModel(
        context.broadcast(packed),
        context.accumulator(0),
        engine,
        image_size,
        hashlib.sha256(model).hexdigest(),
    )
