"""Events of the state machine, seen by unmodified boto3: at once, or when their moment comes."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from local_aws.control import Control, ControlError
from local_aws.emr.outside_events import (
    CompleteStep,
    FailBootstrap,
    FailStep,
    HangStep,
    Hold,
    LosePrimary,
    OutsideEvent,
    ReclaimSpot,
    Release,
    WithholdSpot,
)
from tests.dev.local_aws.emr_client import (
    TIME_FACTOR,
    cluster_in,
    eventually,
    fleet,
    fleets,
    groups,
    job_flow,
    step,
    step_in,
)


def start(emr: BaseClient, **changes: Any) -> str:
    cluster_id: str = emr.run_job_flow(**job_flow(**changes))["JobFlowId"]
    return cluster_id


def ticking(path: Path) -> dict[str, Any]:
    """A step that never ends and says again and again that it is alive, whatever it is politely asked."""
    return step("bash", "-c", f"trap '' TERM; while true; do echo $$ >> {path}; sleep 0.05; done")


def steps(emr: BaseClient, cluster_id: str) -> list[Any]:
    return list(reversed(emr.list_steps(ClusterId=cluster_id)["Steps"]))


def process_state(path: Path) -> str:
    """The state letter of the process that wrote its id there; empty when there is none."""
    pid = path.read_text().split()[0]
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def test_a_held_cluster_never_leaves_its_state_until_it_is_released(
    emr: BaseClient, control: Control
) -> None:
    control.cause_later(Hold(), state="STARTING")
    held, free = start(emr), start(emr)
    cluster_in(emr, free, "WAITING")
    assert cluster_in(emr, held, "STARTING")
    control.cause(held, Release())
    cluster_in(emr, held, "WAITING")


def test_a_held_cluster_can_still_be_terminated_and_be_held_in_terminating(
    emr: BaseClient, control: Control
) -> None:
    control.cause_later(Hold(), state="BOOTSTRAPPING", cluster_name="a cluster")
    cluster_id = start(emr)
    cluster_in(emr, cluster_id, "BOOTSTRAPPING")
    control.cause(cluster_id, Hold(state="TERMINATING"))
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    cluster_in(emr, cluster_id, "TERMINATING")
    other = start(emr)
    emr.terminate_job_flows(JobFlowIds=[other])
    cluster_in(emr, other, "TERMINATED")
    assert cluster_in(emr, cluster_id, "TERMINATING")
    control.cause(cluster_id, Release())
    cluster_in(emr, cluster_id, "TERMINATED")


def test_a_pending_event_waits_for_a_cluster_of_its_name_and_happens_once(
    emr: BaseClient, control: Control
) -> None:
    control.cause_later(LosePrimary(), state="WAITING", cluster_name="unlucky")
    cluster_in(emr, start(emr, Name="lucky"), "WAITING")
    unlucky = start(emr, Name="unlucky")
    cluster_in(emr, unlucky, "TERMINATED_WITH_ERRORS")
    assert [each.cluster_id for each in control.pending_events()] == [unlucky]
    cluster_in(emr, start(emr, Name="unlucky"), "WAITING")


def test_a_failed_bootstrap_ends_the_cluster_in_emrs_words(emr: BaseClient, control: Control) -> None:
    control.cause_later(FailBootstrap(), state="STARTING")
    cluster_id = start(emr, Steps=[step("true")])
    reason = cluster_in(emr, cluster_id, "TERMINATED_WITH_ERRORS")["Status"]["StateChangeReason"]
    assert reason["Code"] == "BOOTSTRAP_FAILURE"
    assert "bootstrap action 1 returned a non-zero return code" in reason["Message"]
    assert [each["Status"]["State"] for each in steps(emr, cluster_id)] == ["CANCELLED"]


@pytest.mark.parametrize("action", ["TERMINATE_CLUSTER", "SWITCH_TO_ON_DEMAND"])
def test_without_spot_capacity_a_fleet_does_what_it_says_when_its_time_is_over(
    emr: BaseClient, control: Control, action: str
) -> None:
    control.cause_later(WithholdSpot(), state="STARTING")
    waiting = fleet("MASTER", "m6g.xlarge", 1)
    waiting["LaunchSpecifications"] = {
        "SpotSpecification": {"TimeoutDurationMinutes": 20, "TimeoutAction": action}
    }
    wanted = fleets(InstanceFleets=[waiting, fleet("CORE", "m6g.xlarge", 2)])
    cluster_id = start(emr, Instances=wanted)
    if action == "TERMINATE_CLUSTER":
        status = cluster_in(emr, cluster_id, "TERMINATED_WITH_ERRORS")["Status"]
        assert status["StateChangeReason"] == {
            "Code": "INSTANCE_FLEET_TIMEOUT",
            "Message": "Spot did not provision the MASTER instance fleet within 20 minutes",
        }
    else:
        status = cluster_in(emr, cluster_id, "WAITING")["Status"]
        instances = emr.list_instances(ClusterId=cluster_id)["Instances"]
        assert {each["Market"] for each in instances} == {"ON_DEMAND"}
    lasted = status["Timeline"].get("ReadyDateTime", status["Timeline"].get("EndDateTime"))
    assert (lasted - status["Timeline"]["CreationDateTime"]).total_seconds() >= 20 * 60 / TIME_FACTOR


def test_a_reclaimed_core_node_is_gone_and_the_cluster_goes_on(emr: BaseClient, control: Control) -> None:
    cluster_id = start(emr)
    cluster_in(emr, cluster_id, "WAITING")
    control.cause(cluster_id, ReclaimSpot(role="CORE", count=1))
    core = emr.list_instances(ClusterId=cluster_id, InstanceFleetType="CORE")["Instances"]
    lost = [each for each in core if each["Status"]["State"] == "TERMINATED"]
    assert [each["Status"]["StateChangeReason"] for each in lost] == [
        {"Code": "INSTANCE_FAILURE", "Message": "Instance was terminated due to Spot"}
    ]
    timeline = lost[0]["Status"]["Timeline"]
    assert timeline["CreationDateTime"] <= timeline["ReadyDateTime"] <= timeline["EndDateTime"]
    listed = emr.list_instance_fleets(ClusterId=cluster_id)["InstanceFleets"]
    provisioned = {each["InstanceFleetType"]: each["ProvisionedSpotCapacity"] for each in listed}
    assert provisioned == {"MASTER": 1, "CORE": 1}
    [step_id] = emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("true")])["StepIds"]
    step_in(emr, cluster_id, step_id, "COMPLETED")


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (ReclaimSpot(role="CORE"), "All slaves in the job flow were terminated due to Spot"),
        (ReclaimSpot(), "The master node was terminated."),
        (LosePrimary(), "The master node was terminated."),
    ],
)
def test_without_its_core_nodes_or_its_primary_even_a_protected_cluster_ends_with_its_step(
    emr: BaseClient, control: Control, tmp_path: Path, event: OutsideEvent, message: str
) -> None:
    protected = fleets(TerminationProtected=True)
    cluster_id = start(emr, Instances=protected, Steps=[ticking(tmp_path / "ticks"), step("true")])
    eventually((tmp_path / "ticks").exists, "the step runs")
    control.cause(cluster_id, event)
    status = cluster_in(emr, cluster_id, "TERMINATED_WITH_ERRORS")["Status"]
    assert status["StateChangeReason"] == {"Code": "INSTANCE_FAILURE", "Message": message}
    assert [each["Status"]["State"] for each in steps(emr, cluster_id)] == ["CANCELLED", "CANCELLED"]
    assert process_state(tmp_path / "ticks") in ("", "Z")
    codes = {
        each["InstanceFleetId"]: each["Status"]["StateChangeReason"]["Code"]
        for each in emr.list_instances(ClusterId=cluster_id)["Instances"]
    }
    assert "INSTANCE_FAILURE" in codes.values()


def test_a_lost_task_fleet_does_not_end_the_cluster(emr: BaseClient, control: Control) -> None:
    wanted = fleets()
    wanted["InstanceFleets"].append(fleet("TASK", "m6g.xlarge", 2))
    cluster_id = start(emr, Instances=wanted)
    cluster_in(emr, cluster_id, "WAITING")
    control.cause(cluster_id, ReclaimSpot(role="TASK"))
    task = emr.list_instances(ClusterId=cluster_id, InstanceFleetType="TASK")["Instances"]
    assert {each["Status"]["State"] for each in task} == {"TERMINATED"}
    assert cluster_in(emr, cluster_id, "WAITING")


def test_a_pending_hang_freezes_a_step_from_its_start(
    emr: BaseClient, control: Control, tmp_path: Path
) -> None:
    control.cause_later(HangStep(step="a step"), step="a step")
    hanging = step("bash", "-c", f"sleep 0.2; touch {tmp_path / 'output'}")
    slower = step("sleep", "0.8") | {"Name": "slower"}
    cluster_id = start(emr, Steps=[hanging, slower], StepConcurrencyLevel=2)
    first, second = (each["Id"] for each in steps(emr, cluster_id))
    step_in(emr, cluster_id, second, "COMPLETED")
    assert step_in(emr, cluster_id, first, "RUNNING")
    assert not (tmp_path / "output").exists()
    emr.cancel_steps(ClusterId=cluster_id, StepIds=[first])
    step_in(emr, cluster_id, first, "CANCELLED")


def test_a_hanging_step_is_running_and_does_nothing_and_can_be_terminated(
    emr: BaseClient, control: Control, tmp_path: Path
) -> None:
    note = tmp_path / "ticks"
    cluster_id = start(emr, Steps=[ticking(note)])
    step_id = steps(emr, cluster_id)[0]["Id"]
    eventually(lambda: note.exists() and note.read_text(), "the step runs")
    control.cause(cluster_id, HangStep(step=step_id))
    eventually(lambda: process_state(note) == "T", "the step's process is frozen")
    assert step_in(emr, cluster_id, step_id, "RUNNING")
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    cluster_in(emr, cluster_id, "TERMINATED")
    assert process_state(note) in ("", "Z")


@pytest.mark.parametrize("pending", [True, False])
def test_a_failed_step_has_failed_and_its_action_counts(
    emr: BaseClient, control: Control, tmp_path: Path, pending: bool
) -> None:
    if pending:
        control.cause_later(FailStep(step="a step"), step="a step")
    fatal = ticking(tmp_path / "ticks") | {"ActionOnFailure": "TERMINATE_CLUSTER"}
    cluster_id = start(emr, Steps=[fatal])
    if not pending:
        eventually((tmp_path / "ticks").exists, "the step runs")
        control.cause(cluster_id, FailStep())
    reason = cluster_in(emr, cluster_id, "TERMINATED_WITH_ERRORS")["Status"]["StateChangeReason"]
    assert reason["Code"] == "STEP_FAILURE"
    assert [each["Status"]["State"] for each in steps(emr, cluster_id)] == ["FAILED"]


def test_a_step_can_be_completed_without_having_run(
    emr: BaseClient, control: Control, tmp_path: Path
) -> None:
    control.cause_later(CompleteStep(), step="a step")
    cluster_id = start(emr, Steps=[step("touch", str(tmp_path / "output")), step("true") | {"Name": "next"}])
    for each in steps(emr, cluster_id):
        step_in(emr, cluster_id, each["Id"], "COMPLETED")
    assert not (tmp_path / "output").exists()


def test_a_running_step_can_be_completed_before_its_end(
    emr: BaseClient, control: Control, tmp_path: Path
) -> None:
    cluster_id = start(emr, Steps=[ticking(tmp_path / "ticks")])
    eventually(lambda: (tmp_path / "ticks").exists() and (tmp_path / "ticks").read_text(), "the step runs")
    control.cause(cluster_id, CompleteStep())
    assert [each["Status"]["State"] for each in steps(emr, cluster_id)] == ["COMPLETED"]
    eventually(lambda: process_state(tmp_path / "ticks") in ("", "Z"), "its process is gone")
    assert cluster_in(emr, cluster_id, "WAITING")


def test_a_move_that_the_cluster_cannot_make_is_refused_with_one_sentence(
    emr: BaseClient, control: Control
) -> None:
    on_demand = start(emr, Instances=groups())
    cluster_in(emr, on_demand, "WAITING")
    refusals: list[tuple[OutsideEvent, str]] = [
        (Release(), "is not held"),
        (Hold(state="STARTING"), "is WAITING and cannot be held in STARTING"),
        (WithholdSpot(), "withhold-spot needs one in STARTING"),
        (FailBootstrap(), "its bootstrap actions are over"),
        (ReclaimSpot(), "no instance of the Spot market"),
        (HangStep(step="unknown"), "no step 'unknown' that is RUNNING"),
    ]
    for event, complaint in refusals:
        with pytest.raises(ControlError, match=complaint) as refused:
            control.cause(on_demand, event)
        assert refused.value.status == 409
    emr.terminate_job_flows(JobFlowIds=[on_demand])
    cluster_in(emr, on_demand, "TERMINATED")
    with pytest.raises(ControlError, match="is TERMINATED: lose-primary needs one that is not ending"):
        control.cause(on_demand, LosePrimary())
    with pytest.raises(ControlError, match="There is no cluster 'j-NONE'") as unknown:
        control.cause("j-NONE", LosePrimary())
    assert unknown.value.status == 404
    assert cluster_in(emr, on_demand, "TERMINATED")


def test_a_pending_event_that_cannot_happen_says_why_and_one_can_be_cancelled(
    emr: BaseClient, control: Control
) -> None:
    control.cause_later(Release(), state="WAITING")
    second = control.cause_later(LosePrimary(), state="WAITING")
    control.cancel_event(second)
    cluster_id = start(emr)
    cluster_in(emr, cluster_id, "WAITING")
    [record] = control.pending_events()
    assert (record.cluster_id, "is not held" in (record.problem or "")) == (cluster_id, True)
    with pytest.raises(ControlError, match=f"no pending event '{second}'"):
        control.cancel_event(second)


def test_every_move_is_json(control: Control) -> None:
    events: list[OutsideEvent] = [
        *(Hold(state="WAITING"), Release(), WithholdSpot(), FailBootstrap(), ReclaimSpot(count=2)),
        *(LosePrimary(), HangStep(step="a"), FailStep(), CompleteStep()),
    ]
    for event in events:
        control.cause_later(event, step="never runs", cluster_name="never made")
    assert [each.pending.event for each in control.pending_events()] == events
    assert json.dumps([each.model_dump() for each in control.pending_events()])
