"""Start the Python workers while the driver is busy with the model: the first tasks would wait for theirs."""

import threading
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_NEEDED: Final = ("cv2", "ai_edge_litert.interpreter", "obstore.store", "pyarrow.parquet")
"""What takes a featurizing worker most of its first second."""


def start_workers(spark: "SparkSession") -> None:
    """Return at once; a small job makes each core that is there start its worker, which Spark then keeps.

    Nothing depends on it but seconds: a task whose worker is not up, or was not kept, starts one.
    """
    context = spark.sparkContext
    cores = context.defaultParallelism
    job = context.parallelize(range(cores), cores)
    threading.Thread(target=lambda: job.foreachPartition(_import), daemon=True).start()


def _import(_: Iterable[int]) -> None:
    for name in _NEEDED:
        with suppress(ImportError):
            import_module(name)
