"""What Amazon MWAA takes: DAGs, ``plugins.zip``, requirements, a startup script, settings.

MWAA unpacks ``plugins.zip`` into ``/usr/local/airflow/plugins`` on scheduler, workers and web server
alike, installs ``requirements.txt`` under its own constraints, and gives every process the variables
that the startup script exports. See docs/guides/mwaa.md.
"""

import json
import shlex
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from infra.environment import variables

AIRFLOW_VERSION: Final = "3.3.1"
"""The newest that MWAA offers: https://docs.aws.amazon.com/mwaa/latest/userguide/airflow-versions.html"""
PLUGINS: Final = PurePosixPath("/usr/local/airflow/plugins")
_ARTIFACTS: Final = PurePosixPath("fruit_artifacts")
"""Folder of ``plugins.zip`` with what a run uploads to S3: no plugin of Airflow, and ignored by it."""
_CONNECTION: Final = "fruits"
_PROTECTED: Final = ("AWS_DEFAULT_REGION", "AIRFLOW_CONN_AWS_DEFAULT")
"""Set by MWAA itself: the region is the environment's, the connection stands for its execution role."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
OPTIONS: Final = {
    # A worker that notices late that its task has ended makes the scheduler take a resumed task for failed.
    "workers.min_heartbeat_interval": "1",
}
"""Airflow configuration options of the environment."""


class MissingPartError(FileNotFoundError):
    """Something that the bundle is made of has not been built; the message says how to build it."""


@dataclass(frozen=True)
class Parts:
    """Where a checkout has what the bundle is made of."""

    repository: Path

    @property
    def artifacts(self) -> dict[str, Path]:
        """What a run uploads, by the setting that says where it is."""
        cache = self.repository / ".cache"
        found = {
            "FRUITS_CODE_DIR": self.repository / "spark",
            "FRUITS_MODEL_DIR": cache / "model",
            "FRUITS_NOTEBOOKS_DIR": self.repository / "notebooks",
            "FRUITS_RUNTIME_ARCHIVE": cache / "runtime" / "runtime-aarch64.tar.gz",
        }
        # Built by those who want emr-6.15.0 alone.
        python = cache / "runtime" / "python-aarch64.tar.gz"
        return found | ({"FRUITS_PYTHON_ARCHIVE": python} if python.exists() else {})


def build(parts: Parts, outputs: Mapping[str, str], output: Path) -> list[Path]:
    """Write the bundle for a stack with these outputs into ``output``, whose old one is replaced.

    The same checkout and outputs give the same bytes.
    """
    for path in parts.artifacts.values():
        if not path.exists():
            raise MissingPartError(
                f"{path.relative_to(parts.repository)} is missing: run `make setup`, and `make runtime` "
                "for the runtime of Graviton nodes."
            )
    shutil.rmtree(output, ignore_errors=True)
    (output / "dags").mkdir(parents=True)
    for dag in sorted((parts.repository / "dags").glob("*.py")):
        shutil.copyfile(dag, output / "dags" / dag.name)
    shutil.copyfile(parts.repository / "requirements" / "mwaa.in", output / "requirements.txt")
    (output / "startup.sh").write_text(startup_script(parts, outputs))
    (output / "options.json").write_text(json.dumps(OPTIONS, indent=2) + "\n")
    _write_zip(output / "plugins.zip", _plugin_files(parts))
    return sorted(path for path in output.rglob("*") if path.is_file())


def startup_script(parts: Parts, outputs: Mapping[str, str]) -> str:
    """Exports of the stack's settings and of where ``plugins.zip`` has put the artifacts."""
    found = variables(outputs)
    settings = {name: value for name, value in found.items() if name not in _PROTECTED}
    settings["FRUITS_AWS_CONN_ID"] = _CONNECTION
    settings[f"AIRFLOW_CONN_{_CONNECTION.upper()}"] = found["AIRFLOW_CONN_AWS_DEFAULT"]
    settings |= {name: str(PLUGINS / _ARTIFACTS / path.name) for name, path in parts.artifacts.items()}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(settings.items()))
    return f"#!/bin/sh\n{exports}"


def _plugin_files(parts: Parts) -> Iterator[tuple[PurePosixPath, Path | bytes]]:
    """The files of ``plugins.zip``: what DAGs import at its top, what a run uploads in a folder."""
    plugins = parts.repository / "plugins"
    for path in _files(plugins):
        name = PurePosixPath(path.relative_to(plugins).as_posix())
        if path.name == ".airflowignore" and len(name.parts) == 1:
            yield name, path.read_bytes() + f"{_ARTIFACTS}/\n".encode()
        else:
            yield name, path
    for top in parts.artifacts.values():
        for path in _files(top) if top.is_dir() else [top]:
            yield _ARTIFACTS / path.relative_to(top.parent).as_posix(), path


def _files(folder: Path) -> Iterator[Path]:
    yield from (
        path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts
    )


def _write_zip(target: Path, files: Iterator[tuple[PurePosixPath, Path | bytes]]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name.as_posix(), _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content.read_bytes() if isinstance(content, Path) else content)
