"""The command ``python -m inspect_photo``: what the model sees of a photo, and the photos nearest to it."""

import argparse
import sys
from pathlib import Path
from typing import Final

from fruit_spark.photos.decode import decode_as_stored
from fruit_spark.photos.fetch import fetch_image
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.predict.command_line import MODEL, REFUSED, REJECTED, RESULT, Parser, engine_of
from fruit_spark.predict.near import Near
from fruit_spark.predict.result_source import read_result
from fruit_spark.predict.side_by_side import side_by_side
from fruit_spark.step_errors import RejectedImage, StepError

OUT: Final = Path("out/inspect")


def inspect(photo: Path, result: str, model: Path, out: Path) -> tuple[Path, list[Near]]:
    """Write the picture below ``out``; its path, and the nearest photos of the result.

    The photo goes the way of the featurize step. ``RejectedImage`` as there; ``StepError`` where the photo,
    the result or the model is not right.
    """
    if not photo.is_file():
        raise StepError(f"There is no photo {str(photo)!r}: name one that is there.")
    current = read_result(result)
    engine = engine_of(current.facts, model)
    data = fetch_image(WorkItem(str(photo), str(photo), "", photo.stat().st_size))
    seen = engine.decode(data, current.facts["image_size"])
    out.mkdir(parents=True, exist_ok=True)
    picture = out / f"{photo.stem}.png"
    picture.write_bytes(side_by_side(decode_as_stored(data), seen))
    [features] = engine.predict(seen[None])
    return picture, current.nearest_to(features @ current.matrix)


def parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="python -m inspect_photo",
        description="Show what the model sees of a photo, and the nearest photos of a result.",
        epilog=f"The picture lies below {OUT}. Exit code 1: the photo was rejected; 2: nothing was done.",
        allow_abbrev=False,
    )
    made.add_argument("photo", metavar="PHOTO", nargs="?", help="a photo")
    made.add_argument(
        "--result",
        default=RESULT,
        help=f"folder of a result, or s3://bucket for its current one. Default: {RESULT}",
    )
    made.add_argument(
        "--model", type=Path, default=MODEL, help=f".tflite, or folder of the artifact. Default: {MODEL}"
    )
    return made


def main(arguments: list[str]) -> int:
    """Say where the picture is, and a nearest photo a line: cosine, label, address; the exit code."""
    wanted = parser()
    asked = wanted.parse_args(arguments)
    if asked.photo is None:
        wanted.error("PHOTO is missing: name a photo.")
    # A file's name may hold bytes that no terminal can show.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        picture, near = inspect(Path(asked.photo), asked.result, asked.model, OUT)
    except RejectedImage as reason:
        print(f"{asked.photo}: rejected: {reason}")
        return REJECTED
    except StepError as problem:
        wanted.error(str(problem))
    except OSError as problem:
        wanted.exit(REFUSED, f"error: {OUT} could not be written ({problem.strerror}): free the place.\n")
    print(
        f"{asked.photo}: {picture} shows the photo, and what the model sees of it. Nearest photos, by cosine:"
    )
    for each in near:
        print(f"{each.cosine:6.3f}  {each.label}  {each.path}")
    return 0
