"""The RunJobFlow request, built from the parameters alone."""

import math
from collections.abc import Sequence
from typing import Any, Final

from fruit_contract.layout import LOGS_PREFIX
from fruit_pipeline.cluster import interactive, spark_settings, spot_loss
from fruit_pipeline.cluster.identity import cluster_name, cluster_tags
from fruit_pipeline.cost import substitutes
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.instance_types import EBS_ROOT_GB
from fruit_pipeline.settings.parameters import Market, RunParameters

_IDLE_SECONDS: Final = 900
"""Idle life of a cluster that nobody terminates; EMR allows 60 to 604800."""


def job_flow(
    parameters: RunParameters,
    deployment: Deployment,
    hard_lifetime: str,
    dag_id: str,
    run_id: str,
    in_place_of: str | None = None,
) -> dict[str, Any]:
    """The request for the run's cluster: fleets, Spark, logs, tags, the idle limit and the lifetime.

    ``hard_lifetime`` is the S3 address of the bootstrap action of that name, ``in_place_of`` the id of a
    cluster that was lost to Spot.
    """
    timeout, workers = parameters.spot_timeout_minutes, parameters.fleet.workers
    tags = cluster_tags(deployment.installation, dag_id, run_id)
    tags["max_hours"] = f"{parameters.lifetime_hours:g}"
    tags |= interactive.tags(parameters)
    if in_place_of:
        tags[spot_loss.TAG] = in_place_of
    request: dict[str, Any] = {
        "Name": cluster_name(dag_id, run_id),
        "ReleaseLabel": parameters.release_label,
        "Applications": [{"Name": name} for name in _applications(parameters)],
        "LogUri": f"s3://{parameters.bucket}/{LOGS_PREFIX}",
        "ServiceRole": deployment.service_role,
        "JobFlowRole": deployment.instance_profile,
        "VisibleToAllUsers": True,
        "StepConcurrencyLevel": 1,
        "EbsRootVolumeSize": EBS_ROOT_GB,
        "AutoTerminationPolicy": {"IdleTimeout": max(_IDLE_SECONDS, 60 * parameters.interactive_minutes)},
        "Instances": {
            "KeepJobFlowAliveWhenNoSteps": True,
            "TerminationProtected": False,
            "InstanceFleets": [
                _fleet(
                    "MASTER", substitutes.primary_types(parameters), 1, parameters.market_of_primary, timeout
                ),
                _fleet("CORE", substitutes.worker_types(parameters), workers, parameters.spot, timeout),
            ],
        },
        "BootstrapActions": [
            {
                "Name": "hard_lifetime",
                "ScriptBootstrapAction": {
                    "Path": hard_lifetime,
                    "Args": [str(math.ceil(parameters.lifetime_hours * 60))],
                },
            }
        ],
        "Configurations": _configurations(parameters),
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    if parameters.scales:
        request["ManagedScalingPolicy"] = _scaling(parameters)
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


def _applications(parameters: RunParameters) -> tuple[str, ...]:
    return ("Spark", *(interactive.APPLICATIONS if parameters.interactive_minutes else ()))


def _configurations(parameters: RunParameters) -> list[dict[str, Any]]:
    """Spark's and YARN's settings for the workers, S3A's for the region, and JupyterHub's."""
    settings = {
        "core-site": spark_settings.core_site(parameters),
        "yarn-site": spark_settings.yarn_site(parameters),
        "spark-defaults": spark_settings.spark_defaults(parameters),
        **interactive.configurations(parameters),
    }
    return [{"Classification": name, "Properties": properties} for name, properties in settings.items()]


def _fleet(role: str, types: Sequence[str], count: int, market: Market, timeout: int) -> dict[str, Any]:
    """One instance fleet of ``count`` nodes of whichever of these types EMR finds, each of them one unit."""
    on_demand = market == "on-demand"
    fleet: dict[str, Any] = {
        "Name": role.lower(),
        "InstanceFleetType": role,
        "TargetOnDemandCapacity": count if on_demand else 0,
        "TargetSpotCapacity": 0 if on_demand else count,
        "InstanceTypeConfigs": [{"InstanceType": name, "WeightedCapacity": 1} for name in types],
        "LaunchSpecifications": {},
    }
    if market != "spot":
        fleet["LaunchSpecifications"]["OnDemandSpecification"] = {"AllocationStrategy": "lowest-price"}
    if not on_demand:
        for config in fleet["InstanceTypeConfigs"]:
            config["BidPriceAsPercentageOfOnDemandPrice"] = 100
        fleet["LaunchSpecifications"]["SpotSpecification"] = {
            "AllocationStrategy": "price-capacity-optimized",
            "TimeoutDurationMinutes": timeout,
            "TimeoutAction": "TERMINATE_CLUSTER" if market == "spot" else "SWITCH_TO_ON_DEMAND",
        }
    return fleet


def _scaling(parameters: RunParameters) -> dict[str, Any]:
    """Managed scaling of the core fleet, in its units; on Spot alone it never adds a node on demand."""
    most = parameters.most_workers
    return {
        "ComputeLimits": {
            "UnitType": "InstanceFleetUnits",
            "MinimumCapacityUnits": 1,
            "MaximumCapacityUnits": most,
            "MaximumCoreCapacityUnits": most,
            "MaximumOnDemandCapacityUnits": 0 if parameters.spot == "spot" else most,
        }
    }
