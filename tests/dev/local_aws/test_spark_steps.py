"""spark-submit runs as it would on the cluster: S3 in and out, archives, py-files and environment."""

import gzip
import io
import json
import tarfile
import zipfile

import pytest
from botocore.client import BaseClient

from tests.dev.local_aws.emr_client import ENDED, job_flow, step, step_in

APPLICATION = """
import json, os, sys
from pyspark.sql import SparkSession
import shipped, from_archive

spark = SparkSession.builder.getOrCreate()
bucket = sys.argv[1]
spark.range(100).write.parquet(f"s3://{bucket}/out/numbers")

def worker(_):
    import from_archive
    yield [os.environ.get("WORKER"), from_archive.VALUE, sys.executable]

seen = {
    "count": spark.read.parquet(f"s3a://{bucket}/out/numbers").count(),
    "python": sys.executable,
    "driver": os.environ.get("DRIVER"),
    "shipped": shipped.VALUE,
    "archive": from_archive.VALUE,
    "worker": spark.sparkContext.parallelize([1], 1).mapPartitions(worker).collect()[0],
    "master": spark.sparkContext.master,
    "argument": sys.argv[2],
}
print("SEEN " + json.dumps(seen))
spark.stop()
"""


@pytest.mark.spark
def test_a_spark_step_gets_all_that_yarn_would_have_given_it(
    emr: BaseClient, s3: BaseClient, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="code/main.py", Body=APPLICATION.encode())
    s3.put_object(Bucket=bucket, Key="code/shipped.zip", Body=zipped("shipped.py", "VALUE = 'by py-files'"))
    s3.put_object(Bucket=bucket, Key="env.tar.gz", Body=tarred("lib/from_archive.py", "VALUE = 'by archive'"))
    settings = {
        "spark.archives": f"s3://{bucket}/env.tar.gz#runtime",
        "spark.yarn.appMasterEnv.PYSPARK_PYTHON": "/usr/bin/python3.11",
        "spark.yarn.appMasterEnv.PYTHONPATH": "./runtime/lib",
        "spark.yarn.appMasterEnv.DRIVER": "driver",
        "spark.executorEnv.PYTHONPATH": "./runtime/lib",
        "spark.executorEnv.WORKER": "worker",
        "spark.dynamicAllocation.enabled": "true",
        "spark.executor.memory": "5g",
    }
    conf = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    command = ["spark-submit", "--master", "yarn", "--deploy-mode", "cluster", *conf]
    command += [
        "--py-files",
        f"s3://{bucket}/code/shipped.zip",
        f"s3://{bucket}/code/main.py",
        bucket,
        "a b é",
    ]
    flow = job_flow(LogUri=f"s3://{bucket}/logs/", Steps=[step(*command)])
    cluster_id = emr.run_job_flow(**flow)["JobFlowId"]
    step_id = emr.list_steps(ClusterId=cluster_id)["Steps"][0]["Id"]

    done = step_in(emr, cluster_id, step_id, *ENDED)
    prefix = f"logs/{cluster_id}/steps/{step_id}"
    logs = {
        name: gzip.decompress(s3.get_object(Bucket=bucket, Key=f"{prefix}/{name}.gz")["Body"].read()).decode()
        for name in ("stdout", "stderr", "controller")
    }
    assert done["Status"]["State"] == "COMPLETED", logs["stderr"][-3000:]
    line = next(line for line in logs["stdout"].splitlines() if line.startswith("SEEN "))
    seen = json.loads(line.removeprefix("SEEN "))
    assert seen["count"] == 100
    assert (seen["driver"], seen["shipped"], seen["archive"]) == ("driver", "by py-files", "by archive")
    assert seen["worker"] == ["worker", "by archive", seen["python"]]
    assert seen["master"].startswith("local[")
    assert seen["argument"] == "a b é"
    assert "Localized s3://" in logs["controller"]


def zipped(name: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


def tarred(name: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()
