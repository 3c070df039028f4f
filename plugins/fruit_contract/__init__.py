"""What the Airflow side and the Spark side must agree on: S3 keys and the shape of the reports.

Standard library only: the package is on Airflow's path as part of ``plugins/`` and travels to
the cluster inside the code archive of the Spark steps.
"""
