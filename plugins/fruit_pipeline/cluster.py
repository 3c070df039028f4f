"""The RunJobFlow request, built from the parameters alone."""

import math
from typing import Any, Final

from fruit_contract.layout import LOGS_PREFIX
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.identity import cluster_name, cluster_tags
from fruit_pipeline.parameters import Fleet, RunParameters
from fruit_pipeline.prices import EBS_ROOT_GB, gib, vcpus

_IDLE_SECONDS: Final = 900
"""Idle life of a cluster that nobody terminates; EMR allows 60 to 604800."""

_EXECUTOR_PYTHON: Final = "/usr/bin/python3.11"
_LEAST_GIB: Final = 8
"""Of a worker whose memory is divided here: YARN is taken to get 5.5 GiB of that, or more."""


def job_flow(
    parameters: RunParameters, deployment: Deployment, hard_lifetime: str, dag_id: str, run_id: str
) -> dict[str, Any]:
    """The request for the run's cluster: Spot fleets, Spark, logs, tags, the idle limit and the lifetime.

    ``hard_lifetime`` is the S3 address of the bootstrap action of that name.
    """
    tags = cluster_tags(deployment.installation, dag_id, run_id)
    tags["max_hours"] = f"{parameters.max_hours:g}"
    request: dict[str, Any] = {
        "Name": cluster_name(dag_id, run_id),
        "ReleaseLabel": parameters.release_label,
        "Applications": [{"Name": "Spark"}],
        "LogUri": f"s3://{parameters.bucket}/{LOGS_PREFIX}",
        "ServiceRole": deployment.service_role,
        "JobFlowRole": deployment.instance_profile,
        "VisibleToAllUsers": True,
        "StepConcurrencyLevel": 1,
        "EbsRootVolumeSize": EBS_ROOT_GB,
        "AutoTerminationPolicy": {"IdleTimeout": _IDLE_SECONDS},
        "Instances": {
            "KeepJobFlowAliveWhenNoSteps": True,
            "TerminationProtected": False,
            "InstanceFleets": [
                _fleet("MASTER", parameters.primary_type, 1, parameters),
                _fleet("CORE", parameters.fleet.worker_type, parameters.fleet.workers, parameters),
            ],
        },
        "BootstrapActions": [
            {
                "Name": "hard_lifetime",
                "ScriptBootstrapAction": {
                    "Path": hard_lifetime,
                    "Args": [str(math.ceil(parameters.max_hours * 60))],
                },
            }
        ],
        "Configurations": [
            {
                "Classification": "spark-defaults",
                "Properties": {
                    **_executors(parameters.fleet),
                    "spark.pyspark.python": _EXECUTOR_PYTHON,
                    "spark.yarn.appMasterEnv.PYSPARK_PYTHON": _EXECUTOR_PYTHON,
                },
            },
        ],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    if deployment.subnet_id:
        request["Instances"]["Ec2SubnetIds"] = deployment.subnet_id.split(",")
    if deployment.node_security_group:
        request["Instances"]["EmrManagedMasterSecurityGroup"] = deployment.node_security_group
        request["Instances"]["EmrManagedSlaveSecurityGroup"] = deployment.node_security_group
    if deployment.service_security_group:
        request["Instances"]["ServiceAccessSecurityGroup"] = deployment.service_security_group
    if deployment.security_configuration:
        request["SecurityConfiguration"] = deployment.security_configuration
    if deployment.log_kms_key:
        request["LogEncryptionKmsKeyId"] = deployment.log_kms_key
    return request


def _executors(fleet: Fleet) -> dict[str, str]:
    """One executor a worker, on all its cores. Without a number, Spark starts two on any fleet.

    Half of a worker's memory is for its executor, a third of that for Python: a second one never fits
    beside it, for YARN does not get all the memory, and the driver's 1.5 GiB do, on a fleet of one
    8 GiB worker too. Smaller workers keep EMR's own division.
    """
    properties = {
        "spark.dynamicAllocation.enabled": "false",
        "spark.executor.instances": str(fleet.workers),
        "spark.executor.cores": str(vcpus(fleet.worker_type)),
    }
    memory = gib(fleet.worker_type)
    if memory >= _LEAST_GIB:
        half, python = memory * 512, memory * 512 // 3
        properties |= {
            "spark.executor.memory": f"{half - python}m",
            "spark.executor.memoryOverhead": f"{python}m",
            "spark.driver.memory": "1024m",
            "spark.driver.memoryOverhead": "512m",
        }
    return properties


def _fleet(role: str, instance_type: str, count: int, parameters: RunParameters) -> dict[str, Any]:
    """One instance fleet of ``count`` nodes of one type, in the market the run asks for."""
    on_demand = parameters.spot == "on-demand"
    fleet: dict[str, Any] = {
        "Name": role.lower(),
        "InstanceFleetType": role,
        "TargetOnDemandCapacity": count if on_demand else 0,
        "TargetSpotCapacity": 0 if on_demand else count,
        "InstanceTypeConfigs": [{"InstanceType": instance_type, "WeightedCapacity": 1}],
    }
    if not on_demand:
        fallback = parameters.spot == "spot-or-on-demand"
        fleet["InstanceTypeConfigs"][0]["BidPriceAsPercentageOfOnDemandPrice"] = 100
        fleet["LaunchSpecifications"] = {
            "SpotSpecification": {
                "AllocationStrategy": "price-capacity-optimized",
                "TimeoutDurationMinutes": parameters.spot_timeout_minutes,
                "TimeoutAction": "SWITCH_TO_ON_DEMAND" if fallback else "TERMINATE_CLUSTER",
            }
        }
    return fleet
