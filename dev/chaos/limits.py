"""The limits of real time that scenarios meet, and how fast EMR's run out.

Each limit is given as it is on two quiet cores, and lasts longer where an undisturbed run does.
"""

from typing import Final

from local_aws.clock import Factors
from local_run.pace import Pace

QUIET_RUN_SECONDS: Final = 45.0
"""What an undisturbed run takes on two quiet cores."""
UNMEASURED: Final = Pace(8.0)
"""Until a run has been measured: only one that hangs takes longer."""
PATIENT: Final = Factors(time_factor=200.0)
"""Clusters come and go quickly, and their limits last as long as EMR's: none races the work."""
HURRIED: Final = Factors(time_factor=200.0, limit_factor=200.0)
"""Limits run out in seconds: for a cluster that nothing works on any more."""
TASK_SECONDS: Final = 18.0
"""How long a task may take where tasks are cut off."""


def settings(pace: Pace, short_tasks: bool) -> dict[str, str]:
    """Airflow finds out in seconds, not minutes, that one of its processes is gone, or its task too long."""
    limits = {
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": 6,
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 15,
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": 5,
    }
    intervals = {
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    }
    minutes = f"{pace.seconds(TASK_SECONDS) / 60:.3f}"
    # `plan` has a limit of its own.
    cut_off = dict.fromkeys(("FRUITS_TASK_MINUTES", "FRUITS_PLAN_MINUTES"), minutes) if short_tasks else {}
    return intervals | cut_off | {name: f"{pace.seconds(quiet):.0f}" for name, quiet in limits.items()}
