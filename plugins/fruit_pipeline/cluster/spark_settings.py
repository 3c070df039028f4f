"""Spark's and YARN's settings, computed from the workers of a run. They go in as the cluster's own.

One executor a worker, on all its cores, beside the one driver: whatever types of a diversified fleet
come, each node gives YARN what the smallest of them would, so that a second executor never fits on it.
EMR's ``maximizeResourceAllocation`` is not used: it divides by the first type alone and leaves Python,
where the work is done, what is left over.
"""

from typing import Final

from fruit_pipeline.cost.substitutes import worker_types
from fruit_pipeline.settings.instance_types import gib, vcpus
from fruit_pipeline.settings.parameters import RunParameters
from fruit_pipeline.settings.releases import python, ships_python

YARN_MIB: Final = {16: 11712, 32: 23424, 64: 54272, 128: 116736}
"""``yarn.nodemanager.resource.memory-mb`` that EMR gives a Graviton node, by its memory in GiB: EMR Release
Guide, "Task configuration", m6g.xlarge to m6g.4xlarge and r6g.4xlarge. It is less than for m5 and r5 of equal
memory. https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-hadoop-task-config.html"""
_COPIES: Final = 3
"""Of what a step brings along, on HDFS, where there are so many workers: HDFS's own default."""
_STEP_MIB: Final = 32
"""``yarn.scheduler.minimum-allocation-mb`` on EMR (same page): YARN rounds requests up to multiples."""

DRIVER_MIB: Final = 2048
"""The driver's heap. Measured (``bench.driver_memory``): its old generation has 338 MiB for 10,000 feature
files, which are 10 million photos, and 517 for 30,000. On that line 100,000 need 1,150: an extrapolation."""
DRIVER_OVERHEAD_MIB: Final = 1024
"""The driver runs on a worker (cluster mode), Python beside its JVM: 318 MiB for 30,000 files, as above, and
630 where the train step judges a classifier of 131 labels by 10,000 photos. What the JVM has outside its heap
is in it, too."""
PYTHON_WORKER_MIB: Final = 768
"""Of each of an executor's Python workers, one a core. Measured with LiteRT on x86: 84 MiB for the imports,
121 with the model at work, 50 of its decoder's process; 48 photos in flight of 5 MB and one of 50 million
pixels decoded: 390 more. Larger ones are decoded one at a time on a node, at 1,000 MiB at most."""
JVM_OVERHEAD_MIB: Final = 384
"""Of an executor's own JVM outside its heap: the least that Spark gives by itself."""


def yarn_mib(instance_type: str) -> int:
    """MiB that YARN may hand out on a node of this type."""
    return YARN_MIB[gib(instance_type)]


def yarn_site(parameters: RunParameters) -> dict[str, str]:
    """What a node gives YARN, said for all alike: EMR's default for the smallest type of the fleet."""
    mib = str(_node_mib(parameters))
    return {"yarn.nodemanager.resource.memory-mb": mib, "yarn.scheduler.maximum-allocation-mb": mib}


def core_site(parameters: RunParameters) -> dict[str, str]:
    """Where S3A looks for buckets, in whatever runs on a node.

    Without a region it begins at us-east-2, outside the EU, and finds the bucket's region from there. In a
    network that reaches the S3 of its own region alone, that hangs (apache/hadoop#6187, #6479).
    """
    return {
        "fs.s3a.endpoint.region": parameters.region,
        "fs.s3a.cross.region.access.enabled": "false",
    }


def spark_defaults(parameters: RunParameters) -> dict[str, str]:
    return {
        **_executors(parameters),
        **_memory(parameters),
        # EMR's HDFS keeps one copy below four core nodes (dfs.replication, Release Guide, "HDFS
        # configuration"). With the node that has it, code and runtime of a step would be lost to its next.
        "spark.yarn.submit.file.replication": str(min(_COPIES, parameters.fleet.workers)),
        **(_LOSSES if parameters.spot != "on-demand" else {}),
        # A shipped Python comes with the steps alone: notebooks on the cluster keep the nodes' own.
        **({} if ships_python(parameters.release_label) else python_settings(parameters.release_label)),
        # EMR's committer for S3A, which its releases with S3A behind s3:// use unless told otherwise.
        "spark.sql.execution.datasources.SQLEmrOptimizedCommitProtocol.leverageMagicCommitProtocol": "true",
    }


_LOSSES: Final = {
    # Spot gives two minutes: the executor takes no new task and hands on what it holds for others.
    "spark.decommission.enabled": "true",
    "spark.storage.decommission.enabled": "true",
    "spark.storage.decommission.rddBlocks.enabled": "true",
    "spark.storage.decommission.shuffleBlocks.enabled": "true",
    # With EMR's shuffle service Spark takes no notice of nodes that YARN decommissions: YarnAllocator in
    # Spark 3.4 and 3.5. The steps keep no shuffle files worth a service.
    "spark.shuffle.service.enabled": "false",
    # What cannot be done in time is begun elsewhere at once.
    "spark.executor.decommission.killInterval": "110s",
    "spark.stage.ignoreDecommissionFetchFailure": "true",
}


def python_settings(release_label: str) -> dict[str, str]:
    """Which Python Spark starts, in the driver and in the executors."""
    command = python(release_label)
    return {"spark.pyspark.python": command, "spark.yarn.appMasterEnv.PYSPARK_PYTHON": command}


def _executors(parameters: RunParameters) -> dict[str, str]:
    """As many executors as workers. Without a number, Spark starts two on any fleet that does not grow."""
    fleet = parameters.fleet
    cores = {"spark.executor.cores": str(vcpus(fleet.worker_type))}
    if not parameters.scales:
        return {
            "spark.dynamicAllocation.enabled": "false",
            "spark.executor.instances": str(fleet.workers),
            **cores,
        }
    return {
        "spark.dynamicAllocation.enabled": "true",
        # Instead of the shuffle service: an executor whose shuffle files are needed stays.
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.minExecutors": "1",
        "spark.dynamicAllocation.initialExecutors": str(fleet.workers),
        "spark.dynamicAllocation.maxExecutors": str(parameters.max_workers),
        **cores,
    }


def _memory(parameters: RunParameters) -> dict[str, str]:
    """The driver's part of a node is fixed; half of the rest is the executor's heap, or what Python leaves.

    ``spark.executor.pyspark.memory`` is left alone: it limits addresses, not memory, and libraries map
    far more than they use.
    """
    executor = _node_mib(parameters) - DRIVER_MIB - DRIVER_OVERHEAD_MIB
    python = vcpus(parameters.fleet.worker_type) * PYTHON_WORKER_MIB
    overhead = max(python + JVM_OVERHEAD_MIB, executor // 2 // _STEP_MIB * _STEP_MIB)
    return {
        "spark.executor.memory": f"{executor - overhead}m",
        "spark.executor.memoryOverhead": f"{overhead}m",
        "spark.driver.memory": f"{DRIVER_MIB}m",
        "spark.driver.memoryOverhead": f"{DRIVER_OVERHEAD_MIB}m",
    }


def _node_mib(parameters: RunParameters) -> int:
    return min(yarn_mib(name) for name in worker_types(parameters))
