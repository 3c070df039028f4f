"""Promise: the fast engine gives the features of the reference engine, on real decoded photos."""

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import photos
import pytest

from fruit_spark.decode import decode_with_opencv
from fruit_spark.engines import FEATURE_DIM, IMAGE_SIZES, Engine, KerasEngine, LiteRtEngine, check_output
from fruit_spark.errors import StepError

KERAS_REFERENCE_PHOTOS = 64


def engines(folder: Path, size: int) -> tuple[Engine, Engine]:
    lite = LiteRtEngine((folder / "mobilenetv2.tflite").read_bytes(), size)
    return lite, KerasEngine((folder / "mobilenetv2.keras").read_bytes(), size)


def features(engine: Engine, files: list[bytes], size: int) -> npt.NDArray[np.float32]:
    return engine.predict(np.stack([engine.decode(data, size) for data in files]))


def cosines(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    one, other = one.astype(np.float64), other.astype(np.float64)
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


@pytest.fixture(scope="module")
def pair(model_folder: Path) -> tuple[Engine, Engine]:
    return engines(model_folder, 224)


@pytest.fixture(scope="module")
def generated() -> list[bytes]:
    sizes, qualities, labels = ((100, 100), (640, 480), (75, 200)), (60, 80, 95), photos.COLOURS
    kinds = itertools.product(sizes, qualities, labels)
    return [photos.jpeg(i, label, *size, quality=quality) for i, (size, quality, label) in enumerate(kinds)]


def test_generated_photos_agree_with_the_reference(
    pair: tuple[Engine, Engine], generated: list[bytes]
) -> None:
    fast, reference = (features(engine, generated, 224) for engine in pair)
    assert cosines(fast, reference).min() >= 0.999


def test_real_photos_agree_with_the_reference(pair: tuple[Engine, Engine], fruit_photos: list[Path]) -> None:
    if not fruit_photos:
        pytest.skip("no real photos on this machine; the generated ones are tested")
    chosen = fruit_photos[:: max(1, len(fruit_photos) // KERAS_REFERENCE_PHOTOS)]
    files = [photo.read_bytes() for photo in chosen]
    fast, reference = (features(engine, files, 224) for engine in pair)
    assert cosines(fast, reference).min() >= 0.999


def test_the_same_pixels_give_the_same_features(pair: tuple[Engine, Engine], generated: list[bytes]) -> None:
    pixels = np.stack([decode_with_opencv(data, 224) for data in generated[:12]])
    lite, keras = (engine.predict(pixels) for engine in pair)
    assert lite.dtype == keras.dtype == np.float32
    assert lite.max() > 0.1, "features near zero would agree whatever they are"
    assert np.abs(lite - keras).max() < 1e-3


@pytest.mark.parametrize("size", [size for size in IMAGE_SIZES if size != 224])
def test_other_sizes_equal_a_network_built_at_that_size(
    model_folder: Path, generated: list[bytes], size: int
) -> None:
    pixels = np.stack([decode_with_opencv(data, size) for data in generated[:4]])
    lite, keras = (engine.predict(pixels) for engine in engines(model_folder, size))
    assert np.abs(lite - keras).max() < 1e-3


def test_a_file_that_is_no_model_is_refused_in_words() -> None:
    with pytest.raises(StepError, match="cannot be used by LiteRT"):
        LiteRtEngine(b"no flatbuffer", 224)


def test_a_model_of_another_width_is_refused_with_its_shape() -> None:
    class Classifier:
        decode = staticmethod(decode_with_opencv)

        def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            return np.zeros((len(images), 1000), np.float32)

    with pytest.raises(StepError, match=rf"\(1, 1000\).*{FEATURE_DIM}"):
        check_output(Classifier(), 224)
