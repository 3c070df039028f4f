"""What Airflow's UI shows beside the EMR tasks: what each does, and what to do when it fails."""

from typing import Final

CREATE_CLUSTER: Final = """
Asks EMR for the run's cluster and returns its id at once. A retry, or clearing this task, adopts
the cluster that the run already has.

**When it fails:** EMR refused the request, and nothing was created or costs money (the log has its words:
a role, a subnet, a quota). The teardown still looks for a cluster with this run's tags.
"""

WAIT_FOR_CLUSTER: Final = """
Waits until the cluster is ready, without a worker slot. Where Spot has no capacity in time, or takes the
cluster, it asks for one more, on demand, and waits for that (`on_spot_loss`).

**When it fails:** the bootstrap failed, or Spot took the cluster and none is to replace it; the log has
EMR's reason. Try another `worker_type`, or `spot=spot-or-on-demand`.
"""

ADD_FEATURIZE_STEP: Final = """
Adds the Spark step that turns photos into 1,280 features each, and returns its id.

**When it fails:** the cluster has ended meanwhile (see wait_for_cluster's and EMR's events), or the
step would reach outside the EU (the message names what and where).
"""

ADD_PCA_STEP: Final = """
Adds the Spark step that reduces the features to principal components, and returns its id.

**When it fails:** the cluster has ended meanwhile (see EMR's events), or the step would reach outside
the EU (the message names what and where).
"""

ADD_TRAIN_STEP: Final = """
Adds the Spark step that learns a classifier on the components, and returns its id. It is skipped where the
run asks for no classifier.

**When it fails:** the cluster has ended meanwhile (see EMR's events), or the step would reach outside
the EU (the message names what and where).
"""

WAIT_FOR_FEATURIZE: Final = """
Waits for the featurize step, without a worker slot, at most `max_step_hours` (and a twentieth of it).
Where Spot takes the cluster, it adds the step to one more, on demand (`on_spot_loss`). The log says how many
photos are done; **Step log** among the task's details opens the log of the step.

**When it fails:** the log names EMR's reason and the step's log file on S3; its last line says
what was wrong. The cluster is terminated, the old result stays current.
"""

WAIT_FOR_PCA: Final = """
Waits for the PCA step, without a worker slot, at most `max_step_hours` (and a twentieth of it). Where Spot
takes the cluster, it adds the step to one more, on demand (`on_spot_loss`).

**When it fails:** the step's log says why. Too little variance: raise `components` to the number it
names, or lower `minimum_variance`. The cluster is terminated, the old result stays current.
"""

WAIT_FOR_TRAIN: Final = """
Waits for the train step, without a worker slot, at most `max_step_hours` (and a twentieth of it). Where Spot
takes the cluster, it adds the step to one more, on demand (`on_spot_loss`). Too few labels or photos are no
failure: the report says why there is no classifier.

**When it fails:** the step's log says why. The cluster is terminated, the old result stays current. To
publish the components all the same, trigger a new run with `classifier=none`.
"""

TERMINATE_CLUSTER: Final = """
Ends every cluster with this run's tags, whatever happened before, and waits until EMR says so.
With `interactive_minutes`, a cluster whose steps succeeded stays for that long: the log says until when.

**When it fails:** a cluster may still be running and costing money: **terminate it in the EMR
console now** (filter by the tag `run_key`), then clear this task.
"""

WAIT_UNTIL_COMPLETE: Final = """
Waits, without a worker slot, until no photo has come or gone for `quiet_minutes` (or `max_wait_hours`
have passed since the first), and no run is under way. Skipped when an earlier run has seen it all.

**When it fails:** Airflow's own database or API did not answer: see the log, and clear it. No photo is
lost: they lie in the bucket.
"""
