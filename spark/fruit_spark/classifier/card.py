"""What people should know of a classifier before they use it."""

from fruit_contract.classifier import ClassifierCard, Judgement, TrainMetrics

_KINDS = {
    "linear": "linear discriminant analysis on principal components: one layer with softmax",
    "forest": "Spark ML's RandomForestClassifier on scaled principal components",
    "network": "Spark ML's MultilayerPerceptronClassifier on scaled principal components",
}
_TEXT = """# Classifier of {labels} labels

- Kind: {kind}.
- Input: {name} features ({weights}), {size} pixels, {engine} {precision}; {components} components.
- Photos learnt from: {photos}. The figures below are of the same method on the training share alone.

## How good it is

{figures}

## How to read an answer

- A residual above {residual:.3f} means: no fruit that I know.
- A probability below {probability:.2f} means: not sure.
- The temperature is {temperature:.2f}, of photos that were held out.

## What it cannot do

- It knows the kinds of fruit, the light and the cameras of its photos, and no others.
- The residual finds photos unlike all others. It misses an unknown fruit that looks like a known one.
"""


def model_card(card: ClassifierCard, metrics: TrainMetrics) -> str:
    """In Markdown."""
    model, limits = card["model"], card["thresholds"]
    figures = [*_judged(metrics["judged"], metrics["not_tested_count"]), *_by_hash(metrics["by_hash"])]
    return _TEXT.format(
        labels=len(card["labels"]),
        kind=_KINDS[card["kind"]],
        name=model["name"],
        weights=model["weights"],
        size=model["image_size"],
        engine=model["engine"],
        precision=model["precision"],
        components=card["components"],
        photos=card["trained_on"],
        figures="\n".join(f"- {figure}" for figure in figures),
        residual=limits["residual"],
        probability=limits["probability"],
        temperature=card["temperature"],
    )


def _judged(judged: Judgement | None, not_tested: int) -> list[str]:
    if judged is None:
        return ["No label could be tested by the split that was asked for."]
    low, high = judged["interval"]
    figures = [
        f"Photos held out by {judged['split']}: {judged['test_photos']}, of {judged['test_labels']} labels.",
        f"Right: {judged['top1']:.1%} (95 % interval {low:.1%} to {high:.1%}).",
        f"Among the best five: {judged['top5']:.1%}.",
        f"To compare: the commonest label {judged['majority']:.1%}, the nearest mean of a label "
        f"{judged['nearest_mean']:.1%}.",
        f"Expected calibration error: {judged['ece_after']:.3f}; without the temperature "
        f"{judged['ece_before']:.3f}.",
    ]
    if judged["coarse"] is not None:
        figures.append(f"The right group of labels: {judged['coarse']:.1%}.")
    if not_tested:
        figures.append(f"Labels of which no photo could be held out: {not_tested}.")
    return figures


def _by_hash(by_hash: Judgement | None) -> list[str]:
    if by_hash is None:
        return []
    figures = [f"Optimistic, on photos held out at random: {by_hash['top1']:.1%}."]
    if by_hash["leak"] is not None:
        figures.append(f"Of those, {by_hash['leak']:.0%} have a near twin among the photos learnt from.")
    return figures
