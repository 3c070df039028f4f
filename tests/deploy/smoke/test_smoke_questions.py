"""Each answer says what was seen, and whether it is what the code assumes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from evidence import marked_text
from fruit_pipeline.settings.instance_types import OFFERED_TYPES
from infra.doctor import Finding
from smoke import answers, questions, runs
from smoke.made import Made, Place
from smoke.questions import Answer, answered
from smoke.sightings import Cluster, Ending, Run, Seen
from tests.deploy.smoke.conftest import PAGE

BEGIN = datetime(2026, 11, 29, 10, tzinfo=UTC)
MADE = Made("smoke-0", "eu-west-1", None)
PLACE = Place("fruits-smoke-0", "smoke-0", "Test/smoke-0/")
PLAIN, SPOT = runs.parameters(MADE, PLACE)
CAPACITY = {"ComputeLimits": {"MaximumCapacityUnits": 2}, "IdleTimeout": 900}


def ending(state: str, code: str = "", message: str = "", **minutes: float) -> Ending:
    times = {f"{name}DateTime": BEGIN + timedelta(minutes=minute) for name, minute in minutes.items()}
    return Ending(state, code, message, times)


def node(market: str = "SPOT", code: str = "CLUSTER_TERMINATED", end: float = 15) -> tuple[str, str, Ending]:
    return "m6g.xlarge", market, ending("TERMINATED", code, Creation=1, Ready=5, End=end)


CLUSTER = Cluster(
    id="j-1",
    end=ending("TERMINATED", "USER_REQUEST", Creation=0, Ready=6, End=14),
    nodes=[node(), node()],
    steps=[
        ("featurize", ending("COMPLETED", Start=7, End=7.5)),
        ("reduce", ending("COMPLETED", Start=12.5, End=13)),
        ("train", ending("COMPLETED", Start=13, End=13.5)),
    ],
    limits=CAPACITY,
    instances=["i-1", "i-2"],
    logs={"a": "maximum memory capability of the cluster (11712 MB per container)\nwill power off in 20."},
)


def run(parameters: Any = PLAIN, *clusters: Cluster, **changes: Any) -> Run:
    report = {
        "cost": {"actual": 0.04, "expected": 0.05, "estimate": 0.4, "prices": {"source": "live"}},
        "images_per_second_per_core": 2.0,
        "failure": None,
    }
    featurized = {"versions": {"spark": "3.5.6", "python": "3.11"}, "processed": 60}
    played = Run("smoke-0-plain", parameters, "success", report, featurized, list(clusters) or [CLUSTER])
    return replace(played, **changes)


def seen(**changes: Any) -> Seen:
    findings = [Finding("spot", "right", "score 9 of 10"), Finding("quotas", "right", "enough")]
    everything = Seen(
        region="eu-west-1",
        where="AWS",
        plain=run(),
        spot=run(SPOT, replace(CLUSTER, nodes=[node(), node(code="INSTANCE_FAILURE", end=8)])),
        interruption="FIS was asked to take i-2: completed",
        photos_told=60,
        rules=["OldVersionsGo"],
        budget="CREATE_COMPLETE",
        node_tags=[{"project": "fruit-features", "run_key": "smoke-0-plain"}],
        types=set(OFFERED_TYPES),
        findings=findings,
        removal={"stack fruits-smoke-0 with its bucket": 200.0},
    )
    return replace(everything, **changes)


def plain(**changes: Any) -> Seen:
    """Everything, where the cluster of the plain run differs."""
    return seen(plain=run(PLAIN, replace(CLUSTER, **changes)))


def spot(*clusters: Cluster, **changes: Any) -> Seen:
    return seen(spot=run(SPOT, *clusters, **changes))


def test_when_all_is_as_assumed_no_answer_says_otherwise() -> None:
    verdicts = {ask.__name__: answered(ask, seen()).verdict for ask in questions.QUESTIONS}
    not_seen = {name for name, verdict in verdicts.items() if verdict == "not seen"}
    assert not_seen == {"lost_cluster", "speed", "sessions", "emr_6", "cost_explorer"}
    told = {name for name, verdict in verdicts.items() if verdict == "seen"}
    assert told == {"versions", "interruption", "decommission"}
    assert set(verdicts.values()) == {"as assumed", "seen", "not seen"}


LOST = ending("TERMINATED_WITH_ERRORS", "INSTANCE_FAILURE", "due to Spot", Creation=0, End=9)


@pytest.mark.parametrize(
    ("ask", "what", "answer"),
    [
        (
            questions.subnets,
            plain(end=ending("TERMINATED_WITH_ERRORS", "INTERNAL_ERROR", "no way to S3")),
            Answer("otherwise", "TERMINATED_WITH_ERRORS INTERNAL_ERROR no way to S3"),
        ),
        (questions.emr_buckets, plain(logs={}), None),
        (questions.permissions, seen(plain=run(state="failed", report={"failure": "AccessDenied"})), None),
        (
            questions.limits,
            plain(limits={}),
            Answer("not seen", "the runs left nothing that tells (KeyError('ComputeLimits'))"),
        ),
        (questions.scaling, plain(nodes=[node()] * 4), Answer("otherwise", "3 workers in all")),
        (questions.committer, plain(logs={"a": "AmazonS3Exception: AccessDenied"}), None),
        (questions.committer, plain(logs={}), Answer("not seen", "EMR had delivered no log yet")),
        (
            questions.offered,
            seen(types={*OFFERED_TYPES[1:], "m6g.large"}),
            Answer("otherwise", f"missing: {OFFERED_TYPES[0]}; below xlarge: m6g.large"),
        ),
        (
            questions.yarn_memory,
            plain(logs={"a": "memory capability of the cluster (12288 MB)"}),
            None,
        ),
        (questions.yarn_memory, plain(logs={"a": "memory capability of the cluster (9 MB)"}), None),
        (questions.s3_client, plain(logs={"a": "com.amazon.ws.emr.hadoop.fs.EmrFileSystem"}), None),
        (questions.lifetime, plain(logs={"a": ""}), None),
        (
            questions.start,
            plain(steps=[("featurize", ending("COMPLETED", Start=9, End=10))]),
            Answer("otherwise", "540 s, 480 s assumed"),
        ),
        (questions.end, plain(nodes=[node(end=60)]), Answer("otherwise", "2790 s, 120 s assumed")),
        (questions.lost_node, spot(replace(CLUSTER, nodes=[node(code="INTERNAL_ERROR", end=8)])), None),
        (
            questions.lost_node,
            spot(CLUSTER),
            Answer("not seen", "no node was lost before the end of its cluster"),
        ),
        (questions.lost_node, seen(spot=None, interruption="not allowed"), Answer("not seen", "not allowed")),
        (
            questions.lost_cluster,
            spot(replace(CLUSTER, end=LOST), CLUSTER),
            Answer("as assumed", "TERMINATED_WITH_ERRORS INSTANCE_FAILURE due to Spot"),
        ),
        (questions.lost_cluster, spot(replace(CLUSTER, end=ending("TERMINATED", "SURPRISE")), CLUSTER), None),
        (questions.prices, seen(plain=run(report={"cost": {"prices": {"source": "snapshot"}}})), None),
        (
            questions.bill_tags,
            seen(node_tags=[{"project": "fruit-features"}]),
            Answer("otherwise", "0 of 1 nodes"),
        ),
        (questions.budget, seen(budget=None), Answer("not seen", "the stack has no budget")),
        (questions.events, seen(photos_told=59), Answer("otherwise", "59 of 60 photos")),
        (questions.destroy, seen(removal={}), Answer("not seen", "the stack was there before, and stays")),
        (
            questions.quotas,
            seen(findings=[Finding("quotas", "wrong", "5 allowed")]),
            Answer("otherwise", "5 allowed"),
        ),
    ],
)
def test_what_differs_from_what_is_assumed_is_said(ask: Any, what: Seen, answer: Answer | None) -> None:
    given = answered(ask, what)
    if answer:
        assert given == answer
    else:
        assert given.verdict == "otherwise", given


def test_a_run_without_a_cluster_leaves_no_answer_out() -> None:
    nothing = run(state="failed", report={}, featurized={}, clusters=[])
    verdicts = {answered(ask, seen(plain=nothing, spot=None)).verdict for ask in questions.QUESTIONS}
    assert verdicts == {"otherwise", "not seen", "as assumed"}


class NoAnswers:
    """Of the price list and of EC2, as an account that may not ask them."""

    def client(self, *_: Any) -> "NoAnswers":
        return self

    def __getattr__(self, call: str) -> Any:
        raise NoCredentialsError


@pytest.mark.parametrize("region", ["eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3"])
def test_both_runs_fit_the_limit_by_the_prices_that_are_shipped(region: str) -> None:
    made = replace(MADE, region=region)
    said = runs.check_cost(NoAnswers(), made, PLACE, 60 * 6000, usd_per_eur=1.16)  # type: ignore[arg-type]
    assert "EUR at worst (" in said
    with pytest.raises(
        runs.SmokeError, match=f"in {region}, and the limit is 1.00 EUR: choose another region"
    ):
        runs.check_cost(NoAnswers(), made, PLACE, 60 * 6000, usd_per_eur=0.9)  # type: ignore[arg-type]


def test_the_page_has_every_question() -> None:
    assert marked_text.read(PAGE) == answers.lines(PAGE.parent), "run `make aws-smoke ARGS=--questions`"


def test_no_account_is_named_in_the_file(tmp_path: Any) -> None:
    (tmp_path / answers.PAGE).write_text(PAGE.read_text())
    arn = "User: arn:aws:sts::123456789012:assumed-role/x is not authorized in account 123456789012 | here"
    answers.write(tmp_path, seen(plain=run(state="failed", report={"failure": arn})), "123456789012")
    for name in (answers.FILE, answers.PAGE):
        text = (tmp_path / name).read_text()
        assert "123456789012" not in text
        assert "is not authorized in account ***" in text
    assert "| here" not in (tmp_path / answers.PAGE).read_text(), "a bar would end the cell"
