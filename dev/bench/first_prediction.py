"""How long a fresh Python worker takes from its start to its first features: run as a process of its own."""

import argparse
import gzip
import subprocess
import sys
import time
from pathlib import Path


def seconds_to_first_prediction(packed_model: Path, photo: Path, environment: dict[str, str]) -> float:
    """Start an interpreter, import what a task imports, unpack and load the model, predict one photo."""
    command = [sys.executable, "-m", "bench.first_prediction", str(packed_model), str(photo)]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("packed_model", type=Path, help="gzip of a .tflite, as it is broadcast")
    parser.add_argument("photo", type=Path)
    given = parser.parse_args()
    from pyspark import worker  # noqa: F401 - the worker itself is part of the start

    from fruit_spark.features import feature_batches  # noqa: F401
    from fruit_spark.model.engines import LiteRtEngine

    engine = LiteRtEngine(gzip.decompress(given.packed_model.read_bytes()), 224)
    features = engine.predict(engine.decode(given.photo.read_bytes(), 224)[None])
    print(features.sum())


if __name__ == "__main__":
    main()
