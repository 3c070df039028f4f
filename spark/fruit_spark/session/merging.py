"""Merge the large partial results of many tasks on the executors, so that the driver sees one of them."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from fruit_spark.session.without_pandas import map_in_arrow

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

FAN_IN: Final = 8
"""Partial results merged by one task: 8 of 15 MB, or at 2,000 labels of 42 MB, fit into an executor."""
PARTS_DDL: Final = "part binary"
Merge = Callable[["Iterator[pa.RecordBatch]"], "Iterator[pa.RecordBatch]"]


def merged_on_executors(partial: "DataFrame", tasks: int, merge: Merge, ddl: str) -> list[Any]:
    """What is left when ``merge`` has made one row of all that ``tasks`` tasks have yielded, in a tree."""
    while tasks > 1:
        tasks = math.ceil(tasks / FAN_IN)
        partial = map_in_arrow(partial.repartition(tasks), merge, ddl)
    return partial.collect()
