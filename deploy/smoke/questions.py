"""What only a real account can tell: each question once, and how the sightings answer it.

A question is the docstring of the function that answers it. An answer is held against what the code and the
documentation assume; a question that two small runs cannot answer is here all the same, and says why.
"""

import re
from collections.abc import Callable, Iterable
from statistics import median
from typing import Final, NamedTuple

from fruit_pipeline.cluster import spark_settings, spot_loss
from fruit_pipeline.cost import estimate, speeds, step_times
from fruit_pipeline.cost.prices import LIVE
from fruit_pipeline.settings.instance_types import OFFERED_TYPES
from infra.stack import WAIT_SECONDS
from smoke.runs import PHOTOS
from smoke.sightings import Ending, NotSeenError, Run, Seen

_BELOW_XLARGE: Final = re.compile(r"^[cmr]\d+g\w*\.(medium|large)$")
_MOST_CHARACTERS: Final = 300
"""Of an answer: what AWS says at length is cut."""
_ENDED_WITH_CLUSTER: Final = ("CLUSTER_TERMINATED", "USER_REQUEST", "")


class Answer(NamedTuple):
    """What was seen, and whether it is what this project assumes."""

    verdict: str
    """``as assumed``, ``otherwise``, ``seen`` where nothing is assumed, or ``not seen``."""
    seen: str


def answered(question: Callable[[Seen], Answer], seen: Seen) -> Answer:
    """The answer; one that cannot be given keeps no other from being given."""
    try:
        return question(seen)
    except NotSeenError as error:
        return Answer("not seen", str(error))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return Answer("not seen", f"the runs left nothing that tells ({error!r})")


def _held(holds: bool, words: object) -> Answer:
    return Answer("as assumed" if holds else "otherwise", str(words)[:_MOST_CHARACTERS])


def _at_most(seconds: float, assumed: float) -> Answer:
    return _held(seconds <= assumed, f"{seconds:.0f} s, {assumed:.0f} s assumed")


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _doctor(seen: Seen, what: str) -> Answer:
    found = [each for each in seen.findings if each.what == what]
    return _held(all(each.verdict == "right" for each in found), "; ".join(each.seen for each in found))


# --- the plain run ----------------------------------------------------------------------------------


def subnets(seen: Seen) -> Answer:
    """Does EMR start in these subnets, which have no way to the internet?"""
    return _held("ReadyDateTime" in seen.plain.cluster.end.times, seen.plain.cluster.end)


def emr_buckets(seen: Seen) -> Answer:
    """Is the list of EMR's own buckets whole, in the policy of the S3 endpoint?"""
    cluster = seen.plain.cluster
    return _held(cluster.completed and bool(cluster.logs), f"{cluster.work}, {len(cluster.logs)} logs")


def permissions(seen: Seen) -> Answer:
    """Are the documented permissions enough, for RunJobFlow and for the whole run?"""
    return _held(seen.plain.state == "success", seen.plain.report.get("failure") or seen.plain.state)


def limits(seen: Seen) -> Answer:
    """Does RunJobFlow set its limits, on cluster/* or on the new id (both are permitted)?"""
    found, most = seen.plain.cluster.limits, seen.plain.parameters.most_workers
    units = found["ComputeLimits"]["MaximumCapacityUnits"]
    return _held(units == most, f"{found['IdleTimeout']} s of idleness, at most {units} workers")


def scaling(seen: Seen) -> Answer:
    """Does managed scaling keep the workers within their limits?"""
    workers = len(seen.plain.cluster.nodes) - 1
    return _held(1 <= workers <= seen.plain.parameters.most_workers, f"{workers} workers in all")


def committer(seen: Seen) -> Answer:
    """Does S3 refuse the nodes nothing, with the uploads that EMR's committer may make?"""
    refused = seen.plain.cluster.said("AccessDenied|Status Code: 403")
    return _held(not refused, " ".join([f"{len(refused)} refusals in the logs", *refused[:1]]))


def offered(seen: Seen) -> Answer:
    """Does EMR offer the types of settings/instance_types.py, and no smaller Graviton?"""
    missing, small = set(OFFERED_TYPES) - seen.types, set(filter(_BELOW_XLARGE.match, seen.types))
    return _held(not missing | small, f"missing: {_names(missing)}; below xlarge: {_names(small)}")


def versions(seen: Seen) -> Answer:
    """Which Spark and Python are on the nodes?"""
    found = [f"{name} {version}" for name, version in seen.plain.featurized["versions"].items()]
    return Answer("seen", f"{seen.plain.parameters.release_label}: {', '.join(found)}")


def runtime(seen: Seen) -> Answer:
    """Do LiteRT and OpenCV of the runtime work on Graviton nodes?"""
    done = seen.plain.featurized["processed"]
    return _held(done == PHOTOS, f"{done} of {PHOTOS} photos")


def lifetime(seen: Seen) -> Answer:
    """Does the bootstrap action of the hard lifetime schedule the power-off?"""
    said = seen.plain.cluster.said("will power off in")
    return _held(bool(said), (said or ["no log of the bootstrap action says so"])[0])


