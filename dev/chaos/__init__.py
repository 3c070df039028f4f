"""Faults on purpose: the real scheduler, triggerer and DAG against local AWS, scenario by scenario.

``make chaos`` plays :mod:`chaos.scenarios` and writes the table of docs/evidence/chaos.md. For every
scenario it shows how the run was expected to end and how it ended, how many clusters are left, how
many were made twice, how long one outlived its run, and whether the old result can still be read.
"""
