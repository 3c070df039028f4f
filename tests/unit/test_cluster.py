"""The RunJobFlow request is what EMR accepts, all Spot, tagged, and made of the parameters alone."""

import subprocess
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from fruit_contract.layout import RunLayout
from fruit_pipeline import steps
from fruit_pipeline.artifacts import ArtifactUris
from fruit_pipeline.cluster import job_flow
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.parameters import RunParameters
from fruit_pipeline.prices import OFFERED_TYPES, gib, vcpus

URIS = ArtifactUris(
    "s3://b/f.py",
    "s3://b/r.py",
    "s3://b/code.zip",
    "s3://b/model/",
    "s3://b/runtime.tar.gz",
    "s3://b/hard_lifetime.sh",
)


def built(**changes: Any) -> dict[str, Any]:
    return job_flow(
        RunParameters(bucket="fruits-test", **changes),
        Deployment(),
        URIS.hard_lifetime,
        "fruit_features",
        "manual__1",
    )


def problems_of(operation: str, request: dict[str, Any]) -> str:
    shape = botocore.session.get_session().get_service_model("emr").operation_model(operation).input_shape
    return str(ParamValidator().validate(request, shape).generate_report())


@pytest.mark.parametrize("spot", ["spot", "spot-or-on-demand", "on-demand"])
def test_the_request_fits_the_service_model(spot: str) -> None:
    assert problems_of("RunJobFlow", built(spot=spot)) == ""


def test_the_default_is_the_recorded_cluster_all_spot() -> None:
    fleets = built()["Instances"]["InstanceFleets"]
    assert [
        (
            fleet["InstanceFleetType"],
            fleet["InstanceTypeConfigs"][0]["InstanceType"],
            fleet["TargetSpotCapacity"],
        )
        for fleet in fleets
    ] == [("MASTER", "m6g.xlarge", 1), ("CORE", "m6g.large", 2)]
    assert all(fleet["TargetOnDemandCapacity"] == 0 for fleet in fleets)


def mib(text: str) -> int:
    return int(text.removesuffix("m"))


@pytest.mark.parametrize("worker_type", [name for name in OFFERED_TYPES if gib(name) >= 8])
@pytest.mark.parametrize("workers", [1, 2, 40])
def test_every_worker_has_one_executor_on_all_its_cores_with_room_for_the_driver(
    worker_type: str, workers: int
) -> None:
    defaults = built(worker_type=worker_type, workers=workers)["Configurations"][0]["Properties"]
    assert int(defaults["spark.executor.instances"]) == workers
    assert int(defaults["spark.executor.cores"]) == vcpus(worker_type)
    executor, driver = (
        mib(defaults[f"spark.{who}.memory"]) + mib(defaults[f"spark.{who}.memoryOverhead"])
        for who in ("executor", "driver")
    )
    assert 2 * executor >= 1024 * gib(worker_type), "two executors must not fit on a worker"
    assert executor + driver <= 1024 * gib(worker_type) * 5.5 / 8


def test_a_worker_of_4_gib_keeps_emrs_own_memory() -> None:
    defaults = built(worker_type="c6g.large")["Configurations"][0]["Properties"]
    assert defaults["spark.executor.instances"] == "2"
    assert not [name for name in defaults if "memory" in name.lower()]


def test_nobody_pays_for_an_idle_cluster() -> None:
    assert 60 <= built()["AutoTerminationPolicy"]["IdleTimeout"] <= 3600


def test_the_cluster_ends_by_itself_at_max_hours() -> None:
    (action,) = built(max_hours=1.51)["BootstrapActions"]
    assert action["ScriptBootstrapAction"] == {"Path": URIS.hard_lifetime, "Args": ["91"]}


