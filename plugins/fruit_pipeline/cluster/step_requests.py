"""The EMR steps, built from the parameters and the artifacts alone."""

import json
import math
from collections.abc import Sequence
from typing import Any, Final

from fruit_contract.classifier import NO_CLASSIFIER
from fruit_contract.layout import FEATURES_PREFIX, HUB_USER, NOTEBOOKS_PREFIX, RunLayout
from fruit_contract.report_schema import ModelFacts
from fruit_contract.variance import is_share
from fruit_pipeline.cluster.artifacts import ArtifactUris
from fruit_pipeline.cluster.identity import FEATURIZE, REDUCE, TRAIN
from fruit_pipeline.cluster.spark_settings import python_settings
from fruit_pipeline.results.run_plan import RunPlan
from fruit_pipeline.settings.parameters import RunParameters
from fruit_pipeline.settings.releases import PYTHON_FOLDER

_PROGRESS: Final = "--progress"
_RUNTIME_FOLDER: Final = "runtime"


def featurize_step(
    parameters: RunParameters, layout: RunLayout, artifacts: ArtifactUris, plan: RunPlan
) -> dict[str, Any] | None:
    """Work list to features, on the executors' runtime; None where the work list is empty."""
    if not plan["new"] + plan["changed"]:
        return None
    # A few bad photos among many good ones that are known already are no reason to fail.
    flags = ["--allow-no-features"] if plan["reused"] else []
    return _spark_step(
        FEATURIZE,
        artifacts.featurize,
        artifacts,
        {
            "--work-list": layout.uri(layout.work_list),
            "--features": layout.uri(layout.features),
            "--rejected": layout.uri(layout.rejected),
            "--metrics": layout.uri(layout.featurize_metrics),
            _PROGRESS: layout.uri(layout.progress),
            "--model": artifacts.model,
            "--image-size": parameters.image_size,
            "--batch-size": parameters.batch_size,
            "--engine": parameters.engine,
            "--precision": parameters.precision,
            "--reader": parameters.reader,
        },
        parameters,
        flags,
    )


def reduce_step(
    parameters: RunParameters, layout: RunLayout, artifacts: ArtifactUris, plan: RunPlan
) -> dict[str, Any]:
    """The features of all live photos to principal components."""
    base, asked = plan["base"], parameters.components
    # How many a share needs, the step finds out.
    fits = base and parameters.refit == "auto" and (is_share(asked) or base["components"] == asked)
    current_model = {"--current-model": base["pca_model"]} if base and fits and base["pca_model"] else {}
    return _spark_step(
        REDUCE,
        artifacts.reduce,
        artifacts,
        {
            "--features": layout.uri(FEATURES_PREFIX),
            "--draft": layout.uri(layout.draft),
            "--source": layout.source,
            "--root": layout.uri(""),
            "--rejected": layout.uri(layout.rejected),
            "--manifest": layout.uri(layout.manifest),
            "--compacted": layout.uri(layout.compacted),
            **current_model,
            "--output": layout.uri(layout.pca_output),
            "--model-output": layout.uri(layout.pca_model),
            "--metrics": layout.uri(layout.reduce_metrics),
            "--plot": layout.uri(layout.variance_plot),
            "--overview": layout.uri(layout.overview),
            "--neighbours": layout.uri(layout.neighbours),
            "--components": asked,
            "--min-variance": parameters.minimum_variance,
            "--solver": parameters.solver,
            "--scaling": parameters.scaling,
        },
        parameters,
        ["--fewer-components"] if plan["fewer_components"] else [],
    )


