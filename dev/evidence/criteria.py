"""Nine things that the mission asks of the pipeline, each with the file that does it and the tests of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Criterion:
    asked: str
    """In this project's own words."""
    file: str
    tests: tuple[str, ...]
    """Each as pytest takes it: ``file::name``."""
    in_run: Callable[[Mapping[str, Any]], str] = lambda _: "not asked of it"
    """What the record of a run tells of it, in a few words."""


CRITERIA: Final = (
    Criterion(
        "Airflow's EMR operators create the cluster, add the steps and wait for them, each in its own task",
        "dags/fruit_features.py",
        (
            "tests/dags/test_dags.py::test_the_dag_has_the_tasks_of_the_design_in_their_order",
            "tests/dags/test_dags.py::test_every_sensor_asks_emr_itself_and_has_a_time_limit",
        ),
        lambda record: f"{record['run']['tasks'].get('success', 0)} tasks succeeded",
    ),
    Criterion(
        "The cluster ends in every case",
        "plugins/fruit_pipeline/cluster/termination.py",
        (
            "tests/dags/test_dags.py::test_whatever_creates_a_cluster_is_a_setup_with_a_teardown",
            "tests/on_local_aws/test_random_sequences.py::test_random_sequences_keep_every_promise",
        ),
        lambda record: f"{record['cluster']['state']}; {record['cluster']['left_alive']} left alive",
    ),
    Criterion(
        "The model's weights travel as a broadcast to the executors, which compute the features",
        "spark/fruit_spark/model/model_broadcast.py",
        (
            "tests/fruit_spark/steps/test_featurize_step.py::test_the_broadcast_is_compressed_and_fingerprinted",
            "tests/fruit_spark/model/test_engines.py::test_generated_photos_agree_with_the_reference",
        ),
        lambda record: f"{record['run']['model_loads']} loads from it",
    ),
    Criterion(
        "A PCA of 256 components keeps at least 90 % of the variance, or the run is red",
        "spark/fruit_spark/steps/reduce_job.py",
        (
            "tests/fruit_spark/steps/test_reduce_step.py::"
            "test_components_model_and_variance_are_those_of_the_data",
            "tests/e2e/test_pipeline.py::"
            "test_too_little_variance_is_red_and_what_was_featurized_is_used_by_the_next_run",
        ),
        lambda record: f"{record['pca']['components']} keep {record['pca']['explained_variance']:.1%}",
    ),
    Criterion(
        "The steps hand Parquet to each other on S3, and the result is Parquet that others read",
        "plugins/fruit_contract/layout.py",
        (
            "tests/fruit_spark/steps/test_incremental_reduce.py::"
            "test_after_random_drops_crashes_and_retries_every_photo_has_exactly_one_row",
            "tests/on_local_aws/test_result_readers.py::"
            "test_a_pyarrow_reader_in_a_loop_always_reads_one_whole_result",
        ),
        lambda record: f"{record['photos']['processed']:,} rows",
    ),
    Criterion(
        "Data stays in an EU region, as the GDPR wants it, and is encrypted",
        "plugins/fruit_pipeline/security/residency.py",
        (
            "tests/fruit_pipeline/security/test_residency.py::test_a_bucket_outside_the_eu_is_refused",
            "tests/e2e/test_pipeline.py::test_what_lies_on_s3_is_encrypted",
        ),
        lambda record: f"{record['region']}, {record['encryption']['bucket']['default_algorithm']}",
    ),
    Criterion(
        "No role may do more than its work needs",
        "deploy/infra/template.yaml",
        (
            "tests/deploy/infra/test_policies.py::test_a_run_succeeds_under_the_policies_of_the_template",
            "tests/deploy/infra/test_policies.py::test_without_any_one_statement_something_fails",
        ),
    ),
    Criterion(
        "A run costs less than 10 EUR, or is refused before anything costs money",
        "plugins/fruit_pipeline/cost/budget.py",
        (
            "tests/fruit_pipeline/cost/test_estimate.py::"
            "test_no_bill_of_a_cluster_within_its_lifetime_is_above_the_worst_case",
            "tests/fruit_pipeline/dag/test_guards_task.py::test_a_run_above_its_budget_fails_with_the_sum",
        ),
        lambda record: f"{record['cost']['estimate']:.2f} at worst",
    ),
    Criterion(
        "Runs repeat by schedule, work only on what is new, and their DAGs pass integrity tests",
        "plugins/fruit_pipeline/drops/drop_assets.py",
        (
            "tests/dags/test_dags.py::test_a_complete_drop_starts_the_run_and_so_does_the_hour_of_the_day",
            "tests/dags/test_dags.py::test_every_file_can_be_imported",
            "tests/e2e/test_pipeline.py::test_where_nothing_is_new_there_is_no_cluster_and_the_run_is_green",
        ),
    ),
)
