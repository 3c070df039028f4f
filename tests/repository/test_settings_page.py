"""Promise: docs/settings.md has every setting of the code, as it is in the code."""

import pytest
from pydantic import BaseModel

from evidence import settings_page
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters


def test_the_page_is_current() -> None:
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page(), "run `make docs`"


@pytest.mark.parametrize("model", [RunParameters, Deployment])
def test_every_setting_has_a_description(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_a_row_has_name_default_range_and_sentence() -> None:
    rows = settings_page.page().splitlines()
    said = "Number of principal components to keep, or (below 1) the share of the variance."
    assert f"| `components` | `256` | above 0 to 1,280 | {said} |" in rows
    assert any(row.startswith("| `workers` | `2` | from 1 to 100, `auto`, or empty |") for row in rows)
    assert any(row.startswith("| `bucket` | `FRUITS_BUCKET` | 3 to 63 characters, ") for row in rows)
    assert any(row.startswith("| `FRUITS_CODE_DIR` | `spark` | a path |") for row in rows)


def test_the_environment_does_not_change_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings_page.page()
    monkeypatch.setenv("FRUITS_BUCKET", "another-bucket")
    assert settings_page.page() == before
