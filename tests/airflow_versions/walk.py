"""Runs in an environment under test: asks Airflow's API server for each page, signed out and signed in.

It prints, as its last line, the two statuses and the sentence of each page by method and path, as JSON.
"""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

from airflow.configuration import conf

subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
LOGIN = {"username": "admin", "password": "only here"}
Path(conf.get("core", "simple_auth_manager_passwords_file")).write_text(
    json.dumps({LOGIN["username"]: LOGIN["password"]})
)

from airflow.api_fastapi.app import create_app  # noqa: E402 - needs the database
from fastapi.testclient import TestClient  # noqa: E402

from fruit_pipeline.pages import app as pages  # noqa: E402 - on the path once Airflow has read its settings

ASKED = "run_id=none&run_id=none&key=k&file=f"
OWN = {"Origin": "http://testserver"}

answers = {}
# Without the API of the tasks: that of 3.2.0 does not load with the newest pydantic.
with TestClient(create_app("core")) as client:
    token = client.post("/auth/token", json=LOGIN).json()["access_token"]
    for route in pages.create_app().routes:
        (method,) = route.methods
        files = {"photo": b"photo"} if method == "POST" else None
        out, page = (
            client.request(method, f"{pages.PREFIX}{route.path}?{ASKED}", headers=headers, files=files)
            for headers in (OWN, {**OWN, "Authorization": f"Bearer {token}"})
        )
        said = re.findall(r'<p class="message">(.*?)</p>', page.text)
        answers[f"{method} {route.path}"] = [out.status_code, page.status_code, *map(html.unescape, said)]
print(json.dumps(answers))
