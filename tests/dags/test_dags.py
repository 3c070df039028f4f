"""Rules for every DAG: each test is one rule, and its message says how to mend a breach."""

import json
import os
import subprocess
import sys
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from evidence.dag_picture import SHAPE, shape
from fruit_pipeline.dag.operators import (
    AddStepOperator,
    ClusterReadySensor,
    CreateClusterOperator,
    EmrAnswerSensor,
    StepSensor,
)
from fruit_pipeline.security.regions import EU_REGIONS
from fruit_pipeline.settings.deployment import MOST_PHOTOS, PLANNED_A_MINUTE, Deployment
from tests.conftest import REPOSITORY
from tests.dags.conftest import HEAVY_MODULES

# What the libraries themselves do when they are first imported is not the DAGs' doing.
PARSE = """
import runpy, sys
import airflow.sdk, airflow.providers.amazon.aws.operators.emr, airflow.providers.amazon.aws.sensors.emr
before = set(sys.modules)
import airflow.providers.amazon.aws.hooks.base_aws, croniter, pydantic_settings
seen = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"):
        seen.append((event, repr(arguments)[:200]))
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        seen.append((event, repr(arguments)[:200]))
sys.addaudithook(hook)
sys.dont_write_bytecode = True
for path in sys.argv[1:]:
    runpy.run_path(path)
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
for line in seen:
    print(*line)
"""


def test_a_red_run_is_told_where_there_is_anybody_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:notices"
    for notify, told in (("", False), (topic, True)):
        monkeypatch.setenv("FRUITS_NOTIFY", notify)
        assert DagBag(REPOSITORY / "dags").dags["fruit_features"].has_on_failure_callback == told


def test_a_notifier_that_there_is_not_is_one_sentence_at_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_NOTIFY", "no.such.Notifier")
    errors = DagBag(REPOSITORY / "dags").import_errors.values()
    assert len(errors) == 3
    for error in errors:
        assert "NotifierError: FRUITS_NOTIFY names no.such.Notifier, which cannot be imported" in error


