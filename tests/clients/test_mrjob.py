"""mrjob counts words on a cluster that it makes itself, with roles that it makes itself."""

import shutil
from pathlib import Path

from botocore.client import BaseClient

from tests.clients.conftest import CLIENTS, PROGRAMS, Run, failures

JOB = (CLIENTS / "python", PROGRAMS / "word_count.py")
OPTIONS = ("-r", "emr", "--region", "eu-west-1", "--check-cluster-every", "0.5", "--cloud-fs-sync-secs", "0")


def test_words_are_counted_on_a_cluster_without_named_roles(
    emr: BaseClient, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("pear apple\napple fig\n")
    # mrjob would unzip itself into the Python of its nodes, which here is this machine's.
    [library] = (CLIENTS.parent / "lib").glob("python*/site-packages")
    shutil.make_archive(str(tmp_path / "mrjob"), "zip", library, "mrjob")
    counted = run(*JOB, *OPTIONS, "--no-bootstrap-mrjob", "--py-files", "mrjob.zip", "words.txt")
    assert sorted(map(tuple, (line.split("\t") for line in counted.splitlines()))) == [
        ('"apple"', "2"),
        ('"fig"', "1"),
        ('"pear"', "1"),
    ]
    [cluster] = emr.list_clusters()["Clusters"]
    described = emr.describe_cluster(ClusterId=cluster["Id"])["Cluster"]
    assert described["ServiceRole"].startswith("mrjob-")
    assert described["Applications"] == [{"Name": "Hadoop", "Version": "3.2.1"}]
    assert failures(emr, cluster["Id"]) == []
