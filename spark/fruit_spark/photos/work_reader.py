"""The work list of a step: the images to featurize, how many they are, and which."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from fruit_contract.work_list import WORK_LIST_COLUMNS
from fruit_spark.photos.image_listing import list_images
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.step_errors import StepError
from fruit_spark.storage import hadoop
from fruit_spark.storage.driver_tables import batches_of, open_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SPARK_TYPES: Final = {"string": "string", "int64": "long"}
_DDL: Final = ", ".join(f"{name} {_SPARK_TYPES[kind]}" for name, kind in WORK_LIST_COLUMNS)


@dataclass(frozen=True)
class WorkList:
    """Rows as in :mod:`fruit_contract.work_list`."""

    rows: "DataFrame"
    images: int
    identity: str
    """SHA-256 of the rows, hex: two lists of the same one are the same work."""


def read_work_list(spark: "SparkSession", uri: str) -> WorkList:
    """The list at ``uri``; ``StepError`` where there is none, or one that is no use."""
    try:
        table = open_table(uri)
    except FileNotFoundError:
        raise StepError(f"There is no work list at {uri}: check the address, or list with --input.") from None
    there = [name for name in WorkItem._fields if name in table.schema.names]
    images, identity, filled = _identify(batches_of(table, there))
    if not images:
        raise StepError(f"The work list {uri} has no images: nothing to featurize.")
    missing = [name for name in WorkItem._fields if filled.get(name, 0) < images]
    if missing:
        raise StepError(
            f"The work list {uri} has no {', '.join(missing)} in some or all of its rows: it "
            f"needs {', '.join(WorkItem._fields)} in each."
        )
    # With the schema at hand, Spark runs no job to find it.
    return WorkList(spark.read.schema(_DDL).parquet(hadoop.hadoop_uri(spark, uri)), images, identity)


def listed_work(spark: "SparkSession", source: str) -> WorkList:
    """What lies below a folder or an ``s3://`` prefix."""
    items = list_images(source)
    columns = {name: [getattr(item, name) for item in items] for name in WorkItem._fields}
    images, identity, _ = _identify(pa.table(columns).to_batches())
    return WorkList(spark.createDataFrame(items, _DDL), images, identity)


def _identify(batches: Iterable[pa.RecordBatch]) -> tuple[int, str, dict[str, int]]:
    """Number of rows, their SHA-256, and by column how many of its values are there."""
    digest, rows = hashlib.sha256(), 0
    filled: dict[str, int] = {}
    for batch in batches:
        rows += batch.num_rows
        digest.update(batch.serialize())
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            filled[name] = filled.get(name, 0) + len(column) - column.null_count
    return rows, digest.hexdigest(), filled
