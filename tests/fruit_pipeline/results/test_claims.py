"""Promise: two runs never write to one place, and nobody writes where a published result lies."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fruit_contract.layout import RunLayout
from fruit_pipeline.errors import UnreadableError
from fruit_pipeline.results.claims import ClaimError, Owner, check_open, claim, seal
from tests.fruit_pipeline.conftest import BUCKET

ONE = Owner("one", "fruit_features", "scheduled__2026-11-28")
TWO = Owner("two", "fruit_features", "scheduled__2026-11-28")


def test_a_run_has_the_key_of_its_id_and_keeps_it_when_it_is_repeated(s3: Any) -> None:
    first = claim(s3, BUCKET, ONE)
    assert first.run_key == "scheduled__2026-11-28"
    assert claim(s3, BUCKET, ONE) == first
    check_open(s3, first, ONE)


def test_two_installations_with_one_schedule_write_to_two_places(s3: Any) -> None:
    first, second = claim(s3, BUCKET, ONE), claim(s3, BUCKET, TWO)
    assert second.run_key == "scheduled__2026-11-28+2"
    with pytest.raises(ClaimError, match=r"'scheduled__2026-11-28' of 'one' has claimed: trigger a new run"):
        check_open(s3, first, TWO)
    assert claim(s3, BUCKET, TWO) == second


def test_of_many_that_claim_at_once_each_has_a_key_of_its_own(s3: Any) -> None:
    owners = [Owner(str(number), "fruit_features", "a") for number in range(8)]
    with ThreadPoolExecutor(len(owners)) as runs:
        keys = [layout.run_key for layout in runs.map(lambda owner: claim(s3, BUCKET, owner), owners)]
    assert len(set(keys)) == len(owners)


def test_a_sealed_key_is_closed_to_everybody_and_sealing_twice_does_no_harm(s3: Any) -> None:
    first = claim(s3, BUCKET, ONE)
    seal(s3, first, ONE)
    seal(s3, first, ONE)
    with pytest.raises(ClaimError, match="stays as it is: to make it anew, trigger a new run"):
        check_open(s3, first, ONE)
    assert claim(s3, BUCKET, ONE).run_key == "scheduled__2026-11-28+2"


def test_what_runs_without_claims_have_left_or_published_is_taken(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=RunLayout(BUCKET, ONE.run_id).report, Body=b"{}")
    assert claim(s3, BUCKET, ONE, {f"{ONE.run_id}+2"}).run_key == f"{ONE.run_id}+3"


def test_a_claim_that_is_no_json_is_one_sentence(s3: Any) -> None:
    layout = RunLayout(BUCKET, ONE.run_id)
    s3.put_object(Bucket=BUCKET, Key=layout.claim, Body=b"{")
    with pytest.raises(UnreadableError, match=f"s3://{BUCKET}/{layout.claim} cannot be read"):
        claim(s3, BUCKET, ONE)
