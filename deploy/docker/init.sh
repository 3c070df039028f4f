#!/usr/bin/env bash
# Creates or migrates Airflow's database, and the user of the UI. Both may be done already.
set -euo pipefail
airflow db migrate
# By standard input: anybody on the host may read a command line. Without a terminal, which it would ask instead.
password=$(cat /opt/airflow/secrets/admin_password)
printf '%s\n' "$password" "$password" |
  setsid --wait airflow users create --username admin --role Admin --firstname Fruit --lastname Admin --email admin@localhost
