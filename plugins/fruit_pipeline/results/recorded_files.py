"""The files of a published result, as they were when it was published, and what has become of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fruit_contract.layout import FEATURES_PREFIX, RunLayout, split_uri
from fruit_pipeline.results.publication import Current, read_json, write_json

Files = Mapping[str, Mapping[str, int]]
"""By prefix and by name below it: sizes in bytes."""


def record(s3: Any, layout: RunLayout, sources: Iterable[str]) -> None:
    """Write down what the run's result consists of, and the ``sources`` that its manifest refers to."""
    files = {prefix: dict(_files(s3, layout.bucket, prefix)) for prefix in _prefixes(layout, sources)}
    # The record lies below one of the prefixes.
    files[layout.manifest].pop(layout.files.removeprefix(layout.manifest), None)
    write_json(s3, layout.bucket, layout.files, files)


def damaged(s3: Any, bucket: str, current: Current, sources: Iterable[str]) -> dict[str, int]:
    """How many files are missing or of another size, by prefix; of the current result and of ``sources``.

    The record itself is one of the files. Of what was not recorded, a prefix without any file is damaged.
    """
    if current.pointer is None:
        return {}
    layout = RunLayout(bucket, current.pointer["run_key"])
    recorded: Files | None = None
    found = Counter[str]()
    if "files" in current.pointer:
        recorded = read_json(s3, *split_uri(current.pointer["files"]))
        found[layout.manifest] += recorded is None
    for prefix in _prefixes(layout, sources):
        files = dict(_files(s3, bucket, prefix))
        wanted = recorded.get(prefix) if recorded else None
        if wanted is None:
            found[prefix] += not files
        else:
            found[prefix] += sum(files.get(name) != size for name, size in wanted.items())
    return dict(+found)


def source_prefix(source: str) -> str:
    return f"{FEATURES_PREFIX}{source}/"


def _prefixes(layout: RunLayout, sources: Iterable[str]) -> list[str]:
    own = [layout.pca_output, layout.pca_model, layout.manifest, layout.rejected]
    return own + [source_prefix(source) for source in sorted(sources)]


def _files(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            yield entry["Key"].removeprefix(prefix), entry["Size"]
