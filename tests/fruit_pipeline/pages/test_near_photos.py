"""Promise: the nearest photos are found by the cosine of their components, the nearest first."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_contract.layout import RunLayout
from fruit_contract.overview import INDEXED_PHOTOS
from fruit_pipeline.pages import near_photos, photos
from fruit_pipeline.pages.result_page import PageError
from fruit_pipeline.results.publication import write_json
from tests.fruit_pipeline.conftest import BUCKET

RESULT = RunLayout(BUCKET, "r")
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


def put_index(s3: Any, vectors: dict[str, list[int]]) -> None:
    rows = [np.array(vector, np.int8).tobytes() for vector in vectors.values()]
    file = io.BytesIO()
    pq.write_table(pa.table({"key": list(vectors), "vector": pa.array(rows, pa.binary())}), file)
    s3.put_object(Bucket=BUCKET, Key=f"{RESULT.neighbours}part-00000.parquet", Body=file.getvalue())


def index_of(s3: Any) -> near_photos.Index:
    index = near_photos.index_of(s3, RESULT)
    assert index is not None
    return index


def test_near_photos_come_the_nearest_first_without_the_photo_itself(s3: Any) -> None:
    put_index(s3, {"a/1": [100, 0], "a/2": [50, 5], "b/3": [0, 90], "b/4": [-70, 0]})
    near = index_of(s3).nearest("a/1")
    assert near is not None
    assert [each.key for each in near] == ["a/2", "b/3", "b/4"]
    assert [each.distance for each in near] == pytest.approx([0.005, 1, 2], abs=0.001)
    assert near[1].label == "b"
    assert index_of(s3).nearest("a/5") is None


def test_an_index_that_was_written_anew_is_read_anew(s3: Any) -> None:
    put_index(s3, {"a": [1, 0]})
    assert index_of(s3).keys == ["a"]
    put_index(s3, {"b": [1, 0]})
    assert index_of(s3).keys == ["b"]
    assert near_photos.index_of(s3, RunLayout(BUCKET, "other")) is None


def test_the_largest_index_is_compared_whole() -> None:
    vectors = np.random.default_rng(1).integers(-127, 127, (INDEXED_PHOTOS, 256), np.int8)
    keys = [str(number) for number in range(INDEXED_PHOTOS)]
    index = near_photos.Index({key: place for place, key in enumerate(keys)}, keys, vectors)
    near = index.nearest("7")
    exact = vectors.astype(np.float32)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    expected = np.argsort(-(exact @ exact[7]))[1 : near_photos.MOST + 1]
    assert near is not None
    assert [int(each.key) for each in near] == expected.tolist()


def test_only_photos_of_the_runs_own_files_are_shown_and_only_as_what_they_are(s3: Any) -> None:
    shown = [{"key": key, "label": "", "components": []} for key in ("Test/a.jpg", "Test/b")]
    overview = {"sample": shown, "rejected": [{"key": "Test/c", "reason": "r"}]}
    write_json(s3, BUCKET, RESULT.overview, overview)
    bodies = {
        "Test/a.jpg": PNG + b"rest",
        "Test/b": b"<svg onload=x>",
        "Test/c": JPEG + bytes(photos.MOST_BYTES),
        "Test/secret.jpg": JPEG,
    }
    for key, body in bodies.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    assert photos.photo(s3, RESULT, "Test/a.jpg") == (bodies["Test/a.jpg"], "image/png")
    refused = {"Test/secret.jpg": "check the key", "Test/b": "no JPEG", "Test/c": "at most 8,388,608"}
    for key, why in refused.items():
        with pytest.raises(PageError, match=why):
            photos.photo(s3, RESULT, key)
    put_index(s3, {"Test/secret.jpg": [1]})
    assert photos.photo(s3, RESULT, "Test/secret.jpg")[1] == "image/jpeg"


def test_a_small_result_is_given_as_a_table_and_a_large_one_is_named(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(s3, BUCKET, RESULT.overview, {"labels": {"Kiwi": {"processed": 2, "rejected": 0}}})
    rows = {
        "path": [f"s3://{BUCKET}/Test/Kiwi/{name}.jpg" for name in 'a"b'],
        "label": ["Kiwi"] * 3,
        "features": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
    }
    file = io.BytesIO()
    pq.write_table(pa.table(rows), file)
    s3.put_object(Bucket=BUCKET, Key=f"{RESULT.pca_output}part-0.parquet", Body=file.getvalue())
    table = list(photos.components(s3, RESULT))
    assert table[0] == ("key", "label", "component_1", "component_2")
    assert table[2] == ('Test/Kiwi/".jpg', "Kiwi", 3.0, 4.0)
    assert len(table) == 4
    monkeypatch.setattr(photos, "MOST_ROWS", 1)
    with pytest.raises(PageError, match=r"more than 1 rows: read s3://.*/Results/pca_output/run=r/"):
        photos.components(s3, RESULT)
