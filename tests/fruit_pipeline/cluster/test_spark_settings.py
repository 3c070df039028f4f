"""An executor and the driver fit into what YARN has on every node that may come, and never two executors."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fruit_pipeline.cluster import spark_settings
from fruit_pipeline.cluster.spark_settings import spark_defaults, yarn_mib, yarn_site
from fruit_pipeline.cost import substitutes
from fruit_pipeline.security.regions import EU_REGIONS
from fruit_pipeline.settings.instance_types import OFFERED_TYPES, gib, vcpus
from fruit_pipeline.settings.parameters import WORKER_TYPES, RunParameters
from tests.conftest import REPOSITORY

DIVERSE = [True, False]


def mib(text: str) -> int:
    return int(text.removesuffix("m"))


def container(settings: dict[str, str], who: str) -> int:
    return mib(settings[f"spark.{who}.memory"]) + mib(settings[f"spark.{who}.memoryOverhead"])


@pytest.mark.parametrize("worker_type", WORKER_TYPES)
@pytest.mark.parametrize("diversify", DIVERSE)
def test_one_executor_and_the_driver_fit_on_every_node_that_may_come_and_two_executors_do_not(
    worker_type: str, diversify: bool
) -> None:
    parameters = RunParameters(worker_type=worker_type, diversify=diversify)
    settings, yarn = spark_defaults(parameters), yarn_site(parameters)
    executor, driver = container(settings, "executor"), container(settings, "driver")
    offered = int(yarn["yarn.nodemanager.resource.memory-mb"])
    assert int(yarn["yarn.scheduler.maximum-allocation-mb"]) == offered
    for name in substitutes.worker_types(parameters):
        assert offered <= yarn_mib(name) < 1024 * gib(name), f"{name} does not have that much"
        assert vcpus(name) == int(settings["spark.executor.cores"]), f"{name} has other cores"
    assert executor + driver <= offered
    assert 2 * executor > offered


@pytest.mark.parametrize("worker_type", WORKER_TYPES)
def test_what_is_asked_of_yarn_is_what_it_gives(worker_type: str) -> None:
    settings = spark_defaults(RunParameters(worker_type=worker_type))
    assert container(settings, "executor") % 32 == container(settings, "driver") % 32 == 0


@pytest.mark.parametrize("worker_type", WORKER_TYPES)
def test_every_python_worker_has_its_memory_and_the_jvm_its_own(worker_type: str) -> None:
    settings = spark_defaults(RunParameters(worker_type=worker_type))
    python = vcpus(worker_type) * spark_settings.PYTHON_WORKER_MIB
    assert mib(settings["spark.executor.memoryOverhead"]) >= python + spark_settings.JVM_OVERHEAD_MIB
    assert mib(settings["spark.executor.memory"]) >= 768


def test_the_driver_has_the_memory_that_it_took_for_ten_million_photos_and_more() -> None:
    measured = json.loads((REPOSITORY / "docs" / "evidence" / "scale.json").read_text(encoding="utf-8"))
    settings = spark_defaults(RunParameters())
    assert measured["driver"]["heap_mib"] <= spark_settings.DRIVER_MIB
    assert {10_000} <= {run["files"] for run in measured["driver"]["runs"]}
    for run in measured["driver"]["runs"]:
        assert run["old_heap_mib"] <= 0.7 * mib(settings["spark.driver.memory"])
        assert run["jvm_mib"] + run["python_mib"] <= container(settings, "driver")


def test_yarns_memory_is_known_for_all_types_but_those_too_small_for_a_worker() -> None:
    too_small = [name for name in OFFERED_TYPES if gib(name) not in spark_settings.YARN_MIB]
    assert set(OFFERED_TYPES) - set(WORKER_TYPES) == set(too_small) == {"c6g.xlarge", "c7g.xlarge"}


def test_the_documentation_has_the_memory_of_every_size() -> None:
    text = (REPOSITORY / "docs" / "reference" / "emr-request.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) GiB \| (.+) \|$", text, re.M))
    assert rows.keys() == {str(size) for size in spark_settings.YARN_MIB}
    for name in WORKER_TYPES:
        settings = spark_defaults(RunParameters(worker_type=name))
        yarn, driver, executor, overheads = rows[str(gib(name))].split(" | ")
        assert yarn == f"{yarn_mib(name)} MiB"
        assert (int(driver), int(executor)) == (
            container(settings, "driver"),
            container(settings, "executor"),
        )
        overhead = overheads.split(", ")[(4, 8, 16).index(vcpus(name))]
        assert overhead == settings["spark.executor.memoryOverhead"].removesuffix("m")


def test_a_fleet_of_fixed_size_has_as_many_executors_and_no_fewer() -> None:
    settings = spark_defaults(RunParameters(workers=7))
    assert settings["spark.dynamicAllocation.enabled"] == "false"
    assert settings["spark.executor.instances"] == "7"


def test_a_fleet_that_may_grow_lets_spark_ask_for_as_many_executors_as_there_may_be_nodes() -> None:
    settings = spark_defaults(RunParameters(workers=2, max_workers=9))
    assert settings["spark.dynamicAllocation.enabled"] == "true"
    assert "spark.executor.instances" not in settings
    bounds = [settings[f"spark.dynamicAllocation.{name}Executors"] for name in ("min", "initial", "max")]
    assert bounds == ["1", "2", "9"]


@pytest.mark.parametrize("spot", ["spot", "spot-or-on-demand"])
def test_executors_hand_on_their_blocks_when_spot_takes_their_node(spot: str) -> None:
    settings = spark_defaults(RunParameters(spot=spot))
    for name in ("", "storage."):
        assert settings[f"spark.{name}decommission.enabled"] == "true"
    # Spark's allocator looks at YARN's decommissioned nodes without the shuffle service alone.
    assert settings["spark.shuffle.service.enabled"] == "false"
    assert "spark.decommission.enabled" not in spark_defaults(RunParameters(spot="on-demand"))


def test_a_fleet_that_may_grow_keeps_executors_whose_shuffle_files_are_needed() -> None:
    settings = spark_defaults(RunParameters(workers=2, max_workers=9))
    assert settings["spark.dynamicAllocation.shuffleTracking.enabled"] == "true"


@pytest.mark.parametrize(("workers", "copies"), [(1, "1"), (2, "2"), (3, "3"), (40, "3")])
def test_what_a_step_brings_along_outlives_the_loss_of_a_worker(workers: int, copies: str) -> None:
    assert spark_defaults(RunParameters(workers=workers))["spark.yarn.submit.file.replication"] == copies


@pytest.mark.parametrize("region", EU_REGIONS)
def test_s3a_stays_in_the_region_of_the_run(region: str) -> None:
    assert spark_settings.core_site(RunParameters(region=region)) == {
        "fs.s3a.endpoint.region": region,
        "fs.s3a.cross.region.access.enabled": "false",
    }


@given(st.sampled_from(OFFERED_TYPES), st.sampled_from(EU_REGIONS))
def test_what_may_come_is_never_smaller_than_what_was_asked_for_and_has_a_price(
    asked: str, region: str
) -> None:
    first, *others = substitutes.may_come(asked, region, diversify=True)
    assert first == asked
    assert asked not in others
    assert substitutes.may_come(asked, region, diversify=False) == (asked,)
    for name in others:
        assert name in OFFERED_TYPES
        assert name.partition(".")[2] == asked.partition(".")[2]
        assert (vcpus(name), gib(name) >= gib(asked)) == (vcpus(asked), True)
        assert substitutes.snapshot_on_demand(region, [name]), f"{name} has no price in {region}"


def test_in_a_region_without_known_prices_only_the_asked_type_comes() -> None:
    assert substitutes.may_come("m6g.xlarge", "eu-south-1", diversify=True) == ("m6g.xlarge",)
    assert substitutes.may_come("c6g.xlarge", "eu-west-1", diversify=True) == (
        "c6g.xlarge",
        "c7g.xlarge",
        "m6g.xlarge",
        "m7g.xlarge",
        "r6g.xlarge",
    )
