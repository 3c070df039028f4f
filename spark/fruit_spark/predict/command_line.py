"""The command ``python -m predict``: photos to answers, a line each."""

import argparse
import errno
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, NoReturn

from fruit_contract.report_schema import ModelFacts
from fruit_spark.model.engines import Engine, LiteRtEngine
from fruit_spark.photos.decode import decode_with_opencv
from fruit_spark.photos.decoder_process import DecoderProcess
from fruit_spark.photos.fetch import read_local
from fruit_spark.photos.image_listing import list_images
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.predict.answers import Answer, as_json, as_text, judge, rejection, shown
from fruit_spark.predict.classifier import Classifier
from fruit_spark.predict.classifier_source import read_classifier, read_model
from fruit_spark.step_errors import RejectedImage, StepError

RESULT: Final = "out/latest"
MODEL: Final = Path(".cache/model")
REJECTED: Final = 1
REFUSED: Final = 2
"""Exit codes: a photo was rejected; the command was not carried out."""
NOTHING_THERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class Parser(argparse.ArgumentParser):
    """What is wrong with the words is one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(REFUSED, f"error: {shown(message)}\n")

    def open_output(self) -> None:
        """Before anything is said: a file's name may hold bytes that no terminal can show."""
        if sys.stdout is None:
            self.error("The output is closed, and the answer has no place to go to: open it.")
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    def say(self, line: str) -> None:
        """Print a line at once; the command ends with a sentence where its output takes no more."""
        try:
            print(line, flush=True)
        except OSError as problem:
            # Python would try the rest once more at its end, and fail with a traceback.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.error(f"The answer could not be written ({problem.strerror}): free the place it goes to.")


def not_empty(value: str) -> str:
    """A path or an address of the command line; an empty one would be the current folder."""
    if not value:
        raise argparse.ArgumentTypeError("it is empty: name a file or a folder.")
    return value


def path_of(value: str) -> Path:
    return Path(not_empty(value))


def engine_of(facts: ModelFacts, model: Path) -> Engine:
    """The engine of these facts, with the file in ``model``; ``StepError`` where that is another."""
    content = read_model(model, facts)
    decode = DecoderProcess(decode_with_opencv)
    # It imports what it needs while this process loads the model.
    decode.start()
    engine = LiteRtEngine(content, facts["image_size"], decode)
    decode.wait()
    return engine


@dataclass(frozen=True)
class Predictor:
    """Everything that a photo passes through."""

    engine: Engine
    classifier: Classifier

    @classmethod
    def of(cls, result: str, model: Path) -> "Predictor":
        """That of a result, with the model file in ``model``; ``StepError`` where one is not right."""
        classifier = read_classifier(result)
        return cls(engine_of(classifier.card["model"], model), classifier)

    def answer(self, photo: WorkItem) -> Answer:
        """What the classifier says of one photo, which goes the way of the featurize step."""
        begun = time.perf_counter()
        card, layers = self.classifier.card, self.classifier.layers
        try:
            pixels = self.engine.decode(read_photo(photo), card["model"]["image_size"])
        except RejectedImage as reason:
            return rejection(photo.uri, str(reason), _since(begun))
        features = self.engine.predict(pixels[None])
        [probabilities], [residual] = layers.probabilities(features), layers.residuals(features)
        found = judge(photo.uri, probabilities, float(residual), card, _since(begun))
        return replace(found, components=(features @ layers.components)[0].tolist())


def _since(begun: float) -> float:
    return round(1000 * (time.perf_counter() - begun), 1)


def read_photo(photo: WorkItem) -> bytes:
    """The bytes of a photo; ``RejectedImage`` where there are none.

    A run would stop at a file that the file system does not give. Here it is one photo among others.
    """
    try:
        return read_local(photo)
    except OSError as problem:
        raise RejectedImage(f"unreadable: {problem.strerror}") from problem


def photos(named: Iterable[str], unseen: list[OSError] | None = None) -> Iterator[WorkItem]:
    """The photos that were named, and those in the folders; ``StepError`` where there is none.

    Folders that cannot be read go to ``unseen``; ``StepError`` for one where that is None.
    """
    for name in named:
        photo = named_photo(name, "photo or folder")
        if photo.size >= 0 and Path(name).is_dir():
            yield from list_images(name, unseen)
        else:
            yield photo


def named_photo(name: str, what: str) -> WorkItem:
    """What was named, whatever it is; ``StepError`` where there is no such ``what``.

    The size is -1 where it may not be looked at: why, is said when it is read.
    """
    try:
        size = Path(name).stat().st_size
    except OSError as problem:
        if problem.errno in NOTHING_THERE:
            raise StepError(f"There is no {what} {name!r}: name one that is there.") from problem
        size = -1
    return WorkItem(name, name, "", size)


def closed_folder(problem: OSError) -> Answer:
    return rejection(str(problem.filename), f"unreadable folder: {problem.strerror}", 0.0)


def parser() -> Parser:
    made = Parser(
        prog="python -m predict",
        description="Say what fruit is on each photo, by the classifier of a result.",
        epilog="Exit code 1: a photo was rejected; 2: it could not go on.",
        allow_abbrev=False,
    )
    made.add_argument(
        "photos", metavar="PHOTO", nargs="*", type=not_empty, help="a photo, or a folder with photos"
    )
    made.add_argument(
        "--result",
        type=not_empty,
        default=RESULT,
        help=f"folder of a result or of a classifier, or s3://bucket for its current one. Default: {RESULT}",
    )
    made.add_argument(
        "--model", type=path_of, default=MODEL, help=f".tflite, or folder of the artifact. Default: {MODEL}"
    )
    made.add_argument("--json", action="store_true", help="a JSON object a line")
    made.add_argument("--components", action="store_true", help="with --json: the photo's components, too")
    return made


def main(arguments: list[str]) -> int:
    """Print an answer a photo; the exit code."""
    wanted = parser()
    asked = wanted.parse_args(arguments)
    if not asked.photos:
        wanted.error("PHOTO is missing: name a photo or a folder with photos.")
    wanted.open_output()
    written = partial(as_json, components=asked.components) if asked.json else as_text
    rejected = False
    unseen: list[OSError] = []
    try:
        given = list(photos(asked.photos, unseen))
        predictor = Predictor.of(asked.result, asked.model)
        for answer in chain(map(closed_folder, unseen), map(predictor.answer, given)):
            wanted.say(written(answer))
            rejected |= answer.outcome == "rejected"
    except StepError as problem:
        wanted.error(str(problem))
    return REJECTED if rejected else 0
