"""Which classifier a result names: the one that its run has trained, or the one that was current before.

A classifier takes the features of one model at one image size and precision. Those of another would be read
as nonsense, so it stays current only while they are the same.
"""

from collections.abc import Mapping
from typing import Any, Final

from fruit_contract.classifier import NO_CLASSIFIER, TrainMetrics
from fruit_contract.layout import RunLayout
from fruit_pipeline.errors import UnreadableError
from fruit_pipeline.results import recorded_files
from fruit_pipeline.results.publication import Current, FeatureIdentity, Training
from fruit_pipeline.settings.parameters import RunParameters

_OF_FEATURES: Final = ("fingerprint", "image_size", "precision")


def asked(parameters: RunParameters) -> Training | None:
    """What a run asks of the train step; None where it asks for no classifier."""
    if parameters.classifier == NO_CLASSIFIER:
        return None
    return Training(
        classifier=parameters.classifier,
        split=parameters.split,
        session_pattern=parameters.session_pattern,
    )


def usable_run(s3: Any, bucket: str, current: Current, features: FeatureIdentity) -> str | None:
    """The run whose classifier is current, takes these features and is whole; None where there is none.

    One whose record cannot be read counts for nothing: a full refresh is always a way out.
    """
    pointer: Mapping[str, Any] = current.pointer or {}
    run, made_of = pointer.get("classifier_run"), pointer.get("features") or {}
    if run is None or any(made_of.get(name) != features[name] for name in _OF_FEATURES):
        return None
    try:
        lost = recorded_files.lost(s3, bucket, current, RunLayout(bucket, run).classifier)
    except UnreadableError:
        return None
    return None if lost else str(run)


def run_to_name(run_key: str, trained: TrainMetrics | None, former: str | None) -> str | None:
    """The run whose classifier the result of ``run_key`` names; ``former`` where its own does not pass."""
    if trained is None or trained["skipped"]:
        return former
    refused = trained["gate"] is not None and not trained["gate"]["passed"]
    return former if refused else run_key
