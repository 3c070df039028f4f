"""The main job on one machine: local AWS, a real Airflow, real Spark, one run of ``fruit_features``."""
