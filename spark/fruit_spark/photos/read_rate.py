"""How many photos a second a Python worker may ask S3 for: its share of what S3 bears.

The photos of a run lie below one prefix. Where its partitions are nobody but S3 knows, so that all of them
are taken for one.
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from fruit_contract.s3_limits import READS_A_SECOND

if TYPE_CHECKING:
    from pyspark import SparkConf


class ReadRate:
    """Lets the threads of a worker pass one after the other, at most so many ``a_second``."""

    def __init__(
        self,
        a_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds, self._clock, self._sleep = 1 / a_second, clock, sleep
        self._next, self._lock = clock(), threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._seconds
        if turn > now:
            self._sleep(turn - now)


def reads_a_second(conf: "SparkConf", cores: int) -> float:
    """The share of one Python worker, of which Spark starts one a core.

    Counted with the most executors that there may be, for the others do not hear of one more. ``cores`` are
    those of now, where the configuration does not say it.
    """
    grows = conf.get("spark.dynamicAllocation.enabled", "false") == "true"
    most = conf.get("spark.dynamicAllocation.maxExecutors" if grows else "spark.executor.instances", "0")
    of_each = conf.get("spark.executor.cores", "0")
    return READS_A_SECOND / max(int(most or 0) * int(of_each or 0), cores)
