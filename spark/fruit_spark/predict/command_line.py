"""The command ``python -m predict``: photos to answers, a line each."""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from fruit_contract.report_schema import ModelFacts
from fruit_spark.model.engines import Engine, LiteRtEngine
from fruit_spark.photos.decode import decode_with_opencv
from fruit_spark.photos.decoder_process import DecoderProcess
from fruit_spark.photos.fetch import fetch_image
from fruit_spark.photos.image_listing import list_images
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.predict.answers import Answer, as_json, as_text, judge, rejection
from fruit_spark.predict.classifier import Classifier
from fruit_spark.predict.classifier_source import read_classifier, read_model
from fruit_spark.step_errors import RejectedImage, StepError

RESULT: Final = "out/latest"
MODEL: Final = Path(".cache/model")
REJECTED: Final = 1
REFUSED: Final = 2
"""Exit codes: a photo was rejected; the command was not carried out."""


class Parser(argparse.ArgumentParser):
    """What is wrong with the words is one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(REFUSED, f"error: {message}\n")


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
            pixels = self.engine.decode(fetch_image(photo), card["model"]["image_size"])
        except RejectedImage as reason:
            return rejection(photo.uri, str(reason), _since(begun))
        features = self.engine.predict(pixels[None])
        [probabilities], [residual] = layers.probabilities(features), layers.residuals(features)
        found = judge(photo.uri, probabilities, float(residual), card, _since(begun))
        return replace(found, components=(features @ layers.components)[0].tolist())


def _since(begun: float) -> float:
    return round(1000 * (time.perf_counter() - begun), 1)


def photos(named: Iterable[str]) -> Iterator[WorkItem]:
    """The photos that were named, and those in the folders; ``StepError`` where there is none."""
    for name in named:
        path = Path(name)
        if path.is_dir():
            yield from list_images(name)
        elif path.is_file():
            yield WorkItem(name, name, "", path.stat().st_size)
        else:
            raise StepError(f"There is no photo or folder {name!r}: name one that is there.")


def parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="python -m predict",
        description="Say what fruit is on each photo, by the classifier of a result.",
        epilog="Exit code 1: a photo was rejected; 2: nothing was done.",
        allow_abbrev=False,
    )
    made.add_argument("photos", metavar="PHOTO", nargs="*", help="a photo, or a folder with photos")
    made.add_argument(
        "--result",
        default=RESULT,
        help=f"folder of a result or of a classifier, or s3://bucket for its current one. Default: {RESULT}",
    )
    made.add_argument(
        "--model", type=Path, default=MODEL, help=f".tflite, or folder of the artifact. Default: {MODEL}"
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
    # A file's name may hold bytes that no terminal can show.
    sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    written = partial(as_json, components=asked.components) if asked.json else as_text
    rejected = False
    try:
        given = list(photos(asked.photos))
        predictor = Predictor.of(asked.result, asked.model)
        for photo in given:
            answer = predictor.answer(photo)
            print(written(answer))
            rejected |= answer.outcome == "rejected"
    except StepError as problem:
        wanted.error(str(problem))
    return REJECTED if rejected else 0
