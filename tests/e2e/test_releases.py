"""The oldest and the newest release give what the default does, each on its own Spark."""

import gzip
import io
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_contract.layout import LOGS_PREFIX, RunLayout
from fruit_pipeline.results.publication import read_json
from fruit_pipeline.settings.releases import DEFAULT_RELEASE, NEWEST_RELEASE, OLDEST_RELEASE, TESTED_RELEASES
from local_run import generated_photos
from tests.e2e.conftest import BUCKET, Ended, System

SMALL = {"components": 4, "minimum_variance": 0.1, "image_size": 96, "full_refresh": True}
OTHERS = (NEWEST_RELEASE, OLDEST_RELEASE)


@pytest.fixture(scope="module")
def runs(system: System, shipped_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """The same photos on each release, beside what EMRFS leaves for folders."""
    for folder in ("features", "features/run=earlier", "pca_output/run=earlier"):
        system.s3.put_object(Bucket=BUCKET, Key=f"Results/{folder}_$folder$", Body=b"")
    paths = system.stack.paths
    assert paths.older_spark_python, "Spark 3.4 is missing: install it by `make versions-test`"
    assert paths.newer_spark_python, "Spark 4 is missing: install it by `make versions-test`"
    system.upload(generated_photos.generate(tmp_path_factory.mktemp("photos"), 20))
    return {label: system.run(f"on-{label}", release_label=label, **SMALL) for label in TESTED_RELEASES}


def controller_log(system: System, ended: Ended) -> str:
    """Of the featurize step."""
    assert ended.report is not None
    prefix = f"{LOGS_PREFIX}{ended.report['cluster']['id']}/steps/"
    listed = system.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    logs = [
        gzip.decompress(system.s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()).decode()
        for entry in listed
        if entry["Key"].endswith("/controller.gz")
    ]
    return next(log for log in logs if "featurize.py" in log)


def features(system: System, layout: RunLayout) -> pa.Table:
    listed = system.s3.list_objects_v2(Bucket=BUCKET, Prefix=layout.features)["Contents"]
    # As Spark does, without what begins with an underscore.
    files = [entry["Key"] for entry in listed if "/part-" in entry["Key"]]
    bodies = (system.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in files)
    return pa.concat_tables([pq.read_table(io.BytesIO(body)) for body in bodies]).sort_by("path")


def ratios(ended: Ended) -> list[float]:
    assert ended.report is not None
    return ended.report["explained_variance_ratio"]


def said(system: System, ended: Ended) -> Any:
    return read_json(system.s3, BUCKET, ended.layout.featurize_metrics)


@pytest.mark.parametrize("release", TESTED_RELEASES)
def test_a_run_on_each_is_green(runs: dict[str, Ended], release: str) -> None:
    ended = runs[release]
    assert ended.state == "success", ended.output
    assert ended.report is not None
    assert ended.report["cluster"]["release"] == release
    assert ended.report["cluster"]["final_state"] == "TERMINATED"


def test_each_ran_on_its_own_spark_and_the_same_packages(runs: dict[str, Ended], system: System) -> None:
    versions = {label: said(system, runs[label])["versions"] for label in TESTED_RELEASES}
    sparks = {label: found.pop("spark")[:3] for label, found in versions.items()}
    assert sparks == {OLDEST_RELEASE: "3.4", DEFAULT_RELEASE: "3.5", NEWEST_RELEASE: "4.1"}
    assert versions[OLDEST_RELEASE].pop("python") == "3.11.2", "not Debian 12's"
    assert versions[NEWEST_RELEASE] == versions[DEFAULT_RELEASE]
    del versions[DEFAULT_RELEASE]["python"]
    assert versions[OLDEST_RELEASE] == versions[DEFAULT_RELEASE]


def test_on_the_oldest_the_steps_bring_their_python(runs: dict[str, Ended], system: System) -> None:
    log = controller_log(system, runs[OLDEST_RELEASE])
    assert re.search(r"Localized s3://\S+/python-\w+\.tar\.gz as python/", log)
    assert " spark.pyspark.python=./python/bin/python3.11 " in log


@pytest.mark.parametrize("release", OTHERS)
def test_the_features_are_the_same_to_the_bit(runs: dict[str, Ended], system: System, release: str) -> None:
    default, other = (features(system, runs[label].layout) for label in (DEFAULT_RELEASE, release))
    assert len(default) == 20
    assert other.equals(default)


@pytest.mark.parametrize("release", OTHERS)
def test_so_is_the_variance_that_the_components_keep(runs: dict[str, Ended], release: str) -> None:
    assert ratios(runs[release]) == pytest.approx(ratios(runs[DEFAULT_RELEASE]), abs=1e-9)
