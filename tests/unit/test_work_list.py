"""The work list holds every photo under the prefix, whatever its key, and nothing else."""

import io
from typing import Any

import pyarrow.parquet as pq
import pytest

from fruit_contract.layout import RunLayout
from fruit_pipeline.work_list import write_work_list
from tests.unit.conftest import BUCKET

ODD_NAMES = ["a b.jpg", "a+b.jpg", "50%.jpg", "%20.jpg", "a#b.jpg", "épi.jpg", "a\nb.jpg", "A.JPEG"]


def test_every_photo_is_listed_with_its_key_as_it_is(s3: Any, layout: RunLayout) -> None:
    for name in ODD_NAMES:
        s3.put_object(Bucket=BUCKET, Key=f"Test/Pink Lady/{name}", Body=b"12345")
    for key in ("Test/", "Test/Pink Lady/", "Test/notes.txt", "Other/1.jpg"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")

    listing = write_work_list(s3, layout, "Test/")

    assert (listing.images, listing.image_bytes, listing.ignored) == (8, 40, 3)
    body = s3.get_object(Bucket=BUCKET, Key=layout.work_list)["Body"].read()
    rows = pq.read_table(io.BytesIO(body)).to_pylist()
    assert {row["key"] for row in rows} == {f"Test/Pink Lady/{name}" for name in ODD_NAMES}
    assert all(row["uri"] == f"s3://{BUCKET}/{row['key']}" for row in rows)
    assert {row["size"] for row in rows} == {5}
    assert all(len(row["etag"]) == 32 for row in rows)


def test_more_than_one_page_of_keys_is_listed(s3: Any, layout: RunLayout) -> None:
    for number in range(1100):
        s3.put_object(Bucket=BUCKET, Key=f"Test/a/{number}.jpg", Body=b"")
    assert write_work_list(s3, layout, "Test/").images == 1100


def test_without_photos_nothing_is_written(s3: Any, layout: RunLayout) -> None:
    assert write_work_list(s3, layout, "Test/").images == 0
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=BUCKET, Key=layout.work_list)
