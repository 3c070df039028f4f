"""Where a step says why it fails: on the stderr that EMR reads, and shows people as the step's reason."""

import os
import sys
from typing import Any


def print_error(sentence: str) -> None:
    """To this process' stderr; and, where spark-submit is its parent, to spark-submit's own.

    spark-submit sends a Python driver's stderr to its stdout: only through the JVM is stderr reached. No
    session is needed.
    """
    sys.stdout.flush()
    print(sentence, file=sys.stderr, flush=True)
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        from pyspark import SparkContext
        from pyspark.java_gateway import launch_gateway

        gateway: Any = SparkContext._gateway or launch_gateway()  # type: ignore[no-untyped-call]
        gateway.jvm.java.lang.System.err.println(sentence)
