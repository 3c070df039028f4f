"""After any history of drops, runs, crashes, clears and losses, the current result is whole.

Random sequences of uploads, changes, renames and deletions, between and during runs of two installations
with the same run ids. The runs are planned, worked off, verified, published and cleaned up. They die at
any step or at any write, are cleared from any task on, repeated, or overlap. Objects of the current
result are lost, cut off or changed. Plan, claims, verification, publication and garbage collection are the
pipeline's own; the two steps are played by a few lines that leave what they promise to leave.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moto import mock_aws

from fruit_contract.classifier import CARD_NAME
from fruit_contract.layout import (
    ATTEMPT_NAME,
    CARRIED_NAME,
    FEATURES_PREFIX,
    FINISHED_NAME,
    FORMER_LATEST_KEY,
    LATEST_KEY,
    RunLayout,
)
from fruit_contract.manifest import DEAD, LIVE, REJECTED
from fruit_pipeline.errors import UnreadableError
from fruit_pipeline.photos import planner
from fruit_pipeline.photos.manifest_merge import Row
from fruit_pipeline.photos.planner import TooFewImagesError
from fruit_pipeline.results import classifiers, garbage, publishing, verification
from fruit_pipeline.results.claims import ClaimError, Owner, check_open
from fruit_pipeline.results.manifests import MANIFEST_SCHEMA, sources_of
from fruit_pipeline.results.publication import (
    PublicationError,
    pointer_to,
    read_json,
    read_pointer,
    write_json,
)
from fruit_pipeline.results.recorded_files import damaged, source_prefix
from fruit_pipeline.results.run_plan import RunPlan
from fruit_pipeline.results.tables import batches_of, batches_under, keys_under
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from local_aws import moto_gaps
from local_run import local_account
from tests.fruit_pipeline.conftest import BUCKET, REGION

NAMES = st.sampled_from(["a", "A", "é", "e\u0301", "b c", "b+c", "ü/ü", "\U0001f34e", "two\nlines"])
BODIES = st.sampled_from([b"1", b"22", b"33", b"", b"bad", b"bad too"])
"""Those that are empty or begin with ``bad`` are no photos."""
OWNERS = st.builds(
    Owner, st.sampled_from(["one", "two"]), st.just("fruit_features"), st.sampled_from(["r1", "r2", "r3"])
)
SIZES = st.sampled_from([224, 224, 224, 96])
COMPONENTS = st.sampled_from([1, 1, 2])
NO_CRASH = -1
CRASHES = st.sampled_from([NO_CRASH, NO_CRASH, 0, 1, 2, 3])
KEPT = 2


@dataclass
class Run:
    """A run under way, or one that was published and can be cleared."""

    owner: Owner
    planned: RunPlan
    photos: dict[str, bytes]
    """As they were when it was planned."""
    size: int
    components: int

    @property
    def layout(self) -> RunLayout:
        return RunLayout(BUCKET, self.planned["run_key"])


def is_photo(body: bytes) -> bool:
    return bool(body) and not body.startswith(b"bad")


class CrashError(Exception):
    """The process is gone, in the middle of its work."""


class Mortal:
    """An S3 client whose process dies at a write."""

    WRITES = ("put_object", "upload_file", "delete_objects", "delete_object")

    def __init__(self, s3: Any) -> None:
        self.s3, self.writes_left = s3, -1

    def __getattr__(self, name: str) -> Any:
        if name in self.WRITES:
            self.writes_left -= 1
            if self.writes_left == -1:
                raise CrashError(name)
        return getattr(self.s3, name)


class Histories(RuleBasedStateMachine):
    """The bucket, and the dict that it is compared with."""

    model_dir: Path

    def __init__(self) -> None:
        super().__init__()
        moto_gaps.mend()
        self.mock = mock_aws()
        self.mock.start()
        self.client = boto3.client("s3", region_name=REGION)
        self.s3 = Mortal(self.client)
        local_account.create_bucket(self.client, BUCKET, REGION)
        self.deployment = Deployment(model_dir=self.model_dir)
        self.photos: dict[str, bytes] = {}
        self.runs: list[Run] = []
        self.published: list[Run] = []
        self.seen_by: dict[str, dict[str, bytes]] = {}
        """What a published run saw, by its key."""
        self.made: set[tuple[str, str, int]] = set()
        """Photos and sizes that a finished featurize step has made features of, and that are kept."""
        self.harmed = self.harms = 0
        """Losses since the current result was published, and in all."""
        self.visibly_harmed = False
        """Whether a file of the current result has not the size that it had."""
        self.sources_of_result = set[str]()

    def teardown(self) -> None:
        self.mock.stop()

    # --- drops -----------------------------------------------------------------------------------

    @rule(name=NAMES, body=BODIES)
    def put(self, name: str, body: bytes) -> None:
        key = f"Test/{name}.jpg"
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)
        self.photos[key] = body

    @rule(names=st.sets(NAMES), body=BODIES)
    def put_many(self, names: set[str], body: bytes) -> None:
        for name in names:
            self.put(name, body)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=f"Test/{name}.jpg")
        self.photos.pop(f"Test/{name}.jpg", None)

    @rule(name=NAMES, new=NAMES)
    def rename(self, name: str, new: str) -> None:
        body = self.photos.get(f"Test/{name}.jpg")
        if body is not None:
            self.delete(name)
            self.put(new, body)

    @initialize(names=st.sets(NAMES, min_size=3))
    def first_drop(self, names: set[str]) -> None:
        for number, name in enumerate(names):
            self.put(name, str(number + 1).encode())

    # --- runs ------------------------------------------------------------------------------------

    @rule(owner=OWNERS, fresh=st.booleans(), size=SIZES, components=COMPONENTS, crash=CRASHES)
    def begin(self, owner: Owner, fresh: bool, size: int, components: int, crash: int) -> None:
        """A run, or one that had that id before and is cleared from its first task on."""
        with self._mortal(crash):
            self._plan(owner, fresh, size, components)

    @rule(owner=OWNERS, size=SIZES, components=COMPONENTS, crash=CRASHES, passes=st.booleans())
    def run(self, owner: Owner, size: int, components: int, crash: int, passes: bool) -> None:
        """A whole one, that nothing overlaps."""
        waiting = len(self.runs)
        self._plan(owner, False, size, components)
        if self.runs[waiting:] or (self.runs and self.runs[-1].owner == owner):
            self.runs.insert(0, self.runs.pop())
            self.end(0, crash, passes)

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2))
    def die(self, which: int) -> None:
        """What the run has written so far stays where it is."""
        self.runs.pop(which % len(self.runs))

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2), half=st.booleans(), compacts=st.booleans())
    def work(self, which: int, half: bool, compacts: bool) -> None:
        """The steps, the first of which may die half-way; a photo that is gone or changed is rejected."""
        run = self.runs[which % len(self.runs)]
        with self._harmed_features_may_stop_it():
            self._featurize(run, half)
            if not half:
                self._reduce(run, compacts)

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 2), crash=CRASHES, passes=st.booleans())
    def end(self, which: int, crash: int, passes: bool) -> None:
        """Work it off, verify, and publish, again after a crash; refused if another was quicker."""
        run = self.runs.pop(which % len(self.runs))
        overtaken = read_pointer(self.s3, BUCKET, unreadable=True).etag != run.planned["pointer_etag"]
        with self._harmed_features_may_stop_it():
            featurized = self._featurize(run, half=False)
            reduced = self._reduce(run, compacts=False)
            if not reduced["rows"]:
                return  # the step fails: there is no feature vector
            try:
                verification.verify(
                    self.s3,
                    run.layout,
                    self._parameters(False, run.size, run.components),
                    run.planned,
                    featurized,
                    reduced,
                )
            except verification.VerificationError:
                # What an overlapping run builds on may have been removed, or lost, meanwhile.
                assert overtaken or self.harms, "a run that nothing disturbed must be right"
                return
            model = featurized["model"] if featurized else run.planned["model"]
            trained = self._train(run, passes)
            named = classifiers.run_to_name(run.layout.run_key, trained, run.planned["classifier_run"])
            asked = classifiers.asked(self._parameters(False, run.size, run.components))
            features = run.planned["features"]
            pointer = pointer_to(run.layout, run.owner.run_id, features, model, reduced, asked, named)
            for attempt in (crash, NO_CRASH):
                with self._mortal(attempt):
                    self._publish(run, pointer, overtaken)

    def _publish(self, run: Run, pointer: Any, overtaken: bool) -> None:
        try:
            publishing.publish(self.s3, run.layout, run.owner, pointer, run.planned["pointer_etag"])
        except PublicationError:
            assert overtaken
            return
        assert not overtaken
        former, latest = (_body(self.client, key).getvalue() for key in (FORMER_LATEST_KEY, LATEST_KEY))
        assert former == latest, "readers of the former address see the current result"
        if run.layout.run_key not in self.seen_by:
            self.seen_by[run.layout.run_key] = self._valid_now(run)
            self.published.append(run)
            self.harmed, self.visibly_harmed = 0, False

    @precondition(lambda self: self.published)
    @rule(which=st.integers(0, 20), task=st.sampled_from(["plan", "step", "clean"]))
    def clear(self, which: int, task: str) -> None:
        """Somebody clears a run that was published, from a task on: all that follows it runs again."""
        run = self.published[which % len(self.published)]
        if task == "plan":
            self._plan(run.owner, fresh=False, size=run.size, components=run.components)
        elif task == "step":
            with pytest.raises(ClaimError, match="was published"):
                check_open(self.s3, run.layout, run.owner)
        else:
            self.collect_garbage(NO_CRASH)

    @rule(crash=CRASHES)
    def collect_garbage(self, crash: int) -> None:
        self._collect(crash, timedelta())

    def _collect(self, crash: int, later: timedelta) -> None:
        before, now = set(keys_under(self.client, BUCKET, "Results/")), datetime.now(UTC) + later
        try:
            with self._mortal(crash), mock.patch.object(garbage, "_now", return_value=now):
                garbage.collect(self.s3, BUCKET, KEPT)
        except UnreadableError:
            assert self.harms
            assert set(keys_under(self.client, BUCKET, "Results/")) == before
        left = set(keys_under(self.client, BUCKET, "Results/"))
        if any(key.endswith(FINISHED_NAME) for key in before - left):
            self.made.clear()

    @rule(days=st.sampled_from([3, 31]))
    def clean_much_later(self, days: int) -> None:
        """No run lives so long."""
        self.runs.clear()
        self._collect(NO_CRASH, timedelta(days=days))

    @precondition(lambda self: self.published)
    @rule(how=st.sampled_from(["lost", "cut", "changed"]), which=st.integers(0, 50))
    def harm(self, how: str, which: int) -> None:
        """An object that the pointer leads to. What only changes is found by its checksum when it is read."""
        layout = RunLayout(BUCKET, self.published[-1].layout.run_key)
        prefixes = [layout.manifest, FEATURES_PREFIX, LATEST_KEY]
        named = self._named_classifier()
        if how != "changed":
            prefixes += [layout.pca_output, layout.pca_model, layout.rejected, *named]
        keys = [key for prefix in prefixes for key in keys_under(self.client, BUCKET, prefix)]
        key = keys[which % len(keys)]
        with suppress(UnreadableError):
            self.sources_of_result = sources_of(self.client, BUCKET, layout.manifest)
        sources = [source_prefix(source) for source in self.sources_of_result]
        body = _body(self.client, key).getvalue()
        if how == "lost" and key != LATEST_KEY:
            self.client.delete_object(Bucket=BUCKET, Key=key)
        elif how == "cut" or not key.endswith(".parquet"):
            self.client.put_object(Bucket=BUCKET, Key=key, Body=body[: len(body) // 2])
        else:
            # The first page: after the magic number and the page's header.
            self.client.put_object(Bucket=BUCKET, Key=key, Body=body[:30] + b"\xff\x00\xff" + body[33:])
        own = (layout.manifest, layout.pca_output, layout.pca_model, layout.rejected)
        of_result = (*own, *named, *sources)
        self.visibly_harmed |= how != "changed" and key.startswith(of_result)
        self.harmed += 1
        self.harms += 1
        self.made.clear()

    def _named_classifier(self) -> list[str]:
        """The prefix of the classifier that is current, if there is one."""
        pointer = read_pointer(self.client, BUCKET, unreadable=True).pointer or {}
        run = pointer.get("classifier_run")
        return [RunLayout(BUCKET, run).classifier] if run else []

    # --- what must hold --------------------------------------------------------------------------

    @invariant()
    def the_current_classifier_is_of_the_features_of_the_current_result(self) -> None:
        if self.harmed:
            return
        for prefix in self._named_classifier():
            pointer = read_pointer(self.client, BUCKET).pointer
            card = read_json(self.client, BUCKET, f"{prefix}{CARD_NAME}")
            assert pointer
            assert card["image_size"] == pointer["features"]["image_size"]

    @invariant()
    def the_current_result_is_whole_and_has_each_photo_once(self) -> None:
        if self.harmed:
            return
        current = read_pointer(self.client, BUCKET)
        assert (current.pointer is not None) == bool(self.seen_by)
        if current.pointer is None:
            return
        layout = RunLayout(BUCKET, current.pointer["run_key"])
        assert damaged(self.client, BUCKET, current, sources_of(self.client, BUCKET, layout.manifest)) == {}
        rows = [
            row
            for batch in batches_under(self.client, BUCKET, layout.pca_output, ["path", "features"])
            for row in batch.to_pylist()
        ]
        assert Counter(row["path"] for row in rows).most_common(1)[0][1] == 1
        components = current.pointer["components"]
        expected = self.seen_by[layout.run_key]
        assert {row["path"]: row["features"] for row in rows} == {
            layout.uri(key): [_component(body)] * components for key, body in expected.items()
        }

    @invariant()
    def every_kept_manifest_finds_its_rows(self) -> None:
        if self.harmed:
            return
        kept = read_pointer(self.client, BUCKET).published[: 1 if self.harms else KEPT]
        for run_key in kept:
            layout = RunLayout(BUCKET, run_key)
            manifest = [
                Row(**row)
                for batch in batches_under(self.client, BUCKET, layout.manifest, list(Row._fields))
                for row in batch.to_pylist()
            ]
            for row in manifest:
                if row.state == LIVE:
                    assert row.key in self._features(row.source), f"{row} of {run_key} has lost its features"

    # --- the steps -------------------------------------------------------------------------------

    @contextmanager
    def _mortal(self, crash: int) -> Iterator[None]:
        """The process dies at write number ``crash``, from 0."""
        self.s3.writes_left = crash
        with suppress(CrashError):
            yield
        self.s3.writes_left = NO_CRASH

    @contextmanager
    def _harmed_features_may_stop_it(self) -> Iterator[None]:
        """A step that reads what is no more as it was written fails, and says so."""
        try:
            yield
        except UnreadableError:
            assert self.harms

    def _parameters(self, fresh: bool, size: int, components: int) -> RunParameters:
        return RunParameters(
            bucket=BUCKET, components=components, minimum_variance=0.1, full_refresh=fresh, image_size=size
        )

    def _plan(self, owner: Owner, fresh: bool, size: int, components: int) -> None:
        parameters = self._parameters(fresh, size, components)
        try:
            planned = planner.plan(self.s3, parameters, self.deployment, owner)
        except TooFewImagesError:
            assert len(self.photos) <= components
            return
        except UnreadableError:
            assert self.harms
            assert not fresh, "a full refresh is always a way out"
            return
        assert planned["images"] == len(self.photos)
        if planned["nothing_new"]:
            assert not self.visibly_harmed
            current = read_pointer(self.client, BUCKET)
            assert self.seen_by[current.published[0]] == {
                key: body for key, body in self.photos.items() if is_photo(body)
            }
            return
        if not fresh:
            known = sum((key, _etag(body), size) in self.made for key, body in self.photos.items())
            assert planned["reused"] >= known, "finished features are used again"
        # A run of the same id that is still under way would write to the same place: Airflow has one at most.
        self.runs = [run for run in self.runs if run.owner != owner]
        assert planned["run_key"] not in {run.planned["run_key"] for run in self.runs}
        assert planned["run_key"] not in self.seen_by
        self.runs.append(Run(owner, planned, dict(self.photos), size, components))

    def _featurize(self, run: Run, half: bool) -> Any:
        """The metrics of the step; None where it has nothing to do."""
        layout = run.layout
        check_open(self.s3, layout, run.owner)
        for prefix in (layout.features, layout.rejected):
            for key in list(keys_under(self.client, BUCKET, prefix)):
                self.client.delete_object(Bucket=BUCKET, Key=key)
        if not run.planned["new"] + run.planned["changed"]:
            return None
        identity = run.planned["features"]
        attempt = {name: identity[name] for name in ("engine", "image_size", "reader")}  # type: ignore[literal-required]
        attempt |= {"model": identity["fingerprint"]}
        write_json(self.client, BUCKET, f"{layout.features}{ATTEMPT_NAME}", attempt)
        work = [
            row
            for batch in batches_under(self.client, BUCKET, layout.work_list, ["key", "etag", "size"])
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
            _put(self.client, f"{layout.features}part-0.parquet", rows[: len(rows) // 2], FEATURES)
            return None
        _put(self.client, f"{layout.features}part-0.parquet", rows, FEATURES)
        refused = [{"path": layout.uri(row["key"]), "reason": row["reason"]} for row in rows if row["reason"]]
        _put(self.client, f"{layout.rejected}part-0.parquet", refused, REJECTIONS)
        if len(refused) < len(rows):
            finished = [
                Row(
                    **photo,
                    state=REJECTED if row["reason"] else LIVE,
                    reason=row["reason"],
                    source=layout.source,
                )
                for photo, row in zip(work, rows, strict=True)
            ]
            name = f"{layout.features}{FINISHED_NAME}"
            _put(self.client, name, [row._asdict() for row in finished], MANIFEST_SCHEMA)
            size = identity["image_size"]
            self.made |= {(row.key, row.etag, size) for row in finished if row.state == LIVE}
        metrics = {
            "processed": len(rows) - len(refused),
            "rejected": len(refused),
            "model": {"fingerprint": identity["fingerprint"]},
        }
        write_json(self.client, BUCKET, layout.featurize_metrics, metrics)
        return metrics

    def _reduce(self, run: Run, compacts: bool) -> Any:
        """The metrics of the step."""
        layout, planned = run.layout, run.planned
        draft = [Row(**row) for row in pq.read_table(_body(self.client, layout.draft)).to_pylist()]
        work = planned["new"] + planned["changed"]
        reasons = {
            row["path"]: row["reason"]
            for batch in (
                batches_under(self.client, BUCKET, layout.rejected, ["path", "reason"]) if work else ()
            )
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
            {
                "path": layout.uri(row.key),
                "features": [values[row.source].get(row.key, -1.0)] * run.components,
            }
            for row in live
        ]
        manifest = [row for row in manifest if row.state != DEAD or row.source in read]
        if compacts:
            name = f"compacted={layout.run_key}"
            rows = [
                {"key": row.key, "value": values[row.source].get(row.key), "reason": None} for row in live
            ]
            _put(self.client, f"{layout.compacted}part-0.parquet", rows, FEATURES)
            manifest = [
                row._replace(source=name) if row.state == LIVE else row
                for row in manifest
                if row.state != DEAD
            ]
        carried = [
            {"path": layout.uri(row.key), "reason": row.reason} for row in draft if row.state == REJECTED
        ]
        for key in list(keys_under(self.client, BUCKET, layout.pca_output)):
            self.client.delete_object(Bucket=BUCKET, Key=key)
        _put(self.client, f"{layout.pca_output}part-0.parquet", output, OUTPUT)
        _put(self.client, f"{layout.rejected}{CARRIED_NAME}", carried, REJECTIONS)
        _put(
            self.client,
            f"{layout.manifest}rows.parquet",
            [row._asdict() for row in manifest],
            MANIFEST_SCHEMA,
        )
        write_json(self.client, BUCKET, f"{layout.pca_model}metadata/part-0", {"a": "model"})
        return {
            "rows": len(output),
            "rejected": len(carried) + len(reasons),
            "components": run.components,
            "share_asked": None,
            "scaling": "none",
            "solver": "blocks",
            "explained_variance": 1.0,
            "explained_variance_ratio": [1.0 / run.components] * run.components,
        }

    def _train(self, run: Run, passes: bool) -> Any:
        """The metrics of the step, whose classifier says of which image size it is."""
        write_json(self.client, BUCKET, f"{run.layout.classifier}{CARD_NAME}", {"image_size": run.size})
        return {"skipped": None, "gate": {"passed": passes}}

    def _features(self, source: str) -> dict[str, float]:
        """What a source holds by key."""
        prefix = f"{FEATURES_PREFIX}{source}/"
        return {
            row["key"]: row["value"]
            for key in keys_under(self.client, BUCKET, prefix, ".parquet")
            if not key.endswith(FINISHED_NAME)
            for batch in batches_of(self.client, BUCKET, key, ["key", "value"])
            for row in batch.to_pylist()
            if row["value"] is not None
        }

    def _valid_now(self, run: Run) -> dict[str, bytes]:
        """The photos of the plan that had not gone or changed when they were read."""
        manifest = pq.read_table(_body(self.client, f"{run.layout.manifest}rows.parquet")).to_pylist()
        passed = {row["key"] for row in manifest if row["state"] == REJECTED and "by then" in row["reason"]}
        return {key: body for key, body in run.photos.items() if is_photo(body) and key not in passed}


FEATURES = pa.schema([("key", pa.string()), ("value", pa.float64()), ("reason", pa.string())])
REJECTIONS = pa.schema([("path", pa.string()), ("reason", pa.string())])
OUTPUT = pa.schema([("path", pa.string()), ("features", pa.list_(pa.float64()))])


def _etag(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def _component(body: bytes) -> float:
    return float(int(body))


def _put(s3: Any, key: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    body = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), body, write_page_checksum=True)
    s3.put_object(Bucket=BUCKET, Key=key, Body=body.getvalue())


def _body(s3: Any, key: str) -> io.BytesIO:
    return io.BytesIO(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


@pytest.mark.slow
def test_after_any_history_the_current_result_has_one_row_a_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mobilenetv2.tflite").write_bytes(b"a model")
    monkeypatch.setattr(Histories, "model_dir", tmp_path, raising=False)
    run_state_machine_as_test(
        Histories,
        settings=settings(stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)),
    )
