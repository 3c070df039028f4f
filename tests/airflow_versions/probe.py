"""Runs in an environment under test: prints, as its last line, what Airflow finds in its folders as JSON."""

import json
from pathlib import Path

import airflow
from airflow.configuration import conf
from airflow.dag_processing.dagbag import DagBag
from airflow.plugins_manager import get_import_errors

dags = DagBag(conf.get("core", "dags_folder"))

from fruit_pipeline.pages.app import create_app  # noqa: E402
from fruit_pipeline.settings.deployment import Deployment  # noqa: E402 - on the path once Airflow has read its settings

deployment = Deployment()
artifacts = (
    deployment.code_dir / "featurize.py",
    deployment.model_dir / "model.json",
    deployment.notebooks_dir / "cluster.ipynb",
    deployment.runtime_archive,
    deployment.python_archive,
)
print(
    json.dumps(
        {
            "airflow": airflow.__version__,
            "files": sorted({Path(dag.fileloc).name for dag in dags.dags.values()}),
            "errors": {**dags.import_errors, **get_import_errors()},
            "pages": sorted(getattr(route, "path", "") for route in create_app().routes),
            "bucket": deployment.bucket,
            "missing": [str(path) for path in artifacts if not path.exists()],
        }
    )
)
