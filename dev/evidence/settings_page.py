"""``python -m evidence.settings_page``: docs/settings.md, from the models that check the settings."""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from fruit_pipeline.settings.allowed import allowed
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PAGE: Final = REPOSITORY / "docs" / "settings.md"
_PREFIX: Final = str(Deployment.model_config["env_prefix"])
_HEAD: Final = """# Settings

`make docs` writes this page from the models that check these values. Do not edit it.

## Parameters of a run

Set them in the form of Airflow's UI, in the run's configuration in the API, or in `ARGS` of `make run`.
"""
_MOST_VALUES: Final = 10
_INSTALLATION: Final = """
## Settings of an installation

Set them as environment variables of every Airflow process.
"""


def page() -> str:
    """The whole page, in Markdown."""
    installation = [f"{_PREFIX}{name.upper()}" for name in Deployment.model_fields]
    return "\n".join(
        [
            _HEAD,
            *_table(RunParameters, RunParameters.model_fields),
            _INSTALLATION,
            *_table(Deployment, installation),
            "",
        ]
    )


def _table(model: type[BaseModel], names: Any) -> list[str]:
    """One row a field, under the names that people give them."""
    schema = model.model_json_schema()["properties"]
    rows = [
        " | ".join(
            (f"| `{name}`", _default(model, field), _allowed(schema[field]), schema[field]["description"])
        )
        + " |"
        for name, field in zip(names, model.model_fields, strict=True)
    ]
    return ["| name | default | allowed | what it does |", "|---|---|---|---|", *rows]


def _allowed(schema: dict[str, Any]) -> str:
    """In words; a long list of instance types is named by its place."""
    if len(schema.get("enum", ())) > _MOST_VALUES:
        return "a type of [instance_types.py](../plugins/fruit_pipeline/settings/instance_types.py)"
    return allowed(schema)


def _default(model: type[BaseModel], name: str) -> str:
    """The default in code; that of the environment where the installation decides it."""
    field = model.model_fields[name]
    if field.default_factory is not None:
        return f"`{_PREFIX}{name.upper()}`"
    value = field.default
    if value in (None, ""):
        return "empty"
    if isinstance(value, Path):
        value = value.relative_to(REPOSITORY)
    return f"`{json.dumps(value) if isinstance(value, bool) else value}`"


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
