"""Promise: both engines give a file the same verdict and picture, and Pillow, which is not ours, agrees."""

import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from fruit_spark.photos.decode import Decoder, bilinear, decode_with_opencv, decode_with_pillow
from fruit_spark.photos.decoder_process import DecoderProcess
from fruit_spark.step_errors import RejectedImage
from tests.fruit_spark import photo_files
from tests.fruit_spark.photo_files import fruit, jpeg, png_chunk

SIZE = 64
DECODERS = (decode_with_opencv, decode_with_pillow)
Picture = npt.NDArray[np.uint8]


def by_pillow(data: bytes) -> Picture | None:
    """What Pillow alone shows, at ``SIZE``; None for what it does not open."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            shown = ImageOps.exif_transpose(image)
            if shown.mode.startswith("I"):
                shown = Image.fromarray((np.asarray(shown) >> 8).astype(np.uint8))
            return bilinear(np.asarray(shown.convert("RGB")), SIZE)
    except Exception:  # whatever it raises, it does not open it
        return None


def verdict(decode: Decoder, data: bytes) -> Picture | str:
    try:
        return decode(data, SIZE)
    except RejectedImage as reason:
        return str(reason)


def assert_shown_alike(data: bytes, farthest: float = 1.0) -> None:
    """Both engines show what Pillow shows: their mean difference is a rounding."""
    wanted = by_pillow(data)
    assert wanted is not None, "the test's own file is broken"
    for decode in DECODERS:
        shown = verdict(decode, data)
        assert not isinstance(shown, str), shown
        assert shown.shape == wanted.shape
        assert np.abs(shown.astype(int) - wanted).mean() < farthest


# --- orientation ------------------------------------------------------------------------------

SHORT, LONG, SIGNED_SHORT, SIGNED_LONG = 3, 4, 8, 9


def exif(orientation: int, order: str = "<", kind: int = SHORT) -> bytes:
    """TIFF's structure with the one tag, in this byte order and of this type."""
    value = struct.pack(f"{order}{'I' if kind in (LONG, SIGNED_LONG) else 'H'}", orientation).ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    entry = struct.pack(f"{order}HHI", 0x0112, kind, 1) + value
    return mark + struct.pack(f"{order}HIH", 42, 8, 1) + entry + b"\0\0\0\0"


def xmp(orientation: int) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def jpeg_with(segment: bytes) -> bytes:
    content = jpeg(4, width=120, height=80, quality=95)
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:]


def png_with(kind: bytes, body: bytes, *, last: bool = False) -> bytes:
    content = photo_files.encode(Image.fromarray(fruit(4, width=120, height=80)), "PNG")
    place = len(content) - 12 if last else 33
    return content[:place] + png_chunk(kind, body) + content[place:]


def png_text_profile(content: bytes) -> bytes:
    """As ImageMagick writes EXIF into PNG."""
    packed = b"Exif\0\0" + content
    text = f"\nexif\n{len(packed):8}\n{packed.hex()}\n".encode()
    return b"Raw profile type exif\0\0" + zlib.compress(text)


def webp_with(kind: bytes, body: bytes) -> bytes:
    picture = photo_files.encode(Image.fromarray(fruit(4, width=120, height=80)), "WEBP", quality=95)
    flags = {b"EXIF": 8, b"XMP ": 4}[kind]
    sides = (119).to_bytes(3, "little") + (79).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + sides
    notes = kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    content = b"WEBP" + extended + picture[12:] + notes
    return b"RIFF" + struct.pack("<I", len(content)) + content


def oriented() -> Iterator[tuple[str, bytes]]:
    for turn in range(1, 9):
        yield f"jpeg {turn}", jpeg_with(b"Exif\0\0" + exif(turn))
        yield f"png {turn}", png_with(b"eXIf", exif(turn))
        yield f"webp {turn}", webp_with(b"EXIF", exif(turn))
    for order in "<>":
        for kind in (SHORT, LONG, SIGNED_SHORT, SIGNED_LONG):
            content, name = exif(6, order, kind), f"of type {kind} in order {order}"
            yield f"jpeg {name}", jpeg_with(b"Exif\0\0" + content)
            yield f"png {name}", png_with(b"eXIf", content)
            yield f"png behind the picture {name}", png_with(b"eXIf", content, last=True)
            yield f"png text {name}", png_with(b"zTXt", png_text_profile(content))
            yield f"webp {name}", webp_with(b"EXIF", content)
            yield f"webp with a prefix {name}", webp_with(b"EXIF", b"Exif\0\0" + content)
    yield "jpeg xmp", jpeg_with(b"http://ns.adobe.com/xap/1.0/\0" + xmp(6))
    yield "png xmp", png_with(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6))
    yield "webp xmp", webp_with(b"XMP ", xmp(6))


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in oriented()])
def test_the_way_up_is_pillow_s(data: bytes) -> None:
    assert_shown_alike(data)


def test_damaged_notes_are_no_reason_to_reject_a_photo() -> None:
    data = jpeg_with(b"Exif\0\0" + exif(6)[:-9])
    assert isinstance(verdict(decode_with_opencv, data), np.ndarray)
    assert isinstance(verdict(decode_with_pillow, data), np.ndarray)


