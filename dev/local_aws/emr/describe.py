"""The endpoint's data as EMR's answers show it. Absent values are left out, as EMR leaves them out."""

from typing import Any

from local_aws.emr.cluster_data import Cluster, Collection, Instance, Reason, Step
from local_aws.emr.instances import normalized_hours
from local_aws.emr.release_versions import applications, canonical_application
from local_aws.moto_server import ACCOUNT_ID

Wire = dict[str, Any]

_COPIED = (
    "LogEncryptionKmsKeyId",
    "ReleaseLabel",
    "ServiceRole",
    "Configurations",
    "SecurityConfiguration",
    "AutoScalingRole",
    "CustomAmiId",
    "EbsRootVolumeSize",
    "EbsRootVolumeIops",
    "EbsRootVolumeThroughput",
    "RepoUpgradeOnBoot",
    "KerberosAttributes",
    "OSReleaseLabel",
    "MonitoringConfiguration",
)
_COPIED_OF_INSTANCES = (
    "Ec2KeyName",
    "EmrManagedMasterSecurityGroup",
    "EmrManagedSlaveSecurityGroup",
    "ServiceAccessSecurityGroup",
    "AdditionalMasterSecurityGroups",
    "AdditionalSlaveSecurityGroups",
)
_COPIED_OF_TYPES = (
    "InstanceType",
    "BidPrice",
    "BidPriceAsPercentageOfOnDemandPrice",
    "Configurations",
    "CustomAmiId",
)


def cluster_arn(cluster: Cluster) -> str:
    return f"arn:aws:elasticmapreduce:{cluster.region}:{ACCOUNT_ID}:cluster/{cluster.id}"


def cluster_summary(cluster: Cluster, now: float) -> Wire:
    return {
        "Id": cluster.id,
        "Name": cluster.request["Name"],
        "Status": _cluster_status(cluster),
        "NormalizedInstanceHours": normalized_hours(cluster, now),
        "ClusterArn": cluster_arn(cluster),
    }


def cluster_detail(cluster: Cluster, now: float) -> Wire:
    request = cluster.request
    return _present(
        cluster_summary(cluster, now)
        | {name: request.get(name) for name in _COPIED}
        | {
            "LogUri": _shown_log_uri(request.get("LogUri")),
            "Ec2InstanceAttributes": _ec2_attributes(cluster),
            "InstanceCollectionType": cluster.collections[0].kind,
            "AutoTerminate": not cluster.keep_alive,
            "TerminationProtected": cluster.protected,
            "UnhealthyNodeReplacement": cluster.replace_unhealthy,
            "VisibleToAllUsers": cluster.visible,
            "Applications": _applications(request),
            "Tags": [{"Key": key, "Value": value} for key, value in cluster.tags.items()],
            "ScaleDownBehavior": request.get("ScaleDownBehavior", "TERMINATE_AT_TASK_COMPLETION"),
            "StepConcurrencyLevel": cluster.step_concurrency,
            "PlacementGroups": request.get("PlacementGroupConfigs", []),
            "MasterPublicDnsName": _primary_name(cluster),
        }
    )


def step_summary(step: Step) -> Wire:
    status = {
        "State": step.state,
        "StateChangeReason": {},
        "FailureDetails": step.failure
        and _present(
            {
                "Reason": step.failure.reason,
                "Message": step.failure.message,
                "LogFile": step.failure.log_file,
            }
        ),
        "Timeline": _timeline(step.created_at, "StartDateTime", step.started_at, step.ended_at),
    }
    return {
        "Id": step.id,
        "Name": step.name,
        "Config": _present(
            {"Jar": step.jar, "Properties": step.properties, "MainClass": step.main_class, "Args": step.args}
        ),
        "ActionOnFailure": step.action_on_failure,
        "Status": _present(status),
    }


def step_detail(step: Step) -> Wire:
    return _present(step_summary(step) | {"ExecutionRoleArn": step.execution_role_arn})


def instance_detail(cluster: Cluster, instance: Instance) -> Wire:
    of_fleet = cluster.collections[0].kind == "INSTANCE_FLEET"
    name = _internal_name(cluster.region, instance)
    return {
        "Id": instance.id,
        "Ec2InstanceId": instance.ec2_id,
        "PublicDnsName": "",
        "PrivateDnsName": name,
        "PrivateIpAddress": instance.private_ip,
        "Status": {
            "State": instance.state,
            "StateChangeReason": _reason(instance.reason),
            "Timeline": _timeline(instance.created_at, "ReadyDateTime", instance.ready_at, instance.ended_at),
        },
        ("InstanceFleetId" if of_fleet else "InstanceGroupId"): instance.collection_id,
        "Market": instance.market,
        "InstanceType": instance.type,
        "EbsVolumes": [],
    }


def group_detail(cluster: Cluster, group: Collection) -> Wire:
    config = group.request
    running = sum(instance.state == "RUNNING" for instance in _members(cluster, group))
    return _present(
        {
            "Id": group.id,
            "Name": group.name,
            "Market": config.get("Market", "ON_DEMAND"),
            "InstanceGroupType": group.role,
            "BidPrice": config.get("BidPrice"),
            "InstanceType": config["InstanceType"],
            "RequestedInstanceCount": config["InstanceCount"],
            "RunningInstanceCount": running,
            "Status": _collection_status(cluster, group),
            "Configurations": config.get("Configurations", []),
            "EbsBlockDevices": [],
            "ShrinkPolicy": {},
            "CustomAmiId": config.get("CustomAmiId"),
        }
    )


