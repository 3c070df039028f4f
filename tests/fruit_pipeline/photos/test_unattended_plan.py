"""A run that nobody has asked for makes the most of few photos, so that no night is red for want of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from fruit_contract.layout import DAG_ID, LATEST_KEY, RunLayout
from fruit_contract.model_files import model_file
from fruit_pipeline.cluster.artifacts import ArtifactUris
from fruit_pipeline.cluster.step_requests import reduce_step
from fruit_pipeline.photos import planner
from fruit_pipeline.results import classifiers
from fruit_pipeline.results.claims import Owner
from fruit_pipeline.results.run_plan import RunPlan
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from tests.fruit_pipeline.conftest import BUCKET

PARAMETERS = RunParameters(bucket=BUCKET)
NIGHT = Owner("fruits", DAG_ID, "night")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    (tmp_path / model_file("litert", "float32")).write_bytes(b"a model")
    return Deployment(model_dir=tmp_path)


def upload(s3: Any, photos: int) -> None:
    for number in range(photos):
        s3.put_object(Bucket=BUCKET, Key=f"Test/Apple/{number}.jpg", Body=b"a photo")


def plan(s3: Any, deployment: Deployment, **given: Any) -> RunPlan:
    return planner.plan(s3, PARAMETERS, deployment, NIGHT, **{"unattended": True, **given})


def test_it_keeps_the_most_components_that_the_photos_allow_and_says_so(
    s3: Any, deployment: Deployment
) -> None:
    upload(s3, 3)
    planned = plan(s3, deployment)
    assert (planned["new"], planned["nothing_new"]) == (3, False)
    assert planned["summary"] == (
        "There are 3 images, too few for components=256: this run, which nobody has asked for, keeps the "
        "most that they allow, at most 2."
    )
    uris = ArtifactUris(*("s3://b/a",) * 7)
    step = reduce_step(PARAMETERS, RunLayout(BUCKET, "night"), uris, planned)
    assert "--fewer-components" in step["HadoopJarStep"]["Args"]


def test_a_run_that_somebody_has_asked_for_is_refused(s3: Any, deployment: Deployment) -> None:
    upload(s3, 3)
    with pytest.raises(planner.TooFewImagesError, match="lower components to at most 2"):
        plan(s3, deployment, unattended=False)


@pytest.mark.parametrize("photos", [0, 1])
def test_it_waits_where_the_photos_allow_none(photos: int, s3: Any, deployment: Deployment) -> None:
    upload(s3, photos)
    planned = plan(s3, deployment)
    assert planned["nothing_new"]
    assert planned["summary"].endswith("which nobody has asked for, waits for more.")


@pytest.mark.parametrize("unattended", [True, False])
def test_a_share_needs_two_photos(unattended: bool, s3: Any, deployment: Deployment) -> None:
    share = RunParameters(bucket=BUCKET, components=0.95)
    upload(s3, 1)
    if unattended:
        waiting = planner.plan(s3, share, deployment, NIGHT, unattended=True)
        assert waiting["waits"]
        assert waiting["summary"].startswith("There are 1 images, too few for components=0.95: this run")
    else:
        with pytest.raises(planner.TooFewImagesError, match=r"There is 1 image .* PCA needs at least 2"):
            planner.plan(s3, share, deployment, NIGHT)
    upload(s3, 2)
    planned = planner.plan(s3, share, deployment, NIGHT, unattended=unattended)
    assert (planned["new"], planned["nothing_new"]) == (2, False)
    assert "too few" not in planned["summary"]


def test_it_says_what_it_does_not_wait_for(s3: Any, deployment: Deployment) -> None:
    s3.put_object(Bucket=BUCKET, Key="Test/Apple/1.heic", Body=b"a photo")
    assert "and 1 file is left out by its name (1 .heic): this run" in plan(s3, deployment)["summary"]


def test_it_is_refused_where_the_photos_of_a_result_are_gone(s3: Any, deployment: Deployment) -> None:
    s3.put_object(Bucket=BUCKET, Key=LATEST_KEY, Body=json.dumps({"run_key": "before"}).encode())
    with pytest.raises(planner.TooFewImagesError, match="There are no images"):
        plan(s3, deployment)


@pytest.mark.parametrize(
    ("current", "unattended", "same"),
    [
        ({"components": 37, "rows": 38}, True, True),
        ({"components": 37, "rows": 38}, False, False),
        ({"components": 8, "rows": 38}, True, False),
        ({"components": 256, "rows": 300}, True, True),
        ({"components": 256}, True, True),
    ],
    ids=["most of few", "asked for all", "fewer than allowed", "enough", "before rows were noted"],
)
def test_nothing_is_new_when_the_result_has_the_most_already(
    current: dict[str, Any], unattended: bool, same: bool
) -> None:
    training = classifiers.asked(PARAMETERS)
    pointer = {"solver": "blocks", "explained_variance": 1.0, "training": training, **current}
    found = planner._would_be_the_same(planner.Current(pointer, "etag"), PARAMETERS, unattended)
    assert found is same


@pytest.mark.parametrize(
    ("current", "same"),
    [
        ({"components": 37, "share_asked": 0.95}, True),
        ({"components": 37, "share_asked": 0.9}, False),
        ({"components": 37, "share_asked": None}, False),
        ({"components": 37}, False),
    ],
    ids=["the same share", "another", "a number", "before shares were noted"],
)
def test_nothing_is_new_when_the_same_share_was_asked_for(current: dict[str, Any], same: bool) -> None:
    """How many components another result keeps of it, only the fit can tell."""
    training = classifiers.asked(PARAMETERS)
    pointer = {"solver": "blocks", "explained_variance": 0.951, "training": training, "rows": 38, **current}
    share = PARAMETERS.model_copy(update={"components": 0.95})
    for unattended in (True, False):
        found = planner._would_be_the_same(planner.Current(pointer, "etag"), share, unattended)
        assert found is same


@pytest.mark.parametrize(
    ("before", "asked", "same"),
    [({}, "none", True), ({}, "standard", False), ({"scaling": "standard"}, "standard", True)],
    ids=["before scaling was noted", "not scaled before", "scaled as before"],
)
def test_nothing_is_new_when_the_features_were_scaled_alike(
    before: dict[str, str], asked: str, same: bool
) -> None:
    pointer = {
        "solver": "blocks",
        "explained_variance": 1.0,
        "training": classifiers.asked(PARAMETERS),
        "components": 256,
        "rows": 300,
        **before,
    }
    wanted = PARAMETERS.model_copy(update={"scaling": asked})
    assert planner._would_be_the_same(planner.Current(pointer, "etag"), wanted, False) is same


@pytest.mark.parametrize(
    ("given", "before", "same"),
    [
        ("linear", {"classifier": "linear"}, True),
        ("forest", {"classifier": "linear"}, False),
        ("linear", {"classifier": "linear", "split": "hash"}, False),
        ("linear", None, False),
        ("none", None, True),
        ("none", {"classifier": "linear"}, True),
    ],
    ids=["the same", "another kind", "another split", "none before", "none at all", "none any more"],
)
def test_nothing_is_new_when_the_classifier_that_is_asked_for_was_asked_for_before(
    given: Any, before: dict[str, Any] | None, same: bool
) -> None:
    parameters = PARAMETERS.model_copy(update={"classifier": given})
    training = before and {**classifiers.asked(PARAMETERS), **before}  # type: ignore[dict-item]
    pointer = {"solver": "blocks", "explained_variance": 1.0, "components": 256, "training": training}
    assert planner._would_be_the_same(planner.Current(pointer, "etag"), parameters, False) is same