# --- structure, colours, sizes ----------------------------------------------------------------


@pytest.mark.parametrize("noise", [b"\0", b"\x12" * 7, b"\xff\0\xff\0", b"\xff\xff", b"\0\xff\xd3"])
@pytest.mark.parametrize("progressive", [False, True])
def test_stray_bytes_between_segments_change_nothing(noise: bytes, progressive: bool) -> None:
    clean = jpeg(1, progressive=progressive)
    noisy = photo_files.with_noise(clean, noise)
    for decode in DECODERS:
        np.testing.assert_array_equal(decode(noisy, SIZE), decode(clean, SIZE))
    assert_shown_alike(noisy)


@pytest.mark.parametrize(
    "kind", ["noisy", "progressive", "cmyk", "palette", "animated_png", "animated_webp", "bmp"]
)
def test_a_file_cut_at_any_byte_is_rejected(kind: str) -> None:
    data = photo_files.CONVERTED[kind]()
    for end in range(0, len(data) - 1, max(1, len(data) // 150)):
        for decode in DECODERS:
            assert isinstance(verdict(decode, data[:end]), str), f"{kind} cut to {end} of {len(data)} bytes"


def modes() -> Iterator[tuple[str, bytes]]:
    picture = Image.fromarray(fruit(2, width=90, height=61))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        grey = np.asarray(picture.convert("L")).astype(np.uint16) * 257
        yield (
            f"png {mode}",
            photo_files.encode(Image.fromarray(grey) if mode == "I;16" else picture.convert(mode), "PNG"),
        )
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"bmp {mode}", photo_files.encode(picture.convert(mode), "BMP")
    for mode in ("L", "RGB", "CMYK"):
        for progressive in (False, True):
            for sampling in (0, 1, 2):
                options = {"quality": 95, "progressive": progressive, "subsampling": sampling}
                yield f"jpeg {mode} {options}", photo_files.encode(picture.convert(mode), "JPEG", **options)
    for lossless in (False, True):
        yield f"webp {lossless}", photo_files.encode(picture.convert("RGBA"), "WEBP", lossless=lossless)
    for width, height in ((1, 1), (1, 300), (300, 1), (65_500, 2), (7, 3)):
        for format in ("JPEG", "PNG", "BMP"):
            yield (
                f"{format} {width} x {height}",
                photo_files.encode(Image.fromarray(fruit(3, width=width, height=height)), format),
            )


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in modes()])
def test_each_mode_and_size_is_pillow_s(data: bytes) -> None:
    assert_shown_alike(data)


@pytest.mark.parametrize(
    ("mode", "width", "height", "format"),
    [
        ("RGB", 8688, 5792, "JPEG"),
        ("RGB", 16382, 3628, "JPEG"),
        ("L", 16000, 12500, "JPEG"),
        ("RGB", 8688, 5792, "PNG"),
    ],
)
def test_a_photo_of_any_camera_is_decoded_in_bounded_memory(
    mode: str, width: int, height: int, format: str
) -> None:
    picture = Image.linear_gradient("L").rotate(90).resize((width, height)).convert(mode)
    options = {"quality": 50} if format == "JPEG" else {"compress_level": 1}
    data = photo_files.encode(picture, format, **options)
    del picture
    shown = [DecoderProcess(decode)(data, SIZE) for decode in DECODERS]
    wanted = np.asarray(Image.linear_gradient("L").rotate(90).resize((SIZE, SIZE)).convert("RGB")).astype(int)
    for each in shown:
        assert np.abs(each - wanted).mean() < 2


# --- damage -----------------------------------------------------------------------------------


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with one to five bytes or bits changed, put in, left out, or its end cut off."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        place, act = chance.randrange(len(content)), chance.randrange(5)
        if act == 0:
            content[place] = chance.randrange(256)
        elif act == 1:
            content[place] ^= 1 << chance.randrange(8)
        elif act == 2:
            content[place:place] = chance.randbytes(chance.randrange(1, 9))
        elif act == 3:
            del content[place : place + chance.randrange(1, 9)]
        else:
            del content[place + 1 :]
        if not content:
            break
    return bytes(content)


@pytest.mark.parametrize("kind", photo_files.CONVERTED)
def test_of_a_damaged_file_both_engines_say_the_same_within_the_product_s_bound(kind: str) -> None:
    data, chance = photo_files.CONVERTED[kind](), random.Random(kind)
    bounded = [DecoderProcess(decode) for decode in DECODERS]
    for _ in range(60):
        damaged = mutated(data, chance)
        first, second = (verdict(decode, damaged) for decode in bounded)
        if isinstance(first, str) or isinstance(second, str):
            assert isinstance(first, str)
            assert isinstance(second, str)
            assert not first.startswith(("too costly", "corrupt: its decoder ended")), first
            continue
        assert np.abs(first.astype(int) - second).mean() < 1.5
        wanted = by_pillow(damaged)
        assert wanted is not None, "accepted, though Pillow does not open it"
        assert np.abs(second.astype(int) - wanted).mean() < 1.5
