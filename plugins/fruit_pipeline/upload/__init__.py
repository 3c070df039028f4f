"""Photos from a folder on this machine to a bucket, here or in the real account: ``make upload``."""
