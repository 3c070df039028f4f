"""The files of a published result, as they were when it was published, and what has become of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fruit_contract.layout import CLASSIFIERS_PREFIX, FEATURES_PREFIX, RunLayout, split_uri
from fruit_pipeline.results.publication import Current, read_json, write_json

Files = Mapping[str, Mapping[str, int]]
"""By prefix and by name below it: sizes in bytes."""


def record(s3: Any, layout: RunLayout, sources: Iterable[str], classifier_run: str | None = None) -> None:
    """Write down what the run's result consists of, and what else it refers to.

    That is the ``sources`` of its manifest, and the classifier that ``classifier_run`` has trained.
    """
    prefixes = _prefixes(layout, sources, classifier_run)
    files = {prefix: dict(_files(s3, layout.bucket, prefix)) for prefix in prefixes}
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
    recorded = _recorded(s3, current)
    found = Counter({layout.manifest: int("files" in current.pointer and recorded is None)})
    for prefix in _prefixes(layout, sources, current.pointer.get("classifier_run")):
        found[prefix] += _lost(s3, bucket, prefix, recorded)
    return dict(+found)


def lost(s3: Any, bucket: str, current: Current, prefix: str) -> int:
    """How many files that the current result has below one prefix are missing or of another size."""
    return _lost(s3, bucket, prefix, _recorded(s3, current))


def classifier_run_of(s3: Any, layout: RunLayout) -> str | None:
    """The run whose classifier the published result of ``layout`` names, by its record."""
    recorded: Files = read_json(s3, layout.bucket, layout.files) or {}
    named = (prefix for prefix in recorded if prefix.startswith(CLASSIFIERS_PREFIX))
    return next((prefix.removeprefix(CLASSIFIERS_PREFIX).rstrip("/") for prefix in named), None)


def _recorded(s3: Any, current: Current) -> Files | None:
    if current.pointer is None or "files" not in current.pointer:
        return None
    recorded: Files | None = read_json(s3, *split_uri(current.pointer["files"]))
    return recorded


def _lost(s3: Any, bucket: str, prefix: str, recorded: Files | None) -> int:
    files = dict(_files(s3, bucket, prefix))
    wanted = recorded.get(prefix) if recorded else None
    if wanted is None:
        return int(not files)
    return sum(files.get(name) != size for name, size in wanted.items())


def source_prefix(source: str) -> str:
    return f"{FEATURES_PREFIX}{source}/"


def _prefixes(layout: RunLayout, sources: Iterable[str], classifier_run: str | None) -> list[str]:
    own = [layout.pca_output, layout.pca_model, layout.manifest, layout.rejected]
    if classifier_run:
        own.append(RunLayout(layout.bucket, classifier_run).classifier)
    return own + [source_prefix(source) for source in sorted(sources)]


def _files(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            yield entry["Key"].removeprefix(prefix), entry["Size"]
