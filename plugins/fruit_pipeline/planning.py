"""What a run is to do: which photos are work, which earlier result it builds on, or that nothing is new.

Features of the current result are used again when they would come out the same: same model file, image
size, precision, engine and reader, below the same prefix. Otherwise all photos are work.
"""

from typing import Any

from fruit_contract.layout import RunLayout
from fruit_contract.model import model_file
from fruit_contract.variance import reaches
from fruit_pipeline import artifacts, changes, guards, listing, manifest_merge
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.parameters import RunParameters
from fruit_pipeline.planned import Base, Planned
from fruit_pipeline.publication import Current, FeatureIdentity, read_pointer, unused_run_key


def feature_identity(parameters: RunParameters, deployment: Deployment) -> FeatureIdentity:
    """Of the features that a run makes; ``MissingArtifactError`` where its model was not built."""
    name = model_file(parameters.engine, parameters.precision)
    return FeatureIdentity(
        fingerprint=artifacts.model_fingerprint(deployment.model_dir, name),
        image_size=parameters.image_size,
        precision=parameters.precision,
        engine=parameters.engine,
        reader=parameters.reader,
        input_prefix=parameters.input_prefix,
    )


def plan(s3: Any, parameters: RunParameters, deployment: Deployment, run_key: str) -> Planned:
    """Write the run's lists to S3; ``GuardError`` where there are too few photos for a result."""
    bucket, current = parameters.bucket, read_pointer(s3, parameters.bucket)
    identity = feature_identity(parameters, deployment)
    reusable = not parameters.full_refresh and _features_of(current) == identity
    layout = RunLayout(bucket, unused_run_key(run_key, _used_run_keys(s3, bucket, current)))
    try:
        found, counts = changes.write_lists(
            s3,
            layout,
            parameters.input_prefix,
            current.manifest(bucket) if reusable else None,
            parameters.inventory,
        )
    except (manifest_merge.OrderError, listing.ListingError) as error:
        raise guards.GuardError(str(error)) from error
    guards.check_enough_images(found.found, parameters, found.deleted)
    nothing_new = reusable and not found.any and _would_be_the_same(current, parameters)
    return Planned(
        images=found.found,
        new=found.new,
        changed=found.changed,
        deleted=found.deleted,
        reused=found.reused,
        bytes=found.work_bytes,
        ignored=counts.ignored,
        run_key=layout.run_key,
        features=identity,
        base=_base(current) if reusable else None,
        pointer_etag=current.etag,
        nothing_new=nothing_new,
        summary=_summary(found, current, parameters, reusable, nothing_new),
    )


def _features_of(current: Current) -> Any:
    return current.pointer.get("features") if current.pointer else None


def _used_run_keys(s3: Any, bucket: str, current: Current) -> set[str]:
    """Keys below which lies what a published result refers to."""
    manifest = current.manifest(bucket)
    sources = changes.sources_of(s3, bucket, manifest) if manifest else set()
    return {*current.published, *(source.partition("=")[2] for source in sources)}


def _would_be_the_same(current: Current, parameters: RunParameters) -> bool:
    """Whether the current result, of the same features, also has the components that are asked for."""
    pointer = current.pointer or {}
    return (pointer.get("components"), pointer.get("solver")) == (
        parameters.components,
        parameters.solver,
    ) and reaches(pointer.get("explained_variance", 0.0), parameters.minimum_variance)


def _base(current: Current) -> Base:
    pointer = current.pointer or {}
    return Base(
        run_key=pointer["run_key"],
        model=pointer["model"],
        pca_model=pointer["pca_model"],
        components=pointer["components"],
    )


def _summary(
    found: manifest_merge.Changes,
    current: Current,
    parameters: RunParameters,
    reusable: bool,
    nothing_new: bool,
) -> str:
    """What was found, and what follows from it, in one line for the log and the report."""
    if nothing_new:
        assert current.pointer is not None
        return (
            f"Nothing is new among {found.found:,} photos: the result of run {current.pointer['run_key']} "
            "stays current."
        )
    if reusable or current.pointer is None:
        return f"{found}."
    reason = (
        "full_refresh was asked for"
        if parameters.full_refresh
        else "the current features are of another model, image size, precision, engine, reader or prefix"
    )
    return f"{found}; all are featurized, for {reason}."
