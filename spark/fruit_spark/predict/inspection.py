"""The command ``python -m inspect_photo``: what the model sees of a photo, and the photos nearest to it."""

from pathlib import Path
from typing import Final

from fruit_spark.photos.decode import decode_as_stored
from fruit_spark.predict.answers import shown
from fruit_spark.predict.command_line import (
    MODEL,
    REJECTED,
    RESULT,
    Parser,
    engine_of,
    named_photo,
    not_empty,
    path_of,
    read_photo,
)
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
    item = named_photo(str(photo), "photo")
    if item.size >= 0 and photo.is_dir():
        raise StepError(f"There is no photo {str(photo)!r}: name one that is there.")
    current = read_result(result)
    engine = engine_of(current.facts, model)
    data = read_photo(item)
    seen = engine.decode(data, current.facts["image_size"])
    picture = write_picture(side_by_side(decode_as_stored(data), seen), photo, out)
    [features] = engine.predict(seen[None])
    return picture, current.nearest_to(features @ current.matrix)


def write_picture(content: bytes, photo: Path, out: Path) -> Path:
    """Where the picture of ``photo`` is now: below ``out``, by the photo's whole name.

    ``StepError`` where that place cannot be written, or is the photo.
    """
    picture = out / f"{photo.name}.png"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if picture.exists() and picture.samefile(photo):
            raise StepError(f"{picture} is the photo, and would be written over: copy it to another place.")
        picture.write_bytes(content)
    except OSError as problem:
        raise StepError(
            f"{picture} could not be written ({problem.strerror}): free the place, or rename the photo."
        ) from problem
    return picture


def parser() -> Parser:
    made = Parser(
        prog="python -m inspect_photo",
        description="Show what the model sees of a photo, and the nearest photos of a result.",
        epilog=f"The picture lies below {OUT}. Exit code 1: the photo was rejected; 2: it could not go on.",
        allow_abbrev=False,
    )
    made.add_argument("photo", metavar="PHOTO", nargs="?", type=path_of, help="a photo")
    made.add_argument(
        "--result",
        type=not_empty,
        default=RESULT,
        help=f"folder of a result, or s3://bucket for its current one. Default: {RESULT}",
    )
    made.add_argument(
        "--model", type=path_of, default=MODEL, help=f".tflite, or folder of the artifact. Default: {MODEL}"
    )
    return made


def main(arguments: list[str]) -> int:
    """Say where the picture is, and a nearest photo a line: cosine, label, address; the exit code."""
    wanted = parser()
    asked = wanted.parse_args(arguments)
    if asked.photo is None:
        wanted.error("PHOTO is missing: name a photo.")
    wanted.open_output()
    try:
        picture, near = inspect(asked.photo, asked.result, asked.model, OUT)
    except RejectedImage as reason:
        wanted.say(shown(f"{asked.photo}: rejected: {reason}"))
        return REJECTED
    except StepError as problem:
        wanted.error(str(problem))
    said = f"{picture} shows the photo, and what the model sees of it. Nearest photos, by cosine:"
    wanted.say(shown(f"{asked.photo}: {said}"))
    for each in near:
        wanted.say(shown(f"{each.cosine:6.3f}  {each.label}  {each.path}"))
    return 0
