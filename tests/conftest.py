"""Both environments run their tests from the top of the repository."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

for folder in (REPOSITORY / "plugins", REPOSITORY):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
