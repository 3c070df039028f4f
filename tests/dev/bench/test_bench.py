"""Promise: the benchmark's own arithmetic, server and page are right; its targets can be missed."""

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from bench.bench_photos import prepare_photos
from bench.event_log import read_stages
from bench.memory import peak_mib
from bench.object_store import BUCKET, Objects, delay, object_store
from bench.performance_report import draw, figures, report
from bench.targets import judge, peer_images_per_second
from tests.fruit_spark.conftest import ROOT

RUN = {
    "seconds": 100.0,
    "stage_seconds": 95.0,
    "straggling": 0.01,
    "worker_peak_mib": 200.0,
    "model_loads": 2,
}
RESULTS: dict[str, Any] = {
    "machine": {"processor": "a processor", "cores": "2"},
    "method": {"photos": 20_000, "master": "local[2]"},
    "featurize": {
        "photos": 20_000,
        "raw_images_per_second": [220.0, 210.0, 230.0],
        "ours": [RUN],
        "quarter": [RUN | {"seconds": 30.0, "stage_seconds": 24.0}],
        "peers": {
            "notebook": {
                "photos": 2_000,
                "runs": [{"seconds": 50.0, "half_seconds": 30.0}],
            },
            "scalar_udf": {
                "photos": 400,
                "runs": [{"seconds": 30.0, "half_seconds": 20.0}],
            },
        },
    },
    "read_stage": {"photos": 500, "seconds": {"ours": [2.0], "peer": [20.0]}},
    "latency": {"photos": 2_000, "stage_seconds": {"with": [10.0], "without": [9.5]}},
    "reduce": {
        "rows": 80_000,
        "components": 256,
        "fit": {"ours": [5.0], "peer": [50.0], "quarter": [2.0]},
        "transform": {"ours": [4.0], "peer": [16.0]},
    },
    "partitions": {
        "few": {"partitions": 4, "seconds": [5.0], "driver_peak_mib": [600.0]},
        "many": {"partitions": 1_000, "seconds": [6.0], "driver_peak_mib": [650.0]},
    },
    "first_prediction": {"seconds": [0.5]},
    "resume": {
        "photos": 4_000,
        "in_finished_files": 3_200,
        "recomputed": 800,
        "rows": 4_000,
        "different_rows": 4_000,
    },
    "plan": {"keys": 1_000_000, "seconds": 30.0, "peak_before_mib": 190.0, "peak_mib": 290.0},
}


def test_a_peer_pays_its_start_up_once_and_each_photo_what_one_more_costs() -> None:
    # 1,000 photos in 30 s, 2,000 in 50 s: 20 ms a photo.
    assert peer_images_per_second(RESULTS, "notebook") == pytest.approx(20_000 / (50 + 18_000 * 0.02))


