"""The stack's outputs as the environment variables that Airflow's side reads."""

import re
import shlex
from collections.abc import Mapping
from urllib.parse import urlencode

from fruit_pipeline.settings.deployment import Deployment


def variables(outputs: Mapping[str, str]) -> dict[str, str]:
    """``FRUITS_*`` for every output that is a setting by its name, and Airflow's connection with its role."""
    settings = {_snake(name): value for name, value in outputs.items()}
    found = {
        f"FRUITS_{name.upper()}": value for name, value in settings.items() if name in Deployment.model_fields
    }
    role = urlencode({"role_arn": outputs["AirflowRoleArn"], "region_name": outputs["Region"]})
    return {
        **found,
        "AWS_DEFAULT_REGION": outputs["Region"],
        "AIRFLOW_CONN_AWS_DEFAULT": f"aws://?{role}",
    }


def exports(outputs: Mapping[str, str]) -> str:
    """The same as lines that a shell can read."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables(outputs).items())


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
