"""A Spark application that loads the classes that the steps load: see :mod:`artifacts.java_classes`."""

import sys

from pyspark.sql import SparkSession


def main(folder: str) -> None:
    spark = SparkSession.builder.getOrCreate()
    table = spark.createDataFrame([(number, str(number)) for number in range(60)], ["number", "word"])
    table.repartition(2).write.parquet(f"{folder}/rows")
    read = spark.read.parquet(f"{folder}/rows")
    left = read.join(read.filter("number > 9").select("word"), "word", "left_anti")
    assert left.count() == 10
    spark.sparkContext.broadcast(b"model")
    assert spark.sparkContext.parallelize(range(9), 2).map(str).treeReduce(str.__add__)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
