"""Ends with 0 if Airflow's API server reports a component as healthy: scheduler, dag_processor, triggerer.

    python component_health.py dag_processor

`airflow jobs check` says the same from the same table, but takes seconds of a core each time.
"""

import json
import sys
import urllib.request

URL = "http://127.0.0.1:8080/api/v2/monitor/health"

with urllib.request.urlopen(URL, timeout=8) as answer:
    state = json.load(answer)[sys.argv[1]]
print(state)
sys.exit(state["status"] != "healthy")
