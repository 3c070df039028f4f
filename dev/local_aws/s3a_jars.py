"""Where the jars lie by which a Spark reads S3 (S3A). They belong to the Hadoop that the Spark brings."""

from pathlib import Path


def jars_of(python: Path, common: Path) -> Path:
    """The folder in this interpreter's environment, where its Hadoop needs its own, or else ``common``."""
    own = python.parent.parent / "s3a-jars"
    return own if own.is_dir() else common
