"""A bucket in a folder, whose photos change from run to run, and the runs: planned, featurized, reduced.

Photos are numbers: a vector is drawn from a photo's key and version. The plan is the Airflow side's own.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from fruit_contract.manifest import DEAD, LIVE, REJECTED
from fruit_contract.report_schema import ReduceMetrics
from fruit_pipeline.photos.manifest_merge import Changes, Photo, Row, merged
from fruit_pipeline.results.manifests import MANIFEST_SCHEMA
from fruit_pipeline.results.tables import RowWriter
from fruit_spark.steps.reduce_job import ReduceSettings, reduce

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DIM = 1280
ROOT = "s3://bucket/"
BAD = "bad"
"""The version of a photo that is rejected."""
FEATURES_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.string()),
        ("features", pa.list_(pa.float32())),
        ("reason", pa.string()),
    ]
)


def vector(photo: Photo, spread: float = 1.0) -> npt.NDArray[np.float32]:
    """float32 [1280]; the spectrum of many falls slowly from one direction to the next."""
    seed = hashlib.sha256(f"{photo.key} {photo.etag}".encode()).digest()
    chance, basis = np.random.default_rng(list(seed)), np.random.default_rng(7)
    weights = chance.normal(size=32) * 0.8 ** np.arange(32) * spread
    return (weights @ basis.normal(size=(32, DIM)) + 2).astype(np.float32)


def read(folder: Path | str) -> pa.Table:
    """The rows of a folder's Parquet files, without a column from the folder's name."""
    return pq.read_table(folder, partitioning=None)


@dataclass
class History:
    """The photos as they are now, and what the runs have left."""

    spark: "SparkSession"
    folder: Path
    photos: dict[str, str] = field(default_factory=dict)
    """Version by key."""
    published: int | None = None
    """The run whose result is current."""
    runs: int = 0

    def listed(self) -> list[Photo]:
        return [Photo(key, self.photos[key], 1) for key in sorted(self.photos, key=str.encode)]

    def valid(self) -> list[Photo]:
        return [photo for photo in self.listed() if photo.etag != BAD]

    def settings(self, run: int, **changes: Any) -> ReduceSettings:
        usual: dict[str, Any] = {
            "features": str(self.folder / "features"),
            "output": str(self.folder / f"output/run={run}"),
            "model_output": str(self.folder / f"model/run={run}"),
            "metrics": str(self.folder / f"reports/run={run}/reduce.json"),
            "plot": str(self.folder / f"reports/run={run}/variance.png"),
            "neighbours": str(self.folder / f"model/run={run}/neighbours/"),
            "overview": str(self.folder / f"reports/run={run}/overview.json"),
            "components": 8,
            "min_variance": 0.3,
            "solver": "blocks",
            "time_limit": None,
            "draft": str(self.folder / f"draft/run={run}.parquet"),
            "source": f"run={run}",
            "root": ROOT,
            "rejected": str(self.folder / f"rejected/run={run}"),
            "manifest": str(self.folder / f"manifest/run={run}"),
            "compacted": str(self.folder / f"features/compacted={run}"),
        }
        return ReduceSettings(**usual | changes)

    def manifest(self, run: int | None = None) -> list[Row]:
        which = self.published if run is None else run
        if which is None:
            return []
        rows = read(self.folder / f"manifest/run={which}").to_pylist()
        return [Row(**row) for row in rows]

    def plan(self, fresh: bool = False) -> tuple[int, Changes, list[Photo]]:
        """The number of a new run, what it found, and its work; the draft is written."""
        self.runs += 1
        settings, changes = self.settings(self.runs), Changes()
        assert settings.draft is not None
        assert settings.source is not None
        Path(settings.draft).parent.mkdir(exist_ok=True)
        base = [] if fresh else self.manifest()
        with RowWriter(Path(settings.draft), MANIFEST_SCHEMA) as draft:
            rows = list(merged(self.listed(), base, settings.source, changes))
            for row in rows:
                draft.write(row)
        return self.runs, changes, [Photo(*row[:3]) for row in rows if row.source == settings.source]

    def featurize(self, run: int, work: list[Photo], files: int = 1, spread: float = 1.0) -> None:
        """What the featurize step leaves of a work list, if there is one."""
        if not work:
            return
        rows = [
            {
                "path": f"{ROOT}{photo.key}",
                "label": photo.key.split("/")[-2] if "/" in photo.key else "",
                "features": None if photo.etag == BAD else vector(photo, spread),
                "reason": "corrupt: cut off" if photo.etag == BAD else None,
            }
            for photo in work
        ]
        _write(self.folder / f"features/run={run}", rows, FEATURES_SCHEMA, files)
        refused = [row for row in rows if row["reason"]]
        _write(self.folder / f"rejected/run={run}", refused, FEATURES_SCHEMA, 1)

    def reduce(self, run: int, **changes: Any) -> ReduceMetrics:
        return reduce(self.spark, self.settings(run, **changes))

    def run(self, files: int = 1, spread: float = 1.0, **changes: Any) -> ReduceMetrics:
        """A run to its end, whose result is then current and is checked."""
        run, _, work = self.plan()
        self.featurize(run, work, files, spread)
        metrics = self.reduce(run, **changes)
        self.published = run
        self.check()
        return metrics

    def rows(self) -> dict[str, npt.NDArray[np.float32]]:
        """The current result by path, each once."""
        table = read(self.settings(self.published or 0).output)
        paths = table.column("path").to_pylist()
        assert len(set(paths)) == len(paths), "a photo has two rows"
        return dict(zip(paths, np.array(table.column("features").to_pylist(), np.float32), strict=True))

    def check(self) -> None:
        """One row for each live and valid photo, of its own vector; the others with a reason; all named."""
        assert self.published is not None
        settings, rows = self.settings(self.published), self.rows()
        model = _matrix(self.spark, settings.model_output)
        assert rows.keys() == {f"{ROOT}{photo.key}" for photo in self.valid()}
        for photo in self.valid():
            expected = vector(photo).astype(np.float64) @ model
            np.testing.assert_allclose(rows[f"{ROOT}{photo.key}"], expected, rtol=1e-3, atol=2e-2)
        rejected = read(settings.rejected).select(["path", "reason"]).to_pylist()
        bad = [f"{ROOT}{photo.key}" for photo in self.listed() if photo.etag == BAD]
        assert sorted(row["path"] for row in rejected) == sorted(bad)
        assert all(row["reason"] for row in rejected)
        manifest = self.manifest()
        named = [Photo(*row[:3]) for row in manifest if row.state != DEAD]
        assert named == self.listed()
        assert [row.key for row in manifest] == sorted((row.key for row in manifest), key=str.encode)
        for row in manifest:
            assert (row.state == REJECTED) == (row.etag == BAD and row.state != DEAD)
            assert (row.state == REJECTED) == (row.source == "")
            assert (row.reason is not None) == (row.state == REJECTED)

    def sources(self) -> set[str]:
        return {row.source for row in self.manifest() if row.state == LIVE}

    def from_nothing(self) -> tuple[ReduceMetrics, npt.NDArray[np.float64]]:
        """Metrics and matrix of a run over the same photos that builds on nothing."""
        run, _, work = self.plan(fresh=True)
        self.featurize(run, work)
        metrics = self.reduce(run)
        return metrics, _matrix(self.spark, self.settings(run).model_output)

    def matrix(self) -> npt.NDArray[np.float64]:
        return _matrix(self.spark, self.settings(self.published or 0).model_output)

    def metrics(self) -> ReduceMetrics:
        found: ReduceMetrics = json.loads(Path(self.settings(self.published or 0).metrics).read_text())
        return found


def _write(folder: Path, rows: list[dict[str, Any]], schema: pa.Schema, files: int) -> None:
    """The rows in so many files; what lay there before is gone, as the steps do it."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    for number in range(files):
        part = pa.Table.from_pylist(rows[number::files], schema=schema)
        pq.write_table(part, folder / f"part-{number}.parquet")


def _matrix(spark: "SparkSession", model: str) -> npt.NDArray[np.float64]:
    from pyspark.ml.feature import PCAModel

    found: npt.NDArray[np.float64] = PCAModel.load(model).pc.toArray()
    return found
