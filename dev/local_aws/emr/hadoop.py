"""How Hadoop's classes are set up here: S3 is moto, and a folder is the HDFS of a cluster."""

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

_OVERLOADED = "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"
"""Hadoop's own file system for one scheme that is really another (HDFS-15289)."""
_MOUNT_TABLE = "fs.viewfs.mounttable"


def s3_settings(endpoint: str) -> dict[str, str]:
    """Every scheme of S3 is S3A, against ``endpoint``, with the credentials of the environment."""
    s3a = "org.apache.hadoop.fs.s3a.S3AFileSystem"
    return {
        "fs.s3.impl": s3a,
        "fs.s3n.impl": s3a,
        "fs.s3a.impl": s3a,
        "fs.AbstractFileSystem.s3.impl": "org.apache.hadoop.fs.s3a.S3A",
        "fs.s3a.endpoint": endpoint,
        "fs.s3a.path.style.access": "true",
        "fs.s3a.connection.ssl.enabled": "false",
        "fs.s3a.aws.credentials.provider": "com.amazonaws.auth.EnvironmentVariableCredentialsProvider",
    }


def hdfs_settings(folder: Path) -> dict[str, str]:
    """``hdfs://`` is ``folder``, with and without the name of a cluster."""
    return {
        "fs.hdfs.impl": _OVERLOADED,
        "fs.viewfs.overload.scheme.target.hdfs.impl": "org.apache.hadoop.fs.LocalFileSystem",
        f"{_MOUNT_TABLE}.cluster.linkFallback": folder.as_uri(),
        f"{_MOUNT_TABLE}.default.linkFallback": folder.as_uri(),
    }


def core_site(settings: Mapping[str, str]) -> str:
    """The text of a ``core-site.xml``."""
    properties = (
        f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>\n"
        for name, value in settings.items()
    )
    return f"<configuration>\n{''.join(properties)}</configuration>\n"
