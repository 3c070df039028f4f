"""What the Spark steps need beside their code, made once: jars, model, Python runtime, Python itself.

Each is made by a command, such as ``python -m artifacts.model_artifact``, which skips what is already right
and never leaves half a file.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
"""The checkout: requirements are read from it, and ``.cache`` in it is written to."""
