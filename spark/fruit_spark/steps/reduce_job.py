"""Features to principal components: the job behind ``spark/reduce.py``."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fruit_contract.partitions import (
    MOST_DEAD_SHARE,
    compacted_partitions,
    most_feature_files,
    output_partitions,
)
from fruit_contract.report_schema import ReduceMetrics
from fruit_contract.variance import (
    STANDARD,
    UNSCALED,
    bounds,
    components_for,
    components_kept,
    is_share,
    most_components,
    reaches,
    right_components,
)
from fruit_spark.features.carried_rows import (
    Draft,
    list_carried,
    read_draft,
    read_rejected,
    write_carried,
    write_manifest,
)
from fruit_spark.features.feature_files import LIVE_DDL, FeatureFiles, list_features, live_rows, source_of
from fruit_spark.model.engines import FEATURE_DIM
from fruit_spark.pca.moments import Moments, moments_of
from fruit_spark.pca.overview import neighbours, overview
from fruit_spark.pca.solvers import (
    SOLVERS,
    explained_variance_ratio,
    principal_components,
    write_projection,
)
from fruit_spark.pca.stored_model import StoredPca, read_pca, scaler_of, write_pca
from fruit_spark.pca.variance_plot import draw_variance
from fruit_spark.session.spark_session import seconds_since_launch, versions, work_done
from fruit_spark.step_errors import StepError
from fruit_spark.storage import hadoop
from fruit_spark.storage.driver_tables import batches_of, open_table
from fruit_spark.storage.part_files import write_table

if TYPE_CHECKING:
    from pyspark.ml.feature import PCAModel
    from pyspark.sql import SparkSession


NO_FEATURES: Final = (
    "There is no feature vector: every image was rejected. See the reasons in the rejected images."
)
SAME_VARIANCE: Final = 0.01
"""How much less of the new photos' variance than of its own photos' the current model may explain."""


@dataclass(frozen=True)
class ReduceSettings:
    """What ``spark/reduce.py`` was asked for; every address is a local path or a URI."""

    features: str
    output: str
    model_output: str
    metrics: str
    plot: str
    components: float
    """How many to keep; below 1, the share of the variance that the fewest of them keep."""
    min_variance: float
    solver: str
    time_limit: int | None
    """Seconds after which the step ends itself; None for never."""
    scaling: str = UNSCALED
    """``standard``: each feature is divided by its deviation before the PCA."""
    fewer_components: bool = False
    """Keep the most that the images allow, where they do not allow ``components``."""
    draft: str | None = None
    """The draft of the manifest; None to reduce all rows of one folder, without a manifest."""
    source: str | None = None
    root: str = ""
    rejected: str | None = None
    manifest: str | None = None
    compacted: str | None = None
    current_model: str | None = None
    overview: str | None = None
    neighbours: str | None = None
    """What the page of the result shows; None for a result that needs no page."""


@dataclass(frozen=True)
class Fit:
    """A PCA model, and how the run came to it."""

    stored: StoredPca
    rows: int
    """Feature vectors that count."""
    reused: bool
    new_variance: float | None
    moments: Moments | None
    """Of all that counts, scaled if the model scales; None for a model that is used again."""

    @property
    def model(self) -> "PCAModel":
        return self.stored.model


@dataclass(frozen=True)
class Carried:
    """What a run with a draft takes over: its sources, and the reasons of what it has rejected itself."""

    draft: Draft
    rejected: dict[str, str]

    @property
    def rows(self) -> int:
        """Feature vectors that must be there."""
        return self.draft.live.total() - len(self.rejected)


def reduce(spark: "SparkSession", settings: ReduceSettings) -> ReduceMetrics:
    """Write components, model, metrics and plot; ``StepError`` when the variance kept is too small.

    Metrics and plot are written before that error, so that there is something to look at. With a draft,
    the rejected photos of earlier runs and the manifest are written, too, and the feature files are
    compacted when they have become many, or hold many rows that count no more.
    """
    startup = seconds_since_launch(spark)
    carried = _carried(spark, settings) if settings.draft else None
    features = _features(spark, settings, carried)
    fit = _fit(spark, settings, features, carried)
    metrics = _metrics(settings, features, carried, fit, startup)
    _write_metrics(spark, settings, metrics)
    with ThreadPoolExecutor(1) as beside:  # Spark writes, while this process draws
        drawing = beside.submit(_write_plot, spark, settings, fit.model)
        if not reaches(metrics["explained_variance"], settings.min_variance):
            drawing.result()
            assert fit.moments is not None, "a model that keeps too little is not used again"
            raise StepError(_too_little_variance(fit.moments, settings, metrics["explained_variance"]))
        write_pca(spark, fit.stored, settings.model_output)
        cores = spark.sparkContext.defaultParallelism
        files = output_partitions(fit.rows, cores)
        summaries = write_projection(spark, features, fit.stored.matrix, settings.output, files, fit.rows)
        drawing.result()
    if carried is not None:
        if fit.reused:  # otherwise they were counted when it was fitted
            _check_rows(spark, settings, carried)
        metrics = _write_manifest(spark, settings, features, carried, metrics)
    if settings.overview:
        rejected = _rejected(settings) if carried else ()
        hadoop.write_json(spark, settings.overview, overview(summaries, rejected, settings.root))
    if settings.neighbours:
        write_table(neighbours(summaries, settings.root), settings.neighbours)
    # Written again: now the seconds are those of the whole step.
    return _write_metrics(spark, settings, metrics)


def _write_plot(spark: "SparkSession", settings: ReduceSettings, model: "PCAModel") -> None:
    plot = draw_variance(explained_variance_ratio(model), settings.min_variance)
    hadoop.write_bytes(spark, settings.plot, plot)


def _carried(spark: "SparkSession", settings: ReduceSettings) -> Carried:
    assert settings.draft is not None
    assert settings.source is not None
    assert settings.rejected is not None
    draft = read_draft(settings.draft)
    if settings.source in draft.live:
        return Carried(draft, read_rejected(spark, settings.rejected, settings.root))
    # Nothing was to be featurized: what lies there is of an attempt at another plan.
    hadoop.delete(spark, settings.rejected)
    return Carried(draft, {})


def _features(spark: "SparkSession", settings: ReduceSettings, carried: Carried | None) -> FeatureFiles:
    if carried is None:
        return list_features(spark, [settings.features])
    if not carried.rows:
        raise StepError(NO_FEATURES)
    return list_carried(spark, settings.features, carried.draft, settings.root)


def _fit(
    spark: "SparkSession", settings: ReduceSettings, features: FeatureFiles, carried: Carried | None
) -> Fit:
    """The current model where it may be used again and is good enough for the new photos, or a new one."""
    reused, share = None, None
    if carried is not None and settings.current_model is not None:
        check_rows(carried.rows, settings)
        reused, share = _current_model(spark, settings, features, carried.rows)
    if reused is not None:
        return reused
    moments = moments_of(spark, features)
    rows = moments.rows if moments else 0
    if carried is not None and rows != carried.rows:
        raise StepError(_not_whole(settings, rows, carried.rows))
    check_rows(rows, settings)
    assert moments is not None  # without a row, the check above has raised
    mean, spread = moments.mean, moments.spread if settings.scaling == STANDARD else None
    scaler = None if spread is None else scaler_of(spark, spread)
    moments = moments.divided(spread)
    components = components_for_moments(moments, settings)
    frame = live_rows(spark, features, spark.sparkContext.defaultParallelism)
    model = SOLVERS[settings.solver](frame, moments, components, scaler)
    return Fit(StoredPca(model, mean, spread), rows, False, share, moments)


def _current_model(
    spark: "SparkSession", settings: ReduceSettings, features: FeatureFiles, rows: int
) -> tuple[Fit | None, float | None]:
    """The current model, or None where it will not do; and what it explains of the new photos' variance."""
    assert settings.current_model is not None
    assert settings.source is not None
    stored = read_pca(spark, settings.current_model)
    if (stored.spread is not None) != (settings.scaling == STANDARD):
        return None, None
    model = stored.model
    new = features.of(settings.source)
    moments = moments_of(spark, new) if new.files else None
    share = stored.explains(moments) if moments else None
    ratio = explained_variance_ratio(model)
    explained = float(ratio.sum())
    enough = share is None or share >= explained - SAME_VARIANCE
    kept = reaches(explained, settings.min_variance)
    right = right_components(ratio.tolist(), settings.components, rows, settings.fewer_components)
    count = model.pc.numCols
    if count == right and count <= most_components(rows) and kept and enough:
        return Fit(stored, rows, True, share, None), share
    return None, share


