"""A cluster as AWS SDK for pandas makes it by default: prints its id and the states of its steps as JSON."""

import json
import sys
import time
from collections.abc import Callable

import awswrangler as wr


def until(state: Callable[[], str], *ends: str) -> str:
    while (found := state()) not in (*ends, "FAILED", "CANCELLED", "TERMINATED_WITH_ERRORS"):
        time.sleep(0.1)
    return found


cluster_id = wr.emr.create_cluster(subnet_id="subnet-0123456789abcdef0")
states = [until(lambda: wr.emr.get_cluster_state(cluster_id), "WAITING")]
script = wr.emr.submit_step(cluster_id, f"{sys.argv[1]} word", script=True)
states.append(until(lambda: wr.emr.get_step_state(cluster_id, script), "COMPLETED"))
steps = [wr.emr.build_step(command) for command in ("hadoop fs -ls hdfs:///user", "echo done")]
for step_id in wr.emr.submit_steps(cluster_id, steps):
    states.append(until(lambda step_id=step_id: wr.emr.get_step_state(cluster_id, step_id), "COMPLETED"))
wr.emr.terminate_cluster(cluster_id)
states.append(until(lambda: wr.emr.get_cluster_state(cluster_id), "TERMINATED"))
print(json.dumps({"cluster": cluster_id, "states": states}))
