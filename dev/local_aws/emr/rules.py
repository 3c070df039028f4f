"""What EMR refuses although each parameter by itself is well formed.

Limits are from the API reference (RunJobFlow, AddJobFlowSteps, SpotProvisioningSpecification,
AutoTerminationPolicy, ComputeLimits) and from the management guide's pages on tags, fleets, bootstrap
actions and root volumes.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from local_aws.emr.api_errors import InvalidRequestError, ValidationError
from local_aws.emr.cluster_data import Cluster
from local_aws.emr.recorded_types import instance_types
from local_aws.emr.release_versions import canonical_application, release_labels

MOST_STEPS = 256
MOST_JOB_FLOWS_PER_CALL = 10
MOST_STEP_IDS = 10
_MOST_TAGS = 50
_MOST_STEP_CHARACTERS = 10240
_IDLE_SECONDS = (60, 604_800)
_SPOT_TIMEOUT_MINUTES = (5, 1440)
_CONCURRENCY = (1, 256)
_MOST_TYPES_PER_FLEET = 5
_MOST_TYPES_WITH_STRATEGY = 30
_MOST_BOOTSTRAP_ACTIONS = 16
_ROOT_VOLUME_GIB = (15, 100)
_TAG_TEXT = re.compile(r"[\w\s.:/=+@-]*")
_EXCLUSIVE = "Instance fleets and instance groups are mutually exclusive. "


def check_run_job_flow(request: dict[str, Any], security_configurations: Iterable[str]) -> None:
    _check_release(request)
    _check_roles(request)
    _check_instances(request["Instances"])
    _check_types(request)
    check_concurrency(request.get("StepConcurrencyLevel", 1))
    check_steps(request.get("Steps", []), active=0, concurrency=request.get("StepConcurrencyLevel", 1))
    check_tags(request.get("Tags", []), already=0, error=ValidationError)
    if request.get("AutoTerminationPolicy") is not None:
        check_auto_termination(request["AutoTerminationPolicy"])
    if request.get("ManagedScalingPolicy") is not None:
        check_managed_scaling(
            request["ManagedScalingPolicy"], bool(request["Instances"].get("InstanceFleets"))
        )
    actions = len(request.get("BootstrapActions", []))
    if actions > _MOST_BOOTSTRAP_ACTIONS:
        raise ValidationError(
            f"The request has {actions} bootstrap actions, the limit is {_MOST_BOOTSTRAP_ACTIONS}."
        )
    if request.get("EbsRootVolumeSize") is not None:
        _check_between("EbsRootVolumeSize", request["EbsRootVolumeSize"], _ROOT_VOLUME_GIB, ValidationError)
    wanted = request.get("SecurityConfiguration")
    if wanted is not None and wanted not in security_configurations:
        raise ValidationError(f"Security configuration with name '{wanted}' does not exist.")
    log_uri = request.get("LogUri", "")
    if log_uri and not log_uri.startswith(("s3://", "s3n://", "s3a://")):
        raise ValidationError(
            f"LogUri '{log_uri}' is not valid: it must be an Amazon S3 address, s3://bucket/prefix/."
        )


def _check_release(request: dict[str, Any]) -> None:
    label, ami = request.get("ReleaseLabel"), request.get("AmiVersion")
    if label and ami:
        raise ValidationError(
            "Only one AMI version and release label may be specified. "
            f"Provided AMI: {ami}, release label: {label}."
        )
    if not label:
        raise ValidationError("ReleaseLabel must be specified: AMI versions are not supported here.")
    check_release(label, ValidationError)
    for application in request.get("Applications", []):
        name = application.get("Name", "")
        if canonical_application(name, label) is None:
            raise ValidationError(f"The application '{name}' is not supported by release {label}.")


def check_release(
    label: str, error: type[ValidationError] | type[InvalidRequestError] = InvalidRequestError
) -> None:
    if label not in release_labels():
        raise error(f"The supplied release label is invalid: {label}.")


def _check_types(request: dict[str, Any]) -> None:
    """EMR's own lists name no type that is too small for it, such as m6g.large."""
    wanted, offered = request["Instances"], instance_types(request["ReleaseLabel"])
    names = [wanted.get("MasterInstanceType"), wanted.get("SlaveInstanceType")]
    names += [group["InstanceType"] for group in wanted.get("InstanceGroups", [])]
    names += [
        each["InstanceType"]
        for fleet in wanted.get("InstanceFleets", [])
        for each in fleet.get("InstanceTypeConfigs", [])
    ]
    for name in filter(None, names):
        if name not in offered:
            raise ValidationError(f"Instance type '{name}' is not supported.")


def _check_roles(request: dict[str, Any]) -> None:
    if not request.get("JobFlowRole"):
        raise ValidationError("InstanceProfile is required for creating cluster.")
    if not request.get("ServiceRole"):
        raise ValidationError("ServiceRole is required for creating cluster.")


