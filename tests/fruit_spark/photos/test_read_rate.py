"""All workers together ask S3 for no more photos a second than it bears, however the cluster may grow."""

import pytest
from pyspark import SparkConf

from fruit_contract.s3_limits import READS_A_SECOND
from fruit_spark.photos.read_rate import ReadRate, reads_a_second


def test_threads_pass_one_after_the_other_at_the_rate() -> None:
    now = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    rate, passed = ReadRate(4, lambda: now, sleep), []
    for _ in range(5):
        rate.wait()
        passed.append(now)
    assert passed == [100, 100.25, 100.5, 100.75, 101]
    # A pause earns no burst.
    now = 200.0
    for _ in range(2):
        rate.wait()
        passed.append(now)
    assert passed[-2:] == [200, 200.25]


FLEET = {"spark.executor.instances": "100", "spark.executor.cores": "4"}
GROWS = {
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.maxExecutors": "50",
    "spark.executor.cores": "8",
}


@pytest.mark.parametrize(
    ("given", "cores", "workers"),
    [
        pytest.param(FLEET, 4, 400, id="a fleet of which one node is there"),
        pytest.param(GROWS, 16, 400, id="a fleet that may grow"),
        pytest.param({}, 2, 2, id="this machine"),
        pytest.param({"spark.dynamicAllocation.enabled": "true"}, 8, 8, id="nobody says how far it may grow"),
    ],
)
def test_a_worker_has_its_share(given: dict[str, str], cores: int, workers: int) -> None:
    conf = SparkConf(loadDefaults=False).setAll(list(given.items()))
    assert reads_a_second(conf, cores) * workers == pytest.approx(READS_A_SECOND)
