"""What ``artifacts.arm64_check`` runs on either processor: import and use everything, and compute.

    arm64_worker.py RUNTIME imports
    arm64_worker.py RUNTIME features IMAGE_SIZE MODEL OUTPUT PHOTO...
    arm64_worker.py RUNTIME answers CLASSIFIER OUTPUT PHOTO...

Stands alone: under emulation there is nothing but the runtime, the standard library and this checkout.
"""

import importlib
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in ("plugins", "spark"):
    sys.path.append(str(ROOT / folder))


def modules(folder: Path) -> list[str]:
    """Names of the top-level packages and modules in ``folder``; of a namespace, of the packages in it."""
    found = {path.parent.name for path in folder.glob("*/__init__.py")}
    found |= {
        f"{path.parent.parent.name}.{path.parent.name}"
        for path in folder.glob("*/*/__init__.py")
        if path.parent.parent.name.isidentifier() and path.parent.parent.name not in found
    }
    return sorted(found | {path.name.partition(".")[0] for path in folder.glob("*.py")})


def steps(package: Path) -> list[str]:
    """Dotted names of a package's modules, those of its sub-packages too."""
    files = (path.relative_to(package.parent).with_suffix("") for path in package.rglob("*.py"))
    return sorted(".".join(file.parts).removesuffix(".__init__") for file in files)


def import_everything(runtime: Path) -> None:
    """Import what the runtime ships, and every module of the steps: what they need of it at the top."""
    shipped, own = modules(runtime), steps(ROOT / "spark" / "fruit_spark")
    for name in (*shipped, *own):
        importlib.import_module(name)
    print(f"{len(shipped)} packages and {len(own)} modules imported: {', '.join(shipped)}")


def use_what_is_imported_late() -> None:
    """The variance plot, Parquet datasets and stores, as the steps use them: imported only when needed."""
    import numpy as np
    import obstore
    import pyarrow as pa
    from obstore.store import LocalStore
    from pyarrow import dataset, fs

    from fruit_spark.pca.variance_plot import draw_variance

    # Less than a decade: the axis is labelled with powers of ten, for which matplotlib needs more fonts.
    plot = draw_variance(np.array([0.35, 0.33, 0.3]), 0.9)
    fs.S3FileSystem(anonymous=True, region="eu-west-1")
    with tempfile.TemporaryDirectory() as folder:
        table = pa.table({"number": [1, 2]})
        dataset.write_dataset(table, folder, format="parquet")
        if not dataset.dataset(folder).to_table().equals(table):
            sys.exit("A Parquet dataset was not read as it was written.")
        store = LocalStore(folder)
        obstore.put(store, "plot.png", plot)
        if bytes(obstore.get(store, "plot.png").bytes()) != plot:
            sys.exit("A store did not give back what was put into it.")


def write_features(image_size: int, model: Path, output: Path, photos: list[Path]) -> None:
    """float32 [n, 1280] of the photos, decoded and resized as the featurize step does."""
    import numpy as np

    from fruit_spark.model.engines import LiteRtEngine
    from fruit_spark.photos.decode import decode_with_opencv

    engine = LiteRtEngine(model.read_bytes(), image_size)
    pixels = np.stack([decode_with_opencv(photo.read_bytes(), image_size) for photo in photos])
    np.save(output, engine.predict(pixels))


def write_answers(classifier: Path, output: Path, photos: list[Path]) -> None:
    """float32 [n, labels + 1]: probabilities and residual of the photos, by an exported classifier."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    from fruit_spark.photos.decode import decode_with_opencv

    classify = Interpreter(str(classifier), num_threads=1).get_signature_runner()
    size = int(classify.get_input_details()["photo"]["shape"][1])
    rows = []
    for photo in photos:
        pixels = decode_with_opencv(photo.read_bytes(), size)
        found = classify(photo=pixels[None] / np.float32(255))
        rows.append(np.append(found["probabilities"][0], found["residual"]))
    np.save(output, np.stack(rows))


if __name__ == "__main__":
    if sys.argv[2] == "imports":
        import_everything(Path(sys.argv[1]))
        use_what_is_imported_late()
    elif sys.argv[2] == "answers":
        write_answers(Path(sys.argv[3]), Path(sys.argv[4]), list(map(Path, sys.argv[5:])))
    else:
        write_features(int(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]), list(map(Path, sys.argv[6:])))
