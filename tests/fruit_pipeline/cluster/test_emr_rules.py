"""Every request that the pipeline can build keeps to botocore's model and to EMR's documented rules."""

import copy
import math
import re
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from fruit_contract.layout import RunLayout
from fruit_pipeline.cluster import step_requests
from fruit_pipeline.cluster.artifacts import ArtifactUris
from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.security.regions import EU_REGIONS
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.instance_types import OFFERED_TYPES
from fruit_pipeline.settings.parameters import MOST_WORKERS, WORKER_TYPES, RunParameters
from fruit_pipeline.settings.releases import TESTED_RELEASES, has_jupyterhub
from local_aws.emr import rules
from local_aws.emr.api_errors import ApiError
from local_aws.emr.validation import validate
from tests.conftest import REPOSITORY
from tests.fruit_pipeline.cluster.emr_rules import RULES, Rule
from tests.fruit_pipeline.conftest import MODEL, planned

BUCKET = "fruits-test"
URIS = ArtifactUris(*(f"s3://{BUCKET}/artifacts/{'0' * 64}/{name}" for name in "abcdefgh"))
MARKETS = ("spot", "spot-or-on-demand", "on-demand")


@st.composite
def parameters(draw: Any) -> RunParameters:
    workers = draw(st.integers(1, MOST_WORKERS))
    max_hours = draw(st.floats(0.1, 16))
    max_start_minutes = draw(st.floats(5, 60 * max_hours))
    release_label = draw(st.sampled_from(TESTED_RELEASES))
    return RunParameters(
        bucket=BUCKET,
        region=draw(st.sampled_from(EU_REGIONS)),
        primary_type=draw(st.sampled_from(OFFERED_TYPES)),
        worker_type=draw(st.sampled_from(WORKER_TYPES)),
        workers=workers,
        max_workers=draw(st.none() | st.integers(workers, MOST_WORKERS)),
        spot=draw(st.sampled_from(MARKETS)),
        primary_market=draw(st.sampled_from((*MARKETS, "as-workers"))),
        diversify=draw(st.booleans()),
        spot_timeout_minutes=draw(st.integers(5, math.floor(max_start_minutes))),
        max_start_minutes=max_start_minutes,
        max_hours=max_hours,
        max_step_hours=draw(st.floats(0.001, 24)),
        interactive_minutes=draw(st.integers(0, 480 if has_jupyterhub(release_label) else 0)),
        release_label=release_label,
        input_prefix=draw(st.sampled_from(("T/", "Test/", "p" * 511 + "/"))),
    )


@st.composite
def deployments(draw: Any) -> Deployment:
    names = ("node_security_group", "service_security_group", "security_configuration")
    return Deployment(
        subnet_id=draw(st.sampled_from((None, "subnet-1", "subnet-1,subnet-2"))),
        log_kms_key=draw(st.none() | st.just("arn:aws:kms:eu-west-1:123456789012:key/k")),
        installation=draw(st.text("abcXYZ09 _.:/=+-@", min_size=1, max_size=64)),
        **{name: draw(st.none() | st.just(f"{name}-1")) for name in names},
    )


# What Airflow lets a DAG and a run be called (scheduler.allowed_run_id_pattern), without the tilde.
dag_ids = st.from_regex(r"[A-Za-z0-9_.-]{1,250}", fullmatch=True)
run_ids = st.from_regex(r"[A-Za-z0-9_.:+-]{1,250}", fullmatch=True)


def botocore_says(operation: str, request: dict[str, Any]) -> str:
    shape = botocore.session.get_session().get_service_model("emr").operation_model(operation).input_shape
    return str(ParamValidator().validate(request, shape).generate_report())


@settings(deadline=None)
@given(parameters(), deployments(), dag_ids, run_ids)
def test_every_request_keeps_to_every_rule(
    wanted: RunParameters, deployment: Deployment, dag_id: str, run_id: str
) -> None:
    request = job_flow(wanted, deployment, URIS.hard_lifetime, dag_id, run_id)
    assert botocore_says("RunJobFlow", request) == ""
    validate("RunJobFlow", request)
    rules.check_run_job_flow(request, ["security_configuration-1"])
    assert [rule.name for rule in RULES if not rule.holds(request)] == []


@settings(deadline=None, max_examples=25)
@given(parameters(), run_ids)
def test_every_step_keeps_to_every_rule(wanted: RunParameters, run_id: str) -> None:
    layout = RunLayout(BUCKET, run_id)
    steps = [
        step_requests.featurize_step(wanted, layout, URIS, planned()),
        step_requests.reduce_step(wanted, layout, URIS, planned()),
        step_requests.train_step(wanted, layout, URIS, planned(), MODEL),
    ]
    call = {"JobFlowId": "j-1", "Steps": steps}
    assert botocore_says("AddJobFlowSteps", call) == ""
    validate("AddJobFlowSteps", call)
    rules.check_steps(steps, active=0, concurrency=1)
    request = job_flow(wanted, Deployment(), URIS.hard_lifetime, "d", run_id) | {"Steps": steps}
    assert [rule.name for rule in RULES if not rule.holds(request)] == []


def spoilt(rule: Rule) -> dict[str, Any]:
    request = job_flow(RunParameters(bucket=BUCKET), Deployment(), URIS.hard_lifetime, "d", "r")
    request = copy.deepcopy(request)
    rule.spoil(request)
    return request


def accepted_locally(request: dict[str, Any]) -> None:
    validate("RunJobFlow", request)
    rules.check_run_job_flow(request, [])


def test_the_request_that_is_spoilt_is_accepted_as_it_is() -> None:
    accepted_locally(job_flow(RunParameters(bucket=BUCKET), Deployment(), URIS.hard_lifetime, "d", "r"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_can_be_broken(rule: Rule) -> None:
    assert not rule.holds(spoilt(rule))


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.refused_locally], ids=lambda rule: rule.name)
def test_local_aws_refuses_what_breaks_a_rule(rule: Rule) -> None:
    with pytest.raises(ApiError):
        accepted_locally(spoilt(rule))


def test_the_documentation_has_the_same_rules_with_the_same_sources() -> None:
    text = (REPOSITORY / "docs" / "evidence" / "emr-rules.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.M)[1:]
    assert rows == [(rule.name, rule.says, rule.source) for rule in RULES]
