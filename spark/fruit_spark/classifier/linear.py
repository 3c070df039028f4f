"""Linear discriminant analysis: one layer with softmax, exact from the moments of the labels.

Labels are taken for normal distributions with a mean each and one covariance. With few photos that
covariance is uncertain, so its correlations are shrunk.
"""

from typing import Final

import numpy as np

from fruit_spark.classifier.class_moments import ClassMoments, Float64

SHRINKAGE: Final = 0.1
"""How far the correlation of the components within labels is shrunk towards none. Measured: for Fruits-360 by
film and for shop photos at random, 0.02 to 0.1 are within half a point of each other. The closed formulas
(Ledoit and Wolf; oracle approximating shrinkage) give 0.3 to 1 there, and lose one to two points."""
_NEVER: Final = -1e6
"""The logit of a label without a photo: its probability is 0, and still finite in a file."""
_LEAST: Final = 1e-6
"""Of the largest deviation within labels: below it, nothing that varies is told from rounding."""

Dense = tuple[Float64, Float64]
"""Weights [d, C] and bias [C]."""


def discriminants(moments: ClassMoments, shrinkage: float = SHRINKAGE) -> Dense:
    """The layer whose logits, by softmax, are the labels' probabilities."""
    within, means = moments.within, moments.label_means
    deviation = np.sqrt(np.maximum(np.diag(within), 0))
    deviation = np.maximum(deviation, _LEAST * deviation.max(initial=0) or 1.0)
    correlation = within / np.outer(deviation, deviation)
    shrunk = (1 - shrinkage) * correlation + shrinkage * np.eye(len(correlation))
    # From the common mean: the numbers stay small, and what is common to all labels cancels in softmax.
    apart = means - moments.mean
    weights = np.linalg.solve(shrunk, (apart / deviation).T) / deviation[:, None]
    quadratic = np.einsum("cd,dc->c", apart, weights) / 2
    return weights, _priors(moments) - quadratic - moments.mean @ weights


def nearest_means(moments: ClassMoments) -> Dense:
    """The layer whose largest logit is that of the label with the nearest mean: the plain baseline."""
    means = moments.label_means
    bias = np.where(moments.counts > 0, -(means**2).sum(axis=1) / 2, -np.inf)
    return means.T, bias


def _priors(moments: ClassMoments) -> Float64:
    """Logarithm of the labels' shares, [C]."""
    known = moments.counts > 0
    return np.where(known, np.log(np.maximum(moments.counts, 1) / moments.rows), _NEVER)
