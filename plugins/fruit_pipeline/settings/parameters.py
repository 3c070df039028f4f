"""The parameters of a run: names, defaults, limits and words, in one place.

The same model gives the typed form in Airflow's UI, checks what a run was started with, and
checks ``ARGS`` of ``make run``.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from fruit_contract.classifier import ClassifierKind, SplitKind
from fruit_contract.layout import INPUT_PREFIX, RESERVED_PREFIXES
from fruit_contract.model_files import (
    DEFAULT_ENGINE,
    IMAGE_SIZE_STEP,
    IMAGE_SIZES,
    Engine,
    Precision,
    model_file,
)
from fruit_contract.variance import HOW_TO_ASK, MOST_COMPONENTS, Scaling, components_asked, falls_short
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.security.regions import EU_REGIONS
from fruit_pipeline.settings.allowed import number_range
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.instance_types import OFFERED_TYPES, gib, why_not
from fruit_pipeline.settings.releases import (
    DEFAULT_RELEASE,
    OLDEST_RELEASE,
    RELEASE_PATTERN,
    TESTED_RELEASES,
    has_jupyterhub,
)

if TYPE_CHECKING:
    from airflow.sdk import Param

LONGEST_HOURS = 24
MOST_WORKERS: Final = 100
AUTO: Final = "auto"
"""Leaves the number or the type of the workers to :mod:`fruit_pipeline.cost.sizing`."""
DEFAULT_WORKER_TYPE: Final = "m6g.xlarge"
LEAST_WORKER_GIB: Final = 16
"""With less, YARN cannot hold a driver beside an executor whose JVM has room to work."""
WORKER_TYPES: Final = tuple(name for name in OFFERED_TYPES if gib(name) >= LEAST_WORKER_GIB)
Market = Literal["spot", "spot-or-on-demand", "on-demand"]
AS_WORKERS: Final = "as-workers"
MOST_INTERACTIVE_MINUTES: Final = 480


class ParameterError(PipelineError):
    """A parameter of the run is unknown or out of range."""


@dataclass(frozen=True)
class Fleet:
    """The workers of a cluster: so many of one type."""

    worker_type: str
    workers: int

    def __str__(self) -> str:
        return f"{self.workers} {self.worker_type}"


_COUNT = TypeAdapter(Annotated[int, Field(ge=1, le=MOST_WORKERS)])


def _count_or_auto(value: Any) -> int | str:
    if value in (None, "", AUTO):
        return AUTO
    try:
        return _COUNT.validate_python(value)
    except ValidationError:
        raise PydanticCustomError(
            "workers", f"it must be a whole number from 1 to {MOST_WORKERS}, or {AUTO}"
        ) from None


# Limits are a number's alone and the pattern a string's alone: JSON Schema, Validation, sections 6.2 and
# 6.3. Airflow's form has a text area for several types, but the field of the first where there are examples.
_Workers = Annotated[
    int | Literal["auto"],
    PlainValidator(_count_or_auto),
    WithJsonSchema(
        {
            "type": ["integer", "string", "null"],
            "minimum": 1,
            "maximum": MOST_WORKERS,
            "pattern": f"^{AUTO}$",
            "examples": [2, AUTO],
        }
    ),
]


def _number_or_share(value: Any) -> float:
    try:
        return components_asked(value)
    except ValueError:
        raise PydanticCustomError("components", HOW_TO_ASK) from None


# One type, for Airflow's form has a number field for that alone; anyOf says what a number may be.
_Components = Annotated[
    float,
    PlainValidator(_number_or_share),
    WithJsonSchema(
        {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": MOST_COMPONENTS,
            "anyOf": [{"exclusiveMaximum": 1}, {"multipleOf": 1}],
        }
    ),
]


def _apart_from_output(prefix: str) -> str:
    # Below such a prefix each run would take what the last one has left, such as its plot, for new photos.
    if any(own.startswith(prefix) or prefix.startswith(own) for own in RESERVED_PREFIXES):
        raise PydanticCustomError(
            "input_prefix",
            "it holds what the pipeline writes ({output}): keep the photos below a prefix of their own, such "
            "as {photos}",
            {"output": ", ".join(RESERVED_PREFIXES), "photos": INPUT_PREFIX},
        )
    return prefix


# The form's pattern says all of it; that of pydantic, whose regular expressions cannot look ahead, the rest.
_InputPrefix = Annotated[
    str,
    Field(pattern=r"^([^/].*/)?$", max_length=512),
    AfterValidator(_apart_from_output),
    WithJsonSchema(
        {"type": "string", "pattern": f"^(?!{'|'.join(RESERVED_PREFIXES)})[^/].*/$", "maxLength": 512}
    ),
]


def _is_one_of(types: Collection[str]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, str) and value not in (*types, AUTO):
            raise PydanticCustomError("instance_type", "{why}", {"why": why_not(value, types)})
        return value

    return check


_WorkerType = Annotated[Literal[(*WORKER_TYPES, AUTO)], BeforeValidator(_is_one_of(WORKER_TYPES))]  # type: ignore[valid-type]
_PrimaryType = Annotated[Literal[OFFERED_TYPES], BeforeValidator(_is_one_of(OFFERED_TYPES))]  # type: ignore[valid-type]


def _release_with_our_spark(label: str) -> str:
    if not re.match(RELEASE_PATTERN, label):
        raise PydanticCustomError(
            "release_label",
            "it must be emr-7.10.0 or a later one of emr-7, one of emr-spark-8, or {oldest}",
            {"oldest": OLDEST_RELEASE},
        )
    return label


_ReleaseLabel = Annotated[
    str,
    AfterValidator(_release_with_our_spark),
    WithJsonSchema({"type": "string", "pattern": RELEASE_PATTERN, "examples": list(TESTED_RELEASES)}),
]


# What is optional is null in the form, whose button stays grey while a field that cannot be null is empty.
_EMPTY_IS_NONE = BeforeValidator(
    lambda value: None if value == "" else value
)  # such as a word of a command line
_INVENTORY_PATTERN: Final = r"^s3://[a-z0-9][a-z0-9.-]+/.+/manifest\.json$"

_MaxWorkers = Annotated[
    Annotated[int, Field(ge=1, le=MOST_WORKERS)] | None,
    _EMPTY_IS_NONE,
    WithJsonSchema({"type": ["integer", "null"], "minimum": 1, "maximum": MOST_WORKERS}),
]


def _is_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as problem:
        raise PydanticCustomError(
            "session_pattern", "it is no regular expression ({problem})", {"problem": str(problem)}
        ) from None
    if "{{" in pattern or "}}" in pattern:
        # It reaches the step through YARN, which takes both for its own.
        raise PydanticCustomError("session_pattern", "it has two braces side by side, which YARN replaces")
    return pattern


_SessionPattern = Annotated[
    Annotated[str, Field(max_length=512), AfterValidator(_is_pattern)] | None,
    _EMPTY_IS_NONE,
    WithJsonSchema({"type": ["string", "null"], "maxLength": 512}),
]

_Inventory = Annotated[
    Annotated[str, Field(pattern=_INVENTORY_PATTERN)] | None,
    _EMPTY_IS_NONE,
    WithJsonSchema({"type": ["string", "null"], "pattern": f"^$|{_INVENTORY_PATTERN}"}),
]


_PATTERNS_IN_WORDS: Final = {
    "bucket": "it must be lower-case letters, digits, dots and hyphens, with a letter or digit at both ends",
    "input_prefix": "it must be one line that ends with / and does not begin with one",
    "inventory": "it must be s3://bucket/.../manifest.json",
}
"""What pydantic's own message says as a regular expression, by the parameter."""

