"""The classifier of a result: the files of its folder, and the shapes of ``train.json`` and of its card.

Beside the card lie ``pipeline/``, Spark ML's ``PipelineModel`` from 1,280 features to a label, and
``model_card.md`` for people. ``layers.npz`` has the same arithmetic for NumPy. ``judged.npz`` is what was
learnt from the training share alone, by which the classifier was judged (of a forest also ``judged/``). All
arrays are float64:

- ``mean`` [1280], ``components`` [1280, k] and ``spread`` [1280]: the PCA. The features of a photo times
  ``components`` are its components. ``spread`` is what each feature was divided by before the PCA, 1 for
  nothing. The residual is the length of what of ``(features - mean) / spread`` the PCA does not span.
- ``shift`` [k] and ``scale`` [k]: mean and standard deviation of the components of the photos learnt from.
  The first layer's input is ``(components - shift) / scale``.
- ``weights_0`` [k, n], ``bias_0`` [n], ``weights_1``, ... : dense layers, a sigmoid between two of them, and
  softmax after the last, whose weights hold the temperature already. Its outputs are the card's ``labels``.
  A forest has none: only Spark reads it.
"""

from typing import Final, Literal, TypedDict, get_args

from fruit_contract.report_schema import ModelFacts, Work

ClassifierKind = Literal["linear", "forest", "network", "none"]
CLASSIFIERS: Final[tuple[ClassifierKind, ...]] = get_args(ClassifierKind)
NO_CLASSIFIER: Final = "none"
SplitKind = Literal["session", "folders", "hash"]
SPLITS: Final[tuple[SplitKind, ...]] = get_args(SplitKind)

CARD_NAME: Final = "classifier.json"
LAYERS_NAME: Final = "layers.npz"
PIPELINE_NAME: Final = "pipeline"
JUDGED_LAYERS_NAME: Final = "judged.npz"
JUDGED_NAME: Final = "judged"
HELD_OUT_NAME: Final = "held_out.json"
"""``{"sessions": [[label, session], ...]}``: what the classifier was judged by, of a split by session."""
MODEL_CARD_NAME: Final = "model_card.md"


class Thresholds(TypedDict):
    """When an answer is no label."""

    residual: float
    """Above it a photo is "no fruit that I know": the 99th percentile of photos that were not learnt from."""
    probability: float
    """Below it an answer is "not sure": it is likelier wrong than right."""


class ClassifierCard(TypedDict):
    """``classifier.json``: what a program needs to know of a classifier."""

    run_key: str
    kind: str
    labels: list[str]
    """In the order of the probabilities."""
    model: ModelFacts
    """Of the features that it takes."""
    components: int
    pca: str
    """SHA-256 of the PCA's matrix (float64, by rows), hex: the classifier belongs to no other."""
    temperature: float
    """The layers hold it, and so does a linear pipeline. Others' log-probabilities are divided by it."""
    thresholds: Thresholds
    trained_on: int
    """Photos."""
    split: str
    """By which it was judged."""
    session_pattern: str | None
    """What named the sessions; None for the rule that stands without one."""
    usual_residual: float
    """95th percentile, of photos that were not learnt from."""
    shares: dict[str, float]
    """Of the photos learnt from, by label."""


class Judgement(TypedDict):
    """What the classifier made of photos that it had not learnt from. Shares are 0 to 1."""

    split: str
    train_photos: int
    test_photos: int
    test_labels: int
    """Labels that were tested."""
    top1: float
    interval: tuple[float, float]
    """Of 95 %, over sessions: photos of one are not independent."""
    top5: float
    macro_f1: float
    coarse: float | None
    """Share of right parent folders, where there are some."""
    majority: float
    nearest_mean: float
    """What the commonest label, and the nearest mean of a label, reach on the same photos."""
    pca_cost: float | None
    """What the same classifier reaches more on the 1,280 features, in points; None where it was not tried."""
    temperature: float
    ece_before: float
    ece_after: float
    """Expected calibration error, 15 bins; the temperature is of the other half of the photos."""
    leak: float | None
    """Share of test photos whose nearest training photo has a cosine above 0.95."""


class Coverage(TypedDict):
    """What becomes of accuracy where answers below a probability are left out."""

    probability: float
    answered: float
    right: float | None
    """Of the answered; None where none is."""


class Bin(TypedDict):
    """Of the reliability curve, after temperature."""

    confidence: float
    right: float
    photos: int


class LabelFigures(TypedDict):
    label: str
    photos: int
    right: float
    f1: float


class Confusion(TypedDict):
    label: str
    predicted: str
    photos: int


class Gate(TypedDict):
    """Whether the new classifier becomes the current one."""

    passed: bool
    reason: str
    """In one sentence."""
    current_top1: float | None
    """Of the classifier that is current, on the same photos; None where there is none."""


class Drift(TypedDict):
    """The new photos beside those that the current classifier has learnt from."""

    photos: int
    """New ones."""
    above_residual: float
    """Share of them above the 95th percentile of the residual: 0.05 is expected."""
    labels: dict[str, tuple[float, float]]
    """Share of a label among the new photos and before, of the ten that differ most."""
    components: list[float]
    """How far the mean of each of the first components has moved, in their standard deviations."""
    warnings: list[str]
    """One sentence each; none where nothing stands out."""


class TrainMetrics(Work):
    """``train.json``, written by the train step."""

    skipped: str | None
    """Why there is no classifier, in one sentence. Then the figures below are of nothing."""
    kind: str
    labels: int
    photos: int
    judged: Judgement | None
    """By the split that was asked for; None where no label could be tested so."""
    by_hash: Judgement | None
    """Photo by photo at random: optimistic where photos resemble each other."""
    not_tested: list[str]
    """Labels of which no photo could be held out, as those of a single session; at most 100."""
    not_tested_count: int
    coverage: list[Coverage]
    reliability: list[Bin]
    worst_labels: list[LabelFigures]
    confusions: list[Confusion]
    thresholds: Thresholds | None
    gate: Gate | None
    drift: Drift | None
    """None where there is no classifier to compare with, or no new photo."""
    pca: str | None
    bytes: int
    """Of the classifier's folder."""
    startup_seconds: float
    seconds: float
    versions: dict[str, str]
