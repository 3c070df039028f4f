"""The bytes of every photo below a prefix: the fast reader against S3A's ``binaryFile``.

Both list the prefix themselves and hand each photo's length and CRC-32 to one sum.
"""

import argparse
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from bench.interleave import interleaved
from fruit_spark.features.feature_batches import work_items
from fruit_spark.photos.fetch import read_images
from fruit_spark.photos.work_reader import listed_work
from fruit_spark.session.spark_session import start_session
from fruit_spark.session.without_pandas import map_in_arrow

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession


def read_fast(spark: "SparkSession", prefix: str) -> "Row":
    images = listed_work(spark, prefix).rows.repartition(spark.sparkContext.defaultParallelism)
    return _sum(map_in_arrow(images, _lengths, "bytes long, crc long"))


def _lengths(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for image in read_images(work_items(batches)):
        data = image.data or b""
        yield pa.RecordBatch.from_pydict({"bytes": [len(data)], "crc": [zlib.crc32(data)]})


def read_binary_file(spark: "SparkSession", prefix: str) -> "Row":
    # Many small partitions, so that the two cores end together.
    spark.conf.set("spark.sql.files.openCostInBytes", "65536")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "2m")
    images = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(prefix)
    return _sum(
        images.select(F.length("content").cast("long").alias("bytes"), F.crc32("content").alias("crc"))
    )


def _sum(frame: "DataFrame") -> "Row":
    return frame.agg(
        F.count("*").alias("photos"), F.sum("bytes").alias("bytes"), F.sum("crc").alias("crc")
    ).collect()[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", required=True, help="s3a:// prefix")
    parser.add_argument("--few", required=True, help="s3a:// prefix of some photos, to warm both sides up")
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True)
    arguments = parser.parse_args()
    spark = start_session("read-stage")
    for few in (read_fast, read_binary_file):
        few(spark, arguments.few)
    answers: dict[str, set[Row]] = {"ours": set(), "peer": set()}
    seconds = interleaved(
        {
            "ours": lambda: answers["ours"].add(read_fast(spark, arguments.photos)),
            "peer": lambda: answers["peer"].add(read_binary_file(spark, arguments.photos)),
        },
        arguments.repeats,
    )
    if answers["ours"] != answers["peer"] or len(answers["ours"]) != 1:
        raise SystemExit(f"The two readers disagree: {answers}.")
    [answer] = answers["ours"]
    arguments.result.write_text(json.dumps({"seconds": seconds, "photos": answer["photos"]}))
    spark.stop()


if __name__ == "__main__":
    main()
