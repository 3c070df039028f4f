"""A whole run of the pipeline in the local account, task by task, as Airflow's role and the nodes' role.

moto's server checks every request of both roles (actions and, for S3, resources); EMR's endpoint checks
none, and no condition is checked there: that is done before a call leaves (:mod:`tests.deploy.infra.guard`).
"""

import ast
import asyncio
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock
from xml.sax.saxutils import unescape

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError
from moto.core import enable_iam_authentication
from moto.iam.access_control import IAMRequestBase, S3IAMRequest
from moto.iam.models import iam_backends

from fruit_contract.layout import DAG_ID, FINISHED_NAME, LATEST_KEY, RunLayout
from fruit_pipeline.aws import clients
from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.cluster.identity import tags_of
from fruit_pipeline.dag import run_context, tasks
from fruit_pipeline.dag.operators import (
    AddStepOperator,
    ClusterReadySensor,
    CreateClusterOperator,
    StepSensor,
    TerminateClusterOperator,
)
from fruit_pipeline.dag.run_context import CREATE_CLUSTER
from fruit_pipeline.drops.queue_trigger import PhotoEventsTrigger
from fruit_pipeline.notices import messages, telling
from fruit_pipeline.pages import near_photos, photos, stored_page
from fruit_pipeline.results import publication, run_index
from fruit_pipeline.results.claims import Claim, Owner
from fruit_pipeline.results.publication import write_json
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from infra.environment import variables
from infra.stack import TEMPLATE
from local_aws.control import Control
from local_aws.emr.outside_events import CompleteStep, ReclaimSpot
from local_aws.emr.step_runner import LocalStepRunner
from local_aws.faults import Error, Fault
from local_aws.server import LocalAws
from local_run import generated_photos
from tests.conftest import REPOSITORY
from tests.deploy.infra.authorization import ACCOUNT, Need
from tests.deploy.infra.guard import Guard
from tests.deploy.infra.moto_account import BUCKET, REGION, client, finish_bucket, local_account
from tests.deploy.infra.template_data import security_configuration

PHOTOS: Final = 24
RUN_ID: Final = "policies"
_KEYS: Final = re.compile(rb"<Key>(.*?)</Key>", re.DOTALL)
Part = tuple[str, Callable[[], Any]]


