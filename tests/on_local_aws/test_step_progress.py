"""A waiting task says how far its step is, links to its log, and depends on neither."""

import asyncio
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.sdk.exceptions import TaskDeferred
from botocore.client import BaseClient

from chaos.task_context import BUCKET, context
from fruit_pipeline.dag import links, step_trigger
from fruit_pipeline.dag.links import HistoryServerLink, StepLogLink
from fruit_pipeline.dag.operators import ClusterReadySensor, StepSensor
from fruit_pipeline.dag.step_trigger import StepProgressTrigger
from local_aws.control import Control
from local_aws.emr.outside_events import CompleteStep
from local_aws.faults import Drop, Error, Fault, Throttle
from local_aws.server import LocalAws
from local_run import local_account
from tests.dev.local_aws.emr_client import eventually, job_flow, step, step_in

AWS: dict[str, Any] = {"aws_conn_id": None, "region_name": "eu-west-1"}
KEY = "Results/work_list/run=a/progress.json"
ADDRESS = f"s3://{BUCKET}/{KEY}"
_PATIENCE_SECONDS = 120.0


@pytest.fixture(autouse=True)
def _clients_of_local_aws(aws: LocalAws, s3: BaseClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    local_account.create_bucket(s3, BUCKET, "eu-west-1")
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(step_trigger, "_SHORTEST_PAUSE_SECONDS", 0.05)
    yield
    Control(aws.emr_url).clear()


@pytest.fixture
def at_work(emr: BaseClient) -> StepSensor:
    """The sensor of a step that runs, and would tell its progress."""
    return sensor(emr, "echo one; echo two >&2; exec sleep 600")


def sensor(emr: BaseClient, script: str) -> StepSensor:
    told = step("bash", "-c", script, "--progress", ADDRESS)
    flow = job_flow(LogUri=f"s3://{BUCKET}/logs/", Steps=[told])
    cluster_id = emr.run_job_flow(**flow)["JobFlowId"]
    [listed] = emr.list_steps(ClusterId=cluster_id)["Steps"]
    step_in(emr, cluster_id, listed["Id"], "RUNNING")
    found = StepSensor(
        task_id="wait", job_flow_id=cluster_id, step_id=listed["Id"], step=told, poke_interval=0, **AWS
    )
    return found


def tell(s3: Any, done: int, started: datetime | None = None) -> None:
    started = started or datetime.now(UTC)
    times = {"started": started.isoformat(), "now": (started + timedelta(seconds=10)).isoformat()}
    said = {"done": done, "of": 87_000, "reused": 0, **times}
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=json.dumps(said).encode())


def deferred(waiting: StepSensor) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as found:
        waiting.execute(context())
    return found.value


async def until(holds: Any, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited {_PATIENCE_SECONDS:.0f} s until {what}"
        await asyncio.sleep(0.02)


# --- progress ------------------------------------------------------------------------------------


def test_the_trigger_logs_each_new_word_and_the_end_is_emrs(
    aws: LocalAws, emr: BaseClient, s3: BaseClient, at_work: StepSensor, caplog: pytest.LogCaptureFixture
) -> None:
    control, waiting = Control(aws.emr_url), deferred(at_work).trigger
    caplog.set_level(logging.INFO, logger=step_trigger.__name__)

    def lines() -> list[str]:
        return [record.message for record in caplog.records if record.name == step_trigger.__name__]

    async def wait() -> list[Any]:
        ended = asyncio.create_task(_all_of(waiting))
        for number, done in enumerate((0, 14_100, 28_200), start=1):
            tell(s3, done)
            await until(lambda number=number: len(lines()) == number, "it is logged")
            await looked_again(control)
        control.cause(at_work.job_flow_id, CompleteStep())
        return await ended

    [event] = asyncio.run(wait())
    assert event.payload["status"] == "success"
    assert lines() == [
        "0 of 87,000 photos",
        "14,100 of 87,000 photos, 1,410 a second, 52 s left",
        "28,200 of 87,000 photos, 2,820 a second, 21 s left",
    ]


async def looked_again(control: Control) -> None:
    looks = lambda: control.logged_calls("s3", "GetObject").seen("GetObject")  # noqa: E731
    before = looks()
    await until(lambda: looks() > before + 1, "the progress is asked for again")


async def _all_of(trigger: StepProgressTrigger) -> list[Any]:
    return [event async for event in trigger.run()]


@pytest.mark.parametrize(
    "effect",
    [Throttle(), Drop(), Error(status=403, code="AccessDenied", message="no"), Error(status=500, code="x")],
    ids=["throttled", "no answer", "refused", "broken"],
)
def test_a_progress_that_cannot_be_read_changes_nothing(
    aws: LocalAws, emr: BaseClient, s3: BaseClient, at_work: StepSensor, effect: Any
) -> None:
    control = Control(aws.emr_url)
    tell(s3, 10)
    control.add_fault(Fault(service="s3", operation="GetObject", effect=effect))
    waiting = deferred(at_work).trigger

    async def wait() -> list[Any]:
        ended = asyncio.create_task(_all_of(waiting))
        await looked_again(control)
        control.cause(at_work.job_flow_id, CompleteStep())
        return await ended

    [event] = asyncio.run(wait())
    assert event.payload["status"] == "success"
    assert at_work.execute_complete(context(), event.payload) == at_work.job_flow_id


def test_the_task_itself_logs_the_progress_when_it_wakes(
    s3: BaseClient, at_work: StepSensor, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(s3, 14_100)
    deferred(at_work)
    assert "14,100 of 87,000 photos, 1,410 a second, 52 s left" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"no JSON", b"x" * 5_000_000], ids=["none", "no JSON", "huge"])
