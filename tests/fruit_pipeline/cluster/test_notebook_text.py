"""A notebook is filled where its cells of code say so, and reads in Python as it was given."""

import ast
import json
from typing import Any

import pytest

from fruit_pipeline.cluster.notebook_text import filled

ODD = "Fotos \"2026\"/\\ Äpfel 🍎 'a'/"


def notebook(*cells: tuple[str, str]) -> str:
    return json.dumps({"cells": [{"cell_type": kind, "source": [text]} for kind, text in cells]})


def cells_of(text: str) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"]]


@pytest.mark.parametrize("value", [ODD, 224, {"conf": {"a": ODD}, "archives": ["s3://b/r.tar.gz#runtime"]}])
def test_a_value_reads_in_python_and_in_json_as_it_was_given(value: Any) -> None:
    [cell] = cells_of(filled(notebook(("code", 'x = "$value"')), {"value": value}))
    literal = cell.removeprefix("x = ")
    assert ast.literal_eval(literal) == json.loads(literal) == value


def test_text_and_what_has_no_name_stay_as_they_are() -> None:
    text = notebook(("markdown", 'say "$value"'), ("code", "price = '$5'\ncost = \"$ 5\""))
    assert cells_of(filled(text, {"value": 1})) == ['say "$value"', "price = '$5'\ncost = \"$ 5\""]


def test_a_name_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="bucket"):
        filled(notebook(("code", 'x = "$bucket"')), {})
