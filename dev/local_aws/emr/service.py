"""EMR's operations, one method each: check, then read or move the clusters of the caller's region."""

from collections.abc import Callable, Iterable
from typing import Any

from local_aws.emr import clusters, describe, instances, rules
from local_aws.emr.api_errors import InvalidRequestError, UnknownOperationError, ValidationError
from local_aws.emr.cluster_data import Cluster, Collection, Role, SecurityConfiguration, Step
from local_aws.emr.clusters import Effect
from local_aws.emr.engine import Engine
from local_aws.emr.paging import page
from local_aws.emr.protocol import ApiCall
from local_aws.emr.recorded_types import instance_types
from local_aws.emr.release_versions import applications, release_labels
from local_aws.emr.store import Store
from local_aws.emr.validation import validate

Wire = dict[str, Any]

_CLUSTERS_PER_PAGE = 50
_STEPS_PER_PAGE = 50
_INSTANCES_PER_PAGE = 2000
_COLLECTIONS_PER_PAGE = 50
_MOST_RELEASES_PER_PAGE = 100
_TYPES_PER_PAGE = 200
_ACTIVE_STEPS = ("PENDING", "CANCEL_PENDING", "RUNNING")


class EmrService:
    """Answers calls. Its :meth:`handle` fits ``protocol.emr_application``."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine, self._store = engine, store
        self._operations: dict[str, Callable[[str, Wire], Wire]] = {
            "RunJobFlow": self._run_job_flow,
            "DescribeCluster": self._describe_cluster,
            "ListClusters": self._list_clusters,
            "AddJobFlowSteps": self._add_job_flow_steps,
            "DescribeStep": self._describe_step,
            "ListSteps": self._list_steps,
            "CancelSteps": self._cancel_steps,
            "TerminateJobFlows": self._terminate_job_flows,
            "ListInstances": self._list_instances,
            "ListInstanceFleets": self._list_instance_fleets,
            "ListInstanceGroups": self._list_instance_groups,
            "ListBootstrapActions": self._list_bootstrap_actions,
            "AddTags": self._add_tags,
            "RemoveTags": self._remove_tags,
            "ModifyCluster": self._modify_cluster,
            "SetTerminationProtection": self._set_termination_protection,
            "SetKeepJobFlowAliveWhenNoSteps": self._set_keep_alive,
            "SetVisibleToAllUsers": self._set_visible,
            "SetUnhealthyNodeReplacement": self._set_unhealthy_node_replacement,
            "PutAutoTerminationPolicy": self._put_auto_termination,
            "GetAutoTerminationPolicy": self._get_auto_termination,
            "RemoveAutoTerminationPolicy": self._remove_auto_termination,
            "PutManagedScalingPolicy": self._put_managed_scaling,
            "GetManagedScalingPolicy": self._get_managed_scaling,
            "RemoveManagedScalingPolicy": self._remove_managed_scaling,
            "CreateSecurityConfiguration": self._create_security_configuration,
            "DescribeSecurityConfiguration": self._describe_security_configuration,
            "ListSecurityConfigurations": self._list_security_configurations,
            "DeleteSecurityConfiguration": self._delete_security_configuration,
            "ListReleaseLabels": self._list_release_labels,
            "DescribeReleaseLabel": self._describe_release_label,
            "ListSupportedInstanceTypes": self._list_supported_instance_types,
        }

    def handle(self, call: ApiCall) -> Wire:
        parameters = {name: value for name, value in call.parameters.items() if value is not None}
        validate(call.operation, parameters)
        operation = self._operations.get(call.operation)
        if operation is None:
            raise UnknownOperationError(
                f"{call.operation} is not implemented here: only {', '.join(sorted(self._operations))} are."
            )
        answer = operation(call.region, parameters)
        return {name: value for name, value in answer.items() if value is not None}

    # --- job flows ----------------------------------------------------------------------------

    def _run_job_flow(self, region: str, request: Wire) -> Wire:
        names = [each.name for each in self._store.security_configurations(region)]
        rules.check_run_job_flow(request, names)
        now = self._engine.clock.now()
        wanted = request["Instances"]
        cluster = Cluster(
            region=region,
            request=request,
            created_at=now,
            entered_at=now,
            reason=clusters.STARTING,
            keep_alive=wanted.get("KeepJobFlowAliveWhenNoSteps", False),
            protected=wanted.get("TerminationProtected", False),
            visible=request.get("VisibleToAllUsers", True),
            replace_unhealthy=wanted.get("UnhealthyNodeReplacement", False),
            step_concurrency=request.get("StepConcurrencyLevel", 1),
            idle_timeout=(request.get("AutoTerminationPolicy") or {}).get("IdleTimeout"),
            managed_scaling=request.get("ManagedScalingPolicy"),
            tags={tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])},
            steps=_steps(request.get("Steps", []), now, request.get("StepExecutionRoleArn")),
        )
        instances.provision(cluster, now)
        self._engine.add(cluster)
        return {"JobFlowId": cluster.id, "ClusterArn": describe.cluster_arn(cluster)}

    def _describe_cluster(self, region: str, request: Wire) -> Wire:
        now = self._engine.clock.now()
        return {"Cluster": self._view(region, request, lambda cluster: describe.cluster_detail(cluster, now))}

    def _list_clusters(self, region: str, request: Wire) -> Wire:
        now = self._engine.clock.now()
        states = request.get("ClusterStates")
        after, before = request.get("CreatedAfter", 0.0), request.get("CreatedBefore", float("inf"))

        def matches(cluster: Cluster) -> bool:
            right_state = not states or cluster.state in states
            return cluster.region == region and right_state and after <= cluster.created_at <= before

        summaries = self._engine.read(
            lambda everyone: [
                describe.cluster_summary(each, now) for each in reversed(everyone) if matches(each)
            ]
        )
        listed, marker = page(summaries, request.get("Marker"), _CLUSTERS_PER_PAGE)
        return {"Clusters": listed, "Marker": marker}

    def _terminate_job_flows(self, region: str, request: Wire) -> Wire:
        # One protected cluster among those named spares them all.
        self._change_job_flows(
            region,
            request,
            lambda cluster: clusters.terminate(cluster, self._engine.clock),
            check=rules.check_none_protected,
        )
        return {}

    def _set_termination_protection(self, region: str, request: Wire) -> Wire:
        def protect(cluster: Cluster) -> list[Effect]:
            cluster.protected = request["TerminationProtected"]
            return []

        self._change_job_flows(region, request, protect)
        return {}

    def _set_keep_alive(self, region: str, request: Wire) -> Wire:
        keep = request["KeepJobFlowAliveWhenNoSteps"]
        self._change_job_flows(
            region, request, lambda cluster: clusters.set_keep_alive(cluster, keep, self._engine.clock)
        )
        return {}

    def _set_visible(self, region: str, request: Wire) -> Wire:
        def show(cluster: Cluster) -> list[Effect]:
            cluster.visible = request["VisibleToAllUsers"]
            return []

        self._change_job_flows(region, request, show)
        return {}

    def _set_unhealthy_node_replacement(self, region: str, request: Wire) -> Wire:
        def replace(cluster: Cluster) -> list[Effect]:
            cluster.replace_unhealthy = request["UnhealthyNodeReplacement"]
            return []

        self._change_job_flows(region, request, replace)
        return {}

    def _modify_cluster(self, region: str, request: Wire) -> Wire:
        level = request.get("StepConcurrencyLevel")
        if level is None:
            raise InvalidRequestError("ModifyCluster must be given a StepConcurrencyLevel.")
        rules.check_concurrency(level)
        self._change(
            region,
            request,
            lambda cluster: clusters.set_concurrency(cluster, level, self._engine.clock),
            check=rules.check_may_change,
        )
        return {"StepConcurrencyLevel": level}

    # --- steps --------------------------------------------------------------------------------

    def _add_job_flow_steps(self, region: str, request: Wire) -> Wire:
        steps = _steps(request["Steps"], self._engine.clock.now(), request.get("ExecutionRoleArn"))

        def select(everyone: list[Cluster]) -> list[Cluster]:
            cluster = _job_flow(everyone, region, request["JobFlowId"])
            rules.check_may_get_steps(cluster)
            active = sum(step.state in _ACTIVE_STEPS for step in cluster.steps)
            rules.check_steps(request["Steps"], active, cluster.step_concurrency)
            return [cluster]

        self._engine.change(select, lambda cluster: clusters.add_steps(cluster, steps, self._engine.clock))
        return {"StepIds": [step.id for step in steps]}

    def _describe_step(self, region: str, request: Wire) -> Wire:
        def view(cluster: Cluster) -> Wire:
            return describe.step_detail(_step(cluster, request["StepId"]))

        return {"Step": self._view(region, request, view)}

    def _list_steps(self, region: str, request: Wire) -> Wire:
        ids, states = request.get("StepIds"), request.get("StepStates")
        if ids and len(ids) > rules.MOST_STEP_IDS:
            raise InvalidRequestError(
                f"StepIds has {len(ids)} ids: at most {rules.MOST_STEP_IDS} may be given."
            )

        def view(cluster: Cluster) -> list[Wire]:
            chosen = [_step(cluster, each) for each in ids] if ids else list(reversed(cluster.steps))
            return [describe.step_summary(step) for step in chosen if not states or step.state in states]

        listed, marker = page(self._view(region, request, view), request.get("Marker"), _STEPS_PER_PAGE)
        return {"Steps": listed, "Marker": marker}

    def _cancel_steps(self, region: str, request: Wire) -> Wire:
        force = request.get("StepCancellationOption") == "TERMINATE_PROCESS"
        if len(request["StepIds"]) > rules.MOST_STEPS:
            raise InvalidRequestError(f"At most {rules.MOST_STEPS} steps may be cancelled in one request.")
        answers: list[Wire] = []

        def change(cluster: Cluster) -> Iterable[Effect]:
            # Collected first, so that cancelling one step cannot start another that is to be cancelled.
            chosen = {each: cluster.step(each) for each in request["StepIds"]}
            ordered = sorted(
                chosen.items(), key=lambda item: item[1] is not None and item[1].state == "RUNNING"
            )
            effects: list[Effect] = []
            for step_id, step in ordered:
                problem = _why_not_cancellable(step)
                if problem is None and step is not None:
                    effects += clusters.cancel_step(cluster, step, force, self._engine.clock)
                    answers.append({"StepId": step_id, "Status": "SUBMITTED"})
                else:
                    answers.append({"StepId": step_id, "Status": "FAILED", "Reason": problem})
            return effects

        self._change(region, request, change)
        return {"CancelStepsInfoList": answers}

    # --- instances ----------------------------------------------------------------------------

    def _list_instances(self, region: str, request: Wire) -> Wire:
        states = request.get("InstanceStates")
        roles: list[Role] = request.get("InstanceGroupTypes") or (
            [request["InstanceFleetType"]] if request.get("InstanceFleetType") else []
        )
        collection = request.get("InstanceGroupId") or request.get("InstanceFleetId")

        def view(cluster: Cluster) -> list[Wire]:
            for name, kind in (("InstanceGroup", "INSTANCE_GROUP"), ("InstanceFleet", "INSTANCE_FLEET")):
                if any(parameter.startswith(name) for parameter in request):
                    other = "InstanceFleet" if name == "InstanceGroup" else "InstanceGroup"
                    _check_kind(cluster, kind, f"ListInstances by {name}", f"ListInstances by {other}")
            return [
                describe.instance_detail(cluster, each)
                for each in cluster.instances
                if (not states or each.state in states)
                and (not roles or each.role in roles)
                and (not collection or each.collection_id == collection)
            ]

        listed, marker = page(self._view(region, request, view), request.get("Marker"), _INSTANCES_PER_PAGE)
        return {"Instances": listed, "Marker": marker}

    def _list_instance_fleets(self, region: str, request: Wire) -> Wire:
        listed, marker = self._collections(region, request, "INSTANCE_FLEET", describe.fleet_detail)
        return {"InstanceFleets": listed, "Marker": marker}

    def _list_instance_groups(self, region: str, request: Wire) -> Wire:
        listed, marker = self._collections(region, request, "INSTANCE_GROUP", describe.group_detail)
        return {"InstanceGroups": listed, "Marker": marker}

    def _collections(
        self, region: str, request: Wire, kind: str, shown: Callable[[Cluster, Collection], Wire]
    ) -> tuple[list[Wire], str | None]:
        names = ("ListInstanceFleets", "ListInstanceGroups")
        operation, other = names if kind == "INSTANCE_FLEET" else reversed(names)

        def view(cluster: Cluster) -> list[Wire]:
            _check_kind(cluster, kind, operation, other)
            return [shown(cluster, each) for each in cluster.collections]

        return page(self._view(region, request, view), request.get("Marker"), _COLLECTIONS_PER_PAGE)

    def _list_bootstrap_actions(self, region: str, request: Wire) -> Wire:
        def view(cluster: Cluster) -> list[Wire]:
            return [describe.bootstrap_action(each) for each in cluster.request.get("BootstrapActions", [])]

        listed, marker = page(self._view(region, request, view), request.get("Marker"), _COLLECTIONS_PER_PAGE)
        return {"BootstrapActions": listed, "Marker": marker}

    # --- tags and policies --------------------------------------------------------------------

    def _add_tags(self, region: str, request: Wire) -> Wire:
        new = {tag.get("Key", ""): tag.get("Value", "") for tag in request["Tags"]}

        def check(cluster: Cluster) -> None:
            kept = len(cluster.tags.keys() - new.keys())
            rules.check_tags(request["Tags"], kept, InvalidRequestError)

        def add(cluster: Cluster) -> list[Effect]:
            cluster.tags = cluster.tags | new
            return []

        self._change(region, _by_resource(request), add, check)
        return {}

    def _remove_tags(self, region: str, request: Wire) -> Wire:
        def remove(cluster: Cluster) -> list[Effect]:
            cluster.tags = {key: cluster.tags[key] for key in cluster.tags if key not in request["TagKeys"]}
            return []

        self._change(region, _by_resource(request), remove)
        return {}

    def _put_auto_termination(self, region: str, request: Wire) -> Wire:
        policy = request.get("AutoTerminationPolicy") or {}
        rules.check_auto_termination(policy)
        self._set_idle_timeout(region, request, policy["IdleTimeout"])
        return {}

    def _remove_auto_termination(self, region: str, request: Wire) -> Wire:
        self._set_idle_timeout(region, request, None)
        return {}

    def _set_idle_timeout(self, region: str, request: Wire, seconds: int | None) -> None:
        def change(cluster: Cluster) -> list[Effect]:
            clusters.set_idle_timeout(cluster, seconds, self._engine.clock)
            return []

        self._change(region, request, change, rules.check_may_change)

    def _get_auto_termination(self, region: str, request: Wire) -> Wire:
        seconds = self._view(region, request, lambda cluster: cluster.idle_timeout)
        return {"AutoTerminationPolicy": {"IdleTimeout": seconds}} if seconds is not None else {}

    def _put_managed_scaling(self, region: str, request: Wire) -> Wire:
        policy = request["ManagedScalingPolicy"]

        def check(cluster: Cluster) -> None:
            rules.check_may_change(cluster)
            rules.check_managed_scaling(policy, cluster.collections[0].kind == "INSTANCE_FLEET")

        self._set_managed_scaling(region, request, policy, check)
        return {}

    def _remove_managed_scaling(self, region: str, request: Wire) -> Wire:
        self._set_managed_scaling(region, request, None, rules.check_may_change)
        return {}

    def _set_managed_scaling(
        self, region: str, request: Wire, policy: Wire | None, check: Callable[[Cluster], None]
    ) -> None:
        def change(cluster: Cluster) -> list[Effect]:
            cluster.managed_scaling = policy
            return []

        self._change(region, request, change, check)

    def _get_managed_scaling(self, region: str, request: Wire) -> Wire:
        return {"ManagedScalingPolicy": self._view(region, request, lambda cluster: cluster.managed_scaling)}

    # --- security configurations --------------------------------------------------------------

    def _create_security_configuration(self, region: str, request: Wire) -> Wire:
        name = request["Name"]
        if any(each.name == name for each in self._store.security_configurations(region)):
            raise InvalidRequestError(f"SecurityConfiguration with name '{name}' already exists.")
        rules.check_security_configuration(request["SecurityConfiguration"])
        now = self._engine.clock.now()
        self._store.save_security_configuration(
            SecurityConfiguration(
                region=region, name=name, body=request["SecurityConfiguration"], created_at=now
            )
        )
        return {"Name": name, "CreationDateTime": now}

    def _describe_security_configuration(self, region: str, request: Wire) -> Wire:
        configuration = self._security_configuration(region, request["Name"])
        return {
            "Name": configuration.name,
            "SecurityConfiguration": configuration.body,
            "CreationDateTime": configuration.created_at,
        }

    def _list_security_configurations(self, region: str, request: Wire) -> Wire:
        stored = self._store.security_configurations(region)
        listed, marker = page(stored, request.get("Marker"), _COLLECTIONS_PER_PAGE)
        shown = [{"Name": each.name, "CreationDateTime": each.created_at} for each in listed]
        return {"SecurityConfigurations": shown, "Marker": marker}

    def _delete_security_configuration(self, region: str, request: Wire) -> Wire:
        configuration = self._security_configuration(region, request["Name"])
        self._store.delete_security_configuration(region, configuration.name)
        return {}

    def _security_configuration(self, region: str, name: str) -> SecurityConfiguration:
        for each in self._store.security_configurations(region):
            if each.name == name:
                return each
        raise InvalidRequestError(f"Security configuration with name '{name}' does not exist.")

    # --- releases -----------------------------------------------------------------------------

    def _list_release_labels(self, region: str, request: Wire) -> Wire:
        filters = request.get("Filters") or {}
        prefix, application = filters.get("Prefix", ""), filters.get("Application", "")
        # The filter may carry a version, as in "Spark@3.5.6".
        name, _, version = application.lower().partition("@")
        labels = [
            label
            for label in release_labels()
            if label.startswith(prefix)
            and (
                not name or version in ("", {k.lower(): v for k, v in applications(label).items()}.get(name))
            )
            and (not name or name in (each.lower() for each in applications(label)))
        ]
        listed, token = page(labels, request.get("NextToken"), _release_page(request), "NextToken")
        return {"ReleaseLabels": listed, "NextToken": token}

    def _describe_release_label(self, region: str, request: Wire) -> Wire:
        label = request.get("ReleaseLabel", release_labels()[0])
        rules.check_release(label)
        known = describe.release_applications(label)
        listed, token = page(known, request.get("NextToken"), _release_page(request), "NextToken")
        return {"ReleaseLabel": label, "Applications": listed, "NextToken": token}

    def _list_supported_instance_types(self, region: str, request: Wire) -> Wire:
        rules.check_release(request["ReleaseLabel"])
        offered = list(instance_types(request["ReleaseLabel"]).values())
        listed, marker = page(offered, request.get("Marker"), _TYPES_PER_PAGE)
        return {"SupportedInstanceTypes": listed, "Marker": marker}

    # --- finding clusters ---------------------------------------------------------------------

    def _view(self, region: str, request: Wire, view: Callable[[Cluster], Any]) -> Any:
        return self._engine.read(lambda everyone: view(_cluster(everyone, region, request["ClusterId"])))

    def _change(
        self,
        region: str,
        request: Wire,
        change: Callable[[Cluster], Iterable[Effect]],
        check: Callable[[Cluster], None] | None = None,
    ) -> None:
        def select(everyone: list[Cluster]) -> list[Cluster]:
            cluster = _cluster(everyone, region, request["ClusterId"])
            if check is not None:
                check(cluster)
            return [cluster]

        self._engine.change(select, change)

    def _change_job_flows(
        self,
        region: str,
        request: Wire,
        change: Callable[[Cluster], Iterable[Effect]],
        check: Callable[[Iterable[Cluster]], None] | None = None,
    ) -> None:
        ids = request["JobFlowIds"]
        if len(ids) > rules.MOST_JOB_FLOWS_PER_CALL:
            raise ValidationError(
                f"JobFlowIds has {len(ids)} ids: at most {rules.MOST_JOB_FLOWS_PER_CALL} may be given."
            )

        def select(everyone: list[Cluster]) -> list[Cluster]:
            named = [_job_flow(everyone, region, each) for each in ids]
            if check is not None:
                check(named)
            return named

        self._engine.change(select, change)


def _steps(configs: list[Wire], now: float, role: str | None) -> list[Step]:
    return [
        Step(
            name=config["Name"],
            action_on_failure=config.get("ActionOnFailure", "CONTINUE"),
            jar=config["HadoopJarStep"]["Jar"],
            main_class=config["HadoopJarStep"].get("MainClass"),
            args=config["HadoopJarStep"].get("Args", []),
            properties={
                each["Key"]: each.get("Value", "") for each in config["HadoopJarStep"].get("Properties", [])
            },
            execution_role_arn=role,
            created_at=now,
        )
        for config in configs
    ]


def _find(everyone: list[Cluster], region: str, cluster_id: str) -> Cluster | None:
    return next((each for each in everyone if each.id == cluster_id and each.region == region), None)


def _cluster(everyone: list[Cluster], region: str, cluster_id: str) -> Cluster:
    cluster = _find(everyone, region, cluster_id)
    if cluster is None:
        raise InvalidRequestError(f"Cluster id '{cluster_id}' is not valid.")
    return cluster


def _job_flow(everyone: list[Cluster], region: str, cluster_id: str) -> Cluster:
    # The older operations, those that say job flow, have another error for the same fault.
    cluster = _find(everyone, region, cluster_id)
    if cluster is None:
        raise ValidationError("Specified job flow ID does not exist.")
    return cluster


def _step(cluster: Cluster, step_id: str) -> Step:
    step = cluster.step(step_id)
    if step is None:
        raise InvalidRequestError(f"Step id '{step_id}' is not valid.")
    return step


def _check_kind(cluster: Cluster, kind: str, operation: str, instead: str) -> None:
    if cluster.collections[0].kind == kind:
        return
    used = "instance fleets" if kind == "INSTANCE_GROUP" else "instance groups"
    raise InvalidRequestError(
        "Instance fleets and instance groups are mutually exclusive. "
        f"The EMR cluster specified in the request uses {used}. "
        f"The {operation} operation does not support clusters that use {used}. "
        f"Use the {instead} operation instead.",
        code=f"API_DOES_NOT_SUPPORT_{used.upper().replace(' ', '_').removesuffix('S')}_CLUSTERS",
    )


def _why_not_cancellable(step: Step | None) -> str | None:
    if step is None:
        return "Step is not found in the cluster."
    if step.state in ("PENDING", "RUNNING"):
        return None
    return f"Step is in state {step.state}: only PENDING and RUNNING steps can be cancelled."


def _by_resource(request: Wire) -> Wire:
    return {"ClusterId": request["ResourceId"]}


def _release_page(request: Wire) -> int:
    size: int = request.get("MaxResults", _MOST_RELEASES_PER_PAGE)
    return size
