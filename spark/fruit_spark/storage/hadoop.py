"""Small files on any store that Hadoop knows (local, S3A, EMR's s3), through its FileSystem API."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruit_contract.layout import split_uri
from fruit_spark.step_errors import StepError
from fruit_spark.storage.s3 import is_s3, s3_file_system

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def hadoop_uri(spark: "SparkSession", uri: str) -> str:
    """``uri`` as this Spark understands it.

    Outside EMR only ``s3a`` is an S3 file system; on EMR ``s3`` is configured and stays.
    """
    if uri.startswith("s3://") and not _configuration(spark).get("fs.s3.impl"):
        return f"s3a://{uri.removeprefix('s3://')}"
    return uri


def jvm(spark: "SparkSession") -> Any:
    """The JVM's packages by name; pyspark types them as if they could be missing."""
    return spark.sparkContext._jvm


def _configuration(spark: "SparkSession") -> Any:
    return spark.sparkContext._jsc.hadoopConfiguration()


def _open(spark: "SparkSession", uri: str) -> tuple[Any, Any]:
    """The file system of ``uri`` and its path there, both JVM objects."""
    path = jvm(spark).org.apache.hadoop.fs.Path(hadoop_uri(spark, uri))
    return path.getFileSystem(_configuration(spark)), path


def is_folder(spark: "SparkSession", uri: str) -> bool:
    filesystem, path = _open(spark, uri)
    return bool(filesystem.exists(path) and filesystem.getFileStatus(path).isDirectory())


def exists(spark: "SparkSession", uri: str) -> bool:
    filesystem, path = _open(spark, uri)
    return bool(filesystem.exists(path))


def size_of(spark: "SparkSession", uri: str) -> int:
    """Bytes of a file; ``StepError`` when it is not there."""
    if not exists(spark, uri):
        raise StepError(f"There is no file at {uri}: check the address.")
    filesystem, path = _open(spark, uri)
    return int(filesystem.getFileStatus(path).getLen())


def bytes_below(spark: "SparkSession", uri: str) -> int:
    """Of all files in a folder and below it."""
    filesystem, path = _open(spark, uri)
    return int(filesystem.getContentSummary(path).getLength())


def read_bytes(spark: "SparkSession", uri: str) -> bytes:
    """The whole file, of megabytes."""
    local = uri.removeprefix("file://")
    if "://" not in local:
        return Path(local).read_bytes()
    if is_s3(uri):
        # Arrow's client takes the model in a tenth of the time that it needs from the JVM, byte by byte.
        with s3_file_system().open_input_file("/".join(split_uri(uri))) as file:
            return bytes(file.read())
    filesystem, path = _open(spark, uri)
    stream = filesystem.open(path)
    try:
        return bytes(jvm(spark).org.apache.commons.io.IOUtils.toByteArray(stream))
    finally:
        stream.close()


def write_bytes(spark: "SparkSession", uri: str, content: bytes) -> None:
    """Write the file, over an older one; its folder is made where stores have folders."""
    filesystem, path = _open(spark, uri)
    stream = filesystem.create(path, True)
    try:
        stream.write(bytearray(content))
    finally:
        stream.close()


def delete(spark: "SparkSession", uri: str) -> None:
    """Remove a file, or a folder and all that it holds; nothing happens where nothing is."""
    filesystem, path = _open(spark, uri)
    filesystem.delete(path, True)


def write_json(spark: "SparkSession", uri: str, value: Mapping[str, Any]) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(spark, uri, f"{text}\n".encode())
