"""Plan a run: its work list and the result it builds on, or that nothing is new.

Features of the current result are used again when they would come out the same: same model file, image
size, precision, engine and reader, below the same prefix. Otherwise all photos are work.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from fruit_contract.layout import IMAGE_NAMES, split_uri
from fruit_contract.model_files import model_file
from fruit_contract.report_schema import ModelFacts
from fruit_contract.variance import (
    UNSCALED,
    bounds,
    components_kept,
    is_share,
    most_components,
    reaches,
)
from fruit_pipeline.cluster import artifacts
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.photos.changes import write_lists
from fruit_pipeline.photos.known_features import KnownFeatures, finished_sources, usable_sources
from fruit_pipeline.photos.manifest_merge import Changes
from fruit_pipeline.results import classifiers
from fruit_pipeline.results.claims import Owner, claim
from fruit_pipeline.results.manifests import sources_of
from fruit_pipeline.results.publication import Current, FeatureIdentity, read_pointer
from fruit_pipeline.results.recorded_files import damaged, source_prefix
from fruit_pipeline.results.run_plan import Base, RunPlan
from fruit_pipeline.results.tables import keys_under
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters

_SUFFIXES_TOLD: Final = 10


class TooFewImagesError(PipelineError):
    """There is no photo, or there are fewer than the components need."""


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


def plan(
    s3: Any, parameters: RunParameters, deployment: Deployment, owner: Owner, *, unattended: bool = False
) -> RunPlan:
    """Claim the run's keys and write its lists to S3; ``TooFewImagesError`` where they make no result.

    A run that nobody has asked for takes the most components that its photos allow, and waits where they
    allow none: a bucket that fills slowly is no red run every night.
    """
    bucket, refresh = parameters.bucket, parameters.full_refresh
    current = read_pointer(s3, bucket, unreadable=refresh)
    identity = feature_identity(parameters, deployment)
    reusable = not refresh and _features_of(current) == identity
    finished = finished_sources(s3, bucket)
    # What a featurize step has finished is used again, and not written again.
    taken = {*current.published, *(source.partition("=")[2] for source in finished)}
    layout = claim(s3, bucket, owner, taken)
    known, damage = KnownFeatures(), dict[str, int]()
    if not refresh:
        known, damage = _known(s3, bucket, current if reusable else None, finished, identity)
    changes = write_lists(
        s3, layout, parameters.input_prefix, known, parameters.inventory, deployment.listing_minutes
    )
    left_out = dict(changes.left_out.most_common(_SUFFIXES_TOLD))
    fewest, _ = bounds(parameters.components)
    components = components_kept(changes.found, fewest, unattended)
    waits = components == 0 and current.pointer is None
    if not waits:
        check_enough_images(changes.found, parameters, components, changes.deleted, left_out)
    the_same = reusable and not changes.any and _would_be_the_same(current, parameters, unattended)
    nothing_new = waits or (the_same and not damage)
    if components < fewest and not (nothing_new and reusable):
        summary = _few(changes.found, components, parameters, left_out)
    else:
        summary = _summary(changes, current, parameters, reusable, nothing_new)
    return RunPlan(
        images=changes.found,
        new=changes.new,
        changed=changes.changed,
        deleted=changes.deleted,
        reused=changes.reused,
        bytes=changes.work_bytes,
        ignored=changes.ignored,
        left_out=left_out,
        run_key=layout.run_key,
        features=identity,
        base=_base(current, damage) if known.manifest else None,
        model=_model_of(current, known),
        classifier_run=classifiers.usable_run(s3, bucket, current, identity),
        pointer_etag=current.etag,
        fewer_components=unattended,
        nothing_new=nothing_new,
        waits=waits,
        summary=summary + _words(damage),
    )


def _known(
    s3: Any, bucket: str, current: Current | None, finished: set[str], identity: FeatureIdentity
) -> tuple[KnownFeatures, dict[str, int]]:
    """What features there are, and what is damaged of ``current``, the result to build on, if any."""
    manifest = current.manifest(bucket) if current else None
    if current is None or manifest is None:
        return KnownFeatures(unpublished=usable_sources(s3, bucket, finished, identity)), {}
    there = any(keys_under(s3, bucket, manifest, ".parquet"))
    sources = sources_of(s3, bucket, manifest) if there else set[str]()
    damage = damaged(s3, bucket, current, sources)
    known = KnownFeatures(
        manifest if there else None,
        frozenset(source for source in sources if source_prefix(source) in damage),
        usable_sources(s3, bucket, finished - sources, identity),
    )
    return known, damage


def _words(damage: dict[str, int]) -> str:
    """What is made anew, in words that follow others."""
    files = ", ".join(f"{count} of {prefix}" for prefix, count in damage.items())
    return f" Files of the current result are gone or cut off, and are made anew: {files}." if damage else ""


def check_enough_images(
    images: int,
    parameters: RunParameters,
    components: int,
    deleted: int = 0,
    left_out: Mapping[str, int] | None = None,
) -> None:
    """There are photos, and more of them than components. ``deleted``: how many the current result has.

    ``components`` are the fewest that are asked for. ``left_out`` are the files that do not count, by their
    suffixes.
    """
    where = f"s3://{parameters.bucket}/{parameters.input_prefix}"
    if images == 0 and deleted:
        raise TooFewImagesError(
            f"All {deleted} images under {where} were deleted since the current result, which stays as it "
            "is: upload photos there, or correct input_prefix."
        )
    if images == 0:
        raise TooFewImagesError(
            f"There are no images under {where}{_left_out(left_out or {})}: upload photos there, or correct "
            f"input_prefix. A photo's name ends in {IMAGE_NAMES}."
        )
    if images == 1:
        raise TooFewImagesError(f"There is 1 image under {where}, and PCA needs at least 2: add images.")
    if components > most_components(images):
        raise TooFewImagesError(
            f"There are {images} images under {where}, and PCA with components={components} needs "
            f"more than {components}: add images, or lower components to at most {most_components(images)}."
        )


def _left_out(by_suffix: Mapping[str, int]) -> str:
    """In words, behind what was found; nothing where no file was left out."""
    if not by_suffix:
        return ""
    told = ", ".join(f"{count:,} {suffix}" for suffix, count in by_suffix.items())
    files = sum(by_suffix.values())
    what = "1 file is" if files == 1 else f"{files:,} files are"
    return f", and {what} left out by {'its name' if files == 1 else 'their names'} ({told})"


def _few(images: int, components: int, parameters: RunParameters, left_out: Mapping[str, int]) -> str:
    """What a run that nobody has asked for does where the photos are too few for ``components``."""
    what = f"keeps the most that they allow, at most {components}" if components else "waits for more"
    return (
        f"There are {images} images, too few for components={parameters.components}{_left_out(left_out)}: "
        f"this run, which nobody has asked for, {what}."
    )


def _features_of(current: Current) -> Any:
    return current.pointer.get("features") if current.pointer else None


def _would_be_the_same(current: Current, parameters: RunParameters, unattended: bool) -> bool:
    """Whether the current result, of the same features, also has the components that are asked for.

    And whether its run was asked for the same classifier, which it need not have got; none asks for nothing.
    """
    pointer = current.pointer or {}
    training = classifiers.asked(parameters)
    if training is not None and pointer.get("training") != training:
        return False
    # The results of earlier versions were never scaled.
    if (pointer.get("solver"), pointer.get("scaling", UNSCALED)) != (parameters.solver, parameters.scaling):
        return False
    return _has_components(pointer, parameters.components, unattended) and reaches(
        pointer.get("explained_variance", 0.0), parameters.minimum_variance
    )


def _has_components(pointer: Mapping[str, Any], asked: float, unattended: bool) -> bool:
    """Whether the current result has the components that are asked for. Of a share, only the fit can tell."""
    if is_share(asked):
        return bool(pointer.get("share_asked") == asked)
    # Nothing has changed, so that the result would have as many rows again.
    fewer = unattended and "rows" in pointer
    kept = components_kept(pointer.get("rows", 0), int(asked), fewer)
    return bool(pointer.get("components") == kept)


def _base(current: Current, damage: Collection[str]) -> Base:
    pointer = current.pointer or {}
    model_prefix = split_uri(pointer["pca_model"])[1]
    return Base(
        run_key=pointer["run_key"],
        pca_model=None if model_prefix in damage else pointer["pca_model"],
        components=pointer["components"],
    )


def _model_of(current: Current, known: KnownFeatures) -> ModelFacts | None:
    if known.manifest and current.pointer:
        model: ModelFacts = current.pointer["model"]
        return model
    return next(iter(known.unpublished.values()), None)


def _summary(
    changes: Changes,
    current: Current,
    parameters: RunParameters,
    reusable: bool,
    nothing_new: bool,
) -> str:
    """What was found, and what follows from it, in one line for the log and the report."""
    if nothing_new:
        assert current.pointer is not None
        return (
            f"Nothing is new among {changes.found:,} photos: the result of run {current.pointer['run_key']} "
            "stays current."
        )
    if reusable or current.pointer is None:
        return f"{changes}."
    reason = (
        "full_refresh was asked for"
        if parameters.full_refresh
        else "the current features are of another model, image size, precision, engine, reader or prefix"
    )
    return f"{changes}; all are featurized, for {reason}."