def _not_whole(settings: ReduceSettings, rows: int, expected: int) -> str:
    return (
        f"{expected} feature vectors should lie below {settings.features}, and {rows} were found: run again "
        "with full_refresh=true, which computes all of them anew."
    )


def _check_rows(spark: "SparkSession", settings: ReduceSettings, carried: Carried) -> None:
    written = spark.read.schema(LIVE_DDL).parquet(hadoop.hadoop_uri(spark, settings.output)).count()
    if written != carried.rows:
        raise StepError(_not_whole(settings, written, carried.rows))


def _write_manifest(
    spark: "SparkSession",
    settings: ReduceSettings,
    features: FeatureFiles,
    carried: Carried,
    metrics: ReduceMetrics,
) -> ReduceMetrics:
    """Compact where it is time, then write the rejected photos of earlier runs and the manifest.

    The metrics come back with what that has made of the files.
    """
    assert settings.rejected is not None
    assert settings.manifest is not None
    assert settings.source is not None
    compacted = _compact(spark, settings, features, carried) if _is_time(features, carried) else None
    write_carried(carried.draft, settings.root, settings.rejected)
    source = source_of(compacted.files[0]) if compacted else None
    write_manifest(carried.draft, settings.source, carried.rejected, source, settings.manifest)
    if compacted is None:
        return metrics
    return {**metrics, "compacted": True, "files_after": len(compacted.files)}