@pytest.fixture(scope="module")
def parsing() -> tuple[set[str], list[str]]:
    """What a fresh interpreter imports to parse the DAGs, and what it opens."""
    # Coverage would open files of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    files = sorted(str(path) for path in (REPOSITORY / "dags").glob("*.py"))
    done = subprocess.run(
        [sys.executable, "-c", PARSE, *files], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    imported, *opened = done.stdout.splitlines()
    return set(imported.split()), opened


def test_every_file_can_be_imported(dagbag: Any) -> None:
    assert dagbag.import_errors == {}, "mend the traceback of each file"
    assert dagbag.dags, "no DAG was found in dags/"


def test_no_dag_has_a_cycle(dagbag: Any) -> None:
    for dag in dagbag.dags.values():
        assert len(dag.topological_sort()) == len(dag.tasks), (
            f"{dag.dag_id}: a task depends on itself in the end"
        )


def test_parsing_reaches_out_to_nothing(parsing: tuple[set[str], list[str]]) -> None:
    _, opened = parsing
    assert opened == [], "move what opens connections, processes or files into a task"


def test_parsing_imports_nothing_heavy(parsing: tuple[set[str], list[str]]) -> None:
    imported, _ = parsing
    heavy = imported & set(HEAVY_MODULES)
    assert not heavy, f"import {heavy} inside the task that needs it: every task's process parses the DAG"


def test_parsing_is_within_airflows_own_limit(dagbag: Any) -> None:
    from airflow.configuration import conf

    limit = conf.getfloat("core", "dagbag_import_timeout")
    for stats in dagbag.dagbag_stats:
        assert stats.duration.total_seconds() < limit, (
            f"{stats.file} takes {stats.duration}: see what it imports"
        )


def test_every_dag_and_task_is_documented(dagbag: Any) -> None:
    for dag in dagbag.dags.values():
        assert dag.doc_md, f"{dag.dag_id}: set doc_md"
        assert dag.description, f"{dag.dag_id}: set description"
        for task in dag.tasks:
            assert task.doc_md, f"{dag.dag_id}.{task.task_id}: set doc_md, or a docstring on its function"
            assert "When it fails" in task.doc_md, (
                f"{dag.dag_id}.{task.task_id}: say what to do when it fails"
            )


def test_every_task_has_an_owner_and_a_time_limit(dagbag: Any) -> None:
    for dag in dagbag.dags.values():
        assert dag.dagrun_timeout is None, (
            f"{dag.dag_id}: dagrun_timeout skips teardowns; use execution_timeout"
        )
        for task in dag.tasks:
            assert task.owner not in ("", "airflow"), f"{task.task_id}: set owner"
            assert task.execution_timeout, f"{task.task_id}: set execution_timeout"


def test_what_lists_the_bucket_has_the_time_for_it(dagbag: Any) -> None:
    deployment = Deployment()
    lists = {"fruit_features": "plan", "photo_drops": "look_into_bucket"}
    for dag_id, task_id in lists.items():
        limit = dagbag.dags[dag_id].get_task(task_id).execution_timeout
        assert limit == timedelta(minutes=deployment.plan_minutes)
        assert limit > timedelta(minutes=deployment.listing_minutes)
    assert deployment.plan_minutes >= 2 * MOST_PHOTOS / PLANNED_A_MINUTE


def test_the_dag_has_the_tasks_of_the_design_in_their_order(dag: Any) -> None:
    order = [task.task_id for task in dag.topological_sort()]
    chain = [
        "plan",
        "guards",
        "publish_artifacts",
        "create_cluster",
        "wait_for_cluster",
        "add_featurize_step",
    ]
    chain += ["wait_for_featurize", "add_pca_step", "wait_for_pca", "add_train_step", "wait_for_train"]
    chain += ["verify", "publish", "clean", "report"]
    assert [name for name in order if name in chain] == chain
    assert set(order) - set(chain) == {"terminate_cluster"}


def test_whatever_creates_a_cluster_is_a_setup_with_a_teardown(dagbag: Any) -> None:
    for dag in dagbag.dags.values():
        for task in dag.tasks:
            if not isinstance(task, CreateClusterOperator):
                continue
            assert task.is_setup, f"{task.task_id}: mark it as setup"
            teardowns = [other for other in task.downstream_list if other.is_teardown]
            assert teardowns, f"{task.task_id}: give it a teardown that terminates the cluster"
            for teardown in teardowns:
                assert teardown.on_failure_fail_dagrun, f"{teardown.task_id}: its failure must fail the run"
                assert teardown.retries >= 1, f"{teardown.task_id}: let it try again"
                other_setups = [up for up in teardown.upstream_list if up.is_setup and up is not task]
                assert other_setups, (
                    f"{teardown.task_id}: add a setup before {task.task_id}, or a lost RunJobFlow answer "
                    "leaves the teardown unrun"
                )


def test_no_work_on_the_cluster_outlives_the_teardown(dag: Any) -> None:
    teardown = dag.get_task("terminate_cluster")
    above = teardown.get_flat_relative_ids(upstream=True)
    for task in dag.tasks:
        if isinstance(task, AddStepOperator | StepSensor | ClusterReadySensor):
            assert task.task_id in above, f"{task.task_id} must come before terminate_cluster"


def test_waiting_is_deferrable_and_the_rest_is_not(dag: Any) -> None:
    for task in dag.tasks:
        if isinstance(task, ClusterReadySensor | StepSensor):
            assert task.deferrable, f"{task.task_id} waits long: defer it"
        elif hasattr(task, "deferrable"):
            assert not task.deferrable, f"{task.task_id} is short, and must not depend on the triggerer"


def test_every_sensor_asks_emr_itself_and_has_a_time_limit(dag: Any) -> None:
    for task in dag.tasks:
        if isinstance(task, ClusterReadySensor | StepSensor):
            assert type(task).time_limit is not EmrAnswerSensor.time_limit, (
                f"{task.task_id}: give it time_limit"
            )


def test_every_task_may_be_killed_and_is_tried_again(dagbag: Any) -> None:
    for dag in dagbag.dags.values():
        for task in dag.tasks:
            assert task.retries >= 2, f"{dag.dag_id}.{task.task_id}: let it try again after its process died"


def test_the_reaper_runs_every_ten_minutes_from_the_start(dagbag: Any) -> None:
    reaper = dagbag.dags["cluster_reaper"]
    assert reaper.schedule == "*/10 * * * *"
    assert reaper.is_paused_upon_creation is False, "a paused net catches nothing"
    assert reaper.params["dry_run"] is False


def test_the_verdict_is_the_only_leaf(dag: Any) -> None:
    """It runs whatever happened, to a run that is marked failed too, and fails when any task has."""
    assert [task.task_id for task in dag.leaves] == ["report"]
    report = dag.get_task("report")
    assert report.is_teardown, "Airflow skips an ordinary task when the run is marked failed"
    assert report.on_failure_fail_dagrun, "its failure must fail the run"
    assert not [up for up in report.upstream_list if up.is_setup], "it must run when no setup succeeded, too"
    assert {"clean", "terminate_cluster"} <= dag.get_task("report").upstream_task_ids


def test_only_one_run_at_a_time(dag: Any) -> None:
    assert dag.max_active_runs == 1
    assert dag.catchup is False


def test_no_emr_task_takes_its_request_from_a_connection(dag: Any) -> None:
    assert dag.get_task("create_cluster").emr_conn_id is None, (
        "emr_default's extras would be merged into the request"
    )


def test_every_aws_task_names_the_runs_region(dag: Any) -> None:
    for task in dag.tasks:
        if hasattr(task, "region_name"):
            assert task.region_name == "{{ params.region }}", f"{task.task_id}: set region_name"


def test_the_form_offers_eu_regions_alone(dag: Any) -> None:
    assert set(dag.params.get_param("region").schema["enum"]) == set(EU_REGIONS)


def test_the_form_has_a_number_field_for_the_workers_and_the_api_takes_auto(dag: Any) -> None:
    """Airflow's form has a text area for several types; where there are examples, the first type counts."""
    workers = copy(dag.params.get_param("workers"))  # resolving keeps the value
    assert workers.schema["type"] == ["integer", "string", "null"]
    assert workers.schema["examples"]
    assert not {"enum", "anyOf"} & workers.schema.keys()
    assert "auto" in dag.params.get_param("worker_type").schema["enum"]


def test_every_form_can_be_submitted_as_it_comes_up(dagbag: Any) -> None:
    """The form takes a field for required unless its type has null: while it is empty, no run starts."""
    for dag in dagbag.dags.values():
        for name in dag.params:
            param = dag.params.get_param(name)
            assert "null" in param.schema["type"] or param.value not in (None, ""), (
                f"{dag.dag_id}.{name}: give it a default, or let its type have null and its default be None"
            )


def test_every_field_of_a_form_has_a_title_in_words_and_names_its_parameter(dagbag: Any) -> None:
    """Refusals name parameters, and the form shows titles."""
    for dag in dagbag.dags.values():
        for name in dag.params:
            schema = dag.params.get_param(name).schema
            assert schema.get("title", name) != name, f"{dag.dag_id}.{name}: give it a title"
            assert f"*{name}*" in schema["description_md"], f"{dag.dag_id}.{name}: say its name in its help"


def test_every_number_of_a_form_says_its_range(dagbag: Any) -> None:
    """Airflow's number field changes what is out of range, and does not say so."""
    for dag in dagbag.dags.values():
        for name in dag.params:
            schema = dag.params.get_param(name).schema
            for limit in ("minimum", "exclusiveMinimum", "maximum", "multipleOf"):
                if limit in schema:
                    said = f"{schema[limit]:,g}"
                    assert said in schema["description_md"], f"{dag.dag_id}.{name}: say {said} in its help"


def test_the_form_opens_with_eight_fields_and_folds_the_experts_last(dag: Any) -> None:
    """Airflow opens the section without a name alone, and takes sections in the order of the fields."""
    sections = [dag.params.get_param(name).schema.get("section") for name in dag.params]
    in_order = list(dict.fromkeys(sections))
    assert in_order == [None, "Photos", "Result", "Cluster", "Cost and limits", "Expert"]
    assert sections == sorted(sections, key=in_order.index), "put the fields of a section side by side"
    assert sections.count(None) == 8


def test_the_graph_shows_no_edge_that_another_path_implies(dagbag: Any) -> None:
    for dag in dagbag.dags.values():
        for task in dag.tasks:
            for after in task.downstream_list:
                # Airflow itself needs an edge from each setup to its teardown.
                if task.is_setup and after.is_teardown:
                    continue
                others = [other for other in task.downstream_list if other is not after]
                longer = {name for other in others for name in other.get_flat_relative_ids(upstream=False)}
                assert after.task_id not in longer, (
                    f"{dag.dag_id}: {task.task_id} >> {after.task_id} is implied: pull the XCom by a template"
                )


def test_tasks_keep_their_ids_in_their_groups(dag: Any) -> None:
    groups = dag.task_group.get_task_group_dict()
    assert set(groups) - {None} == {"prepare", "cluster", "results"}
    assert {task.task_group.group_id for task in dag.tasks} == {"prepare", "cluster", "results"}
    assert not [task.task_id for task in dag.tasks if "." in task.task_id]


def test_where_nothing_is_new_all_but_the_teardowns_is_skipped(dag: Any) -> None:
    """``guards`` skips what follows it, whatever its trigger rule: that is where all that costs comes."""
    guards = dag.get_task("guards")
    assert guards.inherits_from_skipmixin, "guards: make it a short circuit"
    assert guards.ignore_downstream_trigger_rules
    skipped = {task.task_id for task in guards.get_flat_relatives() if not task.is_teardown}
    assert {task.task_id for task in dag.tasks} - skipped == {
        "plan",
        "guards",
        "terminate_cluster",
        "report",
    }


def test_the_pca_step_runs_when_featurize_was_skipped_and_not_when_it_failed(dag: Any) -> None:
    pca = dag.get_task("add_pca_step")
    assert pca.trigger_rule == "none_failed"
    assert pca.upstream_task_ids == {"wait_for_featurize"}
    for name in ("add_featurize_step", "wait_for_featurize", "wait_for_pca", "add_train_step"):
        assert dag.get_task(name).trigger_rule == "all_success", f"{name}: a failure before it must stop it"


def test_the_result_is_verified_where_train_was_skipped_and_not_where_a_step_failed(dag: Any) -> None:
    verify = dag.get_task("verify")
    assert verify.trigger_rule == "none_failed"
    assert verify.upstream_task_ids == {"wait_for_train"}
    for name in ("wait_for_train", "publish", "clean"):
        assert dag.get_task(name).trigger_rule == "all_success", f"{name}: a failure before it must stop it"


def test_every_step_of_the_run_has_a_sensor_of_the_dag(dag: Any) -> None:
    from fruit_pipeline.dag.tasks import STEP_SENSORS

    sensors = {task.task_id for task in dag.tasks if isinstance(task, StepSensor)}
    assert set(STEP_SENSORS.values()) == sensors


def test_a_deployment_outside_the_eu_fails_the_import_in_one_sentence(monkeypatch: Any) -> None:
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("FRUITS_REGION", "us-east-1")
    files = sorted((REPOSITORY / "dags").glob("*.py"))
    errors = DagBag(dag_folder=REPOSITORY / "dags").import_errors
    assert len(errors) == len(files), "every DAG takes its settings from Deployment, which refuses them"
    for error in errors.values():
        last = error.strip().splitlines()[-1]
        assert last.startswith(
            "fruit_pipeline.security.regions.ResidencyError: FRUITS_REGION 'us-east-1' is not in the EU"
        )


def test_every_task_masks_the_account_in_its_log_and_notes_when_it_began(dagbag: Any) -> None:
    from fruit_pipeline.aws import clients
    from fruit_pipeline.dag import failures
    from fruit_pipeline.results import timing

    for dag in dagbag.dags.values():
        first = (
            {failures.log_plainly, clients.mask_account, timing.note_start}
            if dag.dag_id == "fruit_features"
            else {failures.log_plainly, clients.mask_account}
        )
        for task in dag.tasks:
            assert first <= set(task.on_execute_callback), (
                f"{dag.dag_id}.{task.task_id}: set on_execute_callback in default_args"
            )


def test_every_task_leaves_why_it_failed(dag: Any) -> None:
    from fruit_pipeline.dag import failures

    for task in dag.tasks:
        assert list(task.on_failure_callback) == [failures.note_failure], (
            f"{task.task_id}: set on_failure_callback in default_args"
        )
    assert dag.get_task(failures.REPORT) in dag.leaves


def test_a_complete_drop_starts_the_run_and_so_does_the_hour_of_the_day(dag: Any) -> None:
    from airflow.sdk import AssetOrTimeSchedule

    assert isinstance(dag.schedule, AssetOrTimeSchedule)
    assert [asset.name for asset in dag.schedule.asset_condition.objects] == ["photo_drop"]
    assert dag.schedule.timetable.expression == "0 3 * * *"


def test_a_dag_that_is_unpaused_for_the_first_time_waits_for_the_next_hour_not_for_the_last(dag: Any) -> None:
    """Airflow makes up for the last time of a cron schedule as soon as there is a start_date before it."""
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable
    from airflow.timetables.base import TimeRestriction

    assert dag.start_date is None, "leave start_date out"
    timetable = decode_timetable(encode_timetable(dag.schedule))
    restriction = TimeRestriction(earliest=dag.start_date, latest=None, catchup=dag.catchup)
    first = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert first.run_after > datetime.now(UTC)


def test_an_installation_without_an_hour_is_started_by_drops_alone(monkeypatch: Any) -> None:
    monkeypatch.setenv("FRUITS_SCHEDULE", "")
    features = parsed("fruit_features")
    assert [asset.name for asset in features.schedule] == ["photo_drop"]


def test_photos_are_watched_where_a_queue_is_named_and_the_dag_says_so(monkeypatch: Any) -> None:
    unwatched = parsed("photo_drops")
    assert unwatched.schedule is None
    assert "set FRUITS_QUEUE_URL" in unwatched.doc_md
    monkeypatch.setenv("FRUITS_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/photos")
    watched = parsed("photo_drops")
    [asset] = watched.schedule
    [watcher] = asset.watchers
    assert (asset.name, watcher.trigger.prefix) == ("photo_events", "Test/")
    assert "123456789012" not in watched.doc_md


def test_drops_are_judged_one_after_the_other(dagbag: Any) -> None:
    drops = dagbag.dags["photo_drops"]
    assert drops.max_active_runs == 1
    assert [task.task_id for task in drops.topological_sort()] == [
        "wait_until_complete",
        "look_into_bucket",
        "announce_drop",
    ]
    assert drops.get_task("wait_until_complete").reschedule, "waiting takes no worker slot"
    assert [asset.name for asset in drops.get_task("announce_drop").outlets] == ["photo_drop"]


def test_a_queue_outside_the_eu_fails_the_import_without_the_account(monkeypatch: Any) -> None:
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("FRUITS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/123456789012/photos")
    for error in DagBag(dag_folder=REPOSITORY / "dags").import_errors.values():
        last = error.strip().splitlines()[-1]
        assert (
            "FRUITS_QUEUE_URL is https://sqs.us-east-1.amazonaws.com, and its host names 'us-east-1'" in last
        )
        assert "123456789012" not in error


def parsed(dag_id: str) -> Any:
    """A DAG as Airflow parses it now, with the environment of the test."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=REPOSITORY / "dags" / f"{dag_id}.py")
    assert bag.import_errors == {}
    return bag.dags[dag_id]


def test_the_picture_of_the_dag_is_as_young_as_its_shape(dag: Any) -> None:
    assert json.loads(SHAPE.read_text()) == shape(dag), "the DAG has changed: run make dag-picture"