def yarn_memory(seen: Seen) -> Answer:
    """Does YARN take the memory figures of spark_settings.py?"""
    assumed = spark_settings.yarn_site(seen.plain.parameters)["yarn.scheduler.maximum-allocation-mb"]
    said = " ".join(seen.plain.cluster.said("memory capability of the cluster"))
    found = set(re.findall(r"cluster \((\d+) MB", said))
    if not found:
        raise NotSeenError("no log names YARN's memory")
    return _held(found == {assumed}, f"{_names(found)} MiB, {assumed} assumed")


def s3_client(seen: Seen) -> Answer:
    """Is S3A behind s3://, and does it stay in its region?"""
    cluster = seen.plain.cluster
    emrfs, astray = len(cluster.said("EmrFileSystem")), len(cluster.said("s3[.-]us-east-[12]"))
    words = f"{emrfs} lines name EMRFS, {astray} a region outside the EU; {cluster.work}"
    return _held(cluster.completed and not emrfs + astray, words)


def start(seen: Seen) -> Answer:
    """How long from RunJobFlow to the first step (START_SECONDS)?"""
    cluster = seen.plain.cluster
    first = cluster.steps[0][1].times["StartDateTime"]
    return _at_most((first - cluster.end.times["CreationDateTime"]).total_seconds(), speeds.START_SECONDS)


def step(seen: Seen) -> Answer:
    """How long does a step of next to nothing take (STEP_SECONDS, and Spark's start)?"""
    took = [end.seconds("StartDateTime", "EndDateTime") for _, end in seen.plain.cluster.steps]
    workers = estimate.workers_of(seen.plain.parameters)
    return _at_most(median(took), speeds.STEP_SECONDS + step_times.reduce_seconds(workers, PHOTOS))


def end(seen: Seen) -> Answer:
    """How long from the last step to the end of the nodes (END_SECONDS)?"""
    last = seen.plain.cluster.steps[-1][1].times["EndDateTime"]
    return _at_most((seen.plain.cluster.last_node_gone - last).total_seconds(), speeds.END_SECONDS)


def overtime(seen: Seen) -> Answer:
    """How long does a node cost before its use and after its cluster (OVERTIME_SECONDS)?"""
    cluster = seen.plain.cluster
    before = max(node.seconds("CreationDateTime", "ReadyDateTime") for _, _, node in cluster.nodes)
    after = (cluster.last_node_gone - cluster.end.times["EndDateTime"]).total_seconds()
    return _at_most(before + max(0.0, after), speeds.OVERTIME_SECONDS)


def speed(seen: Seen) -> Answer:
    """What does a Graviton core do of the x86 core that was measured (GRAVITON_IMAGES_PER_SECOND)?"""
    found = seen.plain.report["images_per_second_per_core"]
    assumed = estimate.images_per_core_second(seen.plain.parameters)
    words = f"{found:.1f} photos a second and core with Spark's start, {assumed:.0f} assumed without it"
    raise NotSeenError(f"{words}: {PHOTOS} photos are too few to tell")


def log_puts(seen: Seen) -> Answer:
    """How many logs does EMR deliver a node and hour (LOG_PUTS_PER_NODE_HOUR)?"""
    cluster, assumed = seen.plain.cluster, estimate.LOG_PUTS_PER_NODE_HOUR
    hours = sum(node.seconds("CreationDateTime", "EndDateTime") for _, _, node in cluster.nodes) / 3600
    rate = len(cluster.delivered) / hours
    return _held(rate <= assumed, f"{rate:.0f} objects are kept, {assumed} requests assumed")


# --- the run that loses a node ----------------------------------------------------------------------


def _interrupted(seen: Seen) -> Run:
    if seen.spot is None:
        raise NotSeenError(seen.interruption)
    return seen.spot


def _lost(run: Run) -> list[Ending]:
    """The Spot nodes that were gone before anybody ended their cluster."""
    nodes = [node for cluster in run.clusters for _, market, node in cluster.nodes if market == "SPOT"]
    lost = [node for node in nodes if node.state == "TERMINATED" and node.code not in _ENDED_WITH_CLUSTER]
    if not lost:
        raise NotSeenError("no node was lost before the end of its cluster")
    return lost


def interruption(seen: Seen) -> Answer:
    """May AWS FIS take a Spot node of the cluster, and does it?"""
    return Answer("seen" if seen.spot else "not seen", seen.interruption)


def lost_node(seen: Seen) -> Answer:
    """What does EMR say of a node that Spot took (INSTANCE_FAILURE)?"""
    lost = _lost(_interrupted(seen))
    as_assumed = all(node.code == spot_loss.INSTANCE_LOST for node in lost)
    return _held(as_assumed, "; ".join(sorted({str(node) for node in lost})))