def fleet_detail(cluster: Cluster, fleet: Collection) -> Wire:
    config = fleet.request
    running = [each for each in _members(cluster, fleet) if each.state == "RUNNING"]
    return _present(
        {
            "Id": fleet.id,
            "Name": fleet.name,
            "Status": _collection_status(cluster, fleet),
            "InstanceFleetType": fleet.role,
            "TargetOnDemandCapacity": config.get("TargetOnDemandCapacity", 0),
            "TargetSpotCapacity": config.get("TargetSpotCapacity", 0),
            "ProvisionedOnDemandCapacity": sum(e.weight for e in running if e.market == "ON_DEMAND"),
            "ProvisionedSpotCapacity": sum(e.weight for e in running if e.market == "SPOT"),
            "InstanceTypeSpecifications": [
                _type_specification(e) for e in config.get("InstanceTypeConfigs", [])
            ],
            "LaunchSpecifications": config.get("LaunchSpecifications"),
            "ResizeSpecifications": config.get("ResizeSpecifications"),
            "Context": config.get("Context"),
        }
    )


def release_applications(label: str) -> list[Wire]:
    return [_application(name, version) for name, version in applications(label).items()]


def bootstrap_action(config: Wire) -> Wire:
    script = config["ScriptBootstrapAction"]
    return {"Name": config["Name"], "ScriptPath": script["Path"], "Args": script.get("Args", [])}


def _cluster_status(cluster: Cluster) -> Wire:
    return {
        "State": cluster.state,
        "StateChangeReason": _reason(cluster.reason),
        "Timeline": _timeline(cluster.created_at, "ReadyDateTime", cluster.ready_at, cluster.ended_at),
    }


def _collection_status(cluster: Cluster, collection: Collection) -> Wire:
    states = {
        "STARTING": "PROVISIONING",
        "BOOTSTRAPPING": "BOOTSTRAPPING",
        "RUNNING": "RUNNING",
        "WAITING": "RUNNING",
        "TERMINATING": "TERMINATING" if collection.kind == "INSTANCE_FLEET" else "SHUTTING_DOWN",
    }
    state = states.get(cluster.state, "TERMINATED")
    reason = Reason(code="CLUSTER_TERMINATED", message="Job flow terminated") if cluster.is_over else Reason()
    return {
        "State": state,
        "StateChangeReason": _reason(reason),
        "Timeline": _timeline(cluster.created_at, "ReadyDateTime", cluster.ready_at, cluster.ended_at),
    }


def _ec2_attributes(cluster: Cluster) -> Wire:
    wanted = cluster.request["Instances"]
    placement = wanted.get("Placement") or {}
    subnets = wanted.get("Ec2SubnetIds") or ([wanted["Ec2SubnetId"]] if wanted.get("Ec2SubnetId") else [])
    zones = placement.get("AvailabilityZones") or (
        [placement["AvailabilityZone"]] if placement.get("AvailabilityZone") else []
    )
    return _present(
        {name: wanted.get(name) for name in _COPIED_OF_INSTANCES}
        | {
            "Ec2SubnetId": subnets[0] if subnets else None,
            "RequestedEc2SubnetIds": subnets,
            "Ec2AvailabilityZone": zones[0] if zones else f"{cluster.region}a",
            "RequestedEc2AvailabilityZones": zones,
            "IamInstanceProfile": cluster.request.get("JobFlowRole"),
        }
    )


def _type_specification(config: Wire) -> Wire:
    return _present(
        {name: config.get(name) for name in _COPIED_OF_TYPES}
        | {"WeightedCapacity": config.get("WeightedCapacity", 1), "EbsBlockDevices": []}
    )


def _applications(request: Wire) -> list[Wire]:
    # EMR installs Hadoop with whatever needs it, but lists only what was asked for; without a wish, Hadoop.
    label = request["ReleaseLabel"]
    versions, wanted = applications(label), request.get("Applications") or [{"Name": "Hadoop"}]
    names = [canonical_application(each["Name"], label) for each in wanted]
    return [_application(name, versions[name]) for name in names if name is not None]


def _application(name: str, version: str) -> Wire:
    return {"Name": name} | ({"Version": version} if version else {})


def _shown_log_uri(log_uri: str | None) -> str | None:
    """EMR shows the address with its old scheme, s3n, and always as a folder."""
    if not log_uri:
        return None
    return "s3n://" + log_uri.partition("://")[2].rstrip("/") + "/"


def _primary_name(cluster: Cluster) -> str | None:
    return _internal_name(cluster.region, cluster.primary) if cluster.state != "STARTING" else None


def _internal_name(region: str, instance: Instance) -> str:
    suffix = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{instance.private_ip.replace('.', '-')}.{suffix}"


def _members(cluster: Cluster, collection: Collection) -> list[Instance]:
    return [each for each in cluster.instances if each.collection_id == collection.id]


def _reason(reason: Reason) -> Wire:
    return _present({"Code": reason.code, "Message": reason.message or None})


def _timeline(created: float, middle_name: str, middle: float | None, ended: float | None) -> Wire:
    return _present({"CreationDateTime": created, middle_name: middle, "EndDateTime": ended})


def _present(values: Wire) -> Wire:
    return {name: value for name, value in values.items() if value is not None}
