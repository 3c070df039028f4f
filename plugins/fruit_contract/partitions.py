"""Into how many tasks, and so files, a number of images or rows is cut: the steps do, the estimate counts."""

import math
from typing import Final

TASKS_PER_CORE: Final = 5
"""With n equal tasks a core, the last one leaves the others idle for at most 1/n of the stage."""
IMAGES_PER_TASK: Final = 1_000
"""About 10 s of work and 5 MB of Parquet: little is lost with a task, little is spent on starting it."""
FEWEST_PER_TASK: Final = 250
"""About 3 s of work: below that a task's own second (its file on S3, its start) shows."""
FEWEST_PER_CORE: Final = 16
"""Below that a second core is not worth its Python worker."""
ROWS_PER_FILE: Final = 50_000
"""About 50 MB of Parquet at 256 float32 components a row."""


def image_partitions(images: int, cores: int) -> int:
    """Tasks for ``images`` on ``cores``: a multiple of the cores where there are enough images.

    >>> [image_partitions(images, 4) for images in (3, 100, 1142, 87_000)]
    [1, 4, 4, 88]
    """
    wanted = max(TASKS_PER_CORE * cores, math.ceil(images / IMAGES_PER_TASK))
    worthwhile = min(wanted, images // FEWEST_PER_TASK)
    whole_rounds = max(1, math.ceil(worthwhile / cores)) * cores
    return max(1, min(whole_rounds, images // FEWEST_PER_CORE))


def output_partitions(rows: int, cores: int) -> int:
    """Files for ``rows`` of components: few and large, but one per core while there is work for it.

    >>> output_partitions(1142, 2), output_partitions(87_000, 4), output_partitions(10_000_000, 4)
    (1, 4, 200)
    """
    return max(1, math.ceil(rows / ROWS_PER_FILE), min(cores, rows // 2_000))
