"""The cells of notebooks/cluster.ipynb, as a run ships them, give the steps' and scikit-learn's figures.

Here a local Spark runs them one after the other on photos on S3, as the PySpark kernel sends them to Livy.
"""

import contextlib
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from fruit_pipeline.cluster import notebook_text
from fruit_spark.step_errors import StepError
from fruit_spark.steps.arguments import featurize_settings, reduce_settings
from fruit_spark.steps.featurize_job import featurize
from fruit_spark.steps.reduce_job import reduce
from fruit_spark.storage.s3 import s3_file_system, store_for
from local_run import generated_photos
from tests.conftest import REPOSITORY
from tests.fruit_spark.storage.test_s3 import create_bucket

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BUCKET, RUN = "fruits-notebook", "the-whole-run"
PHOTOS, SIZE, COMPONENTS, RUN_COMPONENTS = 48, 96, 8, 12
"""Of each of the 16 labels three photos."""
OUTPUT = f"{BUCKET}/jupyter/jovyan/cluster-output"


def shipped(model: Path) -> list[dict[str, Any]]:
    """The cells of code as they are in the bucket."""
    values = {
        "session": {"pyFiles": [f"s3://{BUCKET}/artifacts/0/code.zip"]},
        "bucket": BUCKET,
        "input_prefix": "Test/",
        "model": str(model),
        "engine": "litert",
        "precision": "float32",
        "image_size": SIZE,
        "output": f"s3://{OUTPUT}/",
    }
    text = (REPOSITORY / "notebooks" / "cluster.ipynb").read_text(encoding="utf-8")
    notebook = json.loads(notebook_text.filled(text, values))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


@dataclass
class Kernel:
    """Runs cells, and keeps what they say and draw by their tag."""

    names: dict[str, Any] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    drawn: dict[str, bytes] = field(default_factory=dict)

    def run(self, cell: dict[str, Any]) -> None:
        source = "".join(cell["source"])
        if source.startswith("%%"):
            # sparkmagic's own, which Livy never sees.
            return
        [tag] = cell["metadata"]["tags"]
        heard = io.StringIO()
        with contextlib.redirect_stdout(heard):
            for part in re.split(r"(?m)^(%.*)$", source):
                if part.startswith("%"):
                    assert part == "%matplot plt"
                    self.drawn[tag] = self._picture()
                else:
                    exec(compile(part, tag, "exec"), self.names)
        self.said[tag] = heard.getvalue()

    def _picture(self) -> bytes:
        """As Livy's magic makes it, of the figure that is current."""
        content = io.BytesIO()
        self.names["plt"].gcf().savefig(content, format="png")
        self.names["plt"].close("all")
        return content.getvalue()


def executed(model: Path, **choice: Any) -> Kernel:
    """All cells, with other choices at the top."""
    mpl.use("Agg")
    kernel = Kernel()
    for cell in shipped(model):
        kernel.run(cell)
        if "choice" in cell["metadata"].get("tags", []):
            assert choice.keys() <= kernel.names.keys()
            kernel.names |= choice
    return kernel


