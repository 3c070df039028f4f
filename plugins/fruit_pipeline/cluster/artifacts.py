"""The code, model and runtime that a run needs on S3, under keys made of their content."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

import fruit_contract
from fruit_contract.layout import HUB_USER, NOTEBOOKS_PREFIX, artifact_key
from fruit_contract.model_files import DEFAULT_ENGINE, ENGINE_PACKAGES, FACTS_FILE, Engine, model_file
from fruit_contract.report_schema import ModelFacts
from fruit_pipeline.cluster import notebook_text
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.results.publication import FeatureIdentity, write_new

NOTEBOOK: Final = "cluster.ipynb"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_CHUNK: Final = 1 << 20
_NAME_DIGITS: Final = 8


class MissingArtifactError(PipelineError):
    """Something that a run ships has not been built; the message says how to."""


class MissingEngineError(PipelineError):
    """The runtime that a run ships lacks what its engine imports."""


def _not_built(name: str, builder: str = "`make setup`") -> MissingArtifactError:
    return MissingArtifactError(f"The artifact {name} is missing: build it with {builder}.")


@dataclass(frozen=True)
class LocalArtifacts:
    """What a run ships, where it lies on this machine."""

    code_dir: Path
    model_dir: Path
    engine: Engine
    model_file: str
    """Of the model, this file alone travels: that of the run's engine and precision."""
    runtime_archive: Path
    python_archive: Path | None = None
    """None where the nodes' own Python will do."""


@dataclass(frozen=True)
class ArtifactUris:
    """Where the artifacts of a run lie on S3."""

    featurize: str
    reduce: str
    train: str
    code: str
    model: str
    """A prefix with model.json and the file of the run's engine and precision."""
    runtime: str
    hard_lifetime: str
    """The bootstrap action that limits the cluster's life."""
    python: str | None = None
    """Where the release has no Python that will do."""


def model_fingerprint(model_dir: Path, name: str) -> str:
    """SHA-256 of a model file, hex, as the featurize step will report it."""
    path = model_dir / name
    if not path.exists():
        raise _not_built(name)
    return _sha256(path)


def model_facts(model_dir: Path, features: FeatureIdentity) -> ModelFacts:
    """What the featurize step will report of the model that makes ``features``."""
    file = model_file(features["engine"], features["precision"])
    path = model_dir / FACTS_FILE
    if not path.exists():
        raise _not_built(FACTS_FILE)
    said = json.loads(path.read_text())
    return ModelFacts(
        name=said.get("name", file),
        weights=said.get("weights", f"given by the user ({file})"),
        fingerprint=features["fingerprint"],
        image_size=features["image_size"],
        engine=features["engine"],
        precision=features["precision"],
    )


def code_archive(code_dir: Path) -> bytes:
    """A zip of the packages that the steps import: the same sources give the same bytes."""
    packages = (code_dir / "fruit_spark", Path(fruit_contract.__file__).parent)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in packages:
            for path in sorted(package.rglob("*.py")):
                name = path.relative_to(package.parent).as_posix()
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), path.read_bytes())
    return buffer.getvalue()


def publish(s3: Any, bucket: str, local: LocalArtifacts) -> ArtifactUris:
    """Upload what is not on S3 yet; what is there under its content's key is left alone."""
    code_dir, python_archive = local.code_dir, local.python_archive
    models = [local.model_dir / name for name in (FACTS_FILE, local.model_file)]
    builders = {
        code_dir / "featurize.py": "`make setup`",
        local.runtime_archive: _runtime_builder(local.runtime_archive),
    }
    builders |= dict.fromkeys(models, "`make setup`")
    archives = [local.runtime_archive]
    if python_archive is not None:
        builders[python_archive] = "`make interpreter`, or for Compose with `EMR_6=yes docker compose build`"
        archives.append(python_archive)
    for path, builder in builders.items():
        if not path.exists():
            raise _not_built(path.name, builder)
    _check_engine(local)
    scripts = [
        code_dir / name for name in ("featurize.py", "reduce.py", "train.py", "bootstrap/hard_lifetime.sh")
    ]
    files = [*scripts, *models, *archives]
    # Hashing and sending both let other threads work: the small files cost no time beside the large one.
    with ThreadPoolExecutor(len(files)) as pool:
        digests = dict(zip(files, pool.map(_sha256, files), strict=True))
        model = hashlib.sha256(b"".join(digests[path].encode() for path in models)).hexdigest()
        keys = {path: artifact_key(model if path in models else digests[path], path.name) for path in files}
        uploads = [pool.submit(_upload_file, s3, bucket, keys[path], path) for path in files]
        code = _publish_bytes(s3, bucket, "code.zip", code_archive(code_dir))
        for upload in uploads:
            upload.result()
    featurize, reduce, train, hard_lifetime, runtime, *python = (
        f"s3://{bucket}/{keys[path]}" for path in (*scripts, *archives)
    )
    return ArtifactUris(
        featurize=featurize,
        reduce=reduce,
        train=train,
        code=code,
        model=f"s3://{bucket}/{artifact_key(model, '')}",
        runtime=runtime,
        hard_lifetime=hard_lifetime,
        python=python[0] if python else None,
    )


def publish_notebook(s3: Any, bucket: str, folder: Path, values: Mapping[str, Any]) -> str:
    """Put the notebook of ``folder``, filled with ``values``, where JupyterHub opens; its address.

    Its name has a digest of it. So another version, or another model, lies beside what is there, and a
    notebook that somebody has saved under its name is left as it is. One that was deleted is put back.
    """
    file = folder / NOTEBOOK
    if not file.exists():
        raise _not_built(NOTEBOOK, "`make notebook-write`, and name its folder in FRUITS_NOTEBOOKS_DIR")
    content = notebook_text.filled(file.read_text(encoding="utf-8"), values).encode()
    digest = hashlib.sha256(content).hexdigest()[:_NAME_DIGITS]
    key = f"{NOTEBOOKS_PREFIX}{HUB_USER}/{file.stem}-{digest}{file.suffix}"
    write_new(s3, bucket, key, content)
    return f"s3://{bucket}/{key}"


def _check_engine(local: LocalArtifacts) -> None:
    """Before a node is paid for. The default engine is always there, so the archive is not read for it."""
    if local.engine == DEFAULT_ENGINE:
        return
    package = ENGINE_PACKAGES[local.engine]
    with tarfile.open(local.runtime_archive) as archive:
        if any(member.name.startswith(f"{package}/") for member in archive):
            return
    raise MissingEngineError(
        f"Parameter engine is {local.engine}, and {local.runtime_archive.name} lacks {package}: use engine "
        f"{DEFAULT_ENGINE}, or add {package} to requirements/spark-runtime.in and build the runtime again."
    )


def _runtime_builder(path: Path) -> str:
    """`make setup` builds the runtime of this machine's processor alone, and clusters are Graviton."""
    platform = " --platform aarch64" if "aarch64" in path.name else ""
    return f"`.venv/tools/bin/python -m artifacts.runtime --output {path.parent}{platform}`"


def _publish_bytes(s3: Any, bucket: str, name: str, content: bytes) -> str:
    key = artifact_key(hashlib.sha256(content).hexdigest(), name)
    if not _exists(s3, bucket, key, len(content)):
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    return f"s3://{bucket}/{key}"


def _upload_file(s3: Any, bucket: str, key: str, path: Path) -> None:
    if not _exists(s3, bucket, key, path.stat().st_size):
        s3.upload_file(str(path), bucket, key)


def _exists(s3: Any, bucket: str, key: str, size: int) -> bool:
    try:
        return bool(s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == size)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return False
        raise


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