def _check_instances(wanted: dict[str, Any]) -> None:
    fleets, groups = wanted.get("InstanceFleets"), wanted.get("InstanceGroups")
    short_form = [
        name for name in ("MasterInstanceType", "SlaveInstanceType", "InstanceCount") if name in wanted
    ]
    if fleets and (groups or short_form):
        raise ValidationError(
            f"{_EXCLUSIVE}Remove InstanceFleets or {', '.join(['InstanceGroups'] if groups else short_form)}."
        )
    if groups and short_form:
        raise ValidationError(f"InstanceGroups may not be specified together with {', '.join(short_form)}.")
    if fleets:
        _check_fleets(fleets)
    elif groups:
        _check_roles_of_groups(groups)
    elif "MasterInstanceType" not in wanted:
        raise ValidationError(
            "The request must specify InstanceFleets, InstanceGroups or MasterInstanceType."
        )
    elif wanted.get("InstanceCount", 1) < 1:
        raise ValidationError(f"InstanceCount is {wanted['InstanceCount']}: it must be at least 1.")
    _check_network(wanted, bool(fleets))


def _check_network(wanted: dict[str, Any], fleets: bool) -> None:
    groups = ("EmrManagedMasterSecurityGroup", "EmrManagedSlaveSecurityGroup")
    if len({bool(wanted.get(name)) for name in groups}) > 1:
        raise ValidationError(f"{' and '.join(groups)} must be specified together.")
    subnet, subnets = wanted.get("Ec2SubnetId"), wanted.get("Ec2SubnetIds")
    placement = wanted.get("Placement") or {}
    zones = [placement["AvailabilityZone"]] if placement.get("AvailabilityZone") else []
    zones += placement.get("AvailabilityZones", [])
    if subnet and subnets:
        raise ValidationError("Only one of Ec2SubnetId and Ec2SubnetIds may be specified.")
    if (subnet or subnets) and zones:
        raise ValidationError("You cannot specify both a cluster subnet and availability zone.")
    if not fleets and len(subnets or zones) > 1:
        raise ValidationError(
            "More than one subnet or availability zone may be given with instance fleets only."
        )


def _check_roles_of_groups(groups: list[dict[str, Any]]) -> None:
    roles = [group["InstanceRole"] for group in groups]
    if roles.count("MASTER") != 1 or roles.count("CORE") > 1:
        raise ValidationError(
            "A cluster must have exactly one master instance group and at most one core one."
        )
    for group in groups:
        count = group["InstanceCount"]
        if group["InstanceRole"] == "MASTER" and count not in (1, 3):
            raise ValidationError(f"The master instance group must have 1 or 3 instances, not {count}.")
        if count < 0 or (group["InstanceRole"] == "CORE" and count < 1):
            raise ValidationError(f"InstanceCount {count} is not valid for a {group['InstanceRole']} group.")
        if group.get("BidPrice") and group.get("Market") == "ON_DEMAND":
            raise ValidationError("BidPrice may be specified for instance groups of the SPOT market only.")


def _check_fleets(fleets: list[dict[str, Any]]) -> None:
    roles = [fleet["InstanceFleetType"] for fleet in fleets]
    if roles.count("MASTER") != 1 or roles.count("CORE") > 1 or roles.count("TASK") > 1:
        raise ValidationError(
            "A cluster must have exactly one master fleet and at most one core and one task fleet."
        )
    for fleet in fleets:
        _check_fleet(fleet)


def _check_fleet(fleet: dict[str, Any]) -> None:
    role = fleet["InstanceFleetType"]
    spot, on_demand = fleet.get("TargetSpotCapacity", 0), fleet.get("TargetOnDemandCapacity", 0)
    if role == "MASTER" and spot + on_demand != 1:
        raise ValidationError(
            f"The master fleet must have a target capacity of 1, Spot or On-Demand, not {spot + on_demand}."
        )
    if spot + on_demand == 0 and role == "CORE":
        raise ValidationError(f"The {role} fleet must have a Spot or On-Demand target capacity above 0.")
    types = fleet.get("InstanceTypeConfigs", [])
    launch = fleet.get("LaunchSpecifications") or {}
    strategies = [specification.get("AllocationStrategy") for specification in launch.values()]
    most = _MOST_TYPES_WITH_STRATEGY if any(strategies) else _MOST_TYPES_PER_FLEET
    if not 1 <= len(types) <= most:
        raise ValidationError(f"The {role} fleet has {len(types)} InstanceTypeConfigs: give 1 to {most}.")
    names = [each["InstanceType"] for each in types]
    if len(set(names)) < len(names):
        raise ValidationError(f"The {role} fleet names an instance type more than once: {', '.join(names)}.")
    for each in types:
        weight = each.get("WeightedCapacity", 1)
        if weight < 1 or (role == "MASTER" and weight != 1):
            raise ValidationError(f"WeightedCapacity {weight} is not valid for a type of the {role} fleet.")
        if each.get("BidPrice") and each.get("BidPriceAsPercentageOfOnDemandPrice") is not None:
            raise ValidationError(
                "Only one of BidPrice and BidPriceAsPercentageOfOnDemandPrice may be specified."
            )
    timeout = (launch.get("SpotSpecification") or {}).get("TimeoutDurationMinutes")
    if timeout is not None:
        _check_between("TimeoutDurationMinutes", timeout, _SPOT_TIMEOUT_MINUTES, ValidationError)


