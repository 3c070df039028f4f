"""Three pyspark functions whose Python wrappers ask for pandas though their work does not need it.

pandas would add a tenth to the runtime archive and a second to the start of every step. Same JVM
methods, same arguments as the wrappers of pyspark 3.4, 3.5 and 4 (``sql/pandas/map_ops.py`` and
``ml/functions.py``); :func:`map_in_arrow` is the one that differs among them.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fruit_spark.storage.hadoop import jvm

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame


def map_in_arrow(
    frame: "DataFrame", function: "Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]", ddl: str
) -> "DataFrame":
    """``frame.mapInArrow(function, ddl)``."""
    from pyspark.rdd import PythonEvalType
    from pyspark.sql import DataFrame
    from pyspark.sql.udf import UserDefinedFunction

    wrapped: Any = UserDefinedFunction(function, ddl, evalType=PythonEvalType.SQL_MAP_ARROW_ITER_UDF)
    column = wrapped(*[frame[name] for name in frame.columns])._jc
    rows, spark = frame._jdf, frame.sparkSession
    # Spark 3.5 added the flag of barrier mode, which is off, and Spark 4 the profile of resources: none.
    if spark.version.startswith("3.4."):
        mapped = rows.pythonMapInArrow(column.expr())
    elif spark.version.startswith("3.5."):
        mapped = rows.pythonMapInArrow(column.expr(), False)
    else:
        mapped = rows.mapInArrow(column, False, None)
    return DataFrame(mapped, spark)


def array_to_vector(frame: "DataFrame", column: str) -> "Column":
    """``pyspark.ml.functions.array_to_vector``: an array column as an ML vector column (float64)."""
    from pyspark.sql import Column

    return Column(_functions(frame).array_to_vector(frame[column]._jc))


def _functions(frame: "DataFrame") -> Any:
    return jvm(frame.sparkSession).org.apache.spark.ml.functions
