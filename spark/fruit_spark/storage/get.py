"""A small file read without the JVM: on S3 one request, which needs GetObject alone."""

from pathlib import Path

from fruit_contract.layout import split_uri
from fruit_spark.step_errors import StepError
from fruit_spark.storage.s3 import is_s3, store_for


def get_bytes(uri: str) -> bytes | None:
    """The whole file at an S3 address or a local path, or None where there is none.

    ``StepError`` where the store does not give it.
    """
    try:
        return _from_s3(uri) if is_s3(uri) else Path(uri.removeprefix("file://")).read_bytes()
    except FileNotFoundError:  # obstore's own error for it is one as well
        return None
    except Exception as problem:
        said = (str(problem).splitlines() or [type(problem).__name__])[0].strip().rstrip(".")
        raise StepError(
            f"{uri} could not be read: {said}. Check the address, and the access to it."
        ) from None


def _from_s3(uri: str) -> bytes:
    import obstore

    bucket, key = split_uri(uri)
    return bytes(obstore.get(store_for(bucket), key).bytes())
