"""Where Spark's classes lie ready for Java, if they do: see :mod:`artifacts.java_classes`."""

from pathlib import Path


def archive_of(python: Path) -> Path:
    """The archive of this interpreter's environment, whether or not there is one."""
    return python.parent.parent / "java-classes.jsa"


def options(python: Path) -> tuple[str, ...]:
    """Java's options to start with the archive of this interpreter's environment, if it has one."""
    archive = archive_of(python)
    return (f"-XX:SharedArchiveFile={archive}",) if archive.exists() else ()
