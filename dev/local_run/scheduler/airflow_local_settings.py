"""Read by the local scheduler as it starts. Tasks are forks of it, and find there what each would import.

Only what is installed: a change of this project's own modules holds from the next task on.
"""
# ruff: noqa: F401

import airflow.providers.amazon.aws.operators.emr
import airflow.providers.amazon.aws.sensors.emr
import airflow.providers.amazon.aws.triggers.emr
import boto3.session
import botocore.client
import botocore.httpsession
import httpx
import pydantic_settings
import tenacity
