"""Promise: what is learnt in one pass, in any parts, is what the formulas say of all rows at once."""

import io
from dataclasses import replace

import numpy as np
import pytest

from fruit_spark.classifier.class_moments import ClassMoments
from fruit_spark.classifier.layers import Layers, LayersError, softmax
from fruit_spark.classifier.linear import discriminants, nearest_means

CHANCE = np.random.default_rng(3)
MEANS = CHANCE.normal(size=(4, 6)) * 2
TRUTH = CHANCE.integers(0, 4, 600)
ROWS = MEANS[TRUTH] + CHANCE.normal(size=(600, 6)) @ CHANCE.normal(size=(6, 6)) + 30


def moments(rows: np.ndarray, truth: np.ndarray, labels: int = 4, parts: int = 5) -> ClassMoments:
    total = ClassMoments.none(rows[:7].mean(axis=0), labels)
    for part in range(parts):
        own = ClassMoments.none(total.shift, labels)
        own.add(rows[part::parts], truth[part::parts])
        total += own
    return total


def test_moments_are_those_of_all_rows() -> None:
    found = moments(ROWS, TRUTH)
    means = np.array([ROWS[label == TRUTH].mean(axis=0) for label in range(4)])
    apart = ROWS - means[TRUTH]
    np.testing.assert_allclose(found.label_means, means)
    np.testing.assert_allclose(found.within, apart.T @ apart / (600 - 4), atol=1e-9)
    np.testing.assert_allclose(found.scatter, np.cov(ROWS.T) * 599, atol=1e-7)
    np.testing.assert_allclose(found.deviation, ROWS.std(axis=0))
    assert found.counts.tolist() == np.bincount(TRUTH).tolist()


def test_moments_of_projected_rows_are_the_moments_projected() -> None:
    basis, _ = np.linalg.qr(CHANCE.normal(size=(6, 3)))
    found, own = moments(ROWS, TRUTH).projected(basis), moments(ROWS @ basis, TRUTH)
    np.testing.assert_allclose(found.within, own.within, atol=1e-9)
    np.testing.assert_allclose(found.label_means, own.label_means)


def test_two_labels_are_parted_as_by_least_squares() -> None:
    """Fisher's own theorem: the regression on the label has the direction of the discriminant."""
    two = TRUTH < 2
    weights, _ = discriminants(moments(ROWS[two], TRUTH[two], 2), shrinkage=0.0)
    centred = ROWS[two] - ROWS[two].mean(axis=0)
    regression = np.linalg.lstsq(centred, TRUTH[two] - TRUTH[two].mean(), rcond=None)[0]
    direction = weights[:, 1] - weights[:, 0]
    cosine = direction @ regression / np.linalg.norm(direction) / np.linalg.norm(regression)
    assert cosine == pytest.approx(1, abs=1e-9)


def test_probabilities_are_those_of_bayes_for_normal_distributions() -> None:
    found = moments(ROWS, TRUTH)
    weights, bias = discriminants(found, shrinkage=0.0)
    inverse = np.linalg.inv(found.within)
    apart = ROWS[:, None, :] - found.label_means
    density = np.exp(-np.einsum("ncd,de,nce->nc", apart, inverse, apart) / 2) * found.counts
    expected = density / density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax(ROWS @ weights + bias), expected, atol=1e-9)


def test_a_label_without_a_photo_is_never_answered_and_a_flat_direction_does_no_harm() -> None:
    flat = np.concatenate([ROWS, np.full((600, 1), 5.0)], axis=1)
    weights, bias = discriminants(moments(flat, TRUTH, 5))
    assert np.isfinite(weights).all()
    assert np.isfinite(bias).all()
    assert softmax(flat @ weights + bias)[:, 4].max() == 0
    mean_weights, mean_bias = nearest_means(moments(flat, TRUTH, 5))
    assert (flat @ mean_weights + mean_bias).argmax(axis=1).max() < 4


def test_the_nearest_mean_is_the_nearest_mean() -> None:
    found = moments(ROWS, TRUTH)
    weights, bias = nearest_means(found)
    distances = np.linalg.norm(ROWS[:, None] - found.label_means, axis=2)
    assert ((ROWS @ weights + bias).argmax(axis=1) == distances.argmin(axis=1)).all()


SPREAD = np.array([0.5, 1.0, 2.0, 1.0, 3.0, 0.1])


def layers() -> Layers:
    basis, _ = np.linalg.qr(CHANCE.normal(size=(6, 3)))
    hidden = (CHANCE.normal(size=(3, 5)), CHANCE.normal(size=5))
    last = (CHANCE.normal(size=(5, 4)), CHANCE.normal(size=4))
    shift, scale = CHANCE.normal(size=3), np.array([1.0, 2.0, 3.0])
    return Layers(ROWS.mean(axis=0), basis / SPREAD[:, None], SPREAD, shift, scale, (hidden, last))


def test_layers_come_back_from_their_file() -> None:
    made = layers()
    read = Layers.read(made.to_bytes())
    assert read.pca == made.pca
    np.testing.assert_array_equal(read.probabilities(ROWS), made.probabilities(ROWS))
    np.testing.assert_allclose(read.probabilities(ROWS).sum(axis=1), 1)


def test_a_temperature_divides_the_logits() -> None:
    made = layers()
    np.testing.assert_allclose(made.cooled(4.0).logits(ROWS), made.logits(ROWS) / 4)


@pytest.mark.parametrize("content", [b"", b"no file", layers().to_bytes()[:-40]])
def test_a_file_that_is_none_is_refused_in_one_sentence(content: bytes) -> None:
    with pytest.raises(LayersError, match="The layers of the classifier"):
        Layers.read(content)


def test_layers_that_do_not_fit_or_are_not_finite_are_refused() -> None:
    made = layers()
    wrongs = ({"mean": made.mean[:2]}, {"spread": made.spread[:2]}, {"mean": made.mean * np.nan})
    for wrong in (replace(made, **changes) for changes in wrongs):
        with pytest.raises(LayersError, match="do not fit together, or are not finite"):
            Layers.read(wrong.to_bytes())


def test_a_residual_is_the_distance_from_the_plane_of_the_components() -> None:
    made = layers()
    on_it = CHANCE.normal(size=(9, 3)) @ made.directions.T
    normal = np.linalg.svd(made.directions.T)[2][3:].T
    away = on_it + (normal[:, :1] * np.arange(9)).T
    lengths = [made.residuals(made.mean + scaled * SPREAD) for scaled in (on_it, away)]
    np.testing.assert_allclose(lengths, [np.zeros(9), np.arange(9)], atol=1e-9)


def test_a_file_of_an_earlier_version_was_never_scaled() -> None:
    made = replace(layers(), spread=np.ones(6))
    with np.load(io.BytesIO(made.to_bytes())) as file:
        older = {name: file[name] for name in file.files if name != "spread"}
    sink = io.BytesIO()
    np.savez(sink, **older)
    np.testing.assert_array_equal(Layers.read(sink.getvalue()).residuals(ROWS), made.residuals(ROWS))
