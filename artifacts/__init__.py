"""What the Spark steps need beside their code, made once: jars, model, Python runtime, Python itself.

Each is made by a command, such as ``python -m artifacts.model``, which skips what is already right and
never leaves half a file.
"""

import sys
from pathlib import Path

# What an artifact must agree on with the steps that take it is written once, in their own packages.
for _folder in ("plugins", "spark"):
    sys.path.append(str(Path(__file__).resolve().parent.parent / _folder))
