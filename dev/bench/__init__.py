"""Measures the Spark steps against what people usually write, and says whether the targets are met."""