def check_steps(steps: list[dict[str, Any]], active: int, concurrency: int) -> None:
    """``active`` counts the steps of the cluster that are pending, running or being cancelled."""
    if active + len(steps) > MOST_STEPS:
        raise ValidationError(
            "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') "
            "for cluster exceeded."
        )
    for step in steps:
        action = step.get("ActionOnFailure", "CONTINUE")
        if concurrency > 1 and action != "CONTINUE":
            raise ValidationError(
                f"ActionOnFailure {action} is not valid at StepConcurrencyLevel {concurrency}: use CONTINUE."
            )
        jar_step = step["HadoopJarStep"]
        length = len(jar_step["Jar"]) + sum(map(len, jar_step.get("Args", [])))
        if length > _MOST_STEP_CHARACTERS:
            raise ValidationError(
                f"The HadoopJarStep of step '{step['Name']}' has {length} characters, the limit is "
                f"{_MOST_STEP_CHARACTERS}: put long arguments in a file."
            )


def check_may_get_steps(cluster: Cluster) -> None:
    if cluster.is_ending:
        raise ValidationError(
            "A job flow that is shutting down, terminated, or finished may not be modified."
        )


def check_may_change(cluster: Cluster) -> None:
    """For the operations of the newer kind (ModifyCluster, policies)."""
    if cluster.is_ending:
        raise InvalidRequestError(f"Cluster '{cluster.id}' is {cluster.state} and may not be modified.")


def check_none_protected(clusters: Iterable[Cluster]) -> None:
    if any(cluster.protected and not cluster.is_ending for cluster in clusters):
        raise ValidationError(
            "Could not shut down one or more job flows since they are termination protected."
        )


def check_concurrency(level: int) -> None:
    _check_between("StepConcurrencyLevel", level, _CONCURRENCY, ValidationError)


def check_auto_termination(policy: dict[str, Any]) -> None:
    if policy.get("IdleTimeout") is None:
        raise ValidationError("AutoTerminationPolicy must have an IdleTimeout, in seconds.")
    _check_between("IdleTimeout", policy["IdleTimeout"], _IDLE_SECONDS, ValidationError)


def check_managed_scaling(policy: dict[str, Any], fleets: bool) -> None:
    limits = policy.get("ComputeLimits")
    if limits is None:
        raise ValidationError("ManagedScalingPolicy must have ComputeLimits.")
    low, high = limits["MinimumCapacityUnits"], limits["MaximumCapacityUnits"]
    if not 1 <= low <= high:
        raise ValidationError(
            f"MinimumCapacityUnits {low} must be at least 1 and at most MaximumCapacityUnits {high}."
        )
    for name in ("MaximumOnDemandCapacityUnits", "MaximumCoreCapacityUnits"):
        if limits.get(name, 0) > high:
            raise ValidationError(f"{name} {limits[name]} is above MaximumCapacityUnits {high}.")
    if (limits["UnitType"] == "InstanceFleetUnits") != fleets:
        raise ValidationError(
            f"UnitType {limits['UnitType']} does not fit instance {'fleets' if fleets else 'groups'}."
        )


def check_security_configuration(body: str) -> None:
    try:
        parsed = json.loads(body)
    except ValueError as error:
        raise InvalidRequestError(f"The security configuration is not valid JSON: {error}.") from error
    if not isinstance(parsed, dict):
        raise InvalidRequestError("The security configuration must be a JSON object.")


def check_tags(
    tags: list[dict[str, Any]], already: int, error: type[ValidationError] | type[InvalidRequestError]
) -> None:
    """``already`` counts the tags kept besides these."""
    if already + len(tags) > _MOST_TAGS:
        raise error(
            f"A cluster may have {_MOST_TAGS} tags at most, this request would make {already + len(tags)}."
        )
    keys = [tag.get("Key", "") for tag in tags]
    if len(set(keys)) < len(keys):
        raise error(f"A tag key may be given once only: {', '.join(keys)}.")
    for tag in tags:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not 1 <= len(key) <= 128:
            raise error(f"Tag key '{key[:40]}' must have 1 to 128 characters.")
        if len(value) > 256:
            raise error(f"The value of tag '{key}' has {len(value)} characters, the limit is 256.")
        if not (_TAG_TEXT.fullmatch(key) and _TAG_TEXT.fullmatch(value)):
            raise error(
                f"Tag '{key}' has characters other than letters, digits, white space and _ . : / = + - @."
            )
        if key.lower().startswith("aws:"):
            raise error(f"Tag key '{key}' is reserved: keys may not begin with 'aws:'.")


def _check_between(
    name: str,
    value: int,
    bounds: tuple[int, int],
    error: type[ValidationError] | type[InvalidRequestError],
) -> None:
    low, high = bounds
    if not low <= value <= high:
        raise error(f"{name} must be between {low} and {high}, not {value}.")
