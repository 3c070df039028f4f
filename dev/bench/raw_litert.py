"""The ceiling: LiteRT alone in one process a core, on photos that are already decoded, resized and scaled.

No reading, no decoding, no Spark, no output, and no start-up either: the clock starts when every
process holds its photos and has predicted a few.
"""

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from fruit_spark.photos.decode import decode_with_opencv

if TYPE_CHECKING:
    from multiprocessing import Queue

HELD: Final = 256
"""Different photos that a process goes through again and again; 154 MB as float32."""
_WARM_UP: Final = 16


def images_per_second(
    model: Path, photos: Sequence[Path], count: int, processes: int, size: int = 224
) -> float:
    """Predict ``count`` photos in all, shared out evenly; by the process that took longest."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(processes)
    seconds: Queue[float] = context.Queue()
    held = [photos[number::processes][:HELD] for number in range(processes)]
    each = count // processes
    workers = [
        context.Process(target=_predict, args=(model, mine, each, size, start, seconds)) for mine in held
    ]
    for worker in workers:
        worker.start()
    slowest = max(seconds.get(timeout=600) for _ in workers)
    for worker in workers:
        worker.join()
    return each * processes / slowest


def _predict(
    model: Path, photos: Sequence[Path], count: int, size: int, start: Barrier, seconds: "Queue[float]"
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    [taken] = (detail["index"] for detail in interpreter.get_input_details())
    [given] = (detail["index"] for detail in interpreter.get_output_details())
    interpreter.resize_tensor_input(taken, [1, size, size, 3])
    interpreter.allocate_tensors()
    decoded = [decode_with_opencv(path.read_bytes(), size)[None] / np.float32(255) for path in photos]

    def predict(number: int) -> None:
        interpreter.set_tensor(taken, decoded[number % len(decoded)])
        interpreter.invoke()
        interpreter.get_tensor(given)

    for number in range(_WARM_UP):
        predict(number)
    start.wait(timeout=300)
    started = time.perf_counter()
    for number in range(count):
        predict(number)
    seconds.put(time.perf_counter() - started)
