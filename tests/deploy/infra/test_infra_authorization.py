"""The evaluator of IAM policies judges as IAM does, where the template relies on it."""

import pytest

from tests.deploy.infra.authorization import Need, needs, permits

ALLOW = {"Sid": "A", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/Test/*"}


def test_what_no_statement_allows_is_denied() -> None:
    assert permits([ALLOW], Need("s3:GetObject", "arn:aws:s3:::b/Test/a b/é.jpg"))
    assert not permits([ALLOW], Need("s3:PutObject", "arn:aws:s3:::b/Test/a"))
    assert not permits([ALLOW], Need("s3:GetObject", "arn:aws:s3:::b/Results/a"))
    assert not permits([], Need("s3:GetObject", "arn:aws:s3:::b/Test/a"))


def test_a_deny_wins() -> None:
    deny = {**ALLOW, "Effect": "Deny", "Resource": "*"}
    assert not permits([ALLOW, deny], Need("s3:GetObject", "arn:aws:s3:::b/Test/a"))


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        ("cluster/*", "cluster/j-1", True),
        ("cluster/${*}", "cluster/j-1", False),
        ("cluster/${*}", "cluster/*", True),
        ("b/run=?", "b/run=1", True),
        ("b/run=?", "b/run=12", False),
        ("b.c", "bxc", False),
        ("b", "B", False),
    ],
)
def test_wildcards_are_iams(pattern: str, resource: str, matches: bool) -> None:
    assert permits([{**ALLOW, "Resource": pattern}], Need("s3:GetObject", resource)) is matches


def test_actions_are_compared_without_case() -> None:
    assert permits([{**ALLOW, "Action": ["S3:Get*"]}], Need("s3:GetObject", "arn:aws:s3:::b/Test/a"))


def test_a_condition_on_what_the_request_does_not_say_is_false() -> None:
    statement = {**ALLOW, "Resource": "*", "Condition": {"StringEquals": {"tag/a": ["1", "2"], "tag/b": "3"}}}
    assert permits([statement], Need("s3:GetObject", "x", {"tag/a": "2", "tag/b": "3"}))
    assert not permits([statement], Need("s3:GetObject", "x", {"tag/a": "2"}))
    assert not permits([statement], Need("s3:GetObject", "x", {"tag/a": "9", "tag/b": "3"}))


def test_a_write_may_be_allowed_where_nothing_is_yet_and_there_alone() -> None:
    key = {"Bucket": "b", "Key": "k"}
    statement = {**ALLOW, "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/k"}
    statement["Condition"] = {"Null": {"s3:if-none-match": "false"}}
    [new] = needs("s3", "PutObject", {**key, "IfNoneMatch": "*"}, "eu-west-1", lambda _: {})
    [over] = needs("s3", "PutObject", key, "eu-west-1", lambda _: {})
    assert permits([statement], new)
    assert not permits([statement], over)


def test_what_the_evaluator_does_not_know_is_an_error() -> None:
    with pytest.raises(AssertionError, match="StringLike"):
        permits(
            [{**ALLOW, "Condition": {"StringLike": {"a": "b"}}}],
            Need("s3:GetObject", "arn:aws:s3:::b/Test/a"),
        )
    with pytest.raises(KeyError):
        needs("s3", "PutBucketAcl", {"Bucket": "b"}, "eu-west-1", lambda _: {})


def test_creating_a_cluster_needs_its_tags_its_limits_and_both_roles() -> None:
    request = {
        "Tags": [{"Key": "project", "Value": "p"}],
        "AutoTerminationPolicy": {"IdleTimeout": 60},
        "ManagedScalingPolicy": {},
        "ServiceRole": "s",
        "JobFlowRole": "n",
    }
    found = needs("emr", "RunJobFlow", request, "eu-west-1", lambda _: {})
    assert [need.action.partition(":")[2] for need in found] == [
        "RunJobFlow",
        "AddTags",
        "PutAutoTerminationPolicy",
        "PutAutoTerminationPolicy",
        "PutManagedScalingPolicy",
        "PutManagedScalingPolicy",
        "PassRole",
        "PassRole",
    ]
    assert found[1].resource.endswith(":cluster/*")
    for limit in (2, 4):
        either, other = found[limit : limit + 2]
        assert either.resource.endswith(":cluster/*")
        assert other.context == {"elasticmapreduce:ResourceTag/project": "p"}
    assert found[0].context["elasticmapreduce:RequestTag/project"] == "p"
