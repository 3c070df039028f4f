"""Feature vectors on their way: out of the model, into Parquet files, and back from earlier runs."""
