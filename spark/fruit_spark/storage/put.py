"""A small file written by the driver without the JVM: on S3 one request, which needs PutObject alone."""

from pathlib import Path

from fruit_contract.layout import split_uri
from fruit_spark.storage.s3 import is_s3, store_for


def put_bytes(uri: str, content: bytes) -> None:
    """Write the file whole, over an older one. An S3 address or a local path; raises what its store does."""
    if is_s3(uri):
        import obstore

        bucket, key = split_uri(uri)
        obstore.put(store_for(bucket), key, content)
        return
    path = Path(uri.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    beside.write_bytes(content)
    beside.replace(path)
