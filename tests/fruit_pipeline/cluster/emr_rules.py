"""EMR's documented rules for a RunJobFlow request, each with its source, beyond what botocore's model says.

docs/evidence/emr-rules.md has the same list; test_emr_rules.py holds the two together. It also checks
every request that the pipeline can build. ``spoil`` breaks one rule of a request that keeps to all.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Request = dict[str, Any]
_API: Final = "API reference, "
_GUIDE: Final = "Management Guide, "
_TAG_TEXT: Final = re.compile(r"[\w\s.:/=+@-]*")


@dataclass(frozen=True)
class Rule:
    name: str
    says: str
    source: str
    holds: Callable[[Request], bool]
    spoil: Callable[[Request], Any]
    refused_locally: bool = True
    """Whether local AWS refuses what breaks it; what EMR itself notices later, or nobody, it takes."""


def _fleets(request: Request) -> list[Request]:
    fleets: list[Request] = request["Instances"]["InstanceFleets"]
    return fleets


def _fleet(request: Request, role: str) -> Request:
    return next(fleet for fleet in _fleets(request) if fleet["InstanceFleetType"] == role)


def _capacity(fleet: Request) -> tuple[int, int]:
    return fleet.get("TargetOnDemandCapacity", 0), fleet.get("TargetSpotCapacity", 0)


def _types(request: Request) -> list[Request]:
    return [config for fleet in _fleets(request) for config in fleet["InstanceTypeConfigs"]]


def _spot(fleet: Request) -> Request | None:
    return fleet.get("LaunchSpecifications", {}).get("SpotSpecification")


def _has_strategy(fleet: Request) -> bool:
    launch = fleet.get("LaunchSpecifications", {})
    return any("AllocationStrategy" in specification for specification in launch.values())


def _types_of_a_fleet(request: Request) -> bool:
    return all(
        1 <= len(fleet["InstanceTypeConfigs"]) <= (30 if _has_strategy(fleet) else 5)
        for fleet in _fleets(request)
    )


def _spoil_types(request: Request) -> None:
    fleet = _fleet(request, "CORE")
    fleet["InstanceTypeConfigs"] = [
        {"InstanceType": f"m6g.{size}xlarge", "WeightedCapacity": 1} for size in range(1, 7)
    ]
    fleet["LaunchSpecifications"] = {}


def _timeouts(request: Request) -> bool:
    found = [_spot(fleet) for fleet in _fleets(request) if _capacity(fleet)[1]]
    return all(
        each is not None and 5 <= each["TimeoutDurationMinutes"] <= 1440 and each["TimeoutAction"]
        for each in found
    )


def _limits(request: Request) -> Request | None:
    return request.get("ManagedScalingPolicy", {}).get("ComputeLimits")


def _scaling(request: Request) -> bool:
    limits = _limits(request)
    if limits is None:
        return True
    low, high = limits["MinimumCapacityUnits"], limits["MaximumCapacityUnits"]
    others = (limits.get(f"Maximum{kind}CapacityUnits", high) for kind in ("Core", "OnDemand"))
    return 1 <= low <= high and all(0 <= each <= high for each in others)


def _spoil_scaling(**changes: Any) -> Callable[[Request], Any]:
    limits = {"UnitType": "InstanceFleetUnits", "MinimumCapacityUnits": 1, "MaximumCapacityUnits": 4}
    return lambda request: request.update(ManagedScalingPolicy={"ComputeLimits": limits | changes})


def _tags(request: Request) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in request["Tags"]}


def _add_tag(key: str, value: str) -> Callable[[Request], Any]:
    return lambda request: request["Tags"].append({"Key": key, "Value": value})


def _security_groups(request: Request) -> bool:
    names = ("EmrManagedMasterSecurityGroup", "EmrManagedSlaveSecurityGroup")
    return len({name in request["Instances"] for name in names}) == 1


def _network(request: Request) -> bool:
    instances = request["Instances"]
    return "Ec2SubnetId" not in instances and not instances.get("Placement")


def _applications(request: Request) -> set[str]:
    of_spark = request["ReleaseLabel"].startswith("emr-spark-")
    return {"Spark"} if of_spark else {"Spark", "JupyterHub", "TensorFlow"}


def _classifications(request: Request) -> set[str]:
    of_application = {"Spark": {"core-site", "yarn-site", "spark-defaults"}}
    # Livy comes with JupyterHub.
    of_application["JupyterHub"] = {"jupyter-s3-conf", "livy-conf"}
    installed = {each["Name"] for each in request["Applications"]}
    return set().union(*(of_application.get(name, set()) for name in installed))


def _on_demand_bid(request: Request) -> bool:
    return not any(
        "BidPrice" in each and "BidPriceAsPercentageOfOnDemandPrice" in each for each in _types(request)
    )


def _weights(request: Request) -> bool:
    primary = _fleet(request, "MASTER")["InstanceTypeConfigs"]
    return all(each["WeightedCapacity"] >= 1 for each in _types(request)) and all(
        each["WeightedCapacity"] == 1 for each in primary
    )


RULES: Final = (
    Rule(
        "name",
        "A cluster's name has at most 256 characters.",
        _API + "RunJobFlow",
        lambda request: len(request["Name"]) <= 256,
        lambda request: request.update(Name="x" * 257),
    ),
    Rule(
        "release",
        "Instance fleets need a release of 4.8.0 or later, allocation strategies 5.12.1, managed scaling and "
        "auto-termination 5.30.0.",
        _API
        + "InstanceFleetConfig, SpotProvisioningSpecification; "
        + _GUIDE
        + "managed scaling, auto-termination",
        lambda request: tuple(map(int, re.findall(r"\d+", request["ReleaseLabel"]))) >= (5, 30, 0),
        lambda request: request.update(ReleaseLabel="emr-4.7.0"),
    ),
    Rule(
        "one fleet a role",
        "There is exactly one primary fleet, at most one core and one task fleet.",
        _GUIDE + "instance fleets, considerations",
        lambda request: (
            sorted(fleet["InstanceFleetType"] for fleet in _fleets(request)) == ["CORE", "MASTER"]
        ),
        lambda request: _fleets(request).append(_fleet(request, "MASTER")),
    ),
    Rule(
        "fleets or groups",
        "Fleets and groups exclude each other.",
        _API + "JobFlowInstancesConfig",
        lambda request: "InstanceGroups" not in request["Instances"],
        lambda request: request["Instances"].update(
            InstanceGroups=[{"InstanceRole": "MASTER", "InstanceType": "m6g.xlarge", "InstanceCount": 1}]
        ),
    ),
    Rule(
        "primary capacity",
        "The primary fleet's target is 1, on Spot or on demand.",
        _API + "InstanceFleetConfig",
        lambda request: sorted(_capacity(_fleet(request, "MASTER"))) == [0, 1],
        lambda request: _fleet(request, "MASTER").update(TargetOnDemandCapacity=1, TargetSpotCapacity=1),
    ),
    Rule(
        "core capacity",
        "One of the two targets of a fleet is above 0.",
        _API + "InstanceFleetConfig",
        lambda request: sum(_capacity(_fleet(request, "CORE"))) > 0,
        lambda request: _fleet(request, "CORE").update(TargetOnDemandCapacity=0, TargetSpotCapacity=0),
    ),
    Rule(
        "types of a fleet",
        "A fleet has at most 5 instance types, or 30 with an allocation strategy.",
        _API + "InstanceTypeConfig",
        _types_of_a_fleet,
        _spoil_types,
    ),
    Rule(
        "weights",
        "A type's weighted capacity is 1 in the primary fleet, and at least 1 in the others.",
        _API + "InstanceTypeConfig",
        _weights,
        lambda request: _fleet(request, "CORE")["InstanceTypeConfigs"][0].update(WeightedCapacity=0),
    ),
    Rule(
        "one bid",
        "A type is bid for in USD or in percent of the on-demand price, not in both; or at 100 percent.",
        _API + "InstanceTypeConfig",
        _on_demand_bid,
        lambda request: _types(request)[0].update(BidPrice="0.1", BidPriceAsPercentageOfOnDemandPrice=100),
    ),
    Rule(
        "Spot timeout",
        "A Spot fleet says after how many minutes, 5 to 1440, the cluster ends or goes on on demand; it "
        "counts for the first provisioning only.",
        _API + "SpotProvisioningSpecification",
        _timeouts,
        lambda request: _fleet(request, "CORE").update(
            TargetOnDemandCapacity=0,
            TargetSpotCapacity=1,
            LaunchSpecifications={
                "SpotSpecification": {
                    "TimeoutDurationMinutes": 4,
                    "TimeoutAction": "TERMINATE_CLUSTER",
                    "AllocationStrategy": "price-capacity-optimized",
                }
            },
        ),
    ),
    Rule(
        "scaling unit",
        "Managed scaling of fleets counts in InstanceFleetUnits.",
        _API + "ComputeLimits",
        lambda request: (
            (_limits(request) or {}).get("UnitType", "InstanceFleetUnits") == "InstanceFleetUnits"
        ),
        _spoil_scaling(UnitType="Instances"),
    ),
    Rule(
        "scaling limits",
        "Its minimum is at least 1 and at most its maximum; the limits of core and on-demand units are 0 to "
        "its maximum.",
        _API + "ComputeLimits; " + _GUIDE + "managed scaling",
        _scaling,
        _spoil_scaling(MinimumCapacityUnits=5),
    ),
    Rule(
        "idle limit",
        "An idle cluster ends after 60 to 604800 seconds.",
        _API + "AutoTerminationPolicy",
        lambda request: 60 <= request["AutoTerminationPolicy"]["IdleTimeout"] <= 604_800,
        lambda request: request.update(AutoTerminationPolicy={"IdleTimeout": 59}),
    ),
    Rule(
        "step concurrency",
        "1 to 256 steps run at a time.",
        _API + "RunJobFlow",
        lambda request: 1 <= request["StepConcurrencyLevel"] <= 256,
        lambda request: request.update(StepConcurrencyLevel=257),
    ),
    Rule(
        "bootstrap actions",
        "A cluster has at most 16 bootstrap actions.",
        _GUIDE + "bootstrap actions",
        lambda request: len(request["BootstrapActions"]) <= 16,
        lambda request: request.update(BootstrapActions=request["BootstrapActions"] * 17),
    ),
    Rule(
        "bootstrap path",
        "A bootstrap action's script lies on S3, or on the node.",
        _API + "ScriptBootstrapActionConfig",
        lambda request: all(
            each["ScriptBootstrapAction"]["Path"].startswith("s3://") for each in request["BootstrapActions"]
        ),
        lambda request: request["BootstrapActions"][0]["ScriptBootstrapAction"].update(Path="ftp://x/y.sh"),
        refused_locally=False,
    ),
    Rule(
        "log address",
        "Logs go to an S3 address.",
        _API + "RunJobFlow",
        lambda request: request["LogUri"].startswith("s3://"),
        lambda request: request.update(LogUri="file:///tmp/logs"),
    ),
    Rule(
        "tags",
        "A cluster has at most 50 tags, whose keys differ.",
        _GUIDE + "tag restrictions (those of EC2)",
        lambda request: len(_tags(request)) == len(request["Tags"]) <= 50,
        lambda request: request["Tags"].extend({"Key": f"k{n}", "Value": ""} for n in range(50)),
    ),
    Rule(
        "tag lengths",
        "A key has 1 to 128 characters, a value at most 256.",
        _GUIDE + "tag restrictions (those of EC2)",
        lambda request: all(
            1 <= len(key) <= 128 and len(value) <= 256 for key, value in _tags(request).items()
        ),
        _add_tag("key", "v" * 257),
    ),
    Rule(
        "tag prefix",
        "No key begins with aws:.",
        _GUIDE + "tag restrictions",
        lambda request: not any(key.lower().startswith("aws:") for key in _tags(request)),
        _add_tag("aws:mine", "x"),
    ),
    Rule(
        "tag characters",
        "Keys and values are made of letters, digits, white space and _ . : / = + - @.",
        _GUIDE + "tag restrictions",
        lambda request: all(_TAG_TEXT.fullmatch(text) for pair in _tags(request).items() for text in pair),
        _add_tag("key", "a#b"),
    ),
    Rule(
        "tag of the service role",
        "EMR's v2 service role touches only what is tagged for-use-with-amazon-emr-managed-policies=true.",
        _GUIDE + "managed policies",
        lambda request: _tags(request).get("for-use-with-amazon-emr-managed-policies") == "true",
        lambda request: request.update(Tags=[]),
        refused_locally=False,
    ),
    Rule(
        "security groups",
        "The groups of the primary node and of the others are given both or neither.",
        _API + "JobFlowInstancesConfig",
        _security_groups,
        lambda request: (
            request["Instances"].update(EmrManagedMasterSecurityGroup="sg-1")
            or request["Instances"].pop("EmrManagedSlaveSecurityGroup", None)
        ),
    ),
    Rule(
        "subnets",
        "Fleets name their subnets in Ec2SubnetIds, without Ec2SubnetId or a zone beside.",
        _API + "JobFlowInstancesConfig; " + _GUIDE + "instance fleets",
        _network,
        lambda request: request["Instances"].update(Ec2SubnetId="subnet-1", Ec2SubnetIds=["subnet-1"]),
    ),
    Rule(
        "root volume",
        "The root volume has 15 to 100 GiB.",
        _GUIDE + "root volume of the default AMI",
        lambda request: 15 <= request["EbsRootVolumeSize"] <= 100,
        lambda request: request.update(EbsRootVolumeSize=101),
    ),
    Rule(
        "roles",
        "A service role and an instance profile are given.",
        _GUIDE + "IAM roles",
        lambda request: bool(request["ServiceRole"] and request["JobFlowRole"]),
        lambda request: request.update(ServiceRole=""),
    ),
    Rule(
        "applications",
        "Every application belongs to the release.",
        "Release Guide, application versions",
        lambda request: {each["Name"] for each in request["Applications"]} <= _applications(request),
        lambda request: request["Applications"].append({"Name": "Sprak"}),
    ),
    Rule(
        "classifications",
        "Configurations name classifications of the installed applications, with values that are strings.",
        "Release Guide, configure applications",
        lambda request: all(
            each["Classification"] in _classifications(request)
            and all(isinstance(value, str) for value in each["Properties"].values())
            for each in request["Configurations"]
        ),
        lambda request: request["Configurations"].append(
            {"Classification": "spark-default", "Properties": {}}
        ),
        refused_locally=False,
    ),
    Rule(
        "steps",
        "A cluster has at most 256 steps that are pending or running.",
        _API + "AddJobFlowSteps",
        lambda request: len(request.get("Steps", [])) <= 256,
        lambda request: request.update(
            Steps=[{"Name": "s", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["true"]}}] * 257
        ),
    ),
    Rule(
        "step length",
        "The strings of a step's HadoopJarStep have at most 10240 characters together.",
        _API + "AddJobFlowSteps",
        lambda request: all(
            len(step["HadoopJarStep"]["Jar"]) + sum(map(len, step["HadoopJarStep"]["Args"])) <= 10_240
            for step in request.get("Steps", [])
        ),
        lambda request: request.update(
            Steps=[{"Name": "s", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["x" * 10_240]}}]
        ),
    ),
)
