"""The Airflow side and the Spark side live in environments of their own and never mix."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

AIRFLOW_SIDE = ("dags", "plugins", "dev/local_run", "dev/local_aws")
SPARK_SIDE = ("spark",)
NOT_ON_THE_AIRFLOW_SIDE = {
    "pyspark",
    "tensorflow",
    "keras",
    "cv2",
    "ai_edge_litert",
    "obstore",
    "fruit_spark",
}
NOT_ON_THE_SPARK_SIDE = {
    "airflow",
    "boto3",
    "botocore",
    "moto",
    "fruit_pipeline",
    "local_run",
    "local_aws",
    "pandas",
}


@cache
def imports(path: Path) -> set[str]:
    """Top-level names of every import in a file, wherever in the file it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def files(folders: tuple[str, ...]) -> list[Path]:
    return [path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*.py"))]


@pytest.mark.parametrize(
    ("folders", "banned"), [(AIRFLOW_SIDE, NOT_ON_THE_AIRFLOW_SIDE), (SPARK_SIDE, NOT_ON_THE_SPARK_SIDE)]
)
def test_no_file_imports_from_the_other_side(folders: tuple[str, ...], banned: set[str]) -> None:
    assert files(folders), f"no file was found in {folders}"
    for path in files(folders):
        crossed = imports(path) & banned
        assert not crossed, (
            f"{path.relative_to(REPOSITORY)} imports {crossed}, which its environment does not have"
        )


def test_the_contract_needs_the_standard_library_alone() -> None:
    import sys

    for path in files(("plugins/fruit_contract",)):
        foreign = imports(path) - set(sys.stdlib_module_names) - {"fruit_contract"}
        assert not foreign, f"{path.name} imports {foreign}: both environments would need it"


@pytest.mark.parametrize("lock", sorted(path.name for path in (REPOSITORY / "requirements").glob("*.txt")))
def test_every_requirement_is_pinned_with_a_hash(lock: str) -> None:
    text = (REPOSITORY / "requirements" / lock).read_text()
    assert "http" + "://" not in text
    assert "https" + "://" not in text
    # Of jars and Debian's packages: read, and refused where a line has no checksum, by what fetches them.
    if lock not in ("jars.txt", "jars-newest.txt", "interpreter.txt"):
        pins = [line for line in text.splitlines() if "==" in line]
        assert pins
        assert text.count("--hash=sha256:") >= len(pins), f"{lock}: compile it with `make lock`"
