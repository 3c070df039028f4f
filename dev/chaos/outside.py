"""What a person does on a machine where Airflow is gone."""

import os
import subprocess
import sys

from chaos.running import Running, ScenarioError


def reap_from_the_command_line(run: Running) -> None:
    """``python -m fruit_pipeline reap --all``, with AWS credentials and nothing else."""
    environment = {**os.environ, **run.arena.stack.aws}
    command = [sys.executable, "-m", "fruit_pipeline", "reap", "--region", "eu-west-1", "--all"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ScenarioError(f"reap ended with {done.returncode}: {done.stderr}")
