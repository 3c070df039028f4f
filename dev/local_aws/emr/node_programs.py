"""The programs of an EMR node, as scripts on the PATH of a step.

Hadoop's and Spark's run their own classes in one process, for this machine has neither YARN nor HDFS.
What this machine lacks says so in one sentence, and fails.
"""

import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from local_aws.emr import hadoop
from local_aws.emr.spark_submit import LocalSpark

_STAGING: Final = "tmp/hadoop"
"""Hadoop's own default."""
_NOT_INSTALLED: Final = "it is not installed on this machine"
_NO_SERVER: Final = "it needs a server that this machine does not run"
REFUSED: Final = {
    **dict.fromkeys(("hive", "hive-script", "hcat", "pig", "pig-script", "sqoop", "mahout"), _NOT_INSTALLED),
    **dict.fromkeys(("flink", "flink-yarn-session", "hudi-cli.sh", "sparkR"), _NOT_INSTALLED),
    **dict.fromkeys(("beeline", "hbase", "oozie", "presto-cli", "trino-cli", "yarn", "emrfs"), _NO_SERVER),
    **dict.fromkeys(("hbase-script", "impala-shell", "sqlline.py", "zookeeper-client"), _NO_SERVER),
}
"""Program to reason."""
_SPARKS_OWN: Final = ("spark-submit", "run-example", "spark-shell", "spark-sql", "pyspark")

_HADOOP: Final = """#!/bin/sh
# Hadoop's own command, as far as Spark's jars and those beside S3A's have its classes.
command=$1; [ $# -eq 0 ] || shift
case "$command" in
  fs|dfs) class=org.apache.hadoop.fs.FsShell ;;
  distcp) class=org.apache.hadoop.tools.DistCp ;;
  version) class=org.apache.hadoop.util.VersionInfo ;;
  jar) case "${{1##*/}}" in
    hadoop-streaming*.jar) shift; class=org.apache.hadoop.streaming.HadoopStreaming ;;
    hadoop-mapreduce-examples*.jar) shift; class=org.apache.hadoop.examples.ExampleDriver ;;
    *) class=org.apache.hadoop.util.RunJar ;;
  esac ;;
  *) echo "hadoop $command cannot be run here: only fs, distcp, jar and version can." >&2; exit 1 ;;
esac
exec {java} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.io.tmpdir="$TMPDIR" \\
  -Dlog4j2.configurationFile=org/apache/spark/log4j2-defaults.properties -cp {class_path} "$class" "$@"
"""
_HDFS: Final = """#!/bin/sh
[ "$1" = dfs ] || { echo "hdfs $1 cannot be run here: only hdfs dfs can." >&2; exit 1; }
exec hadoop "$@"
"""
_MAPRED: Final = """#!/bin/sh
[ "$1" = streaming ] || { echo "mapred $1 cannot be run here: only mapred streaming can." >&2; exit 1; }
shift
exec hadoop-streaming "$@"
"""
_S3_DIST_CP: Final = """#!/bin/bash
# What is below --src comes below --dest.
while [ $# -gt 0 ]; do
  case "$1" in
    --src=*|-src=*) from="${1#*=}" ;;
    --dest=*|-dest=*) to="${1#*=}" ;;
    --src|-src) from="$2"; shift ;;
    --dest|-dest) to="$2"; shift ;;
    *) echo "s3-dist-cp cannot be run here with $1: only --src and --dest are understood." >&2; exit 1 ;;
  esac
  shift
done
exec hadoop distcp -overwrite "$from" "$to"
"""
_SPARK: Final = """#!/bin/bash
# There is no YARN here: the master is this machine, as the defaults have it.
words=()
while [ $# -gt 0 ]; do
  case "$1" in
    --master|--deploy-mode) shift ;;
    --master=*|--deploy-mode=*) ;;
    *) words+=("$1") ;;
  esac
  shift
done
export SPARK_CONF_DIR={conf} SPARK_LOCAL_DIRS="$TMPDIR" SPARK_DIST_CLASSPATH={jars} PYSPARK_PYTHON={python}
exec {program} "${{words[@]}}"
"""
_FORWARDED: Final = {
    "hadoop-streaming": "hadoop jar hadoop-streaming.jar",
    "hadoop-mapreduce-examples": "hadoop jar hadoop-mapreduce-examples.jar",
    "hadoop-distcp": "hadoop distcp",
    # It would tell the console in the browser what becomes of Hadoop's jobs: here nothing asks for that.
    "state-pusher-script": "true",
}


def refusal(program: str) -> str:
    return f"{program} cannot be run here: {REFUSED[program]}."


def install(spark: LocalSpark, hdfs: Path, settings: Mapping[str, str], folder: Path) -> Path:
    """Write all programs below ``folder``, and return the folder that the PATH begins with.

    ``hdfs`` is made; ``settings`` are those of the cluster's ``core-site``.
    """
    conf, programs = folder / "conf", folder / "bin"
    for made in (conf, programs, hdfs / "tmp", hdfs / "user" / "hadoop"):
        made.mkdir(parents=True, exist_ok=True)
    # A local job is staged on the local file system, and Hadoop then looks for the same path on the HDFS.
    with suppress(FileExistsError):
        (hdfs / _STAGING).symlink_to(f"/{_STAGING}")
    forced = {**settings, **hadoop.s3_settings(spark.s3_endpoint), **hadoop.hdfs_settings(hdfs)}
    local = {"fs.defaultFS": "hdfs://cluster", "mapreduce.framework.name": "local"}
    scratch = {"hadoop.tmp.dir": "${java.io.tmpdir}/hadoop"}
    (conf / "core-site.xml").write_text(hadoop.core_site(forced | local | scratch))
    defaults = {
        "spark.master": f"local[{spark.cores}]",
        "spark.driver.memory": f"{spark.memory_cap_mb}m",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        **{f"spark.hadoop.{name}": value for name, value in forced.items()},
    }
    (conf / "spark-defaults.conf").write_text("".join(f"{key} {value}\n" for key, value in defaults.items()))
    for name, text in _scripts(spark, conf).items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return programs


def _scripts(spark: LocalSpark, conf: Path) -> dict[str, str]:
    jars = [spark.spark_home / "jars" / "*", *([spark.jars_dir / "*"] if spark.jars_dir else [])]
    quoted = {
        "java": shlex.quote(str(spark.java_home / "bin" / "java")),
        "class_path": shlex.quote(":".join(map(str, [conf, *jars]))),
        "conf": shlex.quote(str(conf)),
        "jars": shlex.quote(f"{spark.jars_dir}/*" if spark.jars_dir else ""),
        "python": shlex.quote(str(spark.python)),
    }
    own = {name: shlex.quote(str(spark.spark_home / "bin" / name)) for name in _SPARKS_OWN}
    cli = Path(sys.executable).with_name("aws")
    return {
        **{name: f"#!/bin/sh\necho {shlex.quote(refusal(name))} >&2\nexit 1\n" for name in REFUSED},
        **{name: f'#!/bin/sh\nexec {command} "$@"\n' for name, command in _FORWARDED.items()},
        **{name: _SPARK.format(program=program, **quoted) for name, program in own.items()},
        **({"aws": f'#!/bin/sh\nexec {shlex.quote(str(cli))} "$@"\n'} if cli.exists() else {}),
        "hadoop": _HADOOP.format(**quoted),
        "hdfs": _HDFS,
        "mapred": _MAPRED,
        "s3-dist-cp": _S3_DIST_CP,
    }
