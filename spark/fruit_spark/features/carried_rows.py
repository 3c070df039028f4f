"""Rows that the reduce step takes over from earlier runs, by the draft manifest.

The draft and the manifest are read and written by the driver, a batch at a time: they have a line for
each photo and none of its features.
"""

import urllib.parse
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fruit_contract.layout import CARRIED_NAME, FINISHED_NAME, split_uri
from fruit_contract.manifest import DEAD, LIVE, MANIFEST_COLUMNS, REJECTED
from fruit_spark.features.feature_files import FeatureFiles, list_features
from fruit_spark.step_errors import StepError
from fruit_spark.storage import hadoop
from fruit_spark.storage.part_files import whole
from fruit_spark.storage.s3 import is_s3, s3_file_system

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MANIFEST_SCHEMA: Final = pa.schema(
    [pa.field(name, pa.type_for_alias(kind), name == "reason") for name, kind in MANIFEST_COLUMNS]
)
MANIFEST_NAME: Final = "rows.parquet"
REJECTED_SCHEMA: Final = pa.schema([("path", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True)
class Draft:
    """The manifest as it was planned: which sources have rows that count, and which rows do not."""

    address: str
    live: Counter[str] = field(default_factory=Counter)
    """Rows by source."""
    dead: dict[str, list[str]] = field(default_factory=dict)
    """Keys by source, of sources that have rows which count."""
    carried: int = 0
    """Photos that an earlier run rejected."""


def read_draft(address: str) -> Draft:
    """Read a draft once; ``StepError`` when it is not there."""
    live: Counter[str] = Counter()
    dead: dict[str, list[str]] = {}
    carried = 0
    for batch in _batches(address):
        states, sources = batch.column("state"), batch.column("source")
        live.update(sources.filter(pc.equal(states, LIVE)).to_pylist())
        carried += pc.sum(pc.equal(states, REJECTED)).as_py() or 0
        gone = batch.filter(pc.equal(states, DEAD))
        for key, source in zip(
            gone.column("key").to_pylist(), gone.column("source").to_pylist(), strict=True
        ):
            dead.setdefault(source, []).append(key)
    # A source without a row that counts is read no more: its dead rows go with it.
    return Draft(address, live, {source: keys for source, keys in dead.items() if source in live}, carried)


def list_carried(spark: "SparkSession", features: str, draft: Draft, root: str) -> FeatureFiles:
    """The feature files of a draft's sources below ``features``. A path is ``root`` and the key."""
    folders = [f"{features.rstrip('/')}/{source}/" for source in sorted(draft.live)]
    dead = {source: [f"{root}{key}" for key in keys] for source, keys in draft.dead.items()}
    return list_features(spark, folders, dead)


def read_rejected(spark: "SparkSession", folder: str, root: str) -> dict[str, str]:
    """The reason by key of what the featurize step rejected. A path is ``root`` and the key."""
    if not hadoop.exists(spark, folder):
        raise StepError(f"There are no rejected images at {folder}: run the featurize step first.")
    written = spark.read.schema("path string, reason string").parquet(hadoop.hadoop_uri(spark, folder))
    return {
        path.removeprefix(root): reason
        for file in written.inputFiles()
        if not file.endswith(f"/{CARRIED_NAME}")
        for batch in _batches(urllib.parse.unquote(file))
        for path, reason in zip(
            batch.column("path").to_pylist(), batch.column("reason").to_pylist(), strict=True
        )
    }


def write_carried(draft: Draft, root: str, folder: str) -> None:
    """Add the photos that earlier runs rejected to the rejected ones of this run."""
    with _writer(f"{folder.rstrip('/')}/{CARRIED_NAME}", REJECTED_SCHEMA) as writer:
        for batch in _batches(draft.address):
            carried = batch.filter(pc.equal(batch.column("state"), REJECTED))
            paths = [f"{root}{key}" for key in carried.column("key").to_pylist()]
            writer.write_table(
                pa.table([pa.array(paths, pa.string()), carried.column("reason")], schema=REJECTED_SCHEMA)
            )


def write_finished(work_list: str, rejected: Mapping[str, str], features: str) -> None:
    """Leave a manifest of what a featurize step has made beside its features, for runs to come.

    ``rejected`` has the reason by URI. Here rejected photos have a source, too.
    """
    uris, reasons = (pa.array(list(values), pa.string()) for values in (rejected.keys(), rejected.values()))
    source = features.rstrip("/").rpartition("/")[2]
    with _writer(f"{features.rstrip('/')}/{FINISHED_NAME}", MANIFEST_SCHEMA) as writer:
        for batch in _batches(work_list):
            place = pc.index_in(batch.column("uri"), uris)
            columns = {
                "key": batch.column("key"),
                "etag": batch.column("etag"),
                "size": batch.column("size"),
                "state": pc.if_else(pc.is_valid(place), REJECTED, LIVE),
                "reason": pc.take(reasons, place),
                "source": pa.array([source] * batch.num_rows, pa.string()),
            }
            writer.write_table(pa.Table.from_arrays(list(columns.values()), schema=MANIFEST_SCHEMA))


def write_manifest(
    draft: Draft, source: str, rejected: Mapping[str, str], compacted: str | None, folder: str
) -> None:
    """The manifest of the run: the draft, with what was rejected, and with what compaction has moved.

    ``rejected`` has the reason by key, of photos of this run's own ``source``. ``compacted`` is the source
    that holds all rows that count, where they were written anew.
    """
    keys, reasons = (pa.array(list(values), pa.string()) for values in (rejected.keys(), rejected.values()))
    with _writer(f"{folder.rstrip('/')}/{MANIFEST_NAME}", MANIFEST_SCHEMA) as writer:
        for batch in _batches(draft.address):
            rows = _without_lost_rows(batch, draft, compacted)
            columns = {name: rows.column(name) for name in MANIFEST_SCHEMA.names}
            place = pc.index_in(columns["key"], keys)
            refused = pc.and_(pc.is_valid(place), pc.equal(columns["source"], source))
            columns["state"] = pc.if_else(refused, REJECTED, columns["state"])
            columns["reason"] = pc.if_else(refused, pc.take(reasons, place), columns["reason"])
            columns["source"] = pc.if_else(refused, "", columns["source"])
            if compacted:
                live = pc.equal(columns["state"], LIVE)
                columns["source"] = pc.if_else(live, compacted, columns["source"])
            writer.write_table(pa.Table.from_arrays(list(columns.values()), schema=MANIFEST_SCHEMA))


def _without_lost_rows(batch: pa.RecordBatch, draft: Draft, compacted: str | None) -> pa.RecordBatch:
    """Without the dead rows whose file is referred to no more."""
    lost = pc.equal(batch.column("state"), DEAD)
    if not compacted:
        read = pc.is_in(batch.column("source"), pa.array(list(draft.live), pa.string()))
        lost = pc.and_not(lost, read)
    return batch.filter(pc.invert(lost))


def _batches(address: str) -> Iterator[pa.RecordBatch]:
    try:
        stream = _input(address)
    except FileNotFoundError as problem:
        raise StepError(f"There is no file at {address}: check the address.") from problem
    with stream, whole(address):
        yield from pq.ParquetFile(stream, page_checksum_verification=True).iter_batches(batch_size=8192)


def _input(address: str) -> Any:
    if is_s3(address):
        return s3_file_system().open_input_file("/".join(split_uri(address)))
    return pa.OSFile(address.removeprefix("file:"))


def _writer(address: str, schema: pa.Schema) -> Any:
    """A Parquet writer to an address; on S3 the file is there only when it is whole."""
    if is_s3(address):
        return pq.ParquetWriter(
            "/".join(split_uri(address)),
            schema,
            filesystem=s3_file_system(),
            compression="zstd",
            write_page_checksum=True,
        )
    path = Path(address.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
