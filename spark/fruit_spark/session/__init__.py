"""The Spark session of a step, and the few pyspark calls that it makes without pandas."""
