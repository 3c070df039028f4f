"""After any history of drops, runs, crashes and retries, the current result has one row a photo.

Random sequences of uploads, changes, renames and deletions, between and during runs that are planned,
worked off, verified, published and cleaned up, or that die at any of these steps, are repeated, or
overlap. Plan, verification, publication and garbage collection are the pipeline's own; the two steps
are played by a few lines that leave what they promise to leave.
"""

import io
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moto import mock_aws

from fruit_contract.layout import CARRIED_NAME, FEATURES_PREFIX, RunLayout
from fruit_contract.manifest import DEAD, LIVE, REJECTED
from fruit_pipeline import garbage, planning, verification
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.guards import GuardError
from fruit_pipeline.manifest_merge import MANIFEST_SCHEMA, Row
from fruit_pipeline.parameters import RunParameters
from fruit_pipeline.planned import Planned
from fruit_pipeline.publication import (
    PublicationError,
    move_pointer,
    pointer_to,
    read_pointer,
)
from fruit_pipeline.tables import batches_under, keys_under
from local_aws import moto_gaps
from local_run import account
from tests.unit.conftest import BUCKET, REGION

NAMES = st.sampled_from(["a", "A", "é", "e\u0301", "b c", "b+c", "ü/ü", "\U0001f34e", "two\nlines"])
BODIES = st.sampled_from([b"1", b"22", b"33", b"", b"bad", b"bad too"])
"""Those that are empty or begin with ``bad`` are no photos."""
COMPONENTS = 1
KEPT = 2


@dataclass
class Run:
    """A run under way."""

    run_id: str
    planned: Planned
    photos: dict[str, bytes]
    """As they were when it was planned."""

    @property
    def layout(self) -> RunLayout:
        return RunLayout(BUCKET, self.planned["run_key"])


def is_photo(body: bytes) -> bool:
    return bool(body) and not body.startswith(b"bad")


