"""What the first bytes of an image say, and whether all of its bytes are there, without decoding it.

OpenCV decodes a truncated JPEG without complaint (the rest is grey) and allocates what a header
promises, however large. So both are checked here first: microseconds for a photo of 6 kB.

Sources: ITU-T T.81 annex B (JPEG markers), the PNG specification's chunk layout, the BMP file
header of the Windows SDK, RFC 9649 (WebP container).
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from fruit_spark.errors import RejectedImage

MAX_PIXELS: Final = 50_000_000
"""More than any camera's photo, and 150 MB once decoded: what a worker can afford."""
MAX_SIDE: Final = 20_000

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# A marker inside entropy-coded data: 0xFF followed by neither a stuffed zero, a restart marker nor fill.
_MARKER_IN_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_START_OF_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# What may follow a scan: tables and further scans of a progressive or multi-scan JPEG, and comments.
_BETWEEN_SCANS: Final = frozenset({0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})


@dataclass(frozen=True)
class ImageHeader:
    """Format name, and width and height in pixels as stored (before any EXIF rotation)."""

    format: str
    width: int
    height: int


def check_image(data: bytes) -> ImageHeader:
    """The header of a whole JPEG, PNG, BMP or WebP; ``RejectedImage`` with the reason otherwise."""
    if not data:
        raise RejectedImage("empty: the file has 0 bytes")
    try:
        if data.startswith(b"\xff\xd8\xff"):
            header = _check_jpeg(data)
        elif data.startswith(_PNG_SIGNATURE):
            header = _check_png(data)
        elif data.startswith(b"BM"):
            header = _check_bmp(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            header = _check_webp(data)
        else:
            raise RejectedImage("not an image: the bytes are neither JPEG, PNG, BMP nor WebP")
    except (struct.error, IndexError):
        raise RejectedImage(f"truncated: the file ends inside its header, after {len(data)} bytes") from None
    _check_dimensions(header)
    return header


def _check_dimensions(header: ImageHeader) -> None:
    width, height = header.width, header.height
    if width < 1 or height < 1:
        raise RejectedImage(f"corrupt: the {header.format} header gives {width} x {height} pixels")
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise RejectedImage(
            f"too large: {width} x {height} pixels; at most {MAX_SIDE:,} on a side and {MAX_PIXELS:,} in all"
        )


def _check_jpeg(data: bytes) -> ImageHeader:
    header: ImageHeader | None = None
    adobe = False
    position = 2
    while True:
        # Any number of 0xFF fill bytes may precede a marker.
        if data[position] != 0xFF:
            raise RejectedImage(f"corrupt: no JPEG marker at byte {position}")
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        position += 1
        if marker == 0xD9:
            if header is None:
                raise RejectedImage("corrupt: the JPEG ends before its frame header")
            return header
        if marker in _STANDALONE:
            continue
        if header is not None and marker not in _BETWEEN_SCANS | _START_OF_FRAME | {0xCC}:
            raise RejectedImage(f"corrupt: unexpected JPEG marker 0xFF{marker:02X} at byte {position - 2}")
        (length,) = struct.unpack_from(">H", data, position)
        if length < 2:
            raise RejectedImage(f"corrupt: JPEG segment of length {length} at byte {position}")
        if marker == 0xEE and data[position + 2 : position + 7] == b"Adobe":
            adobe = True
        if marker in _START_OF_FRAME and header is None:
            height, width, components = struct.unpack_from(">HHB", data, position + 3)
            header = ImageHeader("JPEG", width, height)
            _check_dimensions(header)
            if components == 4 and not adobe:
                # With the marker the inks are stored inverted, as every decoder here assumes.
                raise RejectedImage("ambiguous colours: a CMYK JPEG without an Adobe marker")
        position += length
        if position >= len(data):
            raise RejectedImage(f"truncated or corrupt: a JPEG segment ends beyond the {len(data)} bytes")
        if marker == 0xDA:
            if header is None:
                raise RejectedImage("corrupt: a JPEG scan before its frame header")
            found = _MARKER_IN_SCAN.search(data, position)
            if found is None:
                raise RejectedImage(f"truncated: the JPEG has no end marker in its {len(data)} bytes")
            position = found.start()


def _check_png(data: bytes) -> ImageHeader:
    header: ImageHeader | None = None
    position = len(_PNG_SIGNATURE)
    view = memoryview(data)
    while True:
        if position + 12 > len(data):
            raise RejectedImage(f"truncated: the PNG has no end chunk in its {len(data)} bytes")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise RejectedImage(f"truncated: a PNG chunk of {length} bytes ends beyond the {len(data)} bytes")
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            raise RejectedImage(f"corrupt: the checksum of a PNG chunk at byte {position} is wrong")
        if kind == b"IHDR":
            header = ImageHeader("PNG", *struct.unpack_from(">II", data, position + 8))
            _check_dimensions(header)
        if header is None:
            raise RejectedImage("corrupt: the PNG does not begin with its header chunk")
        if kind == b"IEND":
            return header
        position = end


def _check_bmp(data: bytes) -> ImageHeader:
    offset, header_size = struct.unpack_from("<II", data, 10)
    if header_size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        bits, compression = struct.unpack_from("<H", data, 24)[0], 0
    else:
        width, height = struct.unpack_from("<ii", data, 18)
        bits, compression = struct.unpack_from("<HI", data, 28)
    header = ImageHeader("BMP", width, abs(height))  # a negative height means top-down rows
    _check_dimensions(header)
    if compression in (0, 3) and offset + (width * bits + 31) // 32 * 4 * abs(height) > len(data):
        raise RejectedImage(f"truncated: the BMP has {len(data)} bytes, fewer than its header needs")
    return header


def _check_webp(data: bytes) -> ImageHeader:
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data):
        raise RejectedImage(f"truncated: the WebP has {len(data)} of {size + 8} bytes")
    kind = data[12:16]
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise RejectedImage(f"corrupt: unknown WebP chunk {kind!r}")
    return ImageHeader("WebP", width, height)
