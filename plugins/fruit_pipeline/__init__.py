"""What the DAG ``fruit_features`` is made of: pure builders, guards, and thin EMR operators."""
