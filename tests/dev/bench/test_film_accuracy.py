"""Promise: a photo is never judged by photos of its own film, and a difference has an honest interval."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest

from bench import accuracy
from bench.film_accuracy import Judged, Photo, difference, judge

LABELS, FILMS, PHOTOS = 6, 2, 60
WIDTH = 64
SEED = 20_261_130


def photos() -> list[Photo]:
    return [
        Photo(f"label {label}", f"label {label}/{film}")
        for label in range(LABELS)
        for film in range(FILMS)
        for _ in range(PHOTOS)
    ]


def features(of_label: float, of_film: float) -> npt.NDArray[np.float32]:
    """Noise, and a direction of its own for each label and for each film, so far from the middle."""
    chance = np.random.default_rng(SEED)
    labels, films = (chance.standard_normal((count, WIDTH)) for count in (LABELS, LABELS * FILMS))
    taken = photos()
    names = sorted({photo.label for photo in taken}), sorted({photo.session for photo in taken})
    noise = chance.standard_normal((len(taken), WIDTH))
    for row, photo in enumerate(taken):
        noise[row] += of_label * labels[names[0].index(photo.label)]
        noise[row] += of_film * films[names[1].index(photo.session)]
    return noise.astype(np.float32)


def test_what_tells_labels_apart_in_every_film_is_found() -> None:
    judged = judge(features(of_label=1, of_film=0), photos())
    assert len(judged.right) == LABELS * FILMS * PHOTOS, "both films of a label are judged, by each other"
    assert judged.right.mean() > 0.99


def test_what_is_of_a_film_alone_helps_nothing() -> None:
    judged = judge(features(of_label=0, of_film=3), photos())
    # By its own film, each photo would be right. By the other one it is as good as guessed, film by film.
    assert judged.right.mean() < 0.6


def test_a_label_with_one_film_is_not_judged() -> None:
    taken = [photo._replace(session="label 0/0") if photo.label == "label 0" else photo for photo in photos()]
    judged = judge(features(of_label=1, of_film=0), taken)
    assert {session.split("/")[0] for session in judged.sessions} == {f"label {n}" for n in range(1, LABELS)}


def test_a_difference_is_that_of_the_shares_and_its_interval_is_of_films() -> None:
    sessions = [f"film {number // 100}" for number in range(2_000)]
    reference = Judged(np.random.default_rng(SEED).random(2_000) < 0.9, sessions, 0.9)
    ours = Judged(reference.right.copy(), sessions, 0.9)
    ours.right[:100] = ~ours.right[:100]  # one film
    found = difference(ours, reference)
    assert found.points == pytest.approx(100 * (ours.right.mean() - reference.right.mean()))
    assert (found.gained, found.lost) == ((~reference.right[:100]).sum(), reference.right[:100].sum())
    # As single photos they would be a clear loss. They are one film of twenty, and none is a likely draw.
    assert binomtest(found.lost, found.gained + found.lost).pvalue < 0.01
    assert found.low < found.points < 0 <= found.high


def test_features_that_are_kept_are_of_the_same_photos_and_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def features(side: accuracy.Side, paths: list[Path]) -> npt.NDArray[np.float32]:
        made.append((side, paths))
        return np.full((len(paths), WIDTH), side.size, np.float32)

    monkeypatch.setattr(accuracy, "_features", features)
    small, large = (accuracy.Side("LiteRT float32", size) for size in (96, 224))
    paths, others = [Path("a/1_100.jpg")], [Path("a/2_100.jpg")]
    asked = [(small, paths), (large, paths), (small, others), (small, paths)]
    files = [accuracy._kept_features(side, of, tmp_path) for side, of in asked]
    assert made == asked[:3]
    assert files[3] == files[0]
    assert [np.load(file)[0, 0] for file in files] == [96, 224, 96, 96]
