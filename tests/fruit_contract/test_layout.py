"""Keys are safe, unique to their run, and never lose a character of a photo's name."""

import doctest
import re
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fruit_contract import layout, partitions, variance


@pytest.mark.parametrize("module", [layout, partitions, variance])
def test_the_examples_in_the_docstrings_hold(module: ModuleType) -> None:
    done = doctest.testmod(module)
    assert done.failed == 0 < done.attempted


@given(st.text(min_size=1))
def test_a_run_key_is_safe_in_a_key_a_tag_and_a_path(run_id: str) -> None:
    key = layout.run_key(run_id)
    assert key.isascii()
    assert not set(key) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert 1 <= len(key) <= 129


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_runs_never_share_a_key(one: str, other: str) -> None:
    assert (layout.run_key(one) == layout.run_key(other)) == (one == other)


def test_an_empty_run_id_is_refused() -> None:
    with pytest.raises(ValueError, match="run_id is empty"):
        layout.run_key("")


@pytest.mark.parametrize("name", ["a b", "a+b", "50%", "a#b", "é", "a\nb", "%20"])
def test_a_key_is_never_encoded(name: str) -> None:
    run = layout.RunLayout("bucket", "run")
    uri = run.uri(f"Test/{name}/{name}.jpg")
    assert layout.split_uri(uri) == ("bucket", f"Test/{name}/{name}.jpg")
    assert layout.label_of(uri) == name


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("Test/a/1.jpg", True),
        ("Test/a/1.JPEG", True),
        ("a.jfif", True),
        ("a.JPE", True),
        ("Test/a/", False),
        ("Test/a/notes.txt", False),
    ],
)
def test_images_are_known_by_their_suffix(key: str, expected: bool) -> None:
    assert layout.is_image_key(key) is expected


def test_only_s3_addresses_are_split() -> None:
    with pytest.raises(ValueError, match="'http://bucket/key' is not an S3 address"):
        layout.split_uri("http://bucket/key")


def test_everything_a_run_writes_carries_its_own_key() -> None:
    run = layout.RunLayout("bucket", "some-run")
    written = [
        value
        for name in dir(run)
        if isinstance(value := getattr(run, name), str) and value.startswith("Results/")
    ]
    assert len(written) >= 12
    assert all("=some-run/" in key for key in written)


def test_everything_the_pipeline_writes_lies_below_a_prefix_of_its_own() -> None:
    run = layout.RunLayout("bucket", "some-run")
    properties = [name for name, value in vars(layout.RunLayout).items() if isinstance(value, property)]
    keys = {getattr(run, name) for name in properties if name != "source"}
    names = [name for name in vars(layout) if re.fullmatch(r"[A-Z].*_(PREFIX|KEY)", name)]
    constants = {getattr(layout, name) for name in names}
    written = {*keys, *constants, layout.artifact_key("0" * 64, "code.zip")} - {layout.INPUT_PREFIX}
    assert len(written) > 15
    for key in written:
        assert key.startswith(layout.RESERVED_PREFIXES), f"{key} could be taken for a photo of the user's"
