"""`docker compose up` is a whole system: log in, trigger, and a run is green, restarted in its middle or not.

The tests share one system, and go from its start to its end.
"""

import json
import urllib.request
from typing import Any

import httpx
import pytest

from tests.deploy.docker.conftest import Composed, wait_until

DAG_ID = "fruit_features"
RUN_ID = "composed"
BUCKET = "fruits-classification-p9-local-eu-west-1"
SERVICES = {
    "loopback",
    "postgres",
    "airflow-apiserver",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "local-aws",
}


@pytest.fixture(scope="module")
def api(composed: Composed) -> httpx.Client:
    answer = composed.log_in(composed.password())
    assert answer.status_code == 201, answer.text
    return composed.client(answer.json()["access_token"])


def inspected(composed: Composed) -> dict[str, dict[str, Any]]:
    """What the engine says of each running container, by the name of its service."""
    listed = json.loads(composed.ask("inspect", *composed.left()["containers"]))
    return {
        box["Config"]["Labels"]["com.docker.compose.service"]: box
        for box in listed
        if box["State"]["Status"] == "running"
    }


def clusters(composed: Composed) -> list[list[str]]:
    """Id and state of every cluster that local AWS knows."""
    return composed.python(
        "[[each['Id'], each['Status']['State']] for each in client('emr').list_clusters()['Clusters']]"
    )


def s3_object(composed: Composed, key: str) -> Any:
    return composed.python(f"json.load(client('s3').get_object(Bucket={BUCKET!r}, Key={key!r})['Body'])")


def test_every_service_runs_confined_and_as_nobody_in_particular(composed: Composed) -> None:
    running = inspected(composed)
    assert set(running) == SERVICES
    for service, box in running.items():
        uid = composed.inside(service, "id", "-u").strip()
        assert uid != "0", service
        assert box["HostConfig"]["Memory"] > 0, service
        # A port that an image only names has no binding.
        for published in filter(None, (box["HostConfig"]["PortBindings"] or {}).values()):
            assert {binding["HostIp"] for binding in published} == {"127.0.0.1"}, service


def test_dags_and_plugins_cannot_be_written_from_inside(composed: Composed) -> None:
    for folder in ("dags", "plugins", "spark", "secrets"):
        tried = composed.inside(
            "airflow-scheduler", "sh", "-c", f"touch /opt/airflow/{folder}/x 2>&1 || echo refused"
        )
        assert "Read-only file system" in tried, tried


def test_no_secret_is_in_a_containers_environment(composed: Composed) -> None:
    each = 'for file in /opt/airflow/secrets/*; do cat "$file"; echo; done'
    secrets = composed.inside("airflow-apiserver", "sh", "-c", each)
    words = [
        word.strip()
        for word in secrets.replace("@", "\n").replace("airflow:", "\n").split()
        if len(word) > 15
    ]
    assert len(words) >= 5
    for service, box in inspected(composed).items():
        environment = "\n".join(box["Config"]["Env"])
        assert not [word for word in words if word in environment], service


def test_nobody_gets_in_without_the_password(composed: Composed) -> None:
    assert composed.log_in("airflow").status_code == 401
    with composed.client() as stranger:
        assert stranger.get(f"/api/v2/dags/{DAG_ID}").status_code == 401


def test_a_run_is_green_though_everything_was_restarted_in_its_middle(
    composed: Composed, api: httpx.Client
) -> None:
    wait_until(lambda: api.get(f"/api/v2/dags/{DAG_ID}").status_code == 200, "the DAG")
    # Held while the cluster starts, so that the run is surely in its middle.
    composed.python("control.cause_later(Hold(), state='STARTING')")
    triggered = api.post(
        f"/api/v2/dags/{DAG_ID}/dagRuns", json={"dag_run_id": RUN_ID, "logical_date": None, "conf": {}}
    )
    assert triggered.status_code == 200, triggered.text
    [[cluster, _]] = wait_until(lambda: clusters(composed), "a cluster")
    wait_until(lambda: task_states(api).get("wait_for_cluster") == "deferred", "the wait for the cluster")

    for service in ("local-aws", "airflow-scheduler", "airflow-apiserver"):
        composed.compose("restart", service)
    wait_until(lambda: is_healthy(composed), "health after the restarts")
    assert clusters(composed) == [[cluster, "STARTING"]]
    composed.python(f"control.cause({cluster!r}, Release())")

    state = wait_until(lambda: ended(api), "the end of the run", 420)
    assert state == "success", {name: how for name, how in task_states(api).items() if how != "success"}
    assert clusters(composed) == [[cluster, "TERMINATED"]]
    latest = s3_object(composed, "Results/latest.json")
    report = s3_object(composed, f"Results/reports/run={latest['run_key']}/report.json")
    assert report["run_id"] == RUN_ID
    assert report["images"]["found"] == report["images"]["processed"] == 600


def task_states(api: httpx.Client) -> dict[str, str]:
    answer = api.get(f"/api/v2/dags/{DAG_ID}/dagRuns/{RUN_ID}/taskInstances")
    return {task["task_id"]: task["state"] for task in answer.raise_for_status().json()["task_instances"]}


def ended(api: httpx.Client) -> str | None:
    state = str(api.get(f"/api/v2/dags/{DAG_ID}/dagRuns/{RUN_ID}").raise_for_status().json()["state"])
    return state if state in ("success", "failed") else None


def is_healthy(composed: Composed) -> bool:
    with composed.client() as client:
        parts = client.get("/api/v2/monitor/health").raise_for_status().json()
    return all(part["status"] == "healthy" for part in parts.values())


def test_the_log_of_a_task_is_read_back_through_the_api(api: httpx.Client) -> None:
    answer = api.get(
        f"/api/v2/dags/{DAG_ID}/dagRuns/{RUN_ID}/taskInstances/plan/logs/1", params={"full_content": True}
    )
    assert answer.status_code == 200
    assert "600" in answer.text


def test_down_leaves_nothing(composed: Composed) -> None:
    composed.compose("down", "--volumes")
    assert composed.left() == {"containers": [], "volumes": [], "networks": []}
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{composed.port}/", timeout=5)
