"""The driver's own look into Parquet: counts and narrow columns, without a Spark job.

A job of Spark's begins with seconds of planning and compiling; what is asked here Arrow answers from
the files' footers, many at a time.
"""

from typing import TYPE_CHECKING

from fruit_contract.layout import split_uri
from fruit_spark.storage.s3 import is_s3, s3_file_system

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset


def open_table(uri: str) -> "Dataset":
    """The Parquet file at ``uri``, or the files in that folder, but for names with a ``_`` or ``.`` in front.

    An S3 address or a local path; ``FileNotFoundError`` where nothing is.
    """
    from pyarrow import dataset, fs

    if is_s3(uri):
        return dataset.dataset("/".join(split_uri(uri)), filesystem=s3_file_system(), format="parquet")
    path = uri.removeprefix("file://")
    return dataset.dataset(path, filesystem=fs.LocalFileSystem(), format="parquet")