@pytest.fixture(scope="module")
def bucket(spark: "SparkSession", s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Photos, one of them broken, in a bucket without a result."""
    import obstore

    create_bucket(s3_endpoint, BUCKET)
    store = store_for(BUCKET)
    folder = generated_photos.generate(tmp_path_factory.mktemp("photos"), PHOTOS)
    for path in folder.rglob("*.jpg"):
        obstore.put(store, f"Test/{path.parent.name}/{path.name}", path.read_bytes())
    obstore.put(store, "Test/Kiwi/z_broken.jpg", b"\xff\xd8\xff" + b"no photo" * 40)
    return BUCKET


@pytest.fixture(scope="module")
def steps(spark: "SparkSession", bucket: str, model_folder: Path, tmp_path_factory: Any) -> Path:
    """What the real steps make of the same photos: features in a folder, and a result in the bucket."""
    place = tmp_path_factory.mktemp("steps")
    result = f"s3://{bucket}/Results"
    featurize(
        spark,
        featurize_settings(
            f"--input s3://{bucket}/Test/ --features {place}/features --rejected {place}/rejected "
            f"--metrics {place}/featurize.json --model {model_folder} --image-size {SIZE}".split()
        ),
    )
    reduce(
        spark,
        reduce_settings(
            f"--features {place}/features --output {result}/pca_output/run={RUN}/ "
            f"--model-output {result}/pca_model/run={RUN}/ --metrics {place}/reduce.json "
            f"--plot {place}/plot.png --components {RUN_COMPONENTS} --min-variance 0.1".split()
        ),
    )
    return place


@pytest.fixture(scope="module")
def done(bucket: str, steps: Path, model_folder: Path) -> Kernel:
    return executed(model_folder, SHARE=1.0, COMPONENTS=COMPONENTS)


def vectors(table: Any) -> dict[str, npt.NDArray[np.float32]]:
    """By path the features of a Parquet table that has any."""
    rows = zip(table.column("path").to_pylist(), table.column("features").to_pylist(), strict=True)
    return {path: np.array(row, np.float32) for path, row in rows if row is not None}


@pytest.fixture(scope="module")
def of_steps(steps: Path) -> dict[str, npt.NDArray[np.float32]]:
    return vectors(pq.read_table(steps / "features"))


@pytest.fixture(scope="module")
def fitted(of_steps: dict[str, npt.NDArray[np.float32]]) -> PCA:
    """scikit-learn's, on what the featurize step made."""
    return PCA(svd_solver="full").fit(np.stack(list(of_steps.values())).astype(np.float64))


def test_photos_and_labels_are_counted(done: Kernel) -> None:
    lines = done.said["load"].splitlines()
    assert lines[-1] == f"{PHOTOS + 1} of {PHOTOS + 1} photos in all"
    assert "Kiwi: 4 of 4 photos" in lines
    assert "Apple Braeburn: 3 of 3 photos" in lines
    assert len(lines) == 16 + 1
    assert done.said["rows"].count(f"s3://{BUCKET}/Test/") == 5


def test_pictures_of_photos_and_of_the_variance_are_drawn(done: Kernel) -> None:
    assert done.drawn.keys() == {"photos", "variance"}
    for content in done.drawn.values():
        assert np.asarray(Image.open(io.BytesIO(content)).convert("L")).std() > 5, "nothing is in the picture"


def test_a_preprocessed_photo_is_a_square_of_numbers_up_to_one(done: Kernel) -> None:
    assert f"It becomes ({SIZE}, {SIZE}, 3) of float32, from " in done.said["preprocess"]
    ready = done.names["ready"]
    assert (ready.dtype, ready.min() >= 0, ready.max() <= 1) == (np.float32, True, True)


def test_features_are_those_of_the_featurize_step(
    done: Kernel, of_steps: dict[str, npt.NDArray[np.float32]]
) -> None:
    assert done.said["features"].startswith(f"{PHOTOS} photos have features, 1 were rejected\n")
    assert "corrupt" in done.said["features"]
    assert "|1280   |" in done.said["features"]
    own = vectors(pq.read_table(f"{OUTPUT}/features", filesystem=s3_file_system()))
    assert own.keys() == of_steps.keys()
    assert len(own) == PHOTOS
    for path, vector in own.items():
        np.testing.assert_allclose(vector, of_steps[path], rtol=0, atol=1e-6)


def test_the_variance_is_that_of_scikit_learn(done: Kernel, fitted: PCA) -> None:
    kept = fitted.explained_variance_ratio_.cumsum()
    enough = int(np.searchsorted(kept, 0.9)) + 1
    said = f"{COMPONENTS} components keep {kept[COMPONENTS - 1]:.4f} of the variance; {enough} keep 90 %\n"
    assert done.said["variance"] == said
    np.testing.assert_allclose(done.names["kept"], kept[: PHOTOS - 1], atol=1e-9)


def test_the_saved_result_is_the_projection_on_the_directions_of_scikit_learn(
    done: Kernel, fitted: PCA, of_steps: dict[str, npt.NDArray[np.float32]]
) -> None:
    assert f"{PHOTOS} rows of {COMPONENTS} components\n" in done.said["read"]
    saved = vectors(pq.read_table(f"{OUTPUT}/components", filesystem=s3_file_system()))
    assert saved.keys() == of_steps.keys()
    paths = sorted(saved)
    # Spark subtracts the mean in the fit alone; a direction's sign is free.
    expected = np.stack([of_steps[path] for path in paths]) @ fitted.components_[:COMPONENTS].T
    got = np.stack([saved[path] for path in paths])
    np.testing.assert_allclose(np.abs(got), np.abs(expected), rtol=1e-3, atol=1e-4)


def test_the_saved_model_is_one_of_spark_ml(done: Kernel, spark: "SparkSession", fitted: PCA) -> None:
    from pyspark.ml.feature import PCAModel

    ratio = PCAModel.load(f"s3a://{OUTPUT}/pca_model").explainedVariance.toArray()
    np.testing.assert_allclose(ratio, fitted.explained_variance_ratio_[:COMPONENTS], atol=1e-9)


def test_the_whole_run_stands_beside_it(done: Kernel, steps: Path) -> None:
    metrics = json.loads((steps / "reduce.json").read_text())
    assert done.said["run"] == (
        f"Run {RUN}: {PHOTOS} photos of 16 labels\n"
        f"{RUN_COMPONENTS} components keep {metrics['explained_variance']:.4f} of the variance\n"
    )


def test_a_sample_of_some_labels_has_at_least_two_photos_of_each(bucket: str, model_folder: Path) -> None:
    choice = {"LABELS": ["Kiwi", "Lemon"], "SHARE": 0.01, "COMPONENTS": 0.5, "RUN": "never"}
    done = executed(model_folder, **choice, OUTPUT=f"s3://{BUCKET}/jupyter/jovyan/other/")
    assert done.said["load"] == "Kiwi: 2 of 4 photos\nLemon: 2 of 3 photos\n4 of 49 photos in all\n"
    # The last of the kiwis is the broken photo.
    assert done.said["photos"].startswith("Test/Kiwi/z_broken.jpg is rejected: corrupt")
    assert done.said["features"].startswith("3 photos have features, 1 were rejected\n")
    assert done.said["variance"].startswith("1 components keep ")
    said = f"There is no result at s3://{BUCKET}/Results/pca_output/run=never: "
    assert done.said["run"] == f"{said}choose another RUN, or wait for the end of one.\n"


@pytest.fixture
def bare(s3_endpoint: str) -> str:
    create_bucket(s3_endpoint, "fruits-bare")
    return "fruits-bare"


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"PREFIX": "Nowhere/"}, f"No images below s3://{BUCKET}/Nowhere/: give a folder with "),
        ({"LABELS": ["Durian"]}, "No photo has the label 'Durian': choose LABELS among Apple Braeburn, "),
        ({"SHARE": 5}, "SHARE is 5: give a number above 0 and up to 1, such as 0.05."),
    ],
)
def test_a_choice_that_gives_no_photos_is_one_sentence(
    choice: dict[str, Any], sentence: str, bucket: str, model_folder: Path
) -> None:
    with pytest.raises(StepError, match=f"^{re.escape(sentence)}") as refusal:
        executed(model_folder, **choice)
    assert "\n" not in str(refusal.value)


def test_a_sample_without_two_usable_photos_has_no_pca(
    spark: "SparkSession", bare: str, model_folder: Path
) -> None:
    import obstore

    grey = generated_photos.encode(np.full((100, 100, 3), 90, np.uint8))
    obstore.put(store_for(bare), "Test/Kiwi/1.jpg", grey)
    obstore.put(store_for(bare), "Test/Kiwi/2.jpg", b"nothing")
    with pytest.raises(StepError, match=r"^A PCA needs the features of two photos at least: raise SHARE, "):
        executed(model_folder, BUCKET=bare, OUTPUT=f"s3://{bare}/jupyter/jovyan/cluster-output/")


def test_every_cell_has_a_sentence_before_it_and_asks_for_its_session_first() -> None:
    notebook = json.loads((REPOSITORY / "notebooks" / "cluster.ipynb").read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "pysparkkernel"
    assert "".join(notebook["cells"][1]["source"]).startswith("%%configure -f\n")
    for text, code in zip(notebook["cells"][::2], notebook["cells"][1::2], strict=True):
        assert (text["cell_type"], code["cell_type"]) == ("markdown", "code")
        assert "".join(text["source"]).rstrip().endswith(".")
