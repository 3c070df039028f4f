"""What a library costs a fresh Python worker before its first features: run as a process of its own."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.contenders import CONTENDERS, Contender, Networks
from bench.memory import peak_mib


class Start(NamedTuple):
    """Of one process, NumPy and this module apart, which it has imported before."""

    seconds: float
    """To import the library, load the network and predict one photo."""
    mib: float
    """By how much its largest resident memory grew."""


def measure_start(contender: Contender, networks: Networks, size: int) -> Start:
    """In a new process; ``RuntimeError`` with what it said when it fails."""
    command = [sys.executable, "-m", "bench.engine_start", contender.name, *map(str, networks), str(size)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{contender.name} did not start: {ran.stderr[-2000:]}")
    return Start(*json.loads(ran.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=[contender.name for contender in CONTENDERS])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("onnx", type=Path)
    parser.add_argument("size", type=int)
    given = parser.parse_args()
    [contender] = (each for each in CONTENDERS if each.name == given.name)
    photo = np.zeros((1, given.size, given.size, 3), np.float32)
    before, started = peak_mib(), time.perf_counter()
    contender.open(Networks(given.artifact, given.onnx), 1, given.size)(photo)
    print(json.dumps([time.perf_counter() - started, peak_mib() - before]))


if __name__ == "__main__":
    main()
