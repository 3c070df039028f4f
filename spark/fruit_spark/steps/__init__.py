"""The two steps: their command lines, their jobs, and how a step ends."""
