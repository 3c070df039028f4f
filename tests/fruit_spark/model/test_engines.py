"""Promise: the fast engine gives the features of the reference engine, in either precision, on decoded
photos; and a model that cannot give them is refused in one sentence."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fruit_contract.model_files import IMAGE_SIZES
from fruit_spark.model.engines import (
    FEATURE_DIM,
    Engine,
    KerasEngine,
    LiteRtEngine,
    check_output,
    weights_precision,
)
from fruit_spark.photos.decode import decode_with_opencv
from fruit_spark.step_errors import StepError
from tests.fruit_spark import photo_files

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
    sizes, qualities, labels = ((100, 100), (640, 480), (75, 200)), (60, 80, 95), photo_files.COLOURS
    kinds = itertools.product(sizes, qualities, labels)
    return [
        photo_files.jpeg(i, label, *size, quality=quality) for i, (size, quality, label) in enumerate(kinds)
    ]


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


@pytest.fixture(scope="module")
def half(model_folder: Path) -> LiteRtEngine:
    return LiteRtEngine((model_folder / "mobilenetv2_float16.tflite").read_bytes(), 224)


def test_float16_agrees_with_float32_on_generated_photos(
    pair: tuple[Engine, Engine], half: LiteRtEngine, generated: list[bytes]
) -> None:
    assert cosines(*(features(engine, generated, 224) for engine in (half, pair[0]))).min() >= 0.999


def test_float16_agrees_with_float32_on_real_photos(
    pair: tuple[Engine, Engine], half: LiteRtEngine, fruit_photos: list[Path]
) -> None:
    if not fruit_photos:
        pytest.skip("no real photos on this machine; the generated ones are tested")
    files = [photo.read_bytes() for photo in fruit_photos[::5]]
    single, of_half = (features(engine, files, 224) for engine in (pair[0], half))
    assert cosines(of_half, single).min() >= 0.999
    assert not np.array_equal(of_half, single), "the float16 model is the float32 one"


@pytest.mark.parametrize(
    ("file", "precision"), [("mobilenetv2", "float32"), ("mobilenetv2_float16", "float16")]
)
def test_the_precision_of_a_model_is_read_from_its_weights(
    model_folder: Path, file: str, precision: str
) -> None:
    assert weights_precision((model_folder / f"{file}.tflite").read_bytes()) == precision


def test_float16_weights_are_half_as_large_and_may_be_computed_with_in_half_precision(
    model_folder: Path,
) -> None:
    single, half = (
        (model_folder / f"mobilenetv2{suffix}.tflite").read_bytes() for suffix in ("", "_float16")
    )
    assert 0.49 < len(half) / len(single) < 0.52
    # XNNPACK's delegate takes its half-precision kernels for this value of the metadata alone.
    assert b"reduced_precision_support" in half
    assert b"fp16accfp16" in half
    assert b"reduced_precision_support" not in single


def test_a_file_that_is_no_model_is_refused_in_words() -> None:
    with pytest.raises(StepError, match="cannot be used by LiteRT"):
        LiteRtEngine(b"no flatbuffer", 224)


def tflite(function: Callable[..., Any], *inputs: tuple[list[int], str]) -> bytes:
    """A small model: ``function`` of inputs of these shapes and dtypes."""
    import tensorflow as tf

    signature = [tf.TensorSpec(shape, dtype) for shape, dtype in inputs]
    concrete = tf.function(function).get_concrete_function(*signature)
    converted: bytes = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    return converted


def mean_colour(image: Any, width: int = FEATURE_DIM) -> Any:
    """[1, width], the first value often repeated."""
    import tensorflow as tf

    return tf.repeat(tf.reduce_mean(image, axis=(1, 2)), [width - 2, 1, 1], axis=1)


def mean_of_bytes(image: Any) -> Any:
    import tensorflow as tf

    return mean_colour(tf.cast(image, tf.float32))


def logarithm_of_colour(image: Any) -> Any:
    """Of a black photo, minus infinity."""
    import tensorflow as tf

    return tf.math.log(mean_colour(image))


PHOTO = ([1, 96, 96, 3], "float32")
UNUSABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "another width": (
        lambda: tflite(lambda image: mean_colour(image, 1000), PHOTO),
        rf"output of shape \(1, 1000\), \[1, {FEATURE_DIM}\] is needed",
    ),
    "bytes as input": (
        lambda: tflite(mean_of_bytes, (PHOTO[0], "uint8")),
        r"takes uint8 \[1, 96, 96, 3\] and gives 1 output: use one that takes float32",
    ),
    "no photo as input": (
        lambda: tflite(lambda values: values * 2.0, ([1, FEATURE_DIM], "float32")),
        rf"takes float32 \[1, {FEATURE_DIM}\]",
    ),
    "two inputs": (
        lambda: tflite(lambda one, other: mean_colour(one + other), PHOTO, PHOTO),
        r"takes float32 \[1, 96, 96, 3\], float32 \[1, 96, 96, 3\]",
    ),
    "two outputs": (
        lambda: tflite(lambda image: (mean_colour(image), image * 2.0), PHOTO),
        "gives 2 outputs",
    ),
    "not finite": (
        lambda: tflite(logarithm_of_colour, PHOTO),
        "not finite",
    ),
}
"""Models that load and cannot be used, and a pattern of the sentence that says so."""


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_model_that_cannot_give_features_is_refused_with_what_it_is(kind: str) -> None:
    make, said = UNUSABLE[kind]
    with pytest.raises(StepError, match=said):
        check_output(LiteRtEngine(make(), 96), 96)


def test_a_keras_model_of_another_width_or_input_is_refused_with_what_it_is(tmp_path: Path) -> None:
    import keras

    def saved(*layers: Any) -> bytes:
        keras.Sequential(list(layers)).save(tmp_path / "model.keras")
        return (tmp_path / "model.keras").read_bytes()

    pooled = keras.layers.GlobalAveragePooling2D
    narrow = KerasEngine(saved(keras.Input((96, 96, 3)), pooled()), 96)
    with pytest.raises(StepError, match=rf"\(1, 3\).*{FEATURE_DIM}"):
        check_output(narrow, 96)
    with pytest.raises(StepError, match=r"takes uint8 \[None, 96, 96, 3\]"):
        KerasEngine(saved(keras.Input((96, 96, 3), dtype="uint8"), pooled()), 96)
