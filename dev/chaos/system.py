"""The running systems that scenarios are played on: local AWS and an Airflow."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from rich.console import Console

from chaos.driver import Arena, Scenario, Seen
from chaos.limits import PATIENT
from chaos.running import REAPER_ID, ScenarioError
from chaos.scenarios import scenarios
from fruit_contract.layout import DAG_ID, INPUT_PREFIX
from local_aws.control import Control
from local_run import bucket_sync, generated_photos, local_account
from local_run.local_stack import Paths, Stack, StackPlan, running

BUCKET: Final = "fruits-chaos"
REGION: Final = "eu-west-1"
PHOTOS: Final = 24
_KEEP_ALL: Final = {"FRUITS_KEEP_RUNS": "100"}
"""The first run's output is what later ones are said to have made."""
_POLICY: Final = Path(__file__).with_name("policy")


@contextmanager
def arena() -> Iterator[Arena]:
    """Everything up, with photos in the bucket, and the reaper paused: it is one of the scenarios."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        repository = Path(__file__).resolve().parents[2]
        paths = Paths(repository, Path(folder), Path(folder) / "out")
        stack = Stack(StackPlan(paths, BUCKET, PATIENT.time_factor, settings=_KEEP_ALL))
        stack.airflow.migrate()
        # Airflow puts this folder of its home on its own path.
        shutil.copytree(_POLICY, stack.airflow.home / "config", dirs_exist_ok=True)
        with running(stack):
            api = stack.start_airflow()
            there = Arena(stack, api, Control(stack.aws["AWS_ENDPOINT_URL_EMR"]), BUCKET)
            local_account.create_bucket(there.s3, BUCKET, REGION)
            local_account.create_roles(stack.client("iam"), stack.deployment)
            photos = generated_photos.generate(paths.state / "images", PHOTOS)
            bucket_sync.mirror(there.s3, photos, BUCKET, INPUT_PREFIX, Console(quiet=True))
            for dag_id in (DAG_ID, REAPER_ID):
                api.wait_until_ready(dag_id)
            api.call("PATCH", f"/dags/{REAPER_ID}", {"is_paused": True}).raise_for_status()
            yield there


class System:
    """Plays scenarios one after the other; after one that went wrong, on a new system. A context manager."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._arena: Arena | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def begin(self) -> Seen:
        """Play the undisturbed run, which all others are measured by, on a new system."""
        self._arena = self._open.enter_context(arena())
        return self._play(self._arena, next(scenarios()))

    def play(self, scenario: Scenario) -> Seen:
        """``ScenarioError`` if a new system is needed, and its undisturbed run goes wrong."""
        if self._arena is None:
            first = self.begin()
            if self._arena is None:
                raise ScenarioError(f"The run that nothing disturbs did not end as expected: {first}")
        return self._play(self._arena, scenario)

    def _play(self, there: Arena, scenario: Scenario) -> Seen:
        seen = there.play(scenario)
        if not seen.as_expected:
            self._arena = None
            self._open.close()
        return seen
