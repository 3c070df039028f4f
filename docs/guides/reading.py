"""How to read the current result: one recipe for each reader. Take what you need, and set BUCKET.

Run against local AWS with two results side by side, each read the current one alone: pandas 3.1.1 with s3fs,
PyArrow, Polars 2.1.0, DuckDB 2.0.1, Spark 3.5.6, AWS SDK for pandas 3.17.1. Nothing here runs Athena.
"""

import json

BUCKET = "fruits-classification-p9"


def address() -> str:
    """The folder of the current result: ``s3://BUCKET/Results/pca_output/run=<run_key>/``. All begin here."""
    import boto3

    pointer = boto3.client("s3").get_object(Bucket=BUCKET, Key="Results/latest.json")
    return json.load(pointer["Body"])["pca_output"]


def with_pandas():
    """Needs s3fs and PyArrow."""
    import pandas as pd

    return pd.read_parquet(address())


def with_pyarrow():
    import pyarrow.parquet as pq
    from pyarrow import fs

    store = fs.S3FileSystem(region="eu-west-1")
    return pq.read_table(address().removeprefix("s3://"), filesystem=store)


def with_polars():
    import polars as pl

    return pl.read_parquet(f"{address()}*.parquet", hive_partitioning=False)


def with_duckdb():
    """Needs s3fs, and none of DuckDB's extensions."""
    import duckdb
    import s3fs

    duckdb.register_filesystem(s3fs.S3FileSystem())
    return duckdb.sql(f"SELECT * FROM read_parquet('{address()}*.parquet', hive_partitioning = false)")


def with_spark(spark):
    """On EMR the address is right as it is. Elsewhere Spark calls S3 s3a."""
    return spark.read.parquet(address().replace("s3://", "s3a://"))


def with_aws_sdk_for_pandas():
    import awswrangler as wr

    return wr.s3.read_parquet(address(), path_suffix=".parquet")


def with_athena() -> list[str]:
    """The statements to run once, and after each publication. Not partitioned: one location, one result."""
    return [
        "CREATE EXTERNAL TABLE IF NOT EXISTS fruits (path string, label string, features array<float>) "
        f"STORED AS PARQUET LOCATION '{address()}'",
        f"ALTER TABLE fruits SET LOCATION '{address()}'",
    ]
