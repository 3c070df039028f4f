"""What the tasks of a run need, as one value: parameters, settings, keys, clients, earlier results."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from airflow.sdk import Context, get_current_context

from fruit_contract.layout import RunLayout, run_key
from fruit_contract.report_schema import ClusterFacts
from fruit_pipeline.aws import clients
from fruit_pipeline.cluster.facts import clusters_so_far
from fruit_pipeline.cost import monthly_budget
from fruit_pipeline.cost.live_prices import CLIENT_CONFIG, PRICING_REGION
from fruit_pipeline.results.claims import Owner
from fruit_pipeline.results.run_plan import RunEstimate, RunPlan
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import Fleet, RunParameters

PLAN: Final = "plan"
GUARDS: Final = "guards"
PUBLISH_ARTIFACTS: Final = "publish_artifacts"
CREATE_CLUSTER: Final = "create_cluster"
WAIT_FOR_PCA: Final = "wait_for_pca"
WAIT_FOR_TRAIN: Final = "wait_for_train"
PUBLISH: Final = "publish"
"""Ids of the tasks whose results others read."""


@dataclass(frozen=True)
class RunContext:
    """The run of the current task. Each part is fetched when it is asked for, and once.

    So that the report of a run whose parameters are wrong can be written all the same.
    """

    airflow: Context
    deployment: Deployment = field(default_factory=Deployment)

    @classmethod
    def current(cls) -> "RunContext":
        return cls(get_current_context())

    @property
    def dag_id(self) -> str:
        return str(self.airflow["dag"].dag_id)

    @property
    def run_id(self) -> str:
        return str(self.airflow["run_id"])

    @property
    def owner(self) -> Owner:
        """The run, as it claims its keys."""
        return Owner(self.deployment.installation, self.dag_id, self.run_id)

    @property
    def run_type(self) -> str:
        return str(self.airflow["dag_run"].run_type.value)

    @property
    def is_unattended(self) -> bool:
        """Whether no person has asked for the run."""
        return self.run_type in monthly_budget.UNATTENDED

    @cached_property
    def given(self) -> dict[str, Any]:
        """The parameters as given, valid or not."""
        return {name: self.airflow["params"].get(name) for name in RunParameters.model_fields}

    @cached_property
    def parameters(self) -> RunParameters:
        """The parameters; ``ParameterError`` where one is wrong."""
        return RunParameters.checked(dict(self.airflow["params"]))

    @cached_property
    def sized(self) -> RunParameters:
        """The parameters with the fleet that ``guards`` has chosen."""
        assert self.estimate is not None, "the task guards has not run"
        return self.parameters.with_fleet(Fleet(**self.estimate["sizing"]["chosen"]))

    def handed_on(self, task_id: str, key: str = "return_value") -> Any:
        """What another task of the run returned, or a part of it; None where it has not."""
        return self.airflow["ti"].xcom_pull(task_ids=task_id, key=key)

    @cached_property
    def plan_if_any(self) -> RunPlan | None:
        """What ``plan`` returned; None where it failed."""
        plan: RunPlan | None = self.handed_on(PLAN)
        return plan

    @property
    def plan(self) -> RunPlan:
        """The same, for tasks that come after it."""
        assert self.plan_if_any is not None, "the task plan has not run"
        return self.plan_if_any

    @cached_property
    def estimate(self) -> RunEstimate | None:
        """What ``guards`` returned."""
        estimate: RunEstimate | None = self.handed_on(GUARDS)
        return estimate

    @cached_property
    def layout(self) -> RunLayout:
        """Where the run writes: below the key that ``plan`` has found unused, or else its own."""
        plan = self.plan_if_any
        return RunLayout(str(self.given["bucket"]), plan["run_key"] if plan else run_key(self.run_id))

    @property
    def region(self) -> str:
        return str(self.given["region"])

    def client(self, service: str) -> Any:
        return clients.client(service, self.region)

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    @cached_property
    def emr(self) -> Any:
        return self.client("emr")

    @property
    def price_clients(self) -> tuple[Any, Any]:
        """Clients of the price list, which the EU has in one region, and of EC2, which has Spot's."""
        return (
            clients.client("pricing", PRICING_REGION, CLIENT_CONFIG),
            clients.client("ec2", self.region, CLIENT_CONFIG),
        )

    def clusters(self) -> list[ClusterFacts]:
        """Every cluster that the run has had, oldest first, as EMR remembers them."""
        return clusters_so_far(
            self.emr,
            self.deployment.installation,
            self.dag_id,
            self.run_id,
            self.airflow["dag_run"].run_after,
            self.handed_on(CREATE_CLUSTER),
        )
