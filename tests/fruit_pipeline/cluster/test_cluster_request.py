"""The RunJobFlow request is all Spot, tagged, and made of the parameters alone."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fruit_contract.layout import RunLayout
from fruit_pipeline.cluster import spark_settings, step_requests
from fruit_pipeline.cluster.artifacts import ArtifactUris
from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from tests.fruit_pipeline.conftest import MODEL, planned

URIS = ArtifactUris(
    "s3://b/f.py",
    "s3://b/r.py",
    "s3://b/t.py",
    "s3://b/code.zip",
    "s3://b/model/",
    "s3://b/runtime.tar.gz",
    "s3://b/hard_lifetime.sh",
)


def train_step(*arguments: Any) -> Any:
    return step_requests.train_step(*arguments, MODEL)


STEPS = (step_requests.featurize_step, step_requests.reduce_step, train_step)


def built(**changes: Any) -> dict[str, Any]:
    return job_flow(
        RunParameters(bucket="fruits-test", **changes),
        Deployment(),
        URIS.hard_lifetime,
        "fruit_features",
        "manual__1",
    )


def test_the_default_is_the_recorded_cluster_all_spot() -> None:
    fleets = built()["Instances"]["InstanceFleets"]
    assert [
        (
            fleet["InstanceFleetType"],
            fleet["InstanceTypeConfigs"][0]["InstanceType"],
            fleet["TargetSpotCapacity"],
        )
        for fleet in fleets
    ] == [("MASTER", "m6g.xlarge", 1), ("CORE", "m6g.xlarge", 2)]
    assert all(fleet["TargetOnDemandCapacity"] == 0 for fleet in fleets)


def test_the_settings_of_the_workers_are_the_clusters_own() -> None:
    parameters = RunParameters(bucket="fruits-test", worker_type="c6g.2xlarge", workers=3)
    given = {
        each["Classification"]: each["Properties"]
        for each in built(worker_type="c6g.2xlarge", workers=3)["Configurations"]
    }
    assert given["yarn-site"] == spark_settings.yarn_site(parameters)
    assert spark_settings.spark_defaults(parameters).items() <= given["spark-defaults"].items()
    assert given["spark-defaults"]["spark.pyspark.python"] == "/usr/bin/python3.11"


@pytest.mark.parametrize("build", STEPS)
def test_on_a_release_without_a_new_python_the_steps_bring_theirs_and_notebooks_keep_the_nodes(
    build: Any,
) -> None:
    request = built(release_label="emr-6.15.0", interactive_minutes=30)
    defaults = next(each for each in request["Configurations"] if each["Classification"] == "spark-defaults")
    assert [key for key in defaults["Properties"] if "pyspark" in key.lower()] == []
    parameters = RunParameters(bucket="fruits-test", release_label="emr-6.15.0")
    uris = replace(URIS, python="s3://b/python.tar.gz")
    args = build(parameters, RunLayout("fruits-test", "run-1"), uris, planned())["HadoopJarStep"]["Args"]
    assert "spark.archives=s3://b/runtime.tar.gz#runtime,s3://b/python.tar.gz#python" in args
    assert "spark.pyspark.python=./python/bin/python3.11" in args
    assert "spark.yarn.appMasterEnv.PYSPARK_PYTHON=./python/bin/python3.11" in args


@pytest.mark.parametrize("build", STEPS)
def test_on_the_other_releases_the_steps_take_the_nodes_python(build: Any) -> None:
    args = build(RunParameters(bucket="fruits-test"), RunLayout("fruits-test", "run-1"), URIS, planned())
    assert "spark.archives=s3://b/runtime.tar.gz#runtime" in args["HadoopJarStep"]["Args"]
    assert not any("pyspark" in word.lower() for word in args["HadoopJarStep"]["Args"])


def test_nobody_pays_for_an_idle_cluster() -> None:
    assert 60 <= built()["AutoTerminationPolicy"]["IdleTimeout"] <= 3600


def test_the_cluster_ends_by_itself_at_max_hours() -> None:
    (action,) = built(max_hours=1.51)["BootstrapActions"]
    assert action["ScriptBootstrapAction"] == {"Path": URIS.hard_lifetime, "Args": ["91"]}


def test_interactive_time_counts_in_every_limit_and_brings_its_applications() -> None:
    request = built(max_hours=1.5, interactive_minutes=60)
    (action,) = request["BootstrapActions"]
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    assert action["ScriptBootstrapAction"]["Args"] == ["150"]
    assert (tags["max_hours"], tags["interactive_minutes"], tags["last_step"]) == ("2.5", "60", "train")
    assert request["AutoTerminationPolicy"] == {"IdleTimeout": 3600}
    assert [each["Name"] for each in request["Applications"]] == ["Spark", "JupyterHub", "TensorFlow"]


def test_jupyterhub_keeps_its_notebooks_in_the_bucket_and_livy_starts_drivers_where_steps_have_theirs() -> (
    None
):
    given = {
        each["Classification"]: each["Properties"] for each in built(interactive_minutes=60)["Configurations"]
    }
    assert given["jupyter-s3-conf"] == {
        "s3.persistence.enabled": "true",
        "s3.persistence.bucket": "fruits-test",
    }
    assert given["livy-conf"] == {"livy.spark.deploy-mode": "cluster"}


def test_without_interactive_time_nothing_of_it_is_asked_for() -> None:
    assert [each["Name"] for each in built()["Applications"]] == ["Spark"]
    assert not {"interactive_minutes", "last_step"} & {tag["Key"] for tag in built()["Tags"]}
    classifications = [each["Classification"] for each in built()["Configurations"]]
    assert classifications == ["core-site", "yarn-site", "spark-defaults"]


def test_interactive_time_begins_after_the_last_step_that_the_run_has() -> None:
    tags = {tag["Key"]: tag["Value"] for tag in built(interactive_minutes=60, classifier="none")["Tags"]}
    assert tags["last_step"] == "reduce"


@pytest.mark.parametrize("arguments", [[], ["0"], ["-5"], ["3 hours"], ["1.5"]])
def test_the_lifetime_script_refuses_what_is_no_number_of_minutes(arguments: list[str]) -> None:
    script = Deployment().code_dir / "bootstrap" / "hard_lifetime.sh"
    done = subprocess.run(["bash", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "give a whole number of minutes" in done.stderr


def types_of(fleet: dict[str, Any]) -> list[str]:
    return [each["InstanceType"] for each in fleet["InstanceTypeConfigs"]]


def test_every_type_that_may_come_is_one_unit_bid_for_at_its_own_price() -> None:
    primary, core = built(workers=5)["Instances"]["InstanceFleets"]
    assert types_of(primary) == ["m6g.xlarge", "m7g.xlarge", "r6g.xlarge"]
    assert types_of(core) == ["m6g.xlarge", "m7g.xlarge", "r6g.xlarge"]
    assert core["TargetSpotCapacity"] == 5
    for config in (*primary["InstanceTypeConfigs"], *core["InstanceTypeConfigs"]):
        assert (config["WeightedCapacity"], config["BidPriceAsPercentageOfOnDemandPrice"]) == (1, 100)


def test_without_diversity_only_the_types_asked_for_come() -> None:
    fleets = built(diversify=False)["Instances"]["InstanceFleets"]
    assert [types_of(fleet) for fleet in fleets] == [["m6g.xlarge"], ["m6g.xlarge"]]


@pytest.mark.parametrize("spot", ["spot", "spot-or-on-demand", "on-demand"])
@pytest.mark.parametrize("primary", ["as-workers", "spot", "spot-or-on-demand", "on-demand"])
def test_the_primary_node_has_a_market_of_its_own(spot: str, primary: str) -> None:
    fleets = built(spot=spot, primary_market=primary)["Instances"]["InstanceFleets"]
    for fleet, market in zip(fleets, [spot if primary == "as-workers" else primary, spot], strict=True):
        assert (fleet["TargetOnDemandCapacity"] > 0) == (market == "on-demand")
        launch = fleet["LaunchSpecifications"]
        assert ("SpotSpecification" in launch, "OnDemandSpecification" in launch) == (
            market != "on-demand",
            market != "spot",
        )


def test_a_fleet_that_may_grow_has_a_policy_in_its_own_units() -> None:
    assert "ManagedScalingPolicy" not in built()
    assert "ManagedScalingPolicy" not in built(workers=4, max_workers=4)
    limits = built(workers=2, max_workers=7)["ManagedScalingPolicy"]["ComputeLimits"]
    assert limits == {
        "UnitType": "InstanceFleetUnits",
        "MinimumCapacityUnits": 1,
        "MaximumCapacityUnits": 7,
        "MaximumCoreCapacityUnits": 7,
        "MaximumOnDemandCapacityUnits": 0,
    }


@pytest.mark.parametrize("spot", ["spot-or-on-demand", "on-demand"])
def test_a_fleet_that_may_be_on_demand_may_grow_on_demand(spot: str) -> None:
    limits = built(max_workers=7, spot=spot)["ManagedScalingPolicy"]["ComputeLimits"]
    assert limits["MaximumOnDemandCapacityUnits"] == 7


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


@pytest.mark.parametrize("build", STEPS)
def test_a_step_names_the_runs_own_keys(build: Any) -> None:
    step = build(RunParameters(bucket="fruits-test"), RunLayout("fruits-test", "run-1"), URIS, planned())
    args = step["HadoopJarStep"]["Args"]
    assert args[0] == "spark-submit"
    results = {word for word in args if word.startswith("s3://fruits-test/Results/")}
    shared = {"s3://fruits-test/Results/features/"}  # what earlier runs have left there is read
    assert all("=run-1" in word for word in results - shared)
    assert all(isinstance(word, str) for word in args)


def test_there_is_no_featurize_step_where_there_is_nothing_to_featurize() -> None:
    parameters, layout = RunParameters(bucket="fruits-test"), RunLayout("fruits-test", "run-1")
    assert step_requests.featurize_step(parameters, layout, URIS, planned(3, new=0, reused=3)) is None


def words_of(step: dict[str, Any] | None) -> dict[str, str]:
    """Of the train step: its arguments by their flags."""
    assert step is not None
    args = step["HadoopJarStep"]["Args"]
    own = args[args.index(URIS.train) + 1 :]
    pairs = zip(own[::2], own[1::2], strict=False)
    return dict(pairs)


def test_there_is_no_train_step_where_no_classifier_is_asked_for() -> None:
    parameters = RunParameters(bucket="fruits-test", classifier="none")
    assert train_step(parameters, RunLayout("fruits-test", "run-1"), URIS, planned()) is None


def test_the_train_step_is_told_what_was_asked_for_and_of_which_model_the_features_are() -> None:
    parameters = RunParameters(bucket="fruits-test", classifier="forest", split="hash")
    words = words_of(train_step(parameters, RunLayout("fruits-test", "run-1"), URIS, planned()))
    assert (words["--classifier"], words["--split"], words["--run-key"]) == ("forest", "hash", "run-1")
    assert json.loads(words["--model-facts"]) == MODEL
    assert words["--output"] == "s3://fruits-test/Results/classifier/run=run-1/"
    assert not {"--current", "--session-pattern"} & words.keys()


def test_the_train_step_gets_the_current_classifier_to_hold_its_own_against() -> None:
    layout, plan = RunLayout("fruits-test", "run-1"), planned(classifier_run="run-0")
    words = words_of(train_step(RunParameters(bucket="fruits-test"), layout, URIS, plan))
    assert words["--current"] == "s3://fruits-test/Results/classifier/run=run-0/"


def test_a_session_pattern_may_begin_with_a_hyphen() -> None:
    parameters = RunParameters(bucket="fruits-test", session_pattern=r"-r\d+ (.*)")
    step = train_step(parameters, RunLayout("fruits-test", "run-1"), URIS, planned())
    assert step["HadoopJarStep"]["Args"][-1] == r"--session-pattern=-r\d+ (.*)"


def test_a_few_bad_photos_beside_known_ones_do_not_fail_the_featurize_step() -> None:
    parameters, layout = RunParameters(bucket="fruits-test"), RunLayout("fruits-test", "run-1")
    for reused, flagged in ((0, False), (2, True)):
        step = step_requests.featurize_step(
            parameters, layout, URIS, planned(3, new=3 - reused, reused=reused)
        )
        assert step is not None
        assert ("--allow-no-features" in step["HadoopJarStep"]["Args"]) is flagged


@pytest.mark.parametrize(
    ("refit", "components", "offered"),
    [
        ("auto", 8, True),
        ("always", 8, False),
        ("auto", 9, False),
        ("auto", 0.95, True),
        ("always", 0.95, False),
    ],
)
def test_the_current_model_is_offered_where_it_may_be_used_again(
    refit: str, components: float, offered: bool
) -> None:
    parameters = RunParameters.checked({"bucket": "fruits-test", "refit": refit, "components": components})
    base: Any = {"run_key": "run-0", "pca_model": "s3://fruits-test/model", "components": 8}
    step = step_requests.reduce_step(parameters, RunLayout("fruits-test", "run-1"), URIS, planned(base=base))
    arguments = step["HadoopJarStep"]["Args"]
    assert ("s3://fruits-test/model" in arguments) is offered
    assert arguments[arguments.index("--components") + 1] == str(components)


@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_the_features_are_scaled_as_asked_for(scaling: str) -> None:
    parameters = RunParameters.checked({"bucket": "fruits-test", "scaling": scaling})
    step = step_requests.reduce_step(parameters, RunLayout("fruits-test", "run-1"), URIS, planned())
    arguments = step["HadoopJarStep"]["Args"]
    assert arguments[arguments.index("--scaling") + 1] == scaling


@pytest.mark.parametrize("build", STEPS)
def test_a_step_ends_itself_at_max_step_hours_and_is_not_started_twice(build: Any) -> None:
    parameters = RunParameters(bucket="fruits-test", max_step_hours=1.5)
    args = build(parameters, RunLayout("fruits-test", "run-1"), URIS, planned())["HadoopJarStep"]["Args"]
    assert args[args.index("--time-limit") + 1] == "5400"
    assert "spark.yarn.maxAppAttempts=1" in args