def _rejected(settings: ReduceSettings) -> Iterator[tuple[str, str]]:
    """Path and reason of all rejected photos, those of earlier runs included."""
    assert settings.rejected is not None
    for batch in batches_of(open_table(settings.rejected), ["path", "reason"]):
        yield from zip(batch.column("path").to_pylist(), batch.column("reason").to_pylist(), strict=True)


def _is_time(features: FeatureFiles, carried: Carried) -> bool:
    """Whether there are too many feature files, or too many rows in them that count no more.

    One source alone is never compacted for its many files: that would only do its work again.
    """
    dead = sum(map(len, features.dead.values()))
    too_many = len(features.files) > most_feature_files(carried.rows) and len(carried.draft.live) > 1
    return too_many or dead > MOST_DEAD_SHARE * (carried.rows + dead)


def _compact(
    spark: "SparkSession", settings: ReduceSettings, features: FeatureFiles, carried: Carried
) -> FeatureFiles:
    """Write the rows that count anew, to few files of this run."""
    assert settings.compacted is not None
    files = compacted_partitions(carried.rows, spark.sparkContext.defaultParallelism)
    rows = live_rows(spark, features, files)
    rows.write.mode("overwrite").parquet(hadoop.hadoop_uri(spark, settings.compacted))
    return list_features(spark, [settings.compacted])


def components_for_moments(moments: Moments, settings: ReduceSettings) -> int:
    """How many components the vectors of ``moments`` get, by their number or by their variance."""
    if not is_share(settings.components):
        return components_kept(moments.rows, int(settings.components), settings.fewer_components)
    # Of the moments, so that both solvers keep the same.
    enough = components_for(principal_components(moments).ratio.tolist(), settings.components)
    assert enough is not None, "all directions together keep the whole variance"
    return enough


def check_rows(rows: int, settings: ReduceSettings) -> None:
    """``StepError`` where ``rows`` feature vectors cannot have the components that are asked for."""
    fewest, _ = bounds(settings.components)
    check_components(rows, components_kept(rows, fewest, settings.fewer_components))


def check_components(rows: int, components: int) -> None:
    """``StepError`` unless ``rows`` feature vectors can give ``components`` principal components."""
    if rows == 0:
        raise StepError(NO_FEATURES)
    if rows == 1:
        raise StepError("There is 1 feature vector, and variance needs at least 2: give more images.")
    if components > most_components(rows):
        raise StepError(
            f"{components} components need more images than that, and {rows} were featurized: "
            f"set components to {most_components(rows)} or less, or give more images."
        )


def _too_little_variance(moments: Moments, settings: ReduceSettings, kept: float) -> str:
    """The sentence for a variance below the minimum, with the k that would do."""
    most = min(most_components(moments.rows), FEATURE_DIM)
    said = (
        f"{settings.components} components keep {kept:.4f} of the variance, "
        f"less than the minimum {settings.min_variance:g}: "
    )
    enough = components_for(principal_components(moments).ratio[:most].tolist(), settings.min_variance)
    if enough is None:
        return (
            f"{said}no number of components up to {most} would do (the most that {moments.rows} images "
            "allow): lower the minimum variance, or give more images."
        )
    return f"{said}{enough} components would do. Set components to {enough}, or lower the minimum variance."


def _metrics(
    settings: ReduceSettings, features: FeatureFiles, carried: Carried | None, fit: Fit, startup: float
) -> ReduceMetrics:
    """All but what :func:`_write_metrics` and the compaction know."""
    ratio = explained_variance_ratio(fit.model)
    return {
        "rows": fit.rows,
        "rejected": carried.draft.carried + len(carried.rejected) if carried else 0,
        "dead_rows": sum(map(len, features.dead.values())),
        "model": "reused" if fit.reused else "fitted",
        "new_variance": fit.new_variance,
        "compacted": False,
        "files_before": len(features.files),
        "files_after": len(features.files),
        "feature_dim": FEATURE_DIM,
        "components": fit.model.pc.numCols,
        "share_asked": settings.components if is_share(settings.components) else None,
        "explained_variance": float(np.sum(ratio)),
        "explained_variance_ratio": [float(value) for value in ratio],
        "components_for_minimum": components_for(ratio.tolist(), settings.min_variance),
        "solver": settings.solver,
        "scaling": settings.scaling,
        "startup_seconds": round(startup, 3),
        "cores": 0,
        "task_seconds": 0.0,
        "seconds": 0.0,
        "versions": {},
    }


def _write_metrics(spark: "SparkSession", settings: ReduceSettings, metrics: ReduceMetrics) -> ReduceMetrics:
    now: ReduceMetrics = {
        **metrics,
        **work_done(spark),
        "seconds": round(seconds_since_launch(spark), 3),
        "versions": versions(spark, "numpy", "pyarrow", "matplotlib"),
    }
    hadoop.write_json(spark, settings.metrics, now)
    return now
