"""Wrong words are one sentence and exit code 2, whichever command gets them, and nothing is begun."""

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("local_run run --count=abc", "COUNT= (--count) is 'abc': it should be a valid integer"),
        ("local_run run --port=", "PORT= (--port) is '': it should be a valid integer"),
        ("local_run up --port=[abc]", "PORT= (--port) is '[abc]': it should be a valid integer"),
        ("local_run run --args==5", "'=5' is not a parameter: write name=value, such as components=64."),
        ("local_run run --args=x", "'x' is not a parameter: write name=value, such as components=64."),
        ("local_run run --args=input_prefix=Test", "Parameter input_prefix is 'Test': it must be one line"),
        ("local_run", "Missing command."),
        ("local_run.seed --count=0", "--count is '0': it should be greater than or equal to 1."),
        ("chaos --seed=x", "SEED= (--seed) is 'x': it should be a valid integer"),
        ("chaos --only=[no]", "No scenario has ONLY='[no]' in its name: leave it out to play all."),
        ("fruit_pipeline.upload", "BUCKET= (--bucket) is missing: give the name of a bucket in the region."),
        (
            "fruit_pipeline.upload --bucket=b",
            "IMAGES= (--images) is missing: give a folder with one sub-folder",
        ),
        ("fruit_pipeline.upload --no", "No such option: --no"),
        (
            "fruit_pipeline export",
            "TO= (--to) is missing: give a new file: .csv, .parquet, or .npy with a .csv",
        ),
        ("fruit_pipeline reap", "--region is missing: give an EU region to look at"),
        ("fruit_pipeline clean --bucket=b --region=mars", "'mars' is not in the EU: choose among eu-"),
        ("infra deploy --set", "Option '--set' requires an argument."),
        ("infra destroy now", "Got unexpected extra argument(s) (now)"),
        ("smoke now", "Got unexpected extra argument(s) (now)"),
        ("smoke --region=us-east-1", "--region 'us-east-1' is not in the EU: choose one of eu-"),
    ],
)
def test_wrong_words_are_one_sentence(command: str, sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2, said
    assert said.startswith(f"error: {sentence}"), said
    assert len(said) < 250, said
    assert not said.endswith(".."), said
