"""Promise: a result that builds on earlier ones is the same as one from nothing, whatever went before."""

import dataclasses
import json
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fruit_contract.manifest import DEAD
from fruit_contract.partitions import compacted_partitions, most_feature_files
from fruit_spark.step_errors import StepError
from fruit_spark.steps import reduce_job as reduce_module
from tests.fruit_spark.earlier_runs import BAD, History, read

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ODD = ["Test/a b/ä+%20#.jpg", "Test/A B/Ä.jpg", "Test/a b/a\u0308.jpg", "Test/x/two\nlines.jpg"]


@pytest.fixture(scope="module")
def first(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> History:
    """Forty photos, four of them with odd names, one of them bad, and the run that saw them."""
    found = History(spark, tmp_path_factory.mktemp("first"))
    found.photos = {f"Test/{n % 3}/{n}.jpg": "1" for n in range(36)} | dict.fromkeys(ODD, "1")
    found.photos["Test/0/0.jpg"] = BAD
    found.run(files=3)
    return found


@pytest.fixture
def history(first: History, tmp_path: Path) -> History:
    """The same, for one test to go on from."""
    shutil.copytree(first.folder, tmp_path, dirs_exist_ok=True)
    return dataclasses.replace(first, folder=tmp_path, photos=dict(first.photos))


def test_new_changed_and_deleted_photos_give_what_a_run_from_nothing_gives(history: History) -> None:
    history.photos |= {f"Test/new/{n}.jpg": "1" for n in range(5)} | {ODD[0]: "2", "Test/1/1.jpg": "2"}
    del history.photos[ODD[2]], history.photos["Test/2/2.jpg"]

    metrics = history.run()

    assert (metrics["rows"], metrics["rejected"], metrics["dead_rows"]) == (42, 1, 4)
    assert (metrics["model"], metrics["new_variance"], metrics["compacted"]) == ("fitted", None, False)
    assert (metrics["files_before"], metrics["files_after"]) == (4, 4)
    assert history.sources() == {"run=1", "run=2"}
    fresh, matrix = history.from_nothing()
    np.testing.assert_allclose(
        metrics["explained_variance_ratio"], fresh["explained_variance_ratio"], atol=1e-9
    )
    np.testing.assert_allclose(history.matrix(), matrix, atol=1e-6)


def test_a_run_that_only_deletes_needs_no_new_features(history: History) -> None:
    del history.photos[ODD[0]]
    run, changes, work = history.plan()
    assert (changes.deleted, work) == (1, [])
    metrics = history.reduce(run)
    history.published = run
    history.check()
    assert (metrics["rows"], metrics["dead_rows"]) == (38, 1)
    np.testing.assert_allclose(history.matrix(), history.from_nothing()[1], atol=1e-6)


def test_a_rejected_photo_stays_rejected_without_being_read_and_counts_once_mended(history: History) -> None:
    history.photos["Test/new/1.jpg"] = "1"
    assert history.run()["rejected"] == 1
    history.photos["Test/0/0.jpg"] = "2"
    assert history.run()["rejected"] == 0
    history.photos["Test/0/0.jpg"] = BAD
    assert history.run()["rejected"] == 1
    del history.photos["Test/0/0.jpg"]
    assert history.run()["rejected"] == 0


def test_what_an_attempt_at_another_plan_has_left_does_not_count(history: History) -> None:
    """The first attempt of a run has featurized and died; before the second one the photos are gone."""
    history.photos |= {"Test/new/1.jpg": "1", "Test/new/2.jpg": BAD}
    run, _, work = history.plan()
    history.featurize(run, work)
    history.reduce(run)
    del history.photos["Test/new/1.jpg"], history.photos["Test/new/2.jpg"], history.photos[ODD[1]]
    history.runs = run - 1
    assert history.plan()[2] == []
    history.reduce(run)
    history.published = run
    history.check()


def test_many_dead_rows_are_compacted_away(history: History) -> None:
    for number in range(12):
        del history.photos[f"Test/{(number + 1) % 3}/{number + 1}.jpg"]
    metrics = history.run()
    assert metrics["dead_rows"] == 12
    assert (metrics["compacted"], metrics["files_before"]) == (True, 3)
    assert metrics["files_after"] == compacted_partitions(27, 2) == 1
    assert history.sources() == {"compacted=2"}
    assert not [row for row in history.manifest() if row.state == DEAD]
    history.photos["Test/new/1.jpg"] = "1"
    assert history.run()["dead_rows"] == 0
    assert history.sources() == {"compacted=2", "run=3"}
    np.testing.assert_allclose(history.matrix(), history.from_nothing()[1], atol=1e-6)


def test_a_thousand_small_drops_never_make_more_files_than_the_bound(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bound of 4 files instead of 64, five drops stand for a thousand."""
    assert most_feature_files(40) == 64
    monkeypatch.setattr(reduce_module, "most_feature_files", lambda rows: 4)
    files = []
    for number in range(5):
        history.photos[f"Test/drop/{number}.jpg"] = "1"
        files.append(history.run()["files_before"])
    assert max(files) == 5, "one more than the bound, and that run compacts"
    assert files == [4, 5, 2, 3, 4]


def test_one_source_of_many_files_is_not_compacted(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduce_module, "most_feature_files", lambda rows: 2)
    metrics = history.reduce(history.published or 0)
    assert (metrics["files_before"], metrics["compacted"]) == (3, False)


def test_the_current_model_is_used_again_for_photos_like_those_it_knows(history: History) -> None:
    before = history.matrix()
    history.photos |= {f"Test/new/{n}.jpg": "1" for n in range(5)}
    # The photos are few: these five vary otherwise than those 39, by more than a point.
    strict = history.run(current_model=history.settings(1).model_output)
    assert strict["model"] == "fitted"
    assert strict["new_variance"] is not None
    assert 0 < strict["new_variance"] < strict["explained_variance"] - 0.01

    del history.photos[ODD[0]]
    second = history.matrix()
    deleted = history.run(current_model=history.settings(2).model_output)
    assert (deleted["model"], deleted["new_variance"]) == ("reused", None)
    np.testing.assert_array_equal(history.matrix(), second)
    assert not np.array_equal(before, second)


@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_photos_that_the_current_model_explains_to_within_a_point_do_not_move_it(
    history: History, scaling: str
) -> None:
    before = history.reduce(1, scaling=scaling)
    copies = {f"Test/copy/{n}.jpg": "1" for n in range(36)}
    history.photos |= copies
    run, _, work = history.plan()
    # The same vectors as the first run's, so that exactly as much of them is explained.
    known = read(history.folder / "features/run=1").to_pylist()
    vectors = [row["features"] for row in known if row["features"] is not None]
    history.featurize(run, work)
    table = read(history.folder / f"features/run={run}")
    rows = [{**row, "features": vectors[n]} for n, row in enumerate(table.to_pylist())]
    pq.write_table(
        table.from_pylist(rows, schema=table.schema), history.folder / f"features/run={run}/part-0.parquet"
    )

    metrics = history.reduce(run, current_model=history.settings(1).model_output, scaling=scaling)

    assert (metrics["model"], metrics["rows"]) == ("reused", 75)
    assert metrics["new_variance"] == pytest.approx(before["explained_variance"], abs=0.01)
    assert metrics["explained_variance_ratio"] == before["explained_variance_ratio"]
    again = history.reduce(run, scaling=scaling)
    assert (again["model"], again["new_variance"]) == ("fitted", None)


@pytest.mark.parametrize("changes", [{"components": 9}, {"scaling": "standard"}, {"min_variance": 0.999999}])
def test_a_current_model_of_another_kind_is_not_used_again(history: History, changes: dict[str, Any]) -> None:
    del history.photos[ODD[0]]
    run, _, _ = history.plan()
    model = history.settings(1).model_output
    if "min_variance" not in changes:
        assert history.reduce(run, current_model=model, **changes)["model"] == "fitted"
    else:
        with pytest.raises(StepError, match="less than the minimum"):
            history.reduce(run, current_model=model, **changes)


def test_a_current_model_is_used_again_where_its_components_are_right_for_a_share(history: History) -> None:
    """Those of the first run keep eight, and no seven would keep as much."""
    ratio = history.metrics()["explained_variance_ratio"]
    del history.photos[ODD[0]]
    run, _, _ = history.plan()
    model = history.settings(1).model_output
    for share, made in ((sum(ratio), "reused"), (sum(ratio[:7]), "fitted"), (sum(ratio) + 0.01, "fitted")):
        metrics = history.reduce(run, current_model=model, components=share)
        assert (metrics["model"], metrics["share_asked"]) == (made, share)
        kept = metrics["explained_variance_ratio"]
        assert sum(kept[:-1]) < share - 1e-9 < sum(kept), "the fewest that keep it"
        assert {len(row) for row in read(history.settings(run).output).column("features").to_pylist()} == {
            metrics["components"]
        }


def test_a_current_model_of_more_components_than_the_photos_allow_is_not_used_again(history: History) -> None:
    share = history.metrics()["explained_variance"]
    history.photos = {key: history.photos[key] for key in sorted(history.photos)[:8]}
    valid = len(history.valid())
    assert valid <= 8
    run, _, _ = history.plan()
    metrics = history.reduce(run, current_model=history.settings(1).model_output, components=share)
    assert metrics["model"] == "fitted"
    assert metrics["components"] < valid


def test_features_that_are_not_whole_are_an_error_that_says_what_to_do(history: History) -> None:
    history.photos["Test/new/1.jpg"] = "1"
    run, _, work = history.plan()
    history.featurize(run, work)
    (history.folder / "features/run=1/part-0.parquet").unlink()
    for model in (None, history.settings(1).model_output):
        with pytest.raises(
            StepError, match=r"40 feature vectors should lie below .* and \d+ .* full_refresh=true"
        ):
            history.reduce(run, current_model=model, components=4, min_variance=0.0)


def test_a_feature_file_with_a_flipped_bit_is_one_sentence(history: History) -> None:
    file = history.folder / "features/run=1/part-0.parquet"
    pq.write_table(pq.read_table(file), file, write_page_checksum=True, use_dictionary=False)
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)
    run, _, _ = history.plan(fresh=False)
    with pytest.raises(Exception, match=r"part-0.parquet cannot be read .* full_refresh=true"):
        history.reduce(run, components=4, min_variance=0.0)


def test_without_a_valid_photo_left_the_step_says_so(history: History) -> None:
    history.photos = {"Test/0/0.jpg": BAD}
    run, _, _ = history.plan()
    with pytest.raises(StepError, match="There is no feature vector"):
        history.reduce(run)


def test_both_solvers_pass_over_dead_rows(history: History) -> None:
    del history.photos[ODD[0]]
    run, _, _ = history.plan()
    found = {solver: history.reduce(run, solver=solver) for solver in ("blocks", "spark")}
    assert found["blocks"]["rows"] == found["spark"]["rows"] == 38
    np.testing.assert_allclose(
        found["blocks"]["explained_variance_ratio"], found["spark"]["explained_variance_ratio"], atol=1e-9
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_after_random_drops_crashes_and_retries_every_photo_has_exactly_one_row(
    history: History, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run is checked as it ends; at the end the model is that of a run from nothing."""
    chance = random.Random(seed)
    monkeypatch.setattr(reduce_module, "most_feature_files", lambda rows: 6)
    for number in range(4):
        for key in chance.sample(sorted(history.photos), 6):
            what = chance.choice(["change", "delete", "rename", "spoil"])
            if what == "change":
                history.photos[key] = str(number + 2)
            elif what == "spoil":
                history.photos[key] = BAD
            else:
                version = history.photos.pop(key)
                if what == "rename":
                    history.photos[f"Renamed/{number}/{key}"] = version
        history.photos |= {f"Test/{number}/n{n}.jpg": "1" for n in range(chance.randrange(8))}
        history.photos[chance.choice(ODD)] = chance.choice(["1", "9"])
        match chance.choice(["whole", "whole", "featurize dies", "reduce dies", "retried"]):
            case "featurize dies":
                run, _, work = history.plan()
                history.featurize(run, work[: len(work) // 2])
            case "reduce dies":
                run, _, work = history.plan()
                history.featurize(run, work)
                with pytest.raises(StepError, match="components"):
                    history.reduce(run, components=200)
            case "retried":
                run, _, work = history.plan()
                history.featurize(run, work)
                history.reduce(run)
                history.reduce(run)
                history.published = run
                history.check()
            case _:
                history.run(files=chance.randrange(1, 3))
    history.run()
    np.testing.assert_allclose(np.abs(history.matrix()), np.abs(history.from_nothing()[1]), atol=1e-6)


def test_the_overview_has_the_photos_of_earlier_runs_and_what_they_rejected(history: History) -> None:
    history.photos["Test/new/1.jpg"] = "1"
    metrics = history.run()
    seen = json.loads(Path(history.settings(history.runs).overview).read_text())
    assert sum(label["processed"] for label in seen["labels"].values()) == metrics["rows"] == 40
    assert [one["key"] for one in seen["rejected"]] == ["Test/0/0.jpg"]
    assert seen["labels"]["0"]["rejected"] == 1
    assert sorted(photo["key"] for photo in seen["sample"]) == sorted(each.key for each in history.valid())
