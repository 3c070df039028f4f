"""Small images of every kind, made on the spot from a seed."""

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

COLOURS = {"Apple": (200, 40, 40), "Banana": (230, 210, 60), "Kiwi": (110, 140, 50), "Plum": (90, 40, 110)}


def fruit(seed: int, label: str = "Apple", width: int = 100, height: int = 100) -> npt.NDArray[np.uint8]:
    """uint8 [height, width, 3] RGB: a shaded ellipse with speckles on a light ground."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    cy, cx = height * chance.uniform(0.4, 0.6), width * chance.uniform(0.4, 0.6)
    ry, rx = height * chance.uniform(0.2, 0.4), width * chance.uniform(0.2, 0.4)
    inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2
    ground = np.array([235.0, 232.0, 225.0]) + chance.normal(0, 6, 3)
    colour = np.array(COLOURS.get(label, (150, 150, 150)), np.float64) + chance.normal(0, 15, 3)
    shade = np.clip(1.15 - 0.6 * inside, 0.3, 1.2)[..., None]
    image = np.where(inside[..., None] < 1, colour * shade, ground * (0.9 + 0.1 * y[..., None] / height))
    image += chance.normal(0, 4, (height, width, 1)) + 10 * np.sin(x / chance.uniform(3, 9))[..., None]
    return np.clip(image, 0, 255).astype(np.uint8)


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, format=format, **options)
    return content.getvalue()


def jpeg(
    seed: int = 0, label: str = "Apple", width: int = 100, height: int = 100, **options: object
) -> bytes:
    return encode(Image.fromarray(fruit(seed, label, width, height)), "JPEG", **{"quality": 90, **options})


def cmyk() -> bytes:
    return encode(Image.fromarray(fruit(1)).convert("CMYK"), "JPEG", quality=95)


def grey() -> bytes:
    return encode(Image.fromarray(fruit(2)).convert("L"), "JPEG", quality=90)


def rgba() -> bytes:
    image = Image.fromarray(fruit(3)).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return encode(image, "PNG")


def one_pixel() -> bytes:
    return encode(Image.new("RGB", (1, 1), (200, 30, 30)), "PNG")


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    return encode(Image.fromarray(fruit(4, width=120, height=80)), "JPEG", quality=95, exif=exif.tobytes())


def grey_16_bits() -> bytes:
    grey_values = fruit(5)[..., 0].astype(np.uint16) * 257
    done, content = cv2.imencode(".png", grey_values)
    assert done
    return bytes(content)


def webp() -> bytes:
    return encode(Image.fromarray(fruit(6)), "WEBP", quality=95)


def bmp() -> bytes:
    return encode(Image.fromarray(fruit(7)), "BMP")


def progressive() -> bytes:
    return jpeg(8, progressive=True)


def palette() -> bytes:
    return encode(Image.fromarray(fruit(9)).quantize(64), "PNG")


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_noise(content: bytes, noise: bytes = b"\0\x12noise\xff\0") -> bytes:
    """A JPEG with stray bytes before each segment but the first, as some cameras and servers leave them."""
    noisy, position = content[:2], 2
    while content[position + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", content, position + 2)
        noisy += content[position : position + 2 + length] + noise
        position += 2 + length
    return noisy + content[position:-2] + b"\0\0\0" + content[-2:]


def noisy() -> bytes:
    return with_noise(jpeg(14))


def animated_png() -> bytes:
    frames = [Image.fromarray(fruit(seed)) for seed in (15, 16)]
    return encode(frames[0], "PNG", save_all=True, append_images=frames[1:])


def animated_webp() -> bytes:
    frames = [Image.fromarray(fruit(seed)) for seed in (15, 16)]
    return encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], quality=95)


def bmp_16_bits() -> bytes:
    """Five bits a channel, without compression."""
    rgb = fruit(17).astype(np.uint16) >> 3
    words = (rgb[..., 0] << 10 | rgb[..., 1] << 5 | rgb[..., 2])[::-1].astype("<u2").tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, 100, 100, 1, 16, 0, len(words), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(words), 0, 0, 54) + header + words


CONVERTED: dict[str, Callable[[], bytes]] = {
    "jpeg": jpeg,
    "cmyk": cmyk,
    "grey": grey,
    "rgba": rgba,
    "one_pixel": one_pixel,
    "rotated": rotated,
    "grey_16_bits": grey_16_bits,
    "webp": webp,
    "bmp": bmp,
    "progressive": progressive,
    "palette": palette,
    "noisy": noisy,
    "animated_png": animated_png,
    "animated_webp": animated_webp,
    "bmp_16_bits": bmp_16_bits,
}


def bomb() -> bytes:
    """A PNG of a few bytes whose header promises 60,000 x 60,000 pixels."""

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b""))
        + png_chunk(b"IEND", b"")
    )


def jpeg_bomb() -> bytes:
    """A small JPEG whose frame header promises 65,000 x 65,000 pixels."""
    content = bytearray(jpeg())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    return bytes(content)


def of_frame(marker: int, bits: int = 8) -> bytes:
    """A JPEG whose frame header says another process, or another number of bits."""
    content = bytearray(jpeg())
    frame = content.index(b"\xff\xc0")
    content[frame + 1], content[frame + 4] = marker, bits
    return bytes(content)


def of_brand(brand: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1miaf" + jpeg()


def as_format(name: str) -> bytes:
    return encode(Image.fromarray(fruit(18)), name)


def cmyk_without_adobe() -> bytes:
    content = cmyk()
    start = content.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", content, start + 2)
    return content[:start] + content[start + 2 + length :]


def damaged_jpeg() -> bytes:
    """Random bytes over the middle of the picture data."""
    content = bytearray(jpeg(10))
    chance = np.random.default_rng(1)
    content[1200:2200] = chance.integers(0, 256, 1000, np.uint8).tobytes()
    return bytes(content)


def damaged_png() -> bytes:
    content = bytearray(rgba())
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


REJECTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"this is not a photo, it is a sentence", "not an image"),
    "html": (lambda: b"<html><body>503 Slow Down</body></html>", "not an image"),
    "noise": (lambda: np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes(), "not an image"),
    "truncated": (lambda: jpeg(11)[:-700], "truncated"),
    "without_its_end": (lambda: jpeg(12)[:-2], "truncated"),
    "only_a_header": (lambda: jpeg(13)[:30], "truncated"),
    "truncated_png": (lambda: rgba()[:-300], "truncated"),
    "truncated_webp": (lambda: webp()[:-50], "truncated"),
    "truncated_bmp": (lambda: bmp()[:-500], "truncated"),
    "damaged_jpeg": (damaged_jpeg, "corrupt"),
    "damaged_png": (damaged_png, "corrupt"),
    "bomb": (bomb, "too large: 60000 x 60000"),
    "jpeg_bomb": (jpeg_bomb, "too large: 65000 x 65000"),
    "gif": (lambda: as_format("GIF"), "unsupported format: GIF"),
    "tiff": (lambda: as_format("TIFF"), "unsupported format: TIFF"),
    "jpeg_2000": (lambda: as_format("JPEG2000"), "unsupported format: JPEG 2000"),
    "heic": (lambda: of_brand(b"heic"), "unsupported format: HEIC"),
    "avif": (lambda: of_brand(b"avif"), "unsupported format: AVIF"),
    "lossless_jpeg": (lambda: of_frame(0xC3), "unsupported: lossless JPEG"),
    "hierarchical_jpeg": (lambda: of_frame(0xC5), "unsupported: hierarchical JPEG"),
    "jpeg_of_12_bits": (lambda: of_frame(0xC1, 12), "unsupported: JPEG of 12 bits"),
    "cmyk_without_adobe": (cmyk_without_adobe, "ambiguous colours"),
}
