"""One photo and its object: whether it is there already, and how it gets there."""

from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError

from fruit_pipeline.security.regions import check_arns
from fruit_pipeline.upload import checksums
from fruit_pipeline.upload.folder import Photo

CONTENT_TYPES: Final = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jpe": "image/jpeg",
    ".jfif": "image/jpeg",
    ".png": "image/png",
    ".bmp": "image/bmp",
    ".webp": "image/webp",
}

_NOT_TOLD: Final = ("AccessDenied", "ServerSideEncryptionConfigurationNotFoundError")


class StoppedError(Exception):
    """The upload was told to end before this file was through."""


class Objects:
    """A bucket as the target of photos."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._encryption = demanded_encryption(s3, bucket)

    def has(self, photo: Photo, size: int, etag: str) -> bool:
        """Whether the object of this size and ETag, as it was listed, holds the photo's bytes.

        The ETag tells under SSE-S3. It does not under SSE-KMS, nor where someone sent other parts: only then,
        and only for an object of the same size, S3 is asked for the SHA-256 that it keeps.
        """
        if size != photo.size:
            return False
        if etag == checksums.etag(photo.path):
            return True
        try:
            head = self._s3.head_object(Bucket=self._bucket, Key=photo.key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"]["Code"] in ("403", "404"):
                return False  # not to be read, or deleted since: sent again
            raise
        return bool(head.get("ChecksumSHA256") == checksums.stored_sha256(photo.path))

    def put(self, photo: Photo, check: Callable[[], None]) -> None:
        """Send the photo: the object is there whole, with the checksum that S3 has verified, or not at all.

        ``check`` is called between parts, and ends the upload by raising.
        """
        target = {
            "Bucket": self._bucket,
            "Key": photo.key,
            "ContentType": content_type(photo.key),
            "ChecksumAlgorithm": "SHA256",
            **self._encryption,
        }
        if photo.size > checksums.PART_SIZE:
            self._put_in_parts(photo, target, check)
        else:
            content = b"".join(checksums.parts(photo.path))
            self._s3.put_object(**target, Body=content, ChecksumSHA256=checksums.sha256(content))

    def _put_in_parts(self, photo: Photo, target: dict[str, str], check: Callable[[], None]) -> None:
        begun = self._s3.create_multipart_upload(**target)
        this = {"Bucket": self._bucket, "Key": photo.key, "UploadId": begun["UploadId"]}
        try:
            sent = []
            for number, part in enumerate(checksums.parts(photo.path), 1):
                check()
                checksum = checksums.sha256(part)
                answer = self._s3.upload_part(**this, PartNumber=number, Body=part, ChecksumSHA256=checksum)
                sent.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum})
            self._s3.complete_multipart_upload(**this, MultipartUpload={"Parts": sent})
        except BaseException:
            self._s3.abort_multipart_upload(**this)
            raise


def content_type(key: str) -> str:
    """By the suffix of an image's key."""
    # Not by pathlib, to which a file that is called ".jpg" has no suffix.
    return next(kind for suffix, kind in CONTENT_TYPES.items() if key.lower().endswith(suffix))


def demanded_encryption(s3: Any, bucket: str) -> dict[str, str]:
    """The bucket's own encryption as headers of a PUT: a bucket's policy may refuse a PUT without them.

    Nothing where the setting cannot be read: S3 then encrypts by the bucket's default all the same.
    """
    try:
        rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if error.response["Error"]["Code"] in _NOT_TOLD:
            return {}
        raise
    default = rules[0]["ApplyServerSideEncryptionByDefault"]
    headers = {"ServerSideEncryption": default["SSEAlgorithm"]}
    if key := default.get("KMSMasterKeyID"):
        check_arns([key], "The bucket's encryption")
        headers["SSEKMSKeyId"] = key
    return headers