def train_step(
    parameters: RunParameters, layout: RunLayout, artifacts: ArtifactUris, plan: RunPlan, model: ModelFacts
) -> dict[str, Any] | None:
    """Features and components to a classifier; None where none is asked for. ``model`` made the features."""
    if parameters.classifier == NO_CLASSIFIER:
        return None
    pattern, kept = parameters.session_pattern, plan["classifier_run"]
    current = {"--current": layout.uri(RunLayout(layout.bucket, kept).classifier)} if kept else {}
    return _spark_step(
        TRAIN,
        artifacts.train,
        artifacts,
        {
            "--features": layout.uri(FEATURES_PREFIX),
            "--draft": layout.uri(layout.draft),
            "--source": layout.source,
            "--root": layout.uri(""),
            "--pca-model": layout.uri(layout.pca_model),
            **current,
            "--output": layout.uri(layout.classifier),
            "--metrics": layout.uri(layout.train_metrics),
            "--confusion": layout.uri(layout.confusion_plot),
            "--reliability": layout.uri(layout.reliability_plot),
            "--run-key": layout.run_key,
            "--model-facts": json.dumps(model, separators=(",", ":")),
            "--classifier": parameters.classifier,
            "--split": parameters.split,
        },
        parameters,
        # One word, because a pattern may begin with a hyphen.
        [f"--session-pattern={pattern}"] if pattern else [],
    )


def notebook_values(parameters: RunParameters, artifacts: ArtifactUris) -> dict[str, Any]:
    """What :mod:`fruit_pipeline.cluster.notebook_text` fills the cells of the shipped notebook with.

    ``session`` is the body of ``%%configure``: a session of Livy on the same code and runtime as the steps.
    """
    return {
        "session": {
            "pyFiles": [artifacts.code],
            "archives": _archives(artifacts),
            "conf": _conf(artifacts, parameters),
        },
        "bucket": parameters.bucket,
        "input_prefix": parameters.input_prefix,
        "model": artifacts.model,
        "engine": parameters.engine,
        "precision": parameters.precision,
        "image_size": parameters.image_size,
        "output": f"s3://{parameters.bucket}/{NOTEBOOKS_PREFIX}{HUB_USER}/cluster-output/",
    }


def progress_of(step: dict[str, Any]) -> str | None:
    """The S3 address where a step says how far it is; None for one that does not."""
    arguments: list[str] = step["HadoopJarStep"]["Args"]
    return arguments[arguments.index(_PROGRESS) + 1] if _PROGRESS in arguments else None


def _spark_step(
    name: str,
    script: str,
    artifacts: ArtifactUris,
    arguments: dict[str, Any],
    parameters: RunParameters,
    flags: Sequence[str] = (),
) -> dict[str, Any]:
    """A spark-submit step in cluster mode, with the code and the runtime shipped by Spark.

    A failed step leaves the cluster waiting: the run's teardown ends it, and its logs stay whole.
    """
    archives = ",".join(_archives(artifacts))
    submit = ["spark-submit", "--deploy-mode", "cluster", "--py-files", artifacts.code]
    for key, value in (_conf(artifacts, parameters) | {"spark.archives": archives}).items():
        submit += ["--conf", f"{key}={value}"]
    submit.append(script)
    arguments["--time-limit"] = math.ceil(parameters.max_step_hours * 3600)
    for flag, value in arguments.items():
        submit += [flag, str(value)]
    submit += flags
    return {
        "Name": name,
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": submit},
    }


def _archives(artifacts: ArtifactUris) -> list[str]:
    """What YARN unpacks beside the driver and each executor, and under which name."""
    python = [f"{artifacts.python}#{PYTHON_FOLDER}"] if artifacts.python else []
    return [f"{artifacts.runtime}#{_RUNTIME_FOLDER}", *python]


def _conf(artifacts: ArtifactUris, parameters: RunParameters) -> dict[str, str]:
    """Spark's settings by which what was shipped is found."""
    environment = {
        "PYTHONPATH": f"./{_RUNTIME_FOLDER}",
        "AWS_REGION": parameters.region,
        "OMP_NUM_THREADS": "1",
    }
    return {
        # YARN would start a failed driver a second time, for as long again.
        "spark.yarn.maxAppAttempts": "1",
        **(python_settings(parameters.release_label) if artifacts.python else {}),
        **{f"spark.yarn.appMasterEnv.{key}": value for key, value in environment.items()},
        **{f"spark.executorEnv.{key}": value for key, value in environment.items()},
    }
