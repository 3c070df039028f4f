"""The parameters of a run: names, defaults, limits and words, in one place.

The same model gives the typed form in Airflow's UI, checks what a run was started with, and
checks ``ARGS`` of ``make run``.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
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
from pydantic_core import PydanticCustomError

from fruit_contract.model import IMAGE_SIZE_STEP, IMAGE_SIZES, Precision, model_file
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.prices import OFFERED_TYPES, gib
from fruit_pipeline.regions import EU_REGIONS
from fruit_pipeline.releases import DEFAULT_RELEASE, RELEASES

if TYPE_CHECKING:
    from airflow.sdk import Param

LONGEST_HOURS = 24
MOST_WORKERS: Final = 100
AUTO: Final = "auto"
"""Leaves the number or the type of the workers to :mod:`fruit_pipeline.sizing`."""
DEFAULT_WORKER_TYPE: Final = "m6g.large"
LEAST_WORKER_GIB: Final = 8
"""With less, YARN cannot hold a driver beside an executor."""
WORKER_TYPES: Final = tuple(name for name in OFFERED_TYPES if gib(name) >= LEAST_WORKER_GIB)
Market = Literal["spot", "spot-or-on-demand", "on-demand"]
AS_WORKERS: Final = "as-workers"
MOST_INTERACTIVE_MINUTES: Final = 480


class ParameterError(ValueError):
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
    if value == AUTO:
        return AUTO
    try:
        return _COUNT.validate_python(value)
    except ValidationError:
        raise PydanticCustomError(
            "workers", f"it must be a whole number from 1 to {MOST_WORKERS}, or {AUTO}"
        ) from None


# Airflow's form shows one field of several types for a list of types, not for pydantic's anyOf. Limits
# are a number's alone and the pattern a string's alone: JSON Schema, Validation, sections 6.2 and 6.3.
_Workers = Annotated[
    int | Literal["auto"],
    PlainValidator(_count_or_auto),
    WithJsonSchema(
        {"type": ["integer", "string"], "minimum": 1, "maximum": MOST_WORKERS, "pattern": f"^{AUTO}$"}
    ),
]

_MaxWorkers = Annotated[
    Annotated[int, Field(ge=1, le=MOST_WORKERS)] | None,
    BeforeValidator(lambda value: None if value == "" else value),  # an empty word of a command line
    WithJsonSchema({"type": ["integer", "null"], "minimum": 1, "maximum": MOST_WORKERS}),
]


class RunParameters(BaseModel):
    """What a person or a schedule can choose for one run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bucket: str = Field(
        default_factory=lambda: Deployment().bucket,
        description="S3 bucket of the photos and the results; it must lie in the region below.",
        min_length=3,
        max_length=63,
        pattern=r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
    )
    input_prefix: str = Field(
        "Test/",
        description="Prefix of the photos, one folder per label below it. It ends with a slash.",
        pattern=r"^([^/].*/)?$",
        max_length=512,
    )
    inventory: str = Field(
        "",
        description="manifest.json of a report of S3 Inventory (s3://bucket/.../manifest.json), which is "
        "then read instead of listing the prefix. Empty lists it.",
        pattern=r"^(s3://[a-z0-9][a-z0-9.-]+/.+/manifest\.json)?$",
    )
    region: Literal[EU_REGIONS] = Field(  # type: ignore[valid-type]
        default_factory=lambda: Deployment().region, description="AWS region, in the EU."
    )
    components: int = Field(256, ge=1, le=1280, description="Principal components to keep.")
    minimum_variance: float = Field(
        0.90,
        ge=0.0,
        le=1.0,
        description="Share of the variance the components must keep; less fails the run.",
    )
    image_size: int = Field(
        224,
        ge=IMAGE_SIZES[0],
        le=IMAGE_SIZES[-1],
        multiple_of=IMAGE_SIZE_STEP,
        description=f"Side in pixels that photos are resized to: a multiple of {IMAGE_SIZE_STEP}, "
        f"{IMAGE_SIZES[0]} to {IMAGE_SIZES[-1]}.",
    )
    precision: Precision = Field(
        "float32",
        description="Of the model's weights. float16 halves the broadcast, and computes in half precision on "
        "Graviton; LiteRT only.",
    )
    batch_size: int = Field(32, ge=1, le=1024, description="Photos in one Arrow batch.")
    engine: Literal["litert", "keras"] = Field(
        "litert", description="What runs MobileNetV2: LiteRT, or Keras as the reference."
    )
    reader: Literal["fast", "spark-image"] = Field(
        "fast", description="How photos are read: concurrent requests, or Spark's image source."
    )
    solver: Literal["blocks", "spark"] = Field(
        "blocks", description="How PCA is fitted: by blocks on the executors, or by pyspark.ml's own PCA."
    )
    refit: Literal["always", "auto"] = Field(
        "always",
        description="auto keeps the current PCA model while it explains the new photos' variance to within "
        "1 point as well as that of the photos it was fitted on.",
    )
    full_refresh: bool = Field(False, description="Featurize all photos, those that are known too.")
    primary_type: Literal[OFFERED_TYPES] = Field(  # type: ignore[valid-type]
        "m6g.xlarge", description="EC2 type of the primary node."
    )
    worker_type: Literal[(*WORKER_TYPES, AUTO)] = Field(  # type: ignore[valid-type]
        DEFAULT_WORKER_TYPE,
        description=f"EC2 type of the worker nodes, of {LEAST_WORKER_GIB} GiB or more. auto chooses the "
        "cheapest, as the default does beside workers=auto. EMR's own list begins at xlarge: where an "
        "account refuses a large one, take m6g.xlarge.",
    )
    workers: _Workers = Field(
        2,
        description=f"Number of worker nodes, 1 to {MOST_WORKERS}. auto chooses the cheapest fleet that is "
        "done within deadline_minutes and budget_eur.",
    )
    max_workers: _MaxWorkers = Field(
        None,
        description=f"Managed scaling: the number of workers follows the work, from 1 to this one, at most "
        f"{MOST_WORKERS}. Empty keeps the number of workers. The budget is checked against it.",
    )
    deadline_minutes: float = Field(
        60.0,
        gt=0.0,
        le=60 * LONGEST_HOURS,
        description="Longest expected life of the cluster, in minutes, that workers=auto may choose.",
    )
    spot: Market = Field(
        "spot",
        description="Market of the nodes. spot-or-on-demand falls back when Spot is not provisioned in time.",
    )
    primary_market: Literal["as-workers", "spot", "spot-or-on-demand", "on-demand"] = Field(
        AS_WORKERS,
        description="Market of the primary node, without which the cluster ends. as-workers: as spot says.",
    )
    diversify: bool = Field(
        True,
        description="Let types of the same size whose prices are known come in place of those asked for: "
        "Spot is then provisioned sooner and lost less often. The budget is checked against the dearest.",
    )
    spot_timeout_minutes: int = Field(
        15, ge=5, le=1440, description="How long to wait for Spot capacity before giving up or falling back."
    )
    max_hours: float = Field(
        3.0,
        gt=0.0,
        le=LONGEST_HOURS,
        description="Longest life of the cluster in hours, without interactive_minutes; the budget is "
        "checked against both.",
    )
    max_step_hours: float = Field(
        2.0,
        gt=0.0,
        le=LONGEST_HOURS,
        description="Longest run of one step in hours: it then ends itself, and fails the run.",
    )
    max_start_minutes: float = Field(
        45.0,
        gt=0.0,
        le=60 * LONGEST_HOURS,
        description="How long the cluster may take until it is ready, waiting for Spot included, in minutes.",
    )
    interactive_minutes: int = Field(
        0,
        ge=0,
        le=MOST_INTERACTIVE_MINUTES,
        description="How long the cluster of a run whose steps succeeded stays for JupyterHub, in minutes; 0 "
        "ends it at once. It counts in the cluster's hard lifetime, beside max_hours, and in the budget.",
    )
    budget_eur: float = Field(
        10.0,
        gt=0.0,
        le=10000.0,
        description="A run whose worst case costs more than this is refused, in EUR.",
    )
    clean_dry_run: bool = Field(
        False, description="Only say which files of superseded runs would be removed after publishing."
    )
    release_label: Literal[RELEASES] = Field(  # type: ignore[valid-type]
        DEFAULT_RELEASE,
        description="EMR release. emr-6.15.0, for its Spark 3.4, needs what `make interpreter` builds; AWS "
        "no longer supports it.",
    )

    @model_validator(mode="after")
    def _model_is_offered(self) -> "RunParameters":
        model_file(self.engine, self.precision)
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
    def checked(cls, values: dict[str, Any]) -> "RunParameters":
        """The parameters, or one ``ParameterError`` that says what is wrong and what to do."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ParameterError("; ".join(_sentence(part) for part in error.errors())) from None

    @classmethod
    def parsed(cls, assignments: list[str]) -> "RunParameters":
        """The parameters from ``name=value`` words, as on a command line."""
        values: dict[str, Any] = {}
        for word in assignments:
            name, separator, value = word.partition("=")
            if not separator:
                raise ParameterError(f"{word!r} is not a parameter: write name=value, such as components=64.")
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


def _sentence(error: Any) -> str:
    """One pydantic error as a sentence: the name, the value, what is allowed."""
    name = ".".join(str(part) for part in error["loc"])
    if not name:  # two parameters that do not go together
        return str(error["ctx"]["error"])
    if error["type"] == "extra_forbidden":
        known = ", ".join(RunParameters.model_fields)
        return f"Parameter {name!r} is unknown: use one of {known}"
    return f"Parameter {name} is {error['input']!r}: {error['msg'].replace('Input', 'it')}"


def form() -> "dict[str, Param]":
    """The typed form of the UI: one ``Param`` a field, with its JSON schema."""
    # Imported here, for a command line that only checks parameters need not wait for Airflow.
    from airflow.sdk import Param

    schema = RunParameters.model_json_schema()["properties"]
    defaults = RunParameters().model_dump()
    return {name: Param(defaults[name], **_for_airflow(schema[name])) for name in schema}


def _for_airflow(field: dict[str, Any]) -> dict[str, Any]:
    """A field's JSON schema without what ``Param`` carries itself."""
    return {key: value for key, value in field.items() if key not in ("default", "title")}
