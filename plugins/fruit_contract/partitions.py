"""The number of tasks, and so of files, into which the steps cut images or rows."""

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
COMPACTED_ROWS_PER_FILE: Final = 10_000
"""About 50 MB of Parquet at 1,280 float32 a row."""
FEW_FILES: Final = 64
"""Below so many, opening each of them is not what takes the time."""
MOST_FILES_PER_1000_ROWS: Final = 4
"""The featurize step writes one file per 250 to 1,000 photos: four times its larger files are still few."""
MOST_DEAD_SHARE: Final = 0.25
"""Of the rows in the feature files: what is read in vain costs a third more than what counts, at most."""
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


def compacted_partitions(rows: int, cores: int) -> int:
    """Files for the features of ``rows`` photos when they are compacted.

    >>> compacted_partitions(1142, 2), compacted_partitions(87_000, 4)
    (1, 9)
    """
    return max(1, math.ceil(rows / COMPACTED_ROWS_PER_FILE), min(cores, rows // 2_000))


def most_feature_files(rows: int) -> int:
    """How many feature files are read, at most, before they are compacted.

    >>> most_feature_files(340), most_feature_files(87_000)
    (64, 348)
    """
    return max(FEW_FILES, MOST_FILES_PER_1000_ROWS * math.ceil(rows / 1_000))


def output_partitions(rows: int, cores: int) -> int:
    """Files for ``rows`` of components: few and large, but one per core while there is work for it.

    >>> output_partitions(1142, 2), output_partitions(87_000, 4), output_partitions(10_000_000, 4)
    (1, 4, 200)
    """
    return max(1, math.ceil(rows / ROWS_PER_FILE), min(cores, rows // 2_000))