@dataclass
class Installed:
    """The stack in a local account, whose server checks IAM, and an administrator's clients."""

    aws: LocalAws
    outputs: dict[str, str]
    step_environment: dict[str, str]
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Environment variables of a session of each role."""
    asked_of_s3: list[tuple[str, Need]] = field(default_factory=list)
    """What S3 was asked for, as its server saw it: the caller's ARN and the permission."""
    _policies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def admin(self, service: str) -> Any:
        return client(self.aws, service)

    def role(self, logical: str) -> str:
        """The name of a role of the stack."""
        listed = self.admin("cloudformation").describe_stack_resources(StackName="fruit-features")
        return next(
            str(each["PhysicalResourceId"])
            for each in listed["StackResources"]
            if each["LogicalResourceId"] == logical
        )

    def statements(self, logical: str) -> list[dict[str, Any]]:
        """The statements of a role's own policies, as CloudFormation rendered them."""
        if logical not in self._policies:
            iam, name = self.admin("iam"), self.role(logical)
            [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            # moto keeps what CloudFormation rendered in Python's notation, which it cannot evaluate itself.
            rendered = ast.literal_eval(document) if isinstance(document, str) else document
            self._policies[logical] = rendered["Statement"]
        return self._policies[logical]

    def give(self, logical: str, statements: list[dict[str, Any]]) -> None:
        """Let a role have these statements and no other, as far as moto can check them.

        Of most services but S3 moto takes every request to be for the resource ``*``, which a policy
        that names one does not permit: it is told of their actions alone. And it takes the reading of
        most settings of a bucket for ListBucket, which it is therefore always told of.
        """
        iam, name = self.admin("iam"), self.role(logical)
        [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
        known = [
            each if "s3:" in str(each["Action"]) else {**each, "Resource": "*", "Condition": {}}
            for each in statements
        ]
        settings = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [*known, settings]})
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document)

    @property
    def checked(self) -> Any:
        """moto's own check of a request to S3, which remembers what was asked for."""
        check = S3IAMRequest.check_action_permitted

        def remember(request: Any, resource: str) -> None:
            # moto takes DeleteObjects for one deletion of the bucket; S3 asks for each key.
            body = request._body if isinstance(request._body, bytes) else b""
            keys = [unescape(each.decode()) for each in _KEYS.findall(body)]
            several = request._action == "s3:DeleteObject" and "/" not in resource and keys
            for each in [f"{resource}/{key}" for key in keys] if several else [resource]:
                self.asked_of_s3.append((request._access_key.arn, Need(request._action, each)))
                check(request, each)

        return remember

    def needed_by(self, logical: str) -> list[Need]:
        """What the sessions of a role asked of S3."""
        role = f":assumed-role/{self.role(logical)}/"
        return [need for arn, need in self.asked_of_s3 if role in arn]

    def open_session(self, logical: str) -> None:
        """Become a role. Before the server checks: moto takes no account for a principal."""
        arn = self.admin("iam").get_role(RoleName=self.role(logical))["Role"]["Arn"]
        given = self.admin("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
        self.sessions[logical] = {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }


@contextmanager
def installed(state: Path) -> Iterator[Installed]:
    """Deploy the template into an empty local account, put photos there, and turn its checks on."""
    step_environment: list[dict[str, str]] = []
    make_runner = LocalStepRunner.__init__

    def remember(self: Any, s3: Any, localizer: Any, spark: Any, environment: Any, *rest: Any) -> None:
        step_environment.append(environment)
        make_runner(self, s3, localizer, spark, environment, *rest)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(LocalStepRunner, "__init__", remember))
        aws = stack.enter_context(local_account(state))
        stack.enter_context(mock.patch.dict(os.environ, aws.environment))
        cloudformation = client(aws, "cloudformation")
        cloudformation.create_stack(
            StackName="fruit-features",
            TemplateBody=TEMPLATE.read_text(),
            Parameters=[{"ParameterKey": "BucketName", "ParameterValue": BUCKET}],
            Capabilities=["CAPABILITY_IAM"],
        )
        [described] = cloudformation.describe_stacks(StackName="fruit-features")["Stacks"]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
        finish_bucket(client(aws, "s3"), BUCKET)
        _upload_photos(client(aws, "s3"), state / "photos")
        _make_administrator(client(aws, "iam"), aws.environment)
        # moto's CloudFormation makes it in moto's EMR, and clusters are asked for at another endpoint.
        client(aws, "emr").create_security_configuration(
            Name=outputs["SecurityConfiguration"], SecurityConfiguration=json.dumps(security_configuration())
        )
        found = Installed(aws, outputs, step_environment[0])
        for logical in ("AirflowRole", "NodeRole"):
            found.give(logical, found.statements(logical))
            found.open_session(logical)
        # Who signs is told by the key. moto does not reckon the Java SDK's signature as that SDK does.
        stack.enter_context(mock.patch.object(IAMRequestBase, "check_signature", return_value=None))
        stack.enter_context(mock.patch.object(S3IAMRequest, "check_action_permitted", found.checked))
        stack.enter_context(enable_iam_authentication())
        yield found


def _upload_photos(s3: Any, folder: Path) -> None:
    for path in sorted(generated_photos.generate(folder, PHOTOS).rglob("*.jpg")):
        s3.upload_file(str(path), BUCKET, f"Test/{path.parent.name}/{path.name}")
    s3.put_object(Bucket=BUCKET, Key="Test/Apple/broken.jpg", Body=b"not a photo")


