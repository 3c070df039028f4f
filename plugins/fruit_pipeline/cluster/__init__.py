"""The EMR cluster of a run: its request, its steps, and everything that ends it."""
