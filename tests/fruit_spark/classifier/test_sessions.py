"""Promise: photos of one session never lie on both sides of a split, whatever their names are."""

from collections import Counter

import numpy as np
import pytest

from fruit_spark.classifier.groups import groups_of
from fruit_spark.classifier.holdout import TEST_SHARE, Role, Split, chance, held_out
from fruit_spark.classifier.sessions import sessions_by, side_of
from fruit_spark.step_errors import StepError

CAMERA = "2026-11-28T14 Canon EOS R6"


@pytest.mark.parametrize(
    ("key", "taken", "session"),
    [
        ("Test/Apple 1/r0_12_100.jpg", None, "Apple 1/r0_"),
        ("Training/Apple 1/r0_13_100.jpg", None, "Apple 1/r0_"),
        ("Test/Apple 1/12_100.jpg", None, "Apple 1/"),
        ("Test/Apple 1/r_7_100.jpg", CAMERA, "Apple 1/r_"),
        ("upload/Kiwi/20261128_143000.jpg", CAMERA, CAMERA),
        ("upload/Kiwi/20261128_143000.jpg", None, "upload"),
        ("Test/Kiwi/IMG_0012.JPG", CAMERA, CAMERA),
        ("Test/2026-11-28/Kiwi/IMG.jpg", None, "2026-11-28"),
        ("Kiwi/IMG.jpg", None, "/"),
        ("IMG.jpg", None, "/"),
    ],
)
def test_the_session_by_default_is_a_film_else_an_hour_else_an_upload(
    key: str, taken: str | None, session: str
) -> None:
    assert sessions_by(None)(key, taken) == session


@pytest.mark.parametrize(
    ("pattern", "session"),
    [
        (r"visit(?P<session>\d+)", "Kiwi/3"),
        (r"visit(\d+)", "Kiwi/3"),
        (r"visit\d+", "Kiwi/visit3"),
        (r"(?P<session>nowhere)?visit", "Kiwi/"),
    ],
)
def test_a_pattern_names_the_session(pattern: str, session: str) -> None:
    assert sessions_by(pattern)("Test/Kiwi/visit3-1.jpg", CAMERA) == session
    assert sessions_by(pattern)("Test/Kiwi/other.jpg", CAMERA) == CAMERA


def test_a_pattern_that_is_none_is_refused_in_one_sentence() -> None:
    with pytest.raises(StepError, match=r"--session-pattern '\(' is no regular expression"):
        sessions_by("(")


@pytest.mark.parametrize("seed", range(40))
def test_what_is_held_out_leaves_each_label_a_session_and_at_most_half_is_gone(seed: int) -> None:
    random = np.random.default_rng(seed)
    pairs = zip(random.integers(0, 4, 20), random.integers(0, 2 + seed % 9, 20), strict=True)
    photos = {(f"label {label}", f"session {its}"): int(random.integers(1, 90)) for label, its in pairs}
    held = held_out(photos)
    assert held == held_out(dict(reversed(photos.items())))
    split = Split("session", lambda key, _: key, held)  # type: ignore[arg-type]
    of_role = Counter((label, split.role(its, label, None)) for label, its in photos)
    total, out = Counter[str](), Counter[str]()
    for what, count in photos.items():
        total[what[0]] += count
        out[what[0]] += count * (what in held)
    for label in total:
        assert out[label] <= total[label] / 2
        assert not out[label] or of_role[label, Role.TRAIN]
    for session in {its for _, its in photos}:
        roles = {split.role(session, label, None) for label, its in photos if its == session}
        assert roles == {Role.TRAIN} or Role.TRAIN not in roles, "a session goes as a whole"


def test_a_label_that_a_session_would_take_too_much_of_does_not_keep_it_from_the_others() -> None:
    """Most labels of twenty sessions can be tested, though some have nearly all of their photos in one."""
    random = np.random.default_rng(8)
    photos = {
        (f"label {label}", f"session {session}"): 10
        for session in range(20)
        for label in random.choice(60, 8, replace=False)
    }
    sessions = Counter(label for label, _ in photos)
    held = held_out(photos)
    assert len({label for label, _ in held}) > 0.7 * sum(count > 1 for count in sessions.values())
    # And most photos are left to learn from.
    assert len({session for _, session in held}) < 10


def test_about_a_quarter_of_many_sessions_is_held_out() -> None:
    photos = {(label, f"{label}{number}"): 10 for label in "abcdefgh" for number in range(20)}
    held = held_out(photos)
    for label in "abcdefgh":
        assert sum(photos[what] for what in held if what[0] == label) == TEST_SHARE * 200


def test_a_split_by_folders_goes_by_the_nearest_one() -> None:
    split = Split("folders", sessions_by(None))
    assert split.role("Test/Kiwi/1_100.jpg", "Kiwi", None) is Role.TEST
    assert split.role("Test/x/Training/Kiwi/1_100.jpg", "Kiwi", None) is Role.TRAIN
    assert side_of("x/TRAINING/Kiwi/1.jpg") == "train"
    assert side_of("x/testing/1.jpg") is None


def test_a_split_by_hash_takes_a_quarter_and_each_photo_by_itself() -> None:
    split = Split("hash", sessions_by(None))
    keys = [f"Test/Kiwi/{number}_100.jpg" for number in range(2_000)]
    tested = [key for key in keys if split.role(key, "Kiwi", None) is Role.TEST]
    assert len(tested) == pytest.approx(500, abs=80)
    assert split.unit_of(keys[0], None) != split.unit_of(keys[1], None)


def test_chances_of_two_purposes_are_independent_whatever_the_names() -> None:
    """Of a checksum they would not be: keys of one length would all be taken, or none."""
    keys = [f"Test/Kiwi/r_{number:05d}_100.jpg" for number in range(8_000)]
    for purpose in ("sample", "half"):
        taken = [key for key in keys if chance("split", key) < 0.25 and chance(purpose, key) < 0.25]
        assert len(taken) == pytest.approx(500, abs=90)


def test_labels_of_one_folder_are_a_group_and_those_beside_groups_are_their_own() -> None:
    found = [
        ("Golden", "Training/Fruit/Apple"),
        ("Golden", "Test/Fruit/Apple"),
        ("Pink", "Training/Fruit/Apple"),
        ("Kiwi", "Training/Fruit"),
        ("Lime", "Test/Fruit"),
    ]
    groups = groups_of(found, ["Golden", "Kiwi", "Lime", "Pink"])
    assert groups is not None
    assert len(set(groups.tolist())) == 3
    assert groups[0] == groups[3]


@pytest.mark.parametrize(
    "found",
    [
        [("Golden", "Test"), ("Pink", "Test")],
        [("Golden", "2026-01"), ("Golden", "2026-02"), ("Pink", "2026-01")],
        [("Golden", "a"), ("Pink", "b")],
    ],
)
def test_folders_that_are_no_groups_give_none(found: list[tuple[str, str]]) -> None:
    assert groups_of(found, ["Golden", "Pink"]) is None