def _make_administrator(iam: Any, environment: dict[str, str]) -> None:
    """The key that local AWS and its clients use by default becomes a user's who may do anything."""
    iam.create_user(UserName="admin")
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=json.dumps(document))
    iam.create_access_key(UserName="admin")
    [key] = iam_backends[ACCOUNT]["aws"].users["admin"].access_keys
    key.access_key_id = environment["AWS_ACCESS_KEY_ID"]
    key.secret_access_key = environment["AWS_SECRET_ACCESS_KEY"]


@dataclass
class Outcome:
    """What became of a run: the part that failed and how, or nothing; and what the guard saw."""

    guard: Guard
    failed: str | None
    error: Exception | None
    report: dict[str, Any] | None


class PipelineRun:
    """One run of the DAG's tasks. Its outputs stay, so that a later one can replay its steps."""

    def __init__(self, account: Installed) -> None:
        self.account = account
        self.parameters = RunParameters(
            bucket=BUCKET, components=8, minimum_variance=0.3, image_size=96, batch_size=8, max_workers=3
        )
        self.control = Control(account.aws.emr_url)
        self._results: dict[str, Any] = {}
        self._has_step = ""
        """The cluster that the last step was added to."""

    def play(self, statements: list[dict[str, Any]], steps: str, lost_in: str | None = None) -> Outcome:
        """Every part with Airflow's role holding ``statements``, until one fails.

        ``steps``: "spark" runs them, "replayed" ends them at once with the output of a run before.
        ``lost_in`` names a step during which Spot takes the cluster.
        """
        self.account.give("AirflowRole", statements)
        self._results = {}
        guard = Guard(statements, self._tags_of, self._role_of)
        self._leave_a_cluster()
        self._leave_a_result()
        self.control.clear()
        if lost_in:
            self.control.cause_later(ReclaimSpot(), step=lost_in)
        if steps == "replayed":
            for name in ("featurize", "reduce", "train"):
                self.control.cause_later(CompleteStep(), step=name)
        self._notify()
        failed, error = None, None
        with self._as_airflow():
            if steps == "replayed":
                self._reopen()
        with self._as_airflow(), guard.on():
            for name, part in self._parts(guard):
                try:
                    self._results[name] = part()
                except Exception as raised:
                    failed, error = name, raised
                    break
        self.control.clear()
        self._end_clusters()
        return Outcome(guard, failed, error, self._report())

    def _parts(self, guard: Guard) -> Iterator[Part]:
        yield "plan", tasks.plan
        yield "guards", tasks.check_guards
        yield "publish_artifacts", tasks.publish_artifacts
        yield "the notebook for JupyterHub", self._publish_for_people
        yield "a broken upload", lambda: self._broken_upload(guard)
        yield "create_cluster", lambda: self._create()
        yield "wait_for_cluster", lambda: self._wait(ClusterReadySensor)
        for task in ("featurize", "pca", "train"):
            yield f"add_{task}_step", lambda task=task: self._add(task)
            yield (
                f"wait_for_{task}",
                lambda task=task: self._wait(
                    StepSensor,
                    step_id=self._results[f"add_{task}_step"],
                    step=self._results["publish_artifacts"][f"{task}_step"],
                ),
            )
        yield "terminate_cluster", self._terminate
        yield "verify", tasks.verify
        yield "publish", tasks.publish
        yield "clean", tasks.clean
        yield "report", tasks.report
        yield "the page of the result", self._look
        yield "cluster_reaper", self._reap
        yield "photo notifications", self._hear
        yield "a message to people", self._tell

    # --- parts -----------------------------------------------------------------------------------

    def _operator(self, kind: Any, **arguments: Any) -> Any:
        aws = {"aws_conn_id": "aws_default", "region_name": REGION}
        return kind(task_id=f"task_{kind.__name__.lower()}", **aws, **arguments)

    def _create(self) -> str:
        request = self._results["publish_artifacts"]["job_flow"]
        operator = self._operator(CreateClusterOperator, job_flow_overrides=request, poll_seconds=0)
        return str(operator.execute(self._context()))

    def _add(self, task: str) -> str:
        step = self._results["publish_artifacts"][f"{task}_step"]
        operator = self._operator(AddStepOperator, job_flow_id=self._cluster, step=step, poll_seconds=0)
        step_id = str(operator.execute(self._context()))
        # Spot may have taken the first cluster: the step is where the operator has found the run's.
        self._has_step = str(operator.job_flow_id)
        return step_id

    def _wait(self, kind: Any, **arguments: Any) -> str:
        cluster = self._has_step if kind is StepSensor else self._cluster
        sensor = self._operator(kind, job_flow_id=cluster, poke_interval=1, **arguments)
        while not sensor.poke(self._context()):
            time.sleep(0.1)
        return str(sensor.job_flow_id)

    def _terminate(self) -> None:
        self._operator(TerminateClusterOperator, poll_seconds=0.1).execute(self._context())

    def _publish_for_people(self) -> None:
        """As the task does it where the cluster stays for them."""
        interactive = self.parameters.model_copy(update={"interactive_minutes": 30})
        with mock.patch.object(self, "parameters", interactive):
            tasks.publish_artifacts()

    def _broken_upload(self, guard: Guard) -> None:
        """The bucket refuses a piece of an artifact: what was uploaded of it must not stay there."""
        refusal = Error(status=400, code="InvalidRequest", message="refused")
        fault = self.control.add_fault(Fault(service="s3", operation="UploadPart", effect=refusal))
        before = len(guard.refused)
        artifact = Deployment().model_dir / "mobilenetv2.keras"
        try:
            clients.client("s3", REGION).upload_file(str(artifact), BUCKET, "artifacts/broken/model.keras")
        except S3UploadFailedError as error:
            # boto3 tells of the piece alone, not of the pieces that it could not take back.
            if len(guard.refused) > before:
                raise PermissionError("its pieces stay in the bucket") from error
        self.control.remove_fault(fault)

    def _look(self) -> None:
        """Somebody opens the page of the result, with its photos."""
        s3, layout = clients.client("s3", REGION), RunLayout(BUCKET, self._results["plan"]["run_key"])
        assert run_index.read(s3, BUCKET)
        assert "Rejected photos" in stored_page.as_served(s3, layout)
        key = publication.read_json(s3, BUCKET, layout.overview)["sample"][0]["key"]
        photos.photo(s3, layout, key)
        assert near_photos.index_of(s3, layout).nearest(key)

    def _reap(self) -> None:
        context = {**self._context(), "params": {"dry_run": False}}
        with mock.patch.object(tasks, "get_current_context", return_value=context):
            tasks.reap()

    def _hear(self) -> None:
        """One look of the watcher, which by itself would go on after a refusal."""
        url = self.account.outputs["QueueUrl"]
        watcher = PhotoEventsTrigger(url, BUCKET, self.parameters.input_prefix, REGION)

        async def look() -> int:
            async with watcher._client() as client:
                found = await watcher._look(client)
                await watcher._delete(client, found.understood)
            return found.created

        # Runs before this one that did not come to listen have left their messages.
        assert asyncio.run(look()) >= 1

    def _tell(self) -> None:
        """At once: a task goes on where it is refused."""
        notice = messages.red_run("a test", [])
        telling.send(self._context(), notice, Deployment())

    def _handed_on(self, task_ids: str, key: str = "return_value") -> Any:
        result = self._results.get(task_ids)
        return result if key == "return_value" or result is None else result.get(key)

    # --- around them -----------------------------------------------------------------------------

    @property
    def _cluster(self) -> str:
        return str(self._results["create_cluster"])

    def _context(self) -> Any:
        instance = SimpleNamespace(
            try_number=1,
            xcom_pull=self._handed_on,
            xcom_push=lambda key, value: None,
            get_task_states=lambda dag_id, run_ids: {run_ids[0]: {CREATE_CLUSTER: "success"}},
            get_task_breadcrumbs=lambda *_: [],
            get_dr_count=lambda *_, **__: 0,
        )
        return {
            "dag": SimpleNamespace(dag_id=DAG_ID, topological_sort=lambda: []),
            "run_id": RUN_ID,
            "params": self.parameters.model_dump(),
            "ti": instance,
            "task_instance": instance,
            "dag_run": SimpleNamespace(
                run_type=SimpleNamespace(value="scheduled"),
                start_date=datetime.now(UTC),
                run_after=datetime.now(UTC),
            ),
        }

    @contextmanager
    def _as_airflow(self) -> Iterator[None]:
        environment = {
            **self.account.aws.environment,
            **variables(self.account.outputs),
            **self.account.sessions["AirflowRole"],
            # The session is in the environment; in an account the connection becomes the role.
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            "FRUITS_KEEP_RUNS": "1",
            "FRUITS_RUNTIME_ARCHIVE": str(
                REPOSITORY / ".cache" / "runtime" / f"runtime-{platform.machine()}.tar.gz"
            ),
        }
        self.account.step_environment.update(self.account.sessions["NodeRole"])
        with (
            mock.patch.dict(os.environ, environment),
            mock.patch.object(run_context, "get_current_context", self._context),
        ):
            yield

    def _tags_of(self, cluster_id: str) -> dict[str, str]:
        return tags_of(self.account.admin("emr").describe_cluster(ClusterId=cluster_id)["Cluster"])

    def _role_of(self, profile: str) -> str:
        found = self.account.admin("iam").get_instance_profile(InstanceProfileName=profile)
        return str(found["InstanceProfile"]["Roles"][0]["RoleName"])

    def _leave_a_cluster(self) -> None:
        """A protected cluster of a run that is no more, for the reaper."""
        request = job_flow(self.parameters, Deployment(), f"s3://{BUCKET}/x.sh", DAG_ID, "long-gone")
        request["Instances"]["TerminationProtected"] = True
        request["BootstrapActions"] = []
        self.account.admin("emr").run_job_flow(**request)

    def _leave_a_result(self) -> None:
        """Another run's, current until this one publishes, and then to be removed."""
        s3 = self.account.admin("s3")
        older = {"run_key": "older", "run_id": "older", "published_at": "2026-01-01T00:00:00+00:00"}
        s3.put_object(Bucket=BUCKET, Key=LATEST_KEY, Body=json.dumps(older).encode())
        for name in ("pca_output/run=older/part-0.parquet", "classifier/run=older/classifier.json"):
            s3.put_object(Bucket=BUCKET, Key=f"Results/{name}", Body=b"")

    def _reopen(self) -> None:
        """Take back that the run before has finished and sealed what this one takes for its steps' output."""
        s3, layout = self.account.admin("s3"), RunLayout(BUCKET, RUN_ID)
        owner = Owner(Deployment().installation, DAG_ID, RUN_ID)
        s3.delete_object(Bucket=BUCKET, Key=f"{layout.features}{FINISHED_NAME}")
        write_json(s3, BUCKET, layout.claim, Claim(owner=asdict(owner), claimed_at="", sealed=False))

    def _end_clusters(self) -> None:
        emr = self.account.admin("emr")
        states = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
        for cluster in emr.list_clusters(ClusterStates=states)["Clusters"]:
            emr.set_termination_protection(JobFlowIds=[cluster["Id"]], TerminationProtected=False)
            emr.terminate_job_flows(JobFlowIds=[cluster["Id"]])

    def _notify(self) -> None:
        """What S3 would tell the queue: moto's CloudFormation sets no notifications."""
        record = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": BUCKET},
                "object": {"key": f"{self.parameters.input_prefix}Apple/1.jpg"},
            },
        }
        self.account.admin("sqs").send_message(
            QueueUrl=self.account.outputs["QueueUrl"], MessageBody=json.dumps({"Records": [record]})
        )

    def _report(self) -> dict[str, Any] | None:
        try:
            key = f"Results/reports/run={RUN_ID}/report.json"
            body = self.account.admin("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except ClientError:
            return None
        return dict(json.loads(body))
