"""Promise: limits keep their proportion to an undisturbed run, however fast the machine is."""

import pytest

from chaos import limits
from local_run.pace import Pace


@pytest.mark.parametrize(("run_seconds", "slowness"), [(10.0, 1.0), (45.0, 1.0), (90.0, 2.0), (450.0, 10.0)])
def test_limits_follow_the_undisturbed_run(run_seconds: float, slowness: float) -> None:
    pace = Pace.of(run_seconds, limits.QUIET_RUN_SECONDS)
    settings = limits.settings(pace, short_tasks=True)

    assert float(settings["FRUITS_TASK_MINUTES"]) * 60 == pytest.approx(18 * slowness)
    assert int(settings["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"]) == 15 * slowness
    assert settings["AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC"] == "1", "how often, not how long"
    assert "FRUITS_TASK_MINUTES" not in limits.settings(pace, short_tasks=False)
