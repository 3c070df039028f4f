"""The network: which file, how it reaches every worker, and what runs it."""