# Sections of Airflow's form. It opens with the fields that have none, and folds the others.
PHOTOS: Final[JsonDict] = {"section": "Photos"}
RESULT: Final[JsonDict] = {"section": "Result"}
CLUSTER: Final[JsonDict] = {"section": "Cluster"}
LIMITS: Final[JsonDict] = {"section": "Cost and limits"}
EXPERT: Final[JsonDict] = {"section": "Expert"}


class RunParameters(BaseModel):
    """What a person or a schedule can choose for one run, in the order of the form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bucket: str = Field(
        default_factory=lambda: Deployment().bucket,
        title="Bucket",
        description="S3 bucket of the photos and the results, in the region of the run.",
        min_length=3,
        max_length=63,
        pattern=r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
    )
    input_prefix: _InputPrefix = Field(
        INPUT_PREFIX,
        title="Prefix of the photos",
        description="Prefix of the photos, with one folder per label below it and a slash at its end.",
    )
    components: _Components = Field(
        256,
        title="Components",
        description="Number of principal components to keep, or (below 1) the share of the variance.",
    )
    minimum_variance: float = Field(
        0.90,
        ge=0.0,
        le=1.0,
        title="Least variance kept",
        description="Fail the run when the components keep a smaller share of the variance than this.",
    )
    classifier: ClassifierKind = Field(
        "linear",
        title="Classifier",
        description="Learn labels from the components: linear (discriminant analysis), a random forest, a "
        "neural network, or none.",
    )
    workers: _Workers = Field(
        2,
        title="Workers",
        description="Number of workers. When empty (or auto), the cheapest fleet that keeps deadline_minutes "
        "and budget_eur is chosen.",
    )
    budget_eur: float = Field(
        10.0,
        gt=0.0,
        le=10000.0,
        title="Budget in EUR",
        description="Refuse a run whose worst case costs more than this, in EUR.",
    )
    full_refresh: bool = Field(
        False, title="Full refresh", description="Featurize all photos again, known ones too."
    )
    region: Literal[EU_REGIONS] = Field(  # type: ignore[valid-type]
        default_factory=lambda: Deployment().region,
        title="Region",
        json_schema_extra=PHOTOS,
        description="AWS region of the bucket and the cluster, in the EU.",
    )
    inventory: _Inventory = Field(
        None,
        title="S3 Inventory",
        json_schema_extra=PHOTOS,
        description="Read this manifest.json of S3 Inventory (s3://bucket/.../manifest.json) instead of "
        "listing the prefix. Leave it empty to list.",
    )
    image_size: int = Field(
        224,
        ge=IMAGE_SIZES[0],
        le=IMAGE_SIZES[-1],
        multiple_of=IMAGE_SIZE_STEP,
        title="Image size in pixels",
        json_schema_extra=PHOTOS,
        description="Resize photos to squares with this side, in pixels. Below 224 is faster, and costs the "
        "classifier 3 to 6 points.",
    )
    scaling: Scaling = Field(
        "none",
        title="Scaling of the features",
        json_schema_extra=RESULT,
        description="Give each feature a variance of 1 before PCA (standard), or leave it (none).",
    )
    refit: Literal["always", "auto"] = Field(
        "always",
        title="Fit of the PCA",
        json_schema_extra=RESULT,
        description="Fit PCA in every run, or (auto) reuse the current model while it explains new "
        "photos to within 1 point as well as its own.",
    )
    split: SplitKind = Field(
        "session",
        title="Photos held out to judge the classifier",
        json_schema_extra=RESULT,
        description="Hold out whole sessions, whole test folders, or photos by a hash of their keys.",
    )
    session_pattern: _SessionPattern = Field(
        None,
        title="Session of a photo",
        json_schema_extra=RESULT,
        description="Regular expression over a photo's key, whose group session, first group or match names "
        "the session. When empty, film, EXIF or folder tell.",
    )
    clean_dry_run: bool = Field(
        False,
        title="Only list what clean-up would remove",
        json_schema_extra=RESULT,
        description="List the files of superseded runs instead of removing them after publication.",
    )
    worker_type: _WorkerType = Field(
        DEFAULT_WORKER_TYPE,
        title="Type of the workers",
        json_schema_extra=CLUSTER,
        description="EC2 type of the workers; auto chooses the cheapest.",
    )
    max_workers: _MaxWorkers = Field(
        None,
        title="Most workers",
        json_schema_extra=CLUSTER,
        description="Let EMR scale between 1 worker and this number. Leave it empty to keep the number "
        "of workers.",
    )
    spot: Market = Field(
        "spot",
        title="Market of the nodes",
        json_schema_extra=CLUSTER,
        description="Market of the nodes; spot-or-on-demand falls back when Spot has no capacity in time.",
    )
    on_spot_loss: Literal["on-demand", "fail"] = Field(
        "on-demand",
        title="When Spot takes the cluster",
        json_schema_extra=CLUSTER,
        description="Go on with one more cluster, on demand, for what is left of max_hours; or fail the run.",
    )
    primary_market: Literal["as-workers", "spot", "spot-or-on-demand", "on-demand"] = Field(
        AS_WORKERS,
        title="Market of the primary node",
        json_schema_extra=CLUSTER,
        description="Market of the primary node; the cluster ends when this node is lost.",
    )
    primary_type: _PrimaryType = Field(
        "m6g.xlarge",
        title="Type of the primary node",
        json_schema_extra=CLUSTER,
        description="EC2 type of the primary node.",
    )
    diversify: bool = Field(
        True,
        title="Allow substitutes",
        json_schema_extra=CLUSTER,
        description="Allow other instance types of the same size as substitutes. The budget check uses "
        "the dearest.",
    )
    interactive_minutes: int = Field(
        0,
        ge=0,
        le=MOST_INTERACTIVE_MINUTES,
        title="Minutes for JupyterHub",
        json_schema_extra=CLUSTER,
        description="Keep the cluster of a successful run for JupyterHub for this many minutes. They "
        "count in the budget and in the cluster's lifetime.",
    )
    deadline_minutes: float = Field(
        60.0,
        gt=0.0,
        le=60 * LONGEST_HOURS,
        title="Deadline in minutes",
        json_schema_extra=LIMITS,
        description="Longest expected life of the cluster, in minutes, when the number of workers is "
        "automatic.",
    )
    max_hours: float = Field(
        3.0,
        gt=0.0,
        le=LONGEST_HOURS,
        title="Longest life of the cluster in hours",
        json_schema_extra=LIMITS,
        description="Longest life of the cluster, in hours, without interactive_minutes.",
    )
    max_step_hours: float = Field(
        2.0,
        gt=0.0,
        le=LONGEST_HOURS,
        title="Longest step in hours",
        json_schema_extra=LIMITS,
        description="Longest run of one step, in hours; a longer step ends itself and fails the run.",
    )
    max_start_minutes: float = Field(
        45.0,
        gt=0.0,
        le=60 * LONGEST_HOURS,
        title="Longest start in minutes",
        json_schema_extra=LIMITS,
        description="Longest start of the cluster, in minutes; the wait for Spot counts.",
    )
    spot_timeout_minutes: int = Field(
        15,
        ge=5,
        le=1440,
        title="Longest wait for Spot in minutes",
        json_schema_extra=LIMITS,
        description="Wait this many minutes for Spot capacity before the cluster ends or falls back.",
    )
    engine: Engine = Field(
        DEFAULT_ENGINE,
        title="Engine",
        json_schema_extra=EXPERT,
        description="Library that runs MobileNetV2; keras is the slower reference.",
    )
    precision: Precision = Field(
        "float32",
        title="Precision of the weights",
        json_schema_extra=EXPERT,
        description="Precision of the model's weights; float16 halves the broadcast and needs the litert "
        "engine.",
    )
    batch_size: int = Field(
        32,
        ge=1,
        le=1024,
        title="Batch size",
        json_schema_extra=EXPERT,
        description="Number of photos in one Arrow batch.",
    )
    reader: Literal["fast", "spark-image"] = Field(
        "fast",
        title="Reader",
        json_schema_extra=EXPERT,
        description="Read photos by concurrent requests (fast) or by Spark's own image source.",
    )
    solver: Literal["blocks", "spark"] = Field(
        "blocks",
        title="Solver",
        json_schema_extra=EXPERT,
        description="Fit PCA in blocks on the executors, or with pyspark.ml.",
    )
    release_label: _ReleaseLabel = Field(
        DEFAULT_RELEASE,
        title="EMR release",
        json_schema_extra=EXPERT,
        description="EMR release, from emr-7.10.0 on. For emr-spark-8.1.0 (Spark 4) EMR adds an endpoint to "
        "the VPC, which costs money until you remove it. emr-6.15.0 (Spark 3.4) needs `make interpreter` "
        "first, and AWS no longer supports it.",
    )

    @model_validator(mode="after")
    def _model_is_offered(self) -> "RunParameters":
        model_file(self.engine, self.precision)
        return self

    @model_validator(mode="after")
    def _share_can_be_enough(self) -> "RunParameters":
        if falls_short(self.components, self.minimum_variance):
            raise ValueError(
                f"Parameter components is {self.components}, a share of the variance below "
                f"minimum_variance {self.minimum_variance:g}: raise it, or lower minimum_variance."
            )
        return self

    @model_validator(mode="after")
    def _fleet_may_grow(self) -> "RunParameters":
        if self.max_workers is not None and isinstance(self.workers, int) and self.max_workers < self.workers:
            raise ValueError(
                f"Parameter max_workers is {self.max_workers}, fewer than workers={self.workers}: raise it, "
                "or leave it empty."
            )
        return self

    @model_validator(mode="after")
    def _lifetime_is_bounded(self) -> "RunParameters":
        if self.lifetime_hours > LONGEST_HOURS:
            raise ValueError(
                f"Parameter interactive_minutes is {self.interactive_minutes}: with max_hours "
                f"{self.max_hours:g} the cluster could live longer than {LONGEST_HOURS} hours: lower either."
            )
        return self

    @model_validator(mode="after")
    def _notebooks_are_there(self) -> "RunParameters":
        if self.interactive_minutes and not has_jupyterhub(self.release_label):
            raise ValueError(
                f"Parameter interactive_minutes is {self.interactive_minutes}, and {self.release_label} has "
                f"no JupyterHub: set it to 0, or choose release_label {DEFAULT_RELEASE}."
            )
        return self

    @model_validator(mode="after")
    def _limits_are_in_order(self) -> "RunParameters":
        markets = {self.spot, self.market_of_primary}
        if "spot-or-on-demand" in markets and self.spot_timeout_minutes > self.max_start_minutes:
            raise ValueError(
                f"Parameter spot_timeout_minutes is {self.spot_timeout_minutes}, longer than the cluster may "
                f"take to start: on-demand nodes would never come. Lower it to at most max_start_minutes "
                f"{self.max_start_minutes:g}, or raise that."
            )
        # Ends a cluster that waits for capacity when Airflow is gone: its nodes' lifetime has not begun.
        if markets != {"on-demand"} and self.spot_timeout_minutes > 60 * self.max_hours:
            raise ValueError(
                f"Parameter spot_timeout_minutes is {self.spot_timeout_minutes}, longer than the cluster may "
                f"live: lower it to at most {60 * self.max_hours:g}, or raise max_hours {self.max_hours:g}."
            )
        if self.max_start_minutes > 60 * self.max_hours:
            raise ValueError(
                f"Parameter max_start_minutes is {self.max_start_minutes:g}, longer than the cluster may "
                f"live: lower it to at most {60 * self.max_hours:g}, or raise max_hours {self.max_hours:g}."
            )
        return self

    @classmethod
    def checked(cls, values: dict[str, Any], called: Mapping[str, str] | None = None) -> "RunParameters":
        """The parameters, or one ``ParameterError`` that says what is wrong and what to do.

        ``called``: what the person who gave a parameter knows it as, where that is not its name.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            sentences = [_sentence(part, called or {}).removesuffix(".") for part in error.errors()]
            raise ParameterError(f"{'; '.join(sentences)}.") from None

    @classmethod
    def parsed(cls, assignments: list[str]) -> "RunParameters":
        """The parameters from ``name=value`` words, as on a command line; else ``ParameterError``."""
        values: dict[str, Any] = {}
        for word in assignments:
            name, separator, value = word.partition("=")
            if not name or not separator:
                raise ParameterError(f"{word!r} is not a parameter: write name=value, such as components=64.")
            if name in values:
                raise ParameterError(
                    f"Parameter {name!r} is given twice, as {values[name]!r} and as {value!r}: give it once."
                )
            values[name] = value
        return cls.checked(values)

    @property
    def scales(self) -> bool:
        """Whether the number of workers follows the work, and not only what they begin with."""
        return self.max_workers is not None and self.max_workers != self.workers

    @property
    def most_workers(self) -> int:
        """How many workers there can be at once; the fleet must be known."""
        return self.max_workers or self.fleet.workers

    @property
    def lifetime_hours(self) -> float:
        """The cluster's hard lifetime: that of the run, and the interactive time after it."""
        return self.max_hours + self.interactive_minutes / 60

    @property
    def market_of_primary(self) -> Market:
        return self.spot if self.primary_market == AS_WORKERS else self.primary_market

    @property
    def may_be_replaced(self) -> bool:
        """Whether Spot can take the cluster, and another one comes then."""
        return self.on_spot_loss == "on-demand" and {self.spot, self.market_of_primary} != {"on-demand"}

    @property
    def is_sized(self) -> bool:
        """Whether number and type of the workers are known, and not left to choose."""
        return AUTO not in (self.workers, self.worker_type)

    @property
    def fleet(self) -> Fleet:
        """The workers; ``ParameterError`` while they are still to be chosen."""
        if not self.is_sized or not isinstance(self.workers, int):
            raise ParameterError(
                f"workers={self.workers} worker_type={self.worker_type} names no fleet: the task guards "
                "chooses one, or give both."
            )
        return Fleet(self.worker_type, self.workers)

    def with_fleet(self, fleet: Fleet) -> "RunParameters":
        """The same run on these workers."""
        return self.model_copy(update={"workers": fleet.workers, "worker_type": fleet.worker_type})


