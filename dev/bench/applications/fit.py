"""Our fit alone, on features in as many partitions as they have files."""

import argparse
import json
from functools import partial
from pathlib import Path

from bench.applications.reduce_stages import fit_ours, read_features
from bench.interleave import seconds_of
from fruit_spark.session.spark_session import start_session


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--features", required=True)
    parser.add_argument("--components", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True)
    given = parser.parse_args()
    spark = start_session("fit")
    partitions = len(read_features(spark, given.features).inputFiles())
    fit = partial(fit_ours, spark, given.features, given.components)
    fit()
    found = {"seconds": seconds_of(fit), "partitions": partitions}
    given.result.write_text(json.dumps(found))
    spark.stop()


if __name__ == "__main__":
    main()
