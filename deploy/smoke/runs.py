"""The two runs: their parameters, what they may cost, and an Airflow of their own that plays them."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from fruit_contract.layout import DAG_ID
from fruit_pipeline.cost import substitutes
from fruit_pipeline.cost.estimate import Workload, estimate
from fruit_pipeline.cost.invoice import total_usd
from fruit_pipeline.cost.live_prices import CLIENT_CONFIG, PRICING_REGION, read_prices
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.settings.parameters import RunParameters
from infra.account_clients import Account
from infra.environment import variables
from local_run.airflow_server import COMPONENTS, AirflowApi, AirflowHome, free_port
from local_run.follow import follow
from local_run.processes import Child, stop
from smoke.made import Made, Place

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PHOTOS: Final = 60
MOST_EUR: Final = 1.0
"""Of both runs together, at worst."""
_BOTH: Final[dict[str, Any]] = {
    "components": 16,
    "minimum_variance": 0.1,
    "image_size": 96,
    "diversify": False,
    # EMR takes eight minutes to start, a node is lost some three later, and a second cluster needs eleven.
    "max_hours": 0.5,
    "max_step_hours": 0.4,
    "max_start_minutes": 25,
    "spot_timeout_minutes": 10,
    "budget_eur": MOST_EUR,
}
_PLAIN: Final = {"workers": 1, "max_workers": 2, "spot": "spot-or-on-demand", "on_spot_loss": "fail"}
_INTERRUPTED: Final = {"workers": 2, "spot": "spot", "on_spot_loss": "on-demand", "full_refresh": True}


class SmokeError(PipelineError):
    """The smoke test will not begin, or could not do what it was to do; one sentence."""


def parameters(made: Made, place: Place) -> tuple[RunParameters, RunParameters]:
    """Of the plain run, which may grow, and of the one that loses a worker."""
    where = {"bucket": place.bucket, "input_prefix": place.prefix, "region": made.region}
    plain, interrupted = (RunParameters.checked({**where, **_BOTH, **own}) for own in (_PLAIN, _INTERRUPTED))
    return plain, interrupted


def check_cost(account: Account, made: Made, place: Place, photo_bytes: int, usd_per_eur: float) -> str:
    """What both runs cost, in words; ``SmokeError`` where their worst cases exceed :data:`MOST_EUR`."""
    both = parameters(made, place)
    types = {name for run in both for name in _types(run)}
    pricing, ec2 = account.client("pricing", PRICING_REGION, CLIENT_CONFIG), account.client("ec2")
    prices = read_prices(made.region, types, pricing, ec2, datetime.now(UTC))
    sums = [estimate(run, Workload(PHOTOS, photo_bytes), prices) for run in both]
    worst = [total_usd(each.worst) / usd_per_eur for each in sums]
    figures = f"{sum(worst):.2f} EUR at worst ({' + '.join(f'{eur:.2f}' for eur in worst)})"
    if sum(worst) > MOST_EUR:
        raise SmokeError(
            f"Both runs cost {figures} in {made.region}, and the limit is {MOST_EUR:.2f} EUR: choose another "
            "region with --region."
        )
    return f"{figures}, {sum(total_usd(each.expected) for each in sums) / usd_per_eur:.2f} EUR expected"


def _types(run: RunParameters) -> set[str]:
    return {*substitutes.primary_types(run), *substitutes.worker_types(run)}


@dataclass(frozen=True)
class Airflow:
    """A running Airflow that knows one DAG."""

    api: AirflowApi
    children: list[Child]
    console: Console

    def play(self, run_id: str, run: RunParameters, meanwhile: Callable[[], None] = lambda: None) -> str:
        """One run from its start to its end; its state."""
        self.api.trigger(DAG_ID, run_id, run.model_dump())
        return follow(self.api, DAG_ID, run_id, self.children, self.console, meanwhile)


def home_of(state: Path) -> Path:
    return state / "airflow"


@contextmanager
def airflow(state: Path, outputs: Mapping[str, str], console: Console) -> Iterator[Airflow]:
    """Airflow from this checkout, which becomes the stack's own role for every call; ended afterwards.

    It has the one DAG: a reaper would end what another Airflow with this stack has under way, and a watcher
    would start a run for the photos.
    """
    dags = state / "dags"
    dags.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / "dags" / "fruit_features.py", dags)
    # From nothing: a killed Airflow would go on with its run, and ask for a cluster that nobody knows of.
    shutil.rmtree(home_of(state), ignore_errors=True)
    home = AirflowHome(home_of(state), REPOSITORY, free_port())
    alone = {"FRUITS_QUEUE_URL": "", "FRUITS_SCHEDULE": "", "AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
    environment = home.environment({**variables(outputs), **alone})
    children: list[Child] = []
    try:
        home.migrate()
        for name in COMPONENTS:
            children.append(home.start(name, environment))
        api = AirflowApi(home.url, children, home.password)
        api.wait_until_ready(DAG_ID)
        yield Airflow(api, children, console)
    finally:
        stop(children)
