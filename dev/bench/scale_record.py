"""docs/evidence/scale.json: what was measured for the page of scale, part by part, as each takes minutes."""

import json
from typing import Any, Final

from evidence.marked_text import EVIDENCE

RECORD: Final = EVIDENCE / "scale.json"


def recorded() -> dict[str, Any]:
    """Every part that was ever measured."""
    parts: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    return parts


def record(part: str, found: Any) -> None:
    """Keep what was measured of a part; the other parts stay."""
    RECORD.write_text(json.dumps({**recorded(), part: found}, indent=1) + "\n", encoding="utf-8")
