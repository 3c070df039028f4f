"""A spark-submit meant for YARN is understood whole, and only what makes no sense locally is dropped."""

from pathlib import Path

import pytest

from local_aws.emr.spark_submit import (
    LocalCommand,
    Localized,
    LocalSpark,
    SparkSubmitError,
    localize_and_translate,
    parse,
)

SPARK = LocalSpark(
    spark_home=Path("/spark"),
    python=Path("/venv/bin/python"),
    java_home=Path("/java"),
    jars_dir=Path("/jars"),
    s3_endpoint="http://127.0.0.1:5000",
    cores=2,
    memory_cap_mb=2048,
)
WORKDIR = Path("/container")


def translate(*args: str, defaults: dict[str, str] | None = None) -> LocalCommand:
    return localize_and_translate(parse(args), SPARK, defaults or {}, WORKDIR)


def settings(command: LocalCommand) -> dict[str, str]:
    pairs = zip(command.argv, command.argv[1:], strict=False)
    return dict(value.split("=", 1) for option, value in pairs if option == "--conf")


def test_yarn_becomes_local_cores_with_yarns_task_retries() -> None:
    command = translate("--master", "yarn", "--deploy-mode=cluster", "s3://b/main.py")
    assert command.argv[:3] == ["/spark/bin/spark-submit", "--master", "local[2,4]"]


def test_the_main_script_and_its_arguments_stay_last_and_whole() -> None:
    command = translate("s3://b/code/main.py", "--conf", "not spark's", "a b", "é")
    assert command.argv[-5:] == ["main.py", "--conf", "not spark's", "a b", "é"]
    assert command.localized == [Localized("s3://b/code/main.py", "main.py")]


def test_archives_are_unpacked_under_their_alias_or_their_name() -> None:
    command = translate(
        "--conf",
        "spark.archives=s3://b/env.tar.gz#runtime",
        "--archives",
        "s3://b/x.zip#x,s3://b/y.zip",
        "m.py",
    )
    assert Localized("s3://b/x.zip", "x", unpack=True) in command.localized
    assert Localized("s3://b/y.zip", "y.zip", unpack=True) in command.localized
    assert not any("spark.archives" in word for word in command.argv)


def test_the_last_of_two_settings_counts_as_in_spark() -> None:
    command = translate(
        "--conf", "spark.archives=s3://b/a.zip#a", "--conf", "spark.archives=s3://b/c.zip#c", "m.py"
    )
    assert command.localized == [Localized("s3://b/c.zip", "c", unpack=True)]


def test_py_files_and_files_are_fetched() -> None:
    command = translate(
        "--py-files", "s3://b/code.zip,s3://b/more.py", "--files", "s3://b/c.json#conf.json", "m.py"
    )
    assert command.argv[command.argv.index("--py-files") + 1] == "code.zip,more.py"
    assert Localized("s3://b/c.json", "conf.json") in command.localized


def test_the_drivers_environment_comes_from_the_application_master_in_cluster_mode() -> None:
    arguments = (
        "--conf",
        "spark.yarn.appMasterEnv.PYTHONPATH={{PWD}}/runtime",
        "--conf",
        "spark.yarn.appMasterEnv.PYSPARK_PYTHON=/usr/bin/python3.11",
        "m.py",
    )
    cluster = translate("--deploy-mode", "cluster", *arguments).environment
    assert cluster["PYTHONPATH"] == "/container/runtime"
    assert cluster["PYSPARK_PYTHON"] == "/venv/bin/python"
    assert "PYTHONPATH" not in translate("--deploy-mode", "client", *arguments).environment


def test_the_executors_environment_reaches_the_python_workers_through_spark() -> None:
    kept = settings(
        translate(
            "--conf",
            "spark.executorEnv.PYTHONPATH=./runtime",
            "--conf",
            "spark.executorEnv.PYSPARK_PYTHON=/usr/bin/python3.11",
            "m.py",
        )
    )
    assert kept["spark.executorEnv.PYTHONPATH"] == "./runtime"
    assert kept["spark.executorEnv.PYSPARK_PYTHON"] == "/venv/bin/python"


@pytest.mark.parametrize("python", ["/usr/bin/python3.11", "/usr/bin/python3", "python3"])
def test_the_images_python_becomes_this_machines(python: str) -> None:
    assert settings(translate("--conf", f"spark.pyspark.python={python}", "m.py"))[
        "spark.pyspark.python"
    ] == ("/venv/bin/python")


def test_a_python_of_the_steps_own_archive_is_kept() -> None:
    kept = settings(translate("--conf", "spark.pyspark.python=./env/bin/python", "m.py"))
    assert kept["spark.pyspark.python"] == "./env/bin/python"


@pytest.mark.parametrize(
    "setting",
    [
        "spark.dynamicAllocation.enabled",
        "spark.executor.instances",
        "spark.executor.cores",
        "spark.yarn.maxAppAttempts",
        "spark.shuffle.service.enabled",
        "spark.driver.cores",
    ],
)
def test_what_only_a_cluster_has_is_dropped(setting: str) -> None:
    assert setting not in settings(translate("--conf", f"{setting}=1", "m.py"))


def test_memory_is_the_larger_of_driver_and_executor_up_to_the_cap() -> None:
    def memory(*args: str) -> str:
        argv = translate(*args, "m.py").argv
        return argv[argv.index("--driver-memory") + 1]

    assert memory() == "1024m"
    assert memory("--driver-memory", "512m", "--executor-memory", "1536m") == "1536m"
    assert memory("--driver-memory", "6g") == "2048m"


def test_the_clusters_spark_defaults_count_less_than_the_step() -> None:
    kept = settings(
        translate("--conf", "spark.a=step", "m.py", defaults={"spark.a": "cluster", "spark.b": "cluster"})
    )
    assert (kept["spark.a"], kept["spark.b"]) == ("step", "cluster")


def test_s3_is_the_local_one_whatever_the_step_says() -> None:
    kept = settings(translate("--conf", "spark.hadoop.fs.s3a.endpoint=s3.eu-west-1.amazonaws.com", "m.py"))
    assert kept["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:5000"
    assert kept["spark.hadoop.fs.s3.impl"] == "org.apache.hadoop.fs.s3a.S3AFileSystem"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--nonsense", "x", "m.py"], "no option '--nonsense'"),
        (["--conf", "novalue", "m.py"], "not of the form"),
        (["--conf"], "needs a value"),
        ([], "no application"),
        (["--packages", "g:a:1", "m.py"], "download from the internet"),
        (["--driver-memory", "lots", "m.py"], "not an amount of memory"),
        (["--archives", "s3://b/x.zip#../out", "m.py"], "below the working directory"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_sentence(arguments: list[str], complaint: str) -> None:
    with pytest.raises(SparkSubmitError, match=complaint):
        translate(*arguments)