class Histories(RuleBasedStateMachine):
    """The bucket, and the dict that it is compared with."""

    model_dir: Path

    def __init__(self) -> None:
        super().__init__()
        moto_gaps.mend()
        self.mock = mock_aws()
        self.mock.start()
        self.s3 = boto3.client("s3", region_name=REGION)
        account.create_bucket(self.s3, BUCKET, REGION)
        self.deployment = Deployment(model_dir=self.model_dir)
        self.photos: dict[str, bytes] = {}
        self.runs: list[Run] = []
        self.seen_by: dict[str, dict[str, bytes]] = {}
        """What a published run saw, by its key."""
        self.ids = 0

    def teardown(self) -> None:
        self.mock.stop()

    # --- drops -----------------------------------------------------------------------------------

    @rule(name=NAMES, body=BODIES)
    def put(self, name: str, body: bytes) -> None:
        key = f"Test/{name}.jpg"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        self.photos[key] = body

    @rule(names=st.sets(NAMES), body=BODIES)
    def put_many(self, names: set[str], body: bytes) -> None:
        for name in names:
            self.put(name, body)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=f"Test/{name}.jpg")
        self.photos.pop(f"Test/{name}.jpg", None)

    @rule(name=NAMES, new=NAMES)
    def rename(self, name: str, new: str) -> None:
        body = self.photos.get(f"Test/{name}.jpg")
        if body is not None:
            self.delete(name)
            self.put(new, body)

    # --- runs ------------------------------------------------------------------------------------

    @rule(fresh=st.booleans(), size=st.sampled_from([224, 224, 224, 96]))
    def begin(self, fresh: bool, size: int) -> None:
        self.ids += 1
        self._plan(f"r{self.ids}", fresh, size)

    @precondition(lambda self: self.seen_by)
    @rule()
    def clear_a_published_run(self) -> None:
        """Somebody clears a run that ended long ago: all its tasks run again, under the same id."""
        self._plan(next(iter(self.seen_by)).partition("+")[0], fresh=False, size=224)

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2))
    def die(self, which: int) -> None:
        """What the run has written so far stays where it is."""
        self.runs.pop(which % len(self.runs))

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2))
    def plan_again(self, which: int) -> None:
        run = self.runs.pop(which % len(self.runs))
        self._plan(run.run_id, fresh=False, size=224)

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2), half=st.booleans(), compacts=st.booleans())
    def work(self, which: int, half: bool, compacts: bool) -> None:
        """The steps, the first of which may die half-way; a photo that is gone or changed is rejected."""
        run = self.runs[which % len(self.runs)]
        self._featurize(run, half)
        if not half:
            self._reduce(run, compacts)

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2), publishes=st.integers(1, 2))
    def end(self, which: int, publishes: int) -> None:
        """Work it off, verify, and publish, perhaps twice; refused if another was published meanwhile."""
        run = self.runs.pop(which % len(self.runs))
        self._featurize(run, half=False)
        metrics = self._reduce(run, compacts=False)
        if not metrics[1]["rows"]:
            return  # the step fails: there is no feature vector
        overtaken = read_pointer(self.s3, BUCKET).etag != run.planned["pointer_etag"]
        work = run.planned["new"] + run.planned["changed"]
        try:
            verification.verify(
                self.s3, run.layout, self._parameters(False, 224), run.planned, metrics[0], metrics[1]
            )
        except verification.VerificationError:
            # What an overlapping run builds on may have been removed meanwhile.
            assert overtaken, "a run that nothing disturbed must be right"
            return
        assert metrics[0] is not None or not work
        pointer = pointer_to(
            run.layout,
            run.run_id,
            run.planned["features"],
            {"name": "m"},
            metrics[1],  # type: ignore[typeddict-item]
        )
        for _ in range(publishes):
            try:
                move_pointer(self.s3, BUCKET, pointer, run.planned["pointer_etag"])
            except PublicationError:
                assert overtaken
                return
        assert not overtaken
        self.seen_by[run.layout.run_key] = self._valid_now(run)

    @rule()
    def collect_garbage(self) -> None:
        garbage.collect(self.s3, BUCKET, KEPT)

    # --- what must hold --------------------------------------------------------------------------

    @invariant()
    def the_current_result_is_whole_and_has_each_photo_once(self) -> None:
        current = read_pointer(self.s3, BUCKET)
        assert (current.pointer is not None) == bool(self.seen_by)
        if current.pointer is None:
            return
        layout = RunLayout(BUCKET, current.pointer["run_key"])
        rows = [
            row
            for batch in batches_under(self.s3, BUCKET, layout.pca_output, ["path", "features"])
            for row in batch.to_pylist()
        ]
        assert Counter(row["path"] for row in rows).most_common(1)[0][1] == 1
        expected = self.seen_by[layout.run_key]
        assert {row["path"]: row["features"] for row in rows} == {
            layout.uri(key): [_component(body)] for key, body in expected.items()
        }

    @invariant()
    def every_kept_manifest_finds_its_rows(self) -> None:
        for run_key in read_pointer(self.s3, BUCKET).published[:KEPT]:
            layout = RunLayout(BUCKET, run_key)
            manifest = [
                Row(**row)
                for batch in batches_under(self.s3, BUCKET, layout.manifest, list(Row._fields))
                for row in batch.to_pylist()
            ]
            for row in manifest:
                if row.state == LIVE:
                    assert row.key in self._features(row.source), f"{row} of {run_key} has lost its features"

    # --- the steps -------------------------------------------------------------------------------

    def _parameters(self, fresh: bool, size: int) -> RunParameters:
        return RunParameters(
            bucket=BUCKET, components=COMPONENTS, minimum_variance=0.1, full_refresh=fresh, image_size=size
        )

    def _plan(self, run_id: str, fresh: bool, size: int) -> None:
        try:
            planned = planning.plan(self.s3, self._parameters(fresh, size), self.deployment, run_id)
        except GuardError:
            assert len(self.photos) <= COMPONENTS
            return
        assert planned["images"] == len(self.photos)
        if planned["nothing_new"]:
            current = read_pointer(self.s3, BUCKET)
            assert self.seen_by[current.published[0]] == {
                key: body for key, body in self.photos.items() if is_photo(body)
            }
            return
        # A run of the same id that is still under way would write to the same place: Airflow has one at most.
        self.runs = [run for run in self.runs if run.planned["run_key"] != planned["run_key"]]
        self.runs.append(Run(run_id, planned, dict(self.photos)))

    def _featurize(self, run: Run, half: bool) -> None:
        layout = run.layout
        for key in list(keys_under(self.s3, BUCKET, layout.features)):
            self.s3.delete_object(Bucket=BUCKET, Key=key)
        for key in list(keys_under(self.s3, BUCKET, layout.rejected)):
            self.s3.delete_object(Bucket=BUCKET, Key=key)
        if not run.planned["new"] + run.planned["changed"]:
            return
        work = [
            row
            for batch in batches_under(self.s3, BUCKET, layout.work_list, ["key"])
            for row in batch.to_pylist()
        ]
        rows: list[dict[str, Any]] = []
        for key in (row["key"] for row in work):
            body, reason = run.photos[key], None
            if self.photos.get(key) != body:
                reason = "gone: by then" if key not in self.photos else "changed since the plan: by then"
            elif not is_photo(body):
                reason = "corrupt: no photo"
            rows.append({"key": key, "value": None if reason else _component(body), "reason": reason})
        if half:
            rows = rows[: len(rows) // 2]
        _put(self.s3, f"{layout.features}part-0.parquet", rows, FEATURES)
        refused = [{"path": layout.uri(row["key"]), "reason": row["reason"]} for row in rows if row["reason"]]
        if not half:
            _put(self.s3, f"{layout.rejected}part-0.parquet", refused, REJECTIONS)

    def _reduce(self, run: Run, compacts: bool) -> tuple[Any, Any]:
        """What the steps would leave; their metrics."""
        layout, planned = run.layout, run.planned
        draft = [Row(**row) for row in pq.read_table(_body(self.s3, layout.draft)).to_pylist()]
        work = planned["new"] + planned["changed"]
        reasons = {
            row["path"]: row["reason"]
            for batch in (batches_under(self.s3, BUCKET, layout.rejected, ["path", "reason"]) if work else ())
            for row in batch.to_pylist()
        }
        manifest = [
            row._replace(state=REJECTED, reason=reasons[layout.uri(row.key)], source="")
            if row.source == layout.source and layout.uri(row.key) in reasons
            else row
            for row in draft
        ]
        live = [row for row in manifest if row.state == LIVE]
        read = {row.source for row in live}
        values = {source: self._features(source) for source in read}
        output = [
            {"path": layout.uri(row.key), "features": [values[row.source].get(row.key, -1.0)]} for row in live
        ]
        manifest = [row for row in manifest if row.state != DEAD or row.source in read]
        if compacts:
            name = f"compacted={layout.run_key}"
            rows = [
                {"key": row.key, "value": values[row.source].get(row.key), "reason": None} for row in live
            ]
            _put(self.s3, f"{layout.compacted}part-0.parquet", rows, FEATURES)
            manifest = [
                row._replace(source=name) if row.state == LIVE else row
                for row in manifest
                if row.state != DEAD
            ]
        carried = [
            {"path": layout.uri(row.key), "reason": row.reason} for row in draft if row.state == REJECTED
        ]
        for key in list(keys_under(self.s3, BUCKET, layout.pca_output)):
            self.s3.delete_object(Bucket=BUCKET, Key=key)
        _put(self.s3, f"{layout.pca_output}part-0.parquet", output, OUTPUT)
        _put(self.s3, f"{layout.rejected}{CARRIED_NAME}", carried, REJECTIONS)
        _put(self.s3, f"{layout.manifest}rows.parquet", [row._asdict() for row in manifest], MANIFEST_SCHEMA)
        reduced = {
            "rows": len(output),
            "rejected": len(carried) + len(reasons),
            "components": COMPONENTS,
            "solver": "blocks",
            "explained_variance": 1.0,
            "explained_variance_ratio": [1.0],
        }
        featurized = {
            "processed": work - len(reasons),
            "rejected": len(reasons),
            "model": {"fingerprint": planned["features"]["fingerprint"]},
        }
        return featurized if work else None, reduced

    def _features(self, source: str) -> dict[str, float]:
        """What a source holds by key."""
        prefix = f"{FEATURES_PREFIX}{source}/"
        return {
            row["key"]: row["value"]
            for batch in batches_under(self.s3, BUCKET, prefix, ["key", "value"])
            for row in batch.to_pylist()
            if row["value"] is not None
        }

    def _valid_now(self, run: Run) -> dict[str, bytes]:
        """The photos of the plan that had not gone or changed when they were read."""
        manifest = pq.read_table(_body(self.s3, f"{run.layout.manifest}rows.parquet")).to_pylist()
        passed = {row["key"] for row in manifest if row["state"] == REJECTED and "by then" in row["reason"]}
        return {key: body for key, body in run.photos.items() if is_photo(body) and key not in passed}


FEATURES = pa.schema([("key", pa.string()), ("value", pa.float64()), ("reason", pa.string())])
REJECTIONS = pa.schema([("path", pa.string()), ("reason", pa.string())])
OUTPUT = pa.schema([("path", pa.string()), ("features", pa.list_(pa.float64()))])


def _component(body: bytes) -> float:
    return float(int(body))


def _put(s3: Any, key: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    body = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), body)
    s3.put_object(Bucket=BUCKET, Key=key, Body=body.getvalue())


def _body(s3: Any, key: str) -> io.BytesIO:
    return io.BytesIO(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


@pytest.mark.slow
def test_after_any_history_the_current_result_has_one_row_a_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mobilenetv2.tflite").write_bytes(b"a model")
    monkeypatch.setattr(Histories, "model_dir", tmp_path, raising=False)
    monkeypatch.setattr(garbage, "_now", lambda s3, bucket: datetime.now(UTC))
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
