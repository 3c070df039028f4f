"""One photo at a time: what a classifier of a result says of it, without Spark and TensorFlow."""
