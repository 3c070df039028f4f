"""How long the three steps take: the one model, which the estimate and the benchmark share.

A step starts Spark, executors and Python workers, and then its photos share out over the cores. Where more
start or work than there are cores, they take turns. Each part is measured on one x86 core
(:mod:`fruit_pipeline.cost.speeds`); on another core it takes as much longer as LiteRT does there.
"""

from dataclasses import dataclass

from fruit_pipeline.cost import speeds


@dataclass(frozen=True)
class Workers:
    """What computes the tasks of a step."""

    executors: int
    tasks: int
    """At a time, by all executors together: each has a Python worker."""
    cores: float
    """That are there for them; on a shared machine there may be parts."""
    raw_images_per_second: float
    """LiteRT alone, float32 at 224 pixels, on one of the cores."""

    @property
    def slowness(self) -> float:
        """How much longer a core takes than the one that was measured."""
        return speeds.RAW_IMAGES_PER_SECOND / self.raw_images_per_second

    def at_once(self, processes: int, seconds: float) -> float:
        """Seconds until so many processes, each of ``seconds`` of a core, are done that begin together."""
        return seconds * max(1.0, processes / self.cores)

    def shared(self, seconds: float) -> float:
        """Seconds until work that takes ``seconds`` of a core is done by all tasks together."""
        return seconds / min(self.tasks, self.cores)


def featurize_seconds(
    workers: Workers,
    images: int,
    image_bytes: int,
    engine: str = "litert",
    image_size: int = 224,
    *,
    from_s3: bool = True,
) -> float:
    """From spark-submit to its end, for images of so many bytes in all."""
    work = images * image_seconds(engine, image_size) + image_bytes / speeds.DECODED_BYTES_PER_SECOND
    if from_s3:
        work += images * speeds.FETCH_SECONDS
    return (_start_seconds(workers) + workers.shared(work)) * workers.slowness


def reduce_seconds(workers: Workers, rows: int, solver: str = "blocks") -> float:
    """From spark-submit to its end."""
    solving = speeds.SPARK_SOLVER_SECONDS if solver == "spark" else speeds.SOLVE_SECONDS
    work = workers.shared(rows / speeds.REDUCED_ROWS_PER_SECOND)
    return (_start_seconds(workers) + work + solving) * workers.slowness


def train_seconds(workers: Workers, rows: int, classifier: str) -> float:
    """From spark-submit to its end; ``classifier`` is its kind."""
    work = workers.shared(rows / speeds.TRAINED_ROWS_PER_SECOND[classifier])
    return (_start_seconds(workers) + speeds.LEARNT_SECONDS + work) * workers.slowness


def image_seconds(engine: str, image_size: int) -> float:
    """Of the measured core, for an image, but for its GET and what grows with its bytes."""
    rate = speeds.RAW_IMAGES_PER_SECOND * speeds.OF_LITERT[engine] / speeds.SHARE_OF_224[image_size]
    return 1 / rate + speeds.PHOTO_SECONDS


def _start_seconds(workers: Workers) -> float:
    return (
        speeds.LAUNCH_SECONDS
        + workers.at_once(workers.executors, speeds.EXECUTOR_SECONDS)
        + workers.at_once(workers.tasks, speeds.PYTHON_SECONDS)
    )