def test_the_peak_of_a_process_is_its_own_and_not_that_of_the_one_that_started_it() -> None:
    held = bytes(400 * 2**20).replace(b"\0", b"\1")
    started = "from bench.memory import peak_mib; print(peak_mib())"
    child = subprocess.run(
        [sys.executable, "-c", started], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert len(held) / 2**20 == 400
    assert peak_mib() > 400
    assert 1 < float(child.stdout) < 100


def test_every_target_is_met_by_good_results_and_missed_by_bad_ones() -> None:
    assert all(verdict.met for verdict in judge(RESULTS)), [v.target for v in judge(RESULTS) if not v.met]
    bad = copy.deepcopy(RESULTS)
    bad["featurize"]["ours"] = [
        RUN
        | {
            "seconds": 900.0,
            "stage_seconds": 890.0,
            "straggling": 0.2,
            "worker_peak_mib": 300.0,
            "model_loads": 9,
        }
    ]
    bad["read_stage"]["seconds"]["ours"] = [19.0]
    bad["latency"]["stage_seconds"]["with"] = [30.0]
    bad["reduce"]["fit"] = {"ours": [49.0], "peer": [50.0], "quarter": [2.0]}
    bad["reduce"]["transform"]["ours"] = [15.0]
    bad["partitions"]["many"] = {"partitions": 1_000, "seconds": [50.0], "driver_peak_mib": [6_000.0]}
    bad["first_prediction"]["seconds"] = [9.0]
    bad["resume"]["recomputed"] = 4_000
    bad["plan"] |= {"seconds": 90.0, "peak_mib": 900.0}
    assert not any(verdict.met for verdict in judge(bad)), [v.target for v in judge(bad) if v.met]


def test_the_page_names_every_target_and_a_missed_one_stands_out() -> None:
    missed = copy.deepcopy(RESULTS)
    missed["read_stage"]["seconds"]["ours"] = [10.0]
    page = "\n".join(report(missed))
    for verdict in judge(missed):
        assert f"| {verdict.target} | {verdict.measured_text} |" in page
    assert page.count("**missed**") == 1
    assert draw(missed).startswith(b"\x89PNG")


def test_every_figure_is_named_by_its_place_in_the_results() -> None:
    rows = list(figures({"fit": {"ours": [5.0, 1.5, 2.0]}, "runs": [{"peak_mib": 1.0}, {"peak_mib": 3.0}]}))
    assert rows == [("fit, ours", "2", "5, 1.5, 2"), ("runs, peak mib", "2", "1, 3")]


def test_a_stage_s_straggler_is_what_its_longest_task_takes_beyond_the_median(tmp_path: Path) -> None:
    def task(start: int, end: int, reason: str = "Success") -> dict[str, object]:
        return {
            "Event": "SparkListenerTaskEnd",
            "Stage ID": 3,
            "Stage Attempt ID": 0,
            "Task End Reason": {"Reason": reason},
            "Task Info": {"Launch Time": start, "Finish Time": end},
        }

    stage = {"Stage ID": 3, "Stage Attempt ID": 0, "Submission Time": 0, "Completion Time": 10_000}
    events = [
        {"Event": "SparkListenerApplicationStart"},
        task(0, 9_000, "ExceptionFailure"),
        *(task(0, seconds * 1000) for seconds in (2, 2, 4)),
        {"Event": "SparkListenerStageCompleted", "Stage Info": stage},
    ]
    (tmp_path / "local-1").write_text("\n".join(map(json.dumps, events)))
    [found] = read_stages(tmp_path)
    assert (found.seconds, sorted(found.tasks)) == (10, [2, 2, 4])
    assert found.straggling == pytest.approx(0.2)


def test_the_delay_of_a_request_is_its_own_and_lognormal_around_the_mean() -> None:
    waits = [delay(0.020, "GET", f"/photos/{number}.jpg") for number in range(20_000)]
    assert waits[:10] == [delay(0.020, "GET", f"/photos/{number}.jpg") for number in range(10)]
    assert fmean(waits) == pytest.approx(0.020, rel=0.02)
    logarithms = list(map(math.log, waits))
    middle = fmean(logarithms)
    assert math.sqrt(fmean((value - middle) ** 2 for value in logarithms)) == pytest.approx(0.5, rel=0.02)
    assert delay(0, "GET", "/photos/1.jpg") == 0


def test_the_object_store_lists_in_pages_and_reads_whole_and_in_part(tmp_path: Path) -> None:
    for name in ("a b+c.jpg", "é.jpg", "z.jpg"):
        (tmp_path / "Kiwi").mkdir(exist_ok=True)
        (tmp_path / "Kiwi" / name).write_bytes(name.encode())
    objects = Objects(tmp_path)
    first = objects.answer("GET", f"/{BUCKET}/?list-type=2&prefix=Kiwi/&max-keys=2", None).body.decode()
    assert "<Key>Kiwi/a b+c.jpg</Key>" in first
    assert "<IsTruncated>true</IsTruncated>" in first
    token = first.partition("<NextContinuationToken>")[2].partition("<")[0]
    assert "<Key>Kiwi/z.jpg</Key>" in first
    rest = objects.answer("GET", f"/{BUCKET}?list-type=2&prefix=Kiwi/&continuation-token={token}", None).body
    # UTF-8 order: é comes after z.
    assert rest.decode().count("<Key>") == 1
    assert "<Key>Kiwi/é.jpg</Key>" in rest.decode()
    folders = objects.answer("GET", f"/{BUCKET}?list-type=2&delimiter=%2F", None).body.decode()
    assert "<CommonPrefixes><Prefix>Kiwi/</Prefix></CommonPrefixes>" in folders
    part = objects.answer("GET", f"/{BUCKET}/Kiwi/z.jpg", "bytes=1-2")
    assert (part.status, part.body) == ("206 Partial Content", b".j")
    assert objects.answer("GET", f"/{BUCKET}/Kiwi/none.jpg", None).status == "404 Not Found"


def test_a_client_reads_from_the_object_store_what_lies_in_the_folder(tmp_path: Path) -> None:
    import obstore
    from obstore.store import S3Store

    paths = prepare_photos(tmp_path / "photos", 6)
    with object_store(tmp_path / "photos", 0.001) as endpoint:
        store = S3Store(
            BUCKET,
            endpoint=endpoint,
            region="eu-west-1",
            access_key_id="bench",
            secret_access_key="bench",
            client_options={"allow_http": True},
        )
        keys = {entry["path"] for page in obstore.list(store) for entry in page}
        assert keys == {str(path.relative_to(tmp_path / "photos")) for path in paths}
        for path in paths:
            key = str(path.relative_to(tmp_path / "photos"))
            assert bytes(obstore.get(store, key).bytes()) == path.read_bytes()


def test_a_folder_with_too_few_photos_gives_them_again_under_other_names(tmp_path: Path) -> None:
    made = prepare_photos(tmp_path / "made", 3)
    taken = prepare_photos(tmp_path / "taken", 7, tmp_path / "made")
    assert len(set(taken)) == 7
    assert {path.read_bytes() for path in taken} == {path.read_bytes() for path in made}
