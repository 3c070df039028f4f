"""The notebook that a run ships, with the run's own addresses in its cells."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_PLACE: Final = re.compile(r'"\$(\w+)"')


def filled(notebook: str, values: Mapping[str, Any]) -> str:
    """A ``.ipynb`` whose words ``"$name"`` in cells of code are replaced by the values, as JSON has them.

    A string and a number read the same in JSON and in Python. ``KeyError`` for a name without a value.
    """
    document = json.loads(notebook)
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            text = _PLACE.sub(lambda found: _literal(values[found[1]]), "".join(cell["source"]))
            cell["source"] = text.splitlines(keepends=True)
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _literal(value: Any) -> str:
    # JSON's own escapes of what is beyond 16 bits are two characters to Python.
    return json.dumps(value, indent=1 if isinstance(value, dict) else None, ensure_ascii=False)
