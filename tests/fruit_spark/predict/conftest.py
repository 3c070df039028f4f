"""200 photos, their features by the featurize step's own code, and a classifier of them."""

from pathlib import Path

import numpy as np
import pytest

from fruit_spark.features.feature_batches import Decoded, to_feature_batches
from fruit_spark.features.feature_files import as_block
from fruit_spark.model.engines import Features, LiteRtEngine
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.predict.classifier import Classifier
from fruit_spark.predict.command_line import Predictor, photos
from local_run.generated_photos import generate
from tests.fruit_spark import numpy_classifier

SIZE = 96


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Path:
    return model_folder / "mobilenetv2.tflite"


@pytest.fixture(scope="session")
def engine(model: Path) -> LiteRtEngine:
    return LiteRtEngine(model.read_bytes(), SIZE)


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> list[WorkItem]:
    return list(photos([str(generate(tmp_path_factory.mktemp("photos"), 200))]))


@pytest.fixture(scope="session")
def features(generated: list[WorkItem], engine: LiteRtEngine) -> Features:
    """float32 [200, 1280], in batches of 32 as the step computes them."""
    decoded = (Decoded(item.uri, engine.decode(Path(item.uri).read_bytes(), SIZE)) for item in generated)
    return np.concatenate(
        [as_block(batch.column("features")) for batch in to_feature_batches(decoded, engine, 32)]
    )


@pytest.fixture(scope="session")
def classifier(features: Features, generated: list[WorkItem], model: Path) -> Classifier:
    labels = [Path(item.uri).parent.name for item in generated]
    return numpy_classifier.fit(features, labels, model.read_bytes(), SIZE)


@pytest.fixture(scope="session")
def result(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result's folder, as ``out/latest`` is."""
    folder = tmp_path_factory.mktemp("result")
    numpy_classifier.write(classifier, folder / "classifier")
    return folder


@pytest.fixture(scope="session")
def predictor(result: Path, model: Path) -> Predictor:
    return Predictor.of(str(result), model)
