"""Promise: no photo holds, fills or crashes a worker: it is rejected with its reason, the next is decoded."""

import os
import signal
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from fruit_spark.photos import decode as decode_module
from fruit_spark.photos.decode import Decoder, Pixels, decode_with_opencv, decode_with_pillow
from fruit_spark.photos.decoder_process import DecoderProcess
from fruit_spark.photos.image_header import MAX_MEMORY, ImageHeader
from fruit_spark.step_errors import RejectedImage, StepError
from tests.fruit_spark import photo_files
from tests.fruit_spark.photo_files import png_chunk

GOOD, BAD = photo_files.jpeg(), b"bad"


def endless(data: bytes, size: int) -> Pixels:
    while data == BAD:
        pass
    return decode_with_opencv(data, size)


def crashing(data: bytes, size: int) -> Pixels:
    if data == BAD:
        os.kill(os.getpid(), signal.SIGSEGV)
    return decode_with_opencv(data, size)


def greedy(data: bytes, size: int) -> Pixels:
    if data == BAD:
        with decode_module._reasons(ImageHeader("PNG", 1, 1)):
            np.ones(4 * MAX_MEMORY, np.uint8)
    return decode_with_opencv(data, size)


@pytest.mark.parametrize(
    ("decode", "reason"),
    [
        (endless, r"too costly: .* more than 0\.5 s of a processor"),
        (crashing, "corrupt: its decoder ended with code -11"),
        (greedy, "too large: .* memory"),
    ],
)
def test_what_a_photo_does_to_its_decoder_becomes_its_reason(decode: Decoder, reason: str) -> None:
    bounded = DecoderProcess(decode, seconds=0.5)
    for _ in range(2):
        with pytest.raises(RejectedImage, match=reason):
            bounded(BAD, 96)
        np.testing.assert_array_equal(bounded(GOOD, 96), decode_with_opencv(GOOD, 96))


def test_a_decoder_that_cannot_start_is_no_photo_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(StepError, match="ended with code 1 as it started"):
        DecoderProcess(decode_with_opencv)(GOOD, 96)


def test_the_process_ends_with_its_worker() -> None:
    bounded = DecoderProcess(decode_with_opencv)
    bounded(GOOD, 96)
    assert bounded._process is not None
    bounded._connection.close()
    assert bounded._process.wait(60) == 0


# What fuzzers of decoders found expensive for its size: scans of progressive JPEG, compressed notes of PNG,
# what unpacks to more than its picture, frames of WebP.


def many_scans() -> bytes:
    """A progressive JPEG of 16 million pixels that refines the same coefficients in 20,000 scans."""
    content = photo_files.encode(Image.new("L", (4000, 4000), 90), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * 20_000 + content[-2:]


def compressed_notes() -> bytes:
    """A PNG whose thousand text chunks unpack to eight megabytes each."""
    content = photo_files.encode(Image.new("RGB", (8, 8)), "PNG")
    text = png_chunk(b"zTXt", b"note\0\0" + zlib.compress(b"a" * 2**23))
    return content[:33] + text * 1000 + content[33:]


def unpacking_to_more() -> bytes:
    """A PNG of 8 x 8 whose picture data unpack to 256 MB."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(256)) + packer.flush()
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    chunks = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", packed), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def many_chunks() -> bytes:
    content = photo_files.encode(Image.new("RGB", (8, 8)), "PNG")
    return content[:33] + png_chunk(b"noTe", b"") * 100_000 + content[33:]


def many_frames() -> bytes:
    frames = [Image.new("RGB", (64, 64), (n, 255 - n, n)) for n in range(200)]
    return photo_files.encode(frames[0], "WEBP", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize("make", [compressed_notes, unpacking_to_more, many_chunks, many_frames])
@pytest.mark.parametrize("decode", [decode_with_opencv, decode_with_pillow])
def test_a_file_that_is_expensive_for_its_size_is_answered_within_the_bound(
    make: Callable[[], bytes], decode: Decoder
) -> None:
    bounded = DecoderProcess(decode)
    reason = ""
    try:
        bounded(make(), 96)
    except RejectedImage as rejected:
        reason = str(rejected)
    assert not reason.startswith(("too costly", "corrupt: its decoder ended"))


@pytest.mark.parametrize("decode", [decode_with_opencv, decode_with_pillow])
def test_a_progressive_jpeg_of_endless_scans_is_rejected_with_the_reason(decode: Decoder) -> None:
    bounded = DecoderProcess(decode, seconds=1)
    with pytest.raises(RejectedImage, match=r"too costly: .* more than 1 s of a processor"):
        bounded(many_scans(), 96)
    assert bounded(GOOD, 96).shape == (96, 96, 3)
