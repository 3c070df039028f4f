"""A cluster keeps over a restart of the endpoint what its primary has scheduled, and a hold."""

from pathlib import Path
from typing import Any

from local_aws.control import Control
from local_aws.emr.outside_events import Hold
from local_aws.server import LocalAws, Settings
from tests.dev.local_aws.emr_client import SPARK_PYTHON, client, cluster_in, job_flow


def serve(state_dir: Path, limit_factor: float) -> LocalAws:
    return LocalAws(
        Settings(
            state_dir=state_dir, spark_python=SPARK_PYTHON, time_factor=3000.0, limit_factor=limit_factor
        )
    )


def test_a_scheduled_shutdown_comes_true_after_a_restart_and_a_hold_still_holds(tmp_path: Path) -> None:
    script = tmp_path / "deadline.sh"
    script.write_text("sudo shutdown -h +1")
    action: Any = {"Name": "deadline", "ScriptBootstrapAction": {"Path": f"file://{script}"}}
    # The minute then lasts two seconds, enough for the second server to see its end.
    with serve(tmp_path / "state", 30.0) as first:
        emr = client(first, "emr")
        cluster_id = emr.run_job_flow(**job_flow(BootstrapActions=[action]))["JobFlowId"]
        cluster_in(emr, cluster_id, "WAITING")
        held = emr.run_job_flow(**job_flow())["JobFlowId"]
        Control(first.emr_url).cause(held, Hold(state="BOOTSTRAPPING"))
        cluster_in(emr, held, "BOOTSTRAPPING")
    with serve(tmp_path / "state", 30.0) as second:
        ended = cluster_in(client(second, "emr"), cluster_id, "TERMINATED_WITH_ERRORS")
        assert cluster_in(client(second, "emr"), held, "BOOTSTRAPPING")
    assert ended["Status"]["StateChangeReason"]["Code"] == "INSTANCE_FAILURE"
