"""Promise: both command lines say what they take, and refuse what they cannot use before Spark starts."""

import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from fruit_contract.partitions import image_partitions, output_partitions
from fruit_spark.step_errors import StepError
from fruit_spark.steps.arguments import featurize_parser, featurize_settings, reduce_parser, reduce_settings
from fruit_spark.steps.reduce_job import check_components, check_rows
from fruit_spark.steps.step import sentence_of
from tests.conftest import REPOSITORY

FEATURIZE = ["--features", "f", "--rejected", "r", "--metrics", "m", "--model", "o"]
REDUCE = ["--features", "f", "--output", "o", "--model-output", "p", "--metrics", "m", "--plot", "v"]


def test_defaults_are_those_of_the_design() -> None:
    step = featurize_settings(["--work-list", "w", *FEATURIZE])
    assert (step.image_size, step.batch_size, step.engine, step.reader) == (224, 32, "litert", "fast")
    assert step.precision == "float32"
    pca = reduce_settings(REDUCE)
    assert (pca.components, pca.min_variance, pca.solver) == (256, 0.90, "blocks")


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ([], "--work-list"),
        (["--work-list", "w", "--input", "i"], "not allowed with"),
        (["--work-list", "w", "--image-size", "200"], "96, 128, 160, 192, 224"),
        (["--work-list", "w", "--batch-size", "0"], "whole number of 1 or more"),
        (["--work-list", "w", "--engine", "torch"], "litert"),
        (["--work-list", "w", "--precision", "int8"], "float32"),
        (["--work-list", "w", "--precision", "float16", "--engine", "keras"], "keras engine has no float16"),
        (["--work-list", "w", "--colour", "red"], "--colour"),
    ],
)
def test_featurize_refuses_what_it_cannot_use(
    extra: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        featurize_settings([*extra, *FEATURIZE])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"), [("--components", "0"), ("--min-variance", "90"), ("--solver", "magic")]
)
def test_reduce_refuses_what_it_cannot_use(name: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        reduce_settings([*REDUCE, name, value])
    assert repr(value) in capsys.readouterr().err


@pytest.mark.parametrize("parser", [featurize_parser(), reduce_parser()])
def test_every_option_is_explained(parser: object) -> None:
    assert all(action.help for action in parser._actions)  # type: ignore[attr-defined]


def test_tasks_fill_every_core_and_stay_small() -> None:
    for images in (1, 15, 100, 1_142, 87_000, 1_000_000):
        for cores in (1, 2, 4, 96):
            tasks = image_partitions(images, cores)
            assert 1 <= tasks <= images
            if images >= 16 * cores:
                assert tasks % cores == 0, "a core would have nothing to do in the last round"
            if images >= 250 * 5 * cores:
                assert tasks >= 5 * cores
                assert images / tasks <= 1_000
    assert output_partitions(10, 4) == 1
    assert output_partitions(87_000, 4) == 4


@pytest.mark.parametrize(
    ("rows", "components", "said"),
    [
        (0, 256, "every image was rejected"),
        (1, 1, "at least 2"),
        (100, 256, "256 components.*100 were featurized.*99 or less"),
        (256, 256, "256 components.*256 were featurized.*255 or less"),
    ],
)
def test_too_many_components_name_the_numbers_and_the_parameter(
    rows: int, components: int, said: str
) -> None:
    with pytest.raises(StepError, match=said):
        check_components(rows, components)


def test_one_image_more_than_components_is_accepted() -> None:
    check_components(257, 256)


def test_fewer_components_are_kept_only_where_that_was_allowed() -> None:
    asked = reduce_settings(REDUCE)
    check_rows(257, asked)
    with pytest.raises(StepError, match="256 components need more images"):
        check_rows(100, asked)
    allowed = reduce_settings([*REDUCE, "--fewer-components"])
    check_rows(100, allowed)
    with pytest.raises(StepError, match="There is 1 feature vector"):
        check_rows(1, allowed)


@pytest.mark.parametrize("flags", [[], ["--fewer-components"]])
def test_a_share_needs_two_feature_vectors(flags: list[str]) -> None:
    share = reduce_settings([*REDUCE, "--components", "0.95", *flags])
    check_rows(2, share)
    with pytest.raises(StepError, match="There is 1 feature vector, and variance needs at least 2"):
        check_rows(1, share)
    with pytest.raises(StepError, match="There is no feature vector"):
        check_rows(0, share)


@pytest.mark.parametrize(("given", "kept"), [("0.95", 0.95), ("1", 1), ("64.0", 64), ("1280", 1280)])
def test_components_are_a_whole_number_or_a_share(given: str, kept: float) -> None:
    found = reduce_settings([*REDUCE, "--components", given]).components
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "1281", "many", "nan"])
def test_any_other_number_of_components_is_one_sentence_with_both_ways(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        reduce_settings([*REDUCE, f"--components={value}"])
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"{value!r} will not do: give a whole number from 1 to 1,280, or a share of the variance" in said


def test_a_share_below_the_least_variance_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        reduce_settings([*REDUCE, "--components", "0.5"])
    assert "--components 0.5 is a share of the variance below --min-variance 0.9" in capsys.readouterr().err
    assert reduce_settings([*REDUCE, "--components", "0.5", "--min-variance", "0.5"]).components == 0.5


@pytest.mark.spark
@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("featurize", "the following arguments are required: --features"),
        ("reduce", "the following arguments are required: --features"),
        ("train", "the following arguments are required: --features"),
    ],
)
def test_wrong_words_are_the_last_that_spark_submit_says(
    step: str, words: str, spark_environment: dict[str, str]
) -> None:
    submit = Path(sys.executable).with_name("spark-submit")
    done = subprocess.run(
        [submit, f"spark/{step}.py"],
        cwd=REPOSITORY,
        env={**os.environ, **spark_environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = done.stderr.splitlines()
    sentence = next(line for line in said if line.startswith("error: "))
    assert sentence.startswith(f"error: {step}.py: {words}")
    assert done.returncode != 0


def test_the_sentence_of_a_worker_reaches_the_user() -> None:
    raised = traceback.format_exception_only(StepError("S3 refused it."))[0]
    text = f"Job aborted\nTraceback:\n  File\n{raised}\n\tat java.lang"
    assert sentence_of(RuntimeError(text)) == "S3 refused it."
    assert sentence_of(RuntimeError("other")) is None


def test_a_step_ends_itself_at_its_time_limit(spark_environment: dict[str, str]) -> None:
    hanging = (
        "import threading\n"
        "from fruit_spark.steps.step import run_step\n"
        "run_step('featurize', lambda session: threading.Event().wait(), time_limit=1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hanging],
        env={**os.environ, **spark_environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "error: featurize ran longer than its time limit of 1 s" in done.stderr


def test_a_time_limit_of_less_than_a_second_is_refused() -> None:
    with pytest.raises(SystemExit):
        featurize_settings(["--work-list", "w", *FEATURIZE, "--time-limit", "0"])
