"""A step names a program of a node in one of several ways, and Spark's examples by their class."""

from pathlib import Path

import pytest

from local_aws.emr import examples, step_command
from local_aws.emr.cluster_data import Step
from local_aws.emr.spark_submit import Localized, parse

SCRIPT_RUNNER = "s3://eu-west-1.elasticmapreduce/libs/script-runner/script-runner.jar"


def step(jar: str, *args: str, main_class: str | None = None) -> Step:
    return Step(
        name="s", action_on_failure="CONTINUE", jar=jar, args=list(args), main_class=main_class, created_at=0
    )


@pytest.mark.parametrize(
    ("asked", "argv"),
    [
        (step("command-runner.jar", "hadoop", "fs"), ["hadoop", "fs"]),
        (step("/var/lib/aws/emr/step-runner/hadoop-jars/command-runner.jar", "true"), ["true"]),
        (step(SCRIPT_RUNNER, "/usr/bin/s3-dist-cp", "--src=a"), ["/usr/bin/s3-dist-cp", "--src=a"]),
        (
            step(SCRIPT_RUNNER, "s3://eu-west-1.elasticmapreduce/libs/state-pusher/0.1/fetch"),
            ["state-pusher-script"],
        ),
        (step("/usr/share/aws/emr/s3-dist-cp/lib/s3-dist-cp.jar", "--src=a"), ["s3-dist-cp", "--src=a"]),
        (step("s3://b/x.jar", "a", main_class="M"), ["hadoop", "jar", "x.jar", "M", "a"]),
        (step("file:///usr/lib/hadoop/h.jar"), ["hadoop", "jar", "/usr/lib/hadoop/h.jar"]),
    ],
)
def test_a_step_is_a_program_and_its_arguments(asked: Step, argv: list[str]) -> None:
    assert step_command.of(asked).argv == argv


def test_a_jar_and_a_script_on_s3_are_fetched_first() -> None:
    assert step_command.of(step("s3://b/x.jar")).localized == [Localized("s3://b/x.jar", "x.jar")]
    script = step_command.of(step(SCRIPT_RUNNER, "s3://b/a/x.sh", "1"))
    assert script.localized == [Localized("s3://b/a/x.sh", "x.sh")]
    assert script.argv[-2:] == ["x.sh", "1"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("SparkPi", "pi.py"),
        ("org.apache.spark.examples.JavaWordCount", "wordcount.py"),
        ("ml.KMeansExample", "ml/kmeans_example.py"),
    ],
)
def test_an_example_is_the_one_of_its_name_in_python(name: str, found: str, tmp_path: Path) -> None:
    folder = tmp_path / "examples/src/main/python"
    for each in ("pi.py", "wordcount.py", "ml/kmeans_example.py", "mllib/kmeans_example.py"):
        (folder / each).parent.mkdir(parents=True, exist_ok=True)
        (folder / each).touch()
    submission = examples.of_run_example(parse([name, "10"]), tmp_path)
    assert (submission.application, submission.application_args) == (str(folder / found), ("10",))
    by_jar = parse(["--class", name, "/usr/lib/spark/examples/jars/spark-examples.jar", "10"])
    assert examples.in_python(by_jar, tmp_path) == submission