def _sentence(error: Any, called: Mapping[str, str]) -> str:
    """One pydantic error as a sentence: the name, the value, what is allowed."""
    if not error["loc"]:  # two parameters that do not go together
        return str(error["ctx"]["error"])
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = ", ".join(RunParameters.model_fields)
        return f"Parameter {name!r} is unknown: use one of {known}"
    of_a_pattern = error["type"] == "string_pattern_mismatch"
    allowed = _PATTERNS_IN_WORDS[name] if of_a_pattern else in_a_sentence(error["msg"])
    return f"{called.get(name, f'Parameter {name}')} is {error['input']!r}: {allowed}"


def in_a_sentence(message: str) -> str:
    """What pydantic says of a value, after a colon."""
    return re.sub("^(Input|String) ", "it ", message).partition(", unable to parse")[0]


def form() -> "dict[str, Param]":
    """The typed form of the UI: one ``Param`` a field, with its JSON schema."""
    schema = RunParameters.model_json_schema()["properties"]
    defaults = RunParameters().model_dump()
    return {name: form_field(name, defaults[name], **_for_airflow(schema[name])) for name in schema}


def form_field(name: str, default: Any, *, description: str, **schema: Any) -> "Param":
    """A field of a form, whose help ends with the parameter's name and the range of a number.

    Airflow's number field says nothing when it changes what is out of range.
    """
    # Imported here, for a command line that only checks parameters need not wait for Airflow.
    from airflow.sdk import Param

    limits = number_range(schema)
    if limits and "null" in schema["type"]:
        limits = f"{limits}, or empty"
    help_text = f"{description} *{name}*: {limits}." if limits else f"{description} *{name}*"
    return Param(default, description_md=help_text, **schema)


def _for_airflow(field: dict[str, Any]) -> dict[str, Any]:
    """A field's JSON schema without the default, which ``Param`` carries itself."""
    return {key: value for key, value in field.items() if key != "default"}
