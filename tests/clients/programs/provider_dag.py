"""Runs the Amazon provider's own system test of EMR as it is: its folders are on PYTHONPATH."""

from system.amazon.aws.example_emr import test_run

test_run()
