"""Promise: an image is converted as a viewer would show it, or rejected with a reason; never half of it."""

import numpy as np
import pytest
from PIL import Image

from fruit_spark.photos.decode import decode_with_opencv, decode_with_pillow
from fruit_spark.photos.image_header import check_image
from fruit_spark.step_errors import RejectedImage
from tests.fruit_spark import photo_files


@pytest.mark.parametrize("kind", photo_files.CONVERTED)
def test_both_engines_see_the_same_picture(kind: str) -> None:
    data = photo_files.CONVERTED[kind]()
    ours = decode_with_opencv(data, 96).astype(int)
    reference = decode_with_pillow(data, 96).astype(int)
    assert ours.shape == (96, 96, 3)
    # CMYK and lossy formats round differently in the two libraries; a swapped channel would be 100 and more.
    assert np.abs(ours - reference).mean() < 1.5
    assert np.abs(ours - reference).max() <= 24


@pytest.mark.parametrize("kind", photo_files.REJECTED)
@pytest.mark.parametrize("decode", [decode_with_opencv, decode_with_pillow])
def test_what_is_not_a_whole_image_is_rejected_with_its_reason(kind: str, decode: object) -> None:
    make, reason = photo_files.REJECTED[kind]
    with pytest.raises(RejectedImage, match=reason):
        decode(make(), 96)  # type: ignore[operator]


def test_every_truncation_of_a_jpeg_is_noticed() -> None:
    data = photo_files.jpeg(20)
    for length in range(len(data) - 1):
        with pytest.raises(RejectedImage):
            check_image(data[:length])


@pytest.mark.parametrize("kind", ["rgba", "webp", "bmp"])
def test_every_truncation_of_other_formats_is_noticed(kind: str) -> None:
    data = photo_files.CONVERTED[kind]()
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(RejectedImage):
            check_image(data[:length])


def test_bytes_behind_the_end_are_no_reason_to_reject() -> None:
    assert decode_with_opencv(photo_files.jpeg() + b"\0\0 camera notes", 96).shape == (96, 96, 3)


def test_channels_are_red_green_blue() -> None:
    red = decode_with_opencv(photo_files.one_pixel(), 96)
    assert red[0, 0].tolist() == [200, 30, 30]


def test_exif_rotation_is_applied() -> None:
    upright = decode_with_opencv(
        photo_files.encode(
            Image.fromarray(np.rot90(photo_files.fruit(4, width=120, height=80), -1)), "JPEG", quality=95
        ),
        96,
    )
    turned = decode_with_opencv(photo_files.rotated(), 96)
    assert np.abs(upright.astype(int) - turned.astype(int)).mean() < 2


def test_alpha_is_dropped_and_not_blended() -> None:
    opaque = photo_files.encode(Image.fromarray(photo_files.fruit(3)), "PNG")
    np.testing.assert_array_equal(decode_with_opencv(photo_files.rgba(), 96), decode_with_opencv(opaque, 96))


def test_sixteen_bits_keep_the_upper_eight() -> None:
    grey = np.repeat(photo_files.fruit(5)[..., :1], 3, axis=2)
    np.testing.assert_array_equal(decode_with_opencv(photo_files.grey_16_bits(), 100), grey)


def test_real_photos_are_all_accepted(fruit_photos: list) -> None:
    for photo in fruit_photos:
        assert check_image(photo.read_bytes()).format == "JPEG"
