"""The tasks, operators and sensors of ``fruit_features``, and what Airflow's UI says about them."""
