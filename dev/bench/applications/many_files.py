"""The driver's part of both steps for very many files, by the steps' own code where the driver works.

The tasks of the featurize step only count, and a file has one photo: neither is the driver's. A long list of
photos is read besides.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from fruit_spark.photos.work_reader import read_work_list
from fruit_spark.session.spark_session import start_session
from fruit_spark.steps.featurize_job import write_rejected
from fruit_spark.steps.reduce_job import ReduceSettings, reduce
from fruit_spark.storage.hadoop import jvm

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, required=True)
    parser.add_argument("--photos", required=True, help="a long work list")
    parser.add_argument("--folder", type=Path, required=True, help="with work list, draft and features")
    parser.add_argument("--result", type=Path, required=True)
    given = parser.parse_args()
    spark = start_session("many-files")
    photos = read_work_list(spark, given.photos).images
    featurize(spark, given.folder, given.files)
    reduced = reduce(spark, reduce_settings(str(given.folder)))
    assert (reduced["rows"], reduced["files_before"]) == (given.files, given.files)
    given.result.write_text(json.dumps({"photos": photos, "old_heap_mib": _old_heap_mib(spark)}))
    spark.stop()


def featurize(spark: "SparkSession", folder: Path, files: int) -> None:
    """As the step cuts its images: a task a file, and an answer of each to the driver."""
    work = read_work_list(spark, f"{folder}/work.parquet")
    work.rows.repartition(files).select(F.length("uri")).collect()
    assert write_rejected(spark, f"{folder}/features", f"{folder}/rejected") == (files, {})


def reduce_settings(folder: str) -> ReduceSettings:
    return ReduceSettings(
        features=folder,
        output=f"{folder}/output",
        model_output=f"{folder}/model",
        metrics=f"{folder}/reduce.json",
        plot=f"{folder}/variance.png",
        components=256,
        min_variance=0.0,
        solver="blocks",
        time_limit=None,
        draft=f"{folder}/draft.parquet",
        source="features",
        root="s3://bucket/",
        rejected=f"{folder}/rejected",
        manifest=f"{folder}/manifest",
        compacted=f"{folder}/compacted",
    )


def _old_heap_mib(spark: "SparkSession") -> float:
    """Peak of the heap's old generation, in MiB, with what waits there to be collected."""
    pools = jvm(spark).java.lang.management.ManagementFactory.getMemoryPoolMXBeans()
    return sum(float(pool.getPeakUsage().getUsed()) for pool in pools if "Old Gen" in pool.getName()) / 2**20


if __name__ == "__main__":
    main()
