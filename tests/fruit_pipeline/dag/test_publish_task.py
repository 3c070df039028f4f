"""The pointer names the classifier that a robot should use: the run's own, or the former one."""

from typing import Any

import pytest

from fruit_contract.layout import RunLayout
from fruit_contract.manifest import LIVE
from fruit_pipeline.dag import tasks
from fruit_pipeline.photos.manifest_merge import Row
from fruit_pipeline.results.claims import Owner, claim
from fruit_pipeline.results.publication import read_json, read_pointer, write_json
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from tests.fruit_pipeline.conftest import BUCKET, MODEL, planned
from tests.fruit_pipeline.dag.conftest import InTask
from tests.fruit_pipeline.photos.test_changes import put_manifest

FORMER = RunLayout(BUCKET, "run-0")
REDUCED = {
    "rows": 1,
    "components": 2,
    "share_asked": None,
    "solver": "blocks",
    "scaling": "none",
    "explained_variance": 0.9,
}


@pytest.mark.parametrize(
    ("classifier", "trained", "named"),
    [
        ("linear", {"skipped": None, "gate": {"passed": True}}, "run-1"),
        ("linear", {"skipped": None, "gate": {"passed": False}}, "run-0"),
        ("linear", {"skipped": "There is 1 label.", "gate": None}, "run-0"),
        ("none", None, "run-0"),
    ],
    ids=["it passes", "it is worse", "there is none", "none was asked for"],
)
def test_publish_names_the_new_classifier_where_it_passes_and_else_the_former(
    s3: Any,
    layout: RunLayout,
    in_task: InTask,
    monkeypatch: pytest.MonkeyPatch,
    classifier: Any,
    trained: Any,
    named: str,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    claim(s3, BUCKET, Owner(Deployment().installation, "fruit_features", "run-1"))
    for of_run in (layout, FORMER):
        write_json(s3, BUCKET, f"{of_run.classifier}classifier.json", {})
    put_manifest(s3, layout, [Row("a", "1", 1, LIVE, None, layout.source)])
    write_json(s3, BUCKET, layout.featurize_metrics, {"model": MODEL})
    write_json(s3, BUCKET, layout.reduce_metrics, REDUCED)
    if trained:
        write_json(s3, BUCKET, layout.train_metrics, trained)
    asked = RunParameters(bucket=BUCKET, classifier=classifier)
    in_task(asked.model_dump(), plan=planned(1, classifier_run="run-0"))

    published = tasks.publish()

    assert published == read_pointer(s3, BUCKET).pointer
    prefix = RunLayout(BUCKET, named).classifier
    assert (published["classifier_run"], published["classifier"]) == (named, layout.uri(prefix))
    assert (published["training"] is None) == (classifier == "none")
    assert read_json(s3, BUCKET, layout.files)[prefix] == {"classifier.json": 2}