def lost_cluster(seen: Seen) -> Answer:
    """How ends a cluster that Spot took (INSTANCE_FAILURE, INSTANCE_FLEET_TIMEOUT)?"""
    first, *others = _interrupted(seen).clusters
    if not others:
        raise NotSeenError(f"the cluster outlived the loss: {first.end}")
    return _held(first.end.code in (spot_loss.INSTANCE_LOST, spot_loss.NO_CAPACITY), first.end)


def after_loss(seen: Seen) -> Answer:
    """Does a run that loses a node end green, on a second cluster if need be?"""
    run = _interrupted(seen)
    words = f"{run.state}, {len(_lost(run))} nodes lost, {len(run.clusters)} clusters"
    return _held(run.state == "success", words)


def decommission(seen: Seen) -> Answer:
    """Does Spark move work off a node that EMR decommissions?"""
    cluster, lost = _interrupted(seen).cluster, len(_lost(_interrupted(seen)))
    said = len(cluster.said("(?i)decommission"))
    return Answer("seen", f"{lost} nodes lost, {said} lines tell of decommissioning; {cluster.work}")


def replication(seen: Seen) -> Answer:
    """Does a step start after a loss, from the copies on another worker?"""
    run = _interrupted(seen)
    lost = min(node.times["EndDateTime"] for node in _lost(run))
    later = [each for _, each in run.cluster.steps if each.times.get("StartDateTime", lost) > lost]
    if not later:
        raise NotSeenError("no step of that cluster began after the loss")
    return _held(later[0].state == "COMPLETED", run.cluster.work)


# --- money, the stack and the bucket ----------------------------------------------------------------


def prices(seen: Seen) -> Answer:
    """Does the price list answer, with all prices live?"""
    source = seen.plain.report["cost"]["prices"]["source"]
    return _held(source == LIVE, f"the run used {source} prices; {_doctor(seen, 'prices').seen}")


def spot_prices(seen: Seen) -> Answer:
    """Are there Spot prices and placement scores?"""
    return _doctor(seen, "spot")


def quotas(seen: Seen) -> Answer:
    """Do the account's quotas allow a run?"""
    return _doctor(seen, "quotas")


def worst_case(seen: Seen) -> Answer:
    """Does a run cost no more than its worst case, and what is expected?"""
    costs = [run.report["cost"] for run in (seen.plain, seen.spot) if run]
    sums = [
        f"{c['actual']:.3f} EUR, {c['expected']:.3f} expected, {c['estimate']:.2f} at worst" for c in costs
    ]
    return _held(all(cost["actual"] <= cost["estimate"] for cost in costs), "; ".join(sums))


def bill_tags(seen: Seen) -> Answer:
    """Do the nodes bear the tags project and run_key, which the bill can be split by?"""
    if not seen.node_tags:
        raise NotSeenError("EC2 showed none of the nodes")
    good = [tags for tags in seen.node_tags if tags.get("project") and tags.get("run_key") == seen.plain.id]
    return _held(len(good) == len(seen.node_tags), f"{len(good)} of {len(seen.node_tags)} nodes")


def budget(seen: Seen) -> Answer:
    """Does CloudFormation make the budget, and do its mails come?"""
    if seen.budget is None:
        raise NotSeenError("the stack has no budget")
    return _held(seen.budget == "CREATE_COMPLETE", f"{seen.budget}; mails come only once money is spent")


def events(seen: Seen) -> Answer:
    """Does S3 tell the queue of every photo?"""
    return _held(seen.photos_told == PHOTOS, f"{seen.photos_told} of {PHOTOS} photos")


def lifecycle(seen: Seen) -> Answer:
    """Does S3 take the lifecycle rules?"""
    return _held(bool(seen.rules), _names(seen.rules))


def destroy(seen: Seen) -> Answer:
    """How long does the removal of the stack take, with its network interfaces?"""
    took = [seconds for what, seconds in seen.removal.items() if what.startswith("stack ")]
    if not took:
        raise NotSeenError("the stack was there before, and stays")
    return _at_most(took[0], WAIT_SECONDS)


def sessions(seen: Seen) -> Answer:
    """Do sessions work with SessionManager=true?"""
    raise NotSeenError("its endpoints cost money by the hour")


def emr_6(seen: Seen) -> Answer:
    """Does emr-6.15.0 run the steps (EMRFS behind s3://, Java 8)?"""
    raise NotSeenError("it needs a third cluster")


def cost_explorer(seen: Seen) -> Answer:
    """Does Cost Explorer tell runs apart?"""
    raise NotSeenError("it answers a day later, outside the EU")


QUESTIONS: Final[tuple[Callable[[Seen], Answer], ...]] = (
    *(subnets, emr_buckets, permissions, limits, scaling, committer, offered, versions, runtime, lifetime),
    *(yarn_memory, s3_client, start, step, end, overtime, speed, log_puts),
    *(interruption, lost_node, lost_cluster, after_loss, decommission, replication),
    *(prices, spot_prices, quotas, worst_case, bill_tags, budget, events, lifecycle, destroy),
    *(sessions, emr_6, cost_explorer),
)
"""In the order of the page."""
