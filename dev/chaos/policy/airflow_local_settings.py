"""Airflow's own hook for an installation's rules, on the path of the chaos arena's Airflow alone.

The pipeline lets one run at a time work. Here two may, so that it can be seen that they leave each
other's cluster alone even so.
"""

from typing import Any

from fruit_contract.layout import DAG_ID


def dag_policy(dag: Any) -> None:
    if dag.dag_id == DAG_ID:
        dag.max_active_runs = 2
