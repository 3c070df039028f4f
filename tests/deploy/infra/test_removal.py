"""A bucket is emptied of unfinished uploads, however many pages list them and whatever their keys are."""

import boto3
from botocore.stub import Stubber

from infra import removal


def test_uploads_of_every_page_are_aborted() -> None:
    """Local AWS lists all uploads on one page; S3 lists a thousand, and encodes where the next one begins."""
    s3 = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    names = {"a/%01+b": "a/\x01 b", "c": "c"}
    listing = {"Bucket": "b", "EncodingType": "url"}
    next_page = {"KeyMarker": "a/\x01 b", "UploadIdMarker": "id-a/\x01 b"}
    with Stubber(s3) as answers:
        answers.add_response("list_object_versions", {}, {"Bucket": "b"})
        for page, (encoded, key) in enumerate(names.items()):
            upload = {"Key": encoded, "UploadId": f"id-{key}"}
            more = {"NextKeyMarker": encoded, "NextUploadIdMarker": f"id-{key}"} if page == 0 else {}
            answers.add_response(
                "list_multipart_uploads",
                {"Uploads": [upload], "IsTruncated": page == 0, **more},
                listing | (next_page if page else {}),
            )
            answers.add_response(
                "abort_multipart_upload", {}, {"Bucket": "b", "Key": key, "UploadId": f"id-{key}"}
            )
        assert removal.empty(s3, "b") == 2
        answers.assert_no_pending_responses()