@pytest.mark.parametrize("arguments", [[], ["0"], ["-5"], ["3 hours"], ["1.5"]])
def test_the_lifetime_script_refuses_what_is_no_number_of_minutes(arguments: list[str]) -> None:
    script = Deployment().code_dir / "bootstrap" / "hard_lifetime.sh"
    done = subprocess.run(["bash", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "give a whole number of minutes" in done.stderr


@pytest.mark.parametrize(("up", "left"), [(0, 180), (7, 173), (179, 1), (5000, 1)])
def test_the_lifetime_counts_from_the_boot_of_the_node(up: int, left: int, tmp_path: Path) -> None:
    """A node is paid for from its launch, and bootstrap actions come minutes after it."""
    script = Deployment().code_dir / "bootstrap" / "hard_lifetime.sh"
    for name, text in {
        "sudo": f'echo "$@" > {tmp_path}/ordered',
        "uptime": f"""[ "$*" = -s ] && date -d '{up} minutes ago' '+%Y-%m-%d %H:%M:%S'""",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    subprocess.run(
        ["bash", script, "180"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, check=True
    )
    assert (tmp_path / "ordered").read_text().startswith(f"shutdown -P +{left} ")


@pytest.mark.parametrize(
    ("spot", "action"), [("spot", "TERMINATE_CLUSTER"), ("spot-or-on-demand", "SWITCH_TO_ON_DEMAND")]
)
def test_missing_spot_capacity_ends_the_cluster_or_falls_back(spot: str, action: str) -> None:
    for fleet in built(spot=spot)["Instances"]["InstanceFleets"]:
        assert fleet["LaunchSpecifications"]["SpotSpecification"]["TimeoutAction"] == action


def test_the_cluster_carries_the_tags_of_its_run() -> None:
    tags = {tag["Key"]: tag["Value"] for tag in built()["Tags"]}
    assert tags["project"] == "fruit-features"
    assert (tags["dag_id"], tags["run_key"]) == ("fruit_features", "manual__1")


def test_logs_go_to_the_runs_own_bucket_which_encrypts_them() -> None:
    assert built()["LogUri"] == "s3://fruits-test/logs/"


def test_two_runs_differ_in_name_and_tags() -> None:
    requests = [
        job_flow(RunParameters(), Deployment(), URIS.hard_lifetime, "fruit_features", run_id)
        for run_id in ("a:1", "a-1")
    ]
    assert requests[0]["Name"] != requests[1]["Name"]
    assert requests[0]["Tags"] != requests[1]["Tags"]


def test_the_installation_decides_subnet_security_and_log_key() -> None:
    deployment = Deployment(subnet_id="subnet-1", security_configuration="sc", log_kms_key="key")
    request = job_flow(RunParameters(), deployment, URIS.hard_lifetime, "d", "r")
    assert request["Instances"]["Ec2SubnetIds"] == ["subnet-1"]
    assert (request["SecurityConfiguration"], request["LogEncryptionKmsKeyId"]) == ("sc", "key")


def test_several_subnets_and_the_stacks_security_groups_reach_the_request() -> None:
    deployment = Deployment(
        subnet_id="subnet-1,subnet-2", node_security_group="sg-1", service_security_group="sg-2"
    )
    instances = job_flow(RunParameters(), deployment, URIS.hard_lifetime, "d", "r")["Instances"]
    assert instances["Ec2SubnetIds"] == ["subnet-1", "subnet-2"]
    assert instances["EmrManagedMasterSecurityGroup"] == instances["EmrManagedSlaveSecurityGroup"] == "sg-1"
    assert instances["ServiceAccessSecurityGroup"] == "sg-2"


@pytest.mark.parametrize("build", [steps.featurize_step, steps.reduce_step])
def test_a_step_fits_the_service_model_and_names_the_runs_own_keys(build: Any) -> None:
    step = build(RunParameters(bucket="fruits-test"), RunLayout("fruits-test", "run-1"), URIS)
    assert problems_of("AddJobFlowSteps", {"JobFlowId": "j-1", "Steps": [step]}) == ""
    args = step["HadoopJarStep"]["Args"]
    assert args[0] == "spark-submit"
    assert all("run=run-1" in word for word in args if word.startswith("s3://fruits-test/Results/"))
    assert all(isinstance(word, str) for word in args)


@pytest.mark.parametrize("build", [steps.featurize_step, steps.reduce_step])
def test_a_step_ends_itself_at_max_step_hours_and_is_not_started_twice(build: Any) -> None:
    parameters = RunParameters(bucket="fruits-test", max_step_hours=1.5)
    args = build(parameters, RunLayout("fruits-test", "run-1"), URIS)["HadoopJarStep"]["Args"]
    assert args[args.index("--time-limit") + 1] == "5400"
    assert "spark.yarn.maxAppAttempts=1" in args
