"""What an image is, and whether all of its bytes are there and can be afforded, without decoding it.

OpenCV decodes a truncated JPEG without complaint (the rest is grey), and decoders allocate what a header
promises, however large. So both are looked at here first. What a decoder can judge is left to it: stray
bytes between the segments of a JPEG are passed over here as libjpeg passes over them.

Sources: ITU-T T.81 annex B (JPEG markers), libjpeg's ``next_marker``, the PNG specification's chunk layout,
the BMP file header of the Windows SDK, RFC 9649 (WebP container), ISO/IEC 14496-12 (brands of HEIC, AVIF).
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from fruit_spark.step_errors import RejectedImage

MAX_PIXELS: Final = 200_000_000
"""What phones and stitched panoramas reach."""
MAX_SIDE: Final = 65_535
"""As a JPEG's header can say."""
MAX_MEMORY: Final = 800_000_000
"""Bytes that decoding one image may hold: 200 million pixels of Pillow's four bytes."""
WHOLE_PIXELS: Final = 50_000_000
"""An image of more is decoded at a half of its width and height, or less: 150 MB as uint8 RGB."""

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# From one segment's end to the next marker with a body, over stray bytes, entropy-coded data (in which a zero
# is stuffed behind 0xFF), fill bytes and markers without a body: TEM and restarts.
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)
_END, _SCAN, _ADOBE = 0xD9, 0xDA, 0xEE
_START_OF_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = (0xC2, 0xCA)
_UNSUPPORTED_FRAMES: Final = (
    dict.fromkeys((0xC3, 0xCB), "lossless JPEG")
    | dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical JPEG")
    | {0xF7: "JPEG-LS"}
)
# Markers with a body that libjpeg reads: frames and tables, SOS to DRI, application data, comments.
_KNOWN: Final = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xDE), *range(0xE0, 0xF0), 0xFE}) - {0xC8}

_OTHER_FORMATS: Final = (
    (0, b"GIF8", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"%PDF-", "PDF"),
)
_AVIF_BRANDS: Final = (b"avif", b"avis")
_HEIC_BRANDS: Final = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


@dataclass(frozen=True)
class ImageHeader:
    """Format name, and width and height in pixels as stored (before any EXIF rotation)."""

    format: str
    width: int
    height: int
    buffered: int = 0
    """Bytes that the decoder holds besides the pixels."""

    @property
    def reduction(self) -> int:
        """By what width and height are divided before more is done: 1, or 2 for a very large image."""
        return 1 if self.width * self.height <= WHOLE_PIXELS else 2

    @property
    def memory(self) -> int:
        """Bytes that decoding it holds at most."""
        if self.format == "JPEG":
            return self.buffered + self.width * self.height // self.reduction**2 * 4
        # Pillow takes four bytes for a pixel; libwebp's animation decoder two canvases and a copy more.
        return self.width * self.height * (16 if self.format == "WebP" else 4)


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
            raise RejectedImage(_what_else(data))
    except (struct.error, IndexError):
        raise RejectedImage(f"truncated: the file ends inside its header, after {len(data)} bytes") from None
    _check_dimensions(header)
    return header


def _what_else(data: bytes) -> str:
    """The reason for bytes that are none of the four formats: the name of another format, where it shows."""
    for offset, signature, name in _OTHER_FORMATS:
        if data.startswith(signature, offset):
            return f"unsupported format: {name}"
    if data[4:8] == b"ftyp":
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, min(data[3], 64), 4))}
        if brands.intersection(_AVIF_BRANDS):
            return "unsupported format: AVIF"
        if brands.intersection(_HEIC_BRANDS):
            return "unsupported format: HEIC"
    return "not an image: the bytes are neither JPEG, PNG, BMP nor WebP"


def _check_dimensions(header: ImageHeader) -> None:
    width, height = header.width, header.height
    if width < 1 or height < 1:
        raise RejectedImage(f"corrupt: the {header.format} header gives {width} x {height} pixels")
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise RejectedImage(
            f"too large: {width} x {height} pixels; at most {MAX_SIDE:,} on a side and {MAX_PIXELS:,} in all"
        )
    if header.memory > MAX_MEMORY:
        kind = f"{'progressive ' if header.buffered else ''}{header.format}"
        raise RejectedImage(
            f"too large: to decode {width} x {height} pixels of {kind} takes {header.memory / 1e6:,.0f} MB; "
            f"at most {MAX_MEMORY / 1e6:,.0f}"
        )


def _check_jpeg(data: bytes) -> ImageHeader:
    header: ImageHeader | None = None
    adobe, scans, position = False, 0, 2
    while found := _NEXT_MARKER.search(data, position):
        marker, position = data[found.end() - 1], found.end()
        if marker == _END:
            if header is None or not scans:
                raise RejectedImage("corrupt: the JPEG ends before its picture")
            return header
        if marker in _UNSUPPORTED_FRAMES and header is None:
            raise RejectedImage(f"unsupported: {_UNSUPPORTED_FRAMES[marker]}")
        if marker not in _KNOWN:
            raise RejectedImage(f"corrupt: unexpected JPEG marker 0xFF{marker:02X} at byte {found.start()}")
        (length,) = struct.unpack_from(">H", data, position)
        if length < 2:
            raise RejectedImage(f"corrupt: JPEG segment of length {length} at byte {position}")
        if marker == _ADOBE and data[position + 2 : position + 7] == b"Adobe":
            adobe = True
        if marker in _START_OF_FRAME and header is None:
            header = _frame(data, position, progressive=marker in _PROGRESSIVE)
            _check_dimensions(header)
            if data[position + 7] == 4 and not adobe:
                # With the marker the inks are stored inverted, as every decoder here assumes.
                raise RejectedImage("ambiguous colours: a CMYK JPEG without an Adobe marker")
        if marker == _SCAN:
            if header is None:
                raise RejectedImage("corrupt: a JPEG scan before its frame header")
            scans += 1
        position += length
        if position > len(data):
            raise RejectedImage(f"truncated or corrupt: a JPEG segment ends beyond the {len(data)} bytes")
    raise RejectedImage(f"truncated: the JPEG has no end marker in its {len(data)} bytes")


def _frame(data: bytes, position: int, *, progressive: bool) -> ImageHeader:
    """A frame header. A progressive decoder holds each sample of each component, in two bytes, to the end."""
    bits, height, width, components = struct.unpack_from(">BHHB", data, position + 2)
    if bits != 8:
        raise RejectedImage(f"unsupported: JPEG of {bits} bits")
    sampling = [data[position + 9 + 3 * number] for number in range(components)]
    shares = [(factors >> 4) * (factors & 15) for factors in sampling]
    held = 2 * width * height * sum(shares) // max(1, *shares) if progressive and shares else 0
    return ImageHeader("JPEG", width, height, held)


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
