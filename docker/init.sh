#!/usr/bin/env bash
# Creates or migrates Airflow's database, and the user of the UI. Both may be done already.
set -euo pipefail
airflow db migrate
airflow users create --username admin --role Admin --firstname Fruit --lastname Admin --email admin@localhost \
  --password "$(cat /opt/airflow/secrets/admin_password)"
