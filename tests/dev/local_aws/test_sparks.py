"""Promise: a step runs on the Spark of its release where that is installed, with the jars of its Hadoop."""

from pathlib import Path

from local_aws.emr.spark_submit import LocalSpark
from local_aws.emr.step_runner import Sparks
from local_aws.s3a_jars import jars_of


def spark(name: str) -> LocalSpark:
    place = Path("/", name)
    return LocalSpark(place, place, place, None, "http://127.0.0.1", 2, 2048)


def test_a_line_of_releases_has_its_spark() -> None:
    sparks = Sparks(spark("current"), older=lambda: spark("older"), newer=lambda: spark("newer"))
    labels = {"emr-6.15.0": "older", "emr-7.14.0": "current", "emr-spark-8.1.0": "newer"}
    assert {label: sparks.of(label).spark_home.name for label in labels} == labels


def test_what_is_not_installed_is_not_needed() -> None:
    alone = Sparks(spark("current"))
    assert {alone.of(label) for label in ("emr-6.15.0", "emr-spark-8.1.0")} == {alone.current}


def test_an_environment_may_bring_the_jars_of_its_hadoop(tmp_path: Path) -> None:
    python, common = tmp_path / "bin" / "python", tmp_path / "common"
    assert jars_of(python, common) == common
    own = tmp_path / "s3a-jars"
    own.mkdir()
    assert jars_of(python, common) == own
