"""Promise: the default engine and image size are those that the record speaks for.

``make bench-engines`` and ``make bench-accuracy`` write it: docs/evidence/engines.md and image-size.md.
"""

import pytest

from evidence import marked_text
from fruit_contract.model_files import IMAGE_SIZES
from fruit_pipeline.settings.parameters import RunParameters

LOWEST_COSINE = 0.9999
"""With Keras, of any photo: what the features of a default engine may not fall below."""
CHANCE = 1.1
"""An engine that is faster by less may have met a quieter machine."""
POINTS = 0.5
"""Of the classifier's accuracy, that a default size may lie below the best one."""
NAMES = {"litert": "LiteRT", "keras": "Keras"}
"""Of an engine on the pages."""


def rows(page: str, first_of_head: str) -> list[list[str]]:
    """The cells of the table whose head begins so."""
    lines = marked_text.read(marked_text.EVIDENCE / page)
    first = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_of_head} |"))
    end = next((number for number in range(first, len(lines)) if not lines[number]), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[first + 2 : end]]


def test_no_engine_with_the_answers_of_keras_is_faster_than_the_default() -> None:
    default = RunParameters()
    speeds: dict[tuple[str, str], float] = {}
    for library, precision, _, ratio, _, cosines in rows("engines.md", "engine | precision"):
        if float(cosines.split(", ")[1]) >= LOWEST_COSINE:
            speed = float(ratio.split()[0])
            speeds[library, precision] = max(speed, speeds.get((library, precision), 0))
    chosen, best = (NAMES[default.engine], default.precision), max(speeds, key=speeds.__getitem__)
    assert speeds[chosen] * CHANCE >= speeds[best], (
        f"{' in '.join(best)} is as exact as the default, and {speeds[best] / speeds[chosen]:.2f} times as "
        "fast: add it to fruit_contract/model_files.py, or say in docs/evidence/engines.md why not."
    )


@pytest.fixture
def right() -> dict[int, float]:
    """The percentage of right answers by image size, in the default's engine and precision."""
    default = RunParameters()
    name = f"{NAMES[default.engine]} {default.precision}"
    return {
        int(size): float(share.rstrip("%"))
        for engine, size, _, share, *_ in rows("image-size.md", "engine | image size")
        if engine == name
    }


def test_every_size_that_can_be_chosen_is_on_record(right: dict[int, float]) -> None:
    assert set(right) == set(IMAGE_SIZES)


def test_the_default_size_is_the_smallest_that_costs_at_most_half_a_point(right: dict[int, float]) -> None:
    good = [size for size, share in right.items() if share >= max(right.values()) - POINTS]
    assert RunParameters().image_size == min(good), (
        f"Of the sizes {sorted(good)} the smallest is the fastest: make it the default, or offer it, and say "
        "in docs/evidence/image-size.md what was chosen."
    )
