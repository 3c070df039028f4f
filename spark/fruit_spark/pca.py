"""Principal components with ``pyspark.ml.feature.PCA``, and what they explain.

Spark's convention, kept throughout: the fit subtracts the mean, the transform does not. So the
components of a photo are its features times the matrix ``pc``, and their mean is not zero.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fruit_spark.errors import StepError

if TYPE_CHECKING:
    from pyspark.ml.feature import PCAModel
    from pyspark.sql import DataFrame

VECTOR_COLUMN = "vector"
COMPONENTS_COLUMN = "components"


def fit_pca(vectors: "DataFrame", components: int) -> "PCAModel":
    """Fit ``components`` principal components to the column ``vector`` (ML vectors of one length)."""
    from pyspark.ml.feature import PCA

    return PCA(k=components, inputCol=VECTOR_COLUMN, outputCol=COMPONENTS_COLUMN).fit(vectors)


def explained_variance_ratio(model: "PCAModel") -> npt.NDArray[np.float64]:
    """The share of the whole variance by component, float64 [k], largest first; 0 to 1 each.

    ``StepError`` when there is no variance to share: all feature vectors are equal.
    """
    ratio = np.asarray(model.explainedVariance.toArray(), np.float64)
    if not np.isfinite(ratio).all():
        raise StepError(
            "The features have no variance: every image gives the same feature vector. Give different images."
        )
    return ratio


def components_for(ratio: npt.NDArray[np.float64], minimum: float) -> int | None:
    """The smallest k whose first k ratios sum to ``minimum``; None where all of them do not.

    >>> components_for(np.array([0.5, 0.3, 0.2]), 0.75)
    2
    """
    reached = np.flatnonzero(np.cumsum(ratio) >= minimum)
    return int(reached[0]) + 1 if len(reached) else None