def test_a_broken_progress_is_not_told_of(
    s3: BaseClient, at_work: StepSensor, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    if content:
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=content)
    deferred(at_work)
    assert "photos" not in capsys.readouterr().out


def test_what_an_earlier_step_has_left_is_not_told_of(
    s3: BaseClient, at_work: StepSensor, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(s3, 87_000, started=datetime.now(UTC) - timedelta(hours=1))
    deferred(at_work)
    assert "photos" not in capsys.readouterr().out


# --- links ---------------------------------------------------------------------------------------


def test_the_log_of_a_step_that_runs_is_one_click_away(at_work: StepSensor) -> None:
    deferred(at_work)
    address = StepLogLink().get_link(at_work, ti_key=None)
    page = eventually(lambda: text if "two" in (text := opened(address)) else None, "the step has written")
    assert "=== stdout ===\none\n" in page
    assert "=== stderr ===\ntwo\n" in page
    assert "=== controller ===\n" in page


def test_the_log_of_a_step_that_has_ended_stays(emr: BaseClient) -> None:
    waiting = sensor(emr, "echo done; read -t 1 nothing")
    step_in(emr, waiting.job_flow_id, waiting.step_id, "FAILED", "COMPLETED")
    waiting.log_bucket = BUCKET
    assert "=== stdout ===\ndone\n" in opened(StepLogLink().get_link(waiting, ti_key=None))


def opened(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize(
    "prefix", ["nothing/", "logs/j-1/steps/s-1/", "logs/j-../steps/s-1/", "logs/../../steps/.."]
)
def test_what_is_no_log_of_a_step_is_not_shown(aws: LocalAws, prefix: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        opened(f"{aws.emr_url}/s3/buckets/{BUCKET}?prefix={prefix}")


def test_local_aws_has_no_history_server(emr: BaseClient, at_work: StepSensor) -> None:
    ready = ClusterReadySensor(task_id="wait", job_flow_id=at_work.job_flow_id, poke_interval=0, **AWS)
    for waiting in (at_work, ready):
        assert HistoryServerLink().get_link(waiting, ti_key=None) == ""
        assert "EMR Cluster" not in [link.name for link in waiting.operator_extra_links]


@pytest.mark.parametrize(
    "host", ["elasticmapreduce.eu-west-3.amazonaws.com", "x.emr.eu-west-3.vpce.amazonaws.com"]
)
def test_on_aws_both_links_lead_to_the_console(host: str) -> None:
    endpoint = f"https://{host}"
    log = links.step_log(endpoint, "eu-west-3", "fruits", "j-1", "s-1")
    assert log == (
        "https://console.aws.amazon.com/s3/buckets/fruits?region=eu-west-3&prefix=logs/j-1/steps/s-1/"
    )
    history = links.history_server(endpoint, "eu-west-3", "j-1")
    assert history == "https://console.aws.amazon.com/emr/home?region=eu-west-3#/clusterDetails/j-1"
    assert urlsplit(history).fragment == "/clusterDetails/j-1"
