"""The current result as one file for other programs, at the memory of a batch of rows."""
