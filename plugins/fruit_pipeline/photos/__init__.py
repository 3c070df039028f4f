"""The photos of a bucket: listed in key order, compared with the current result, planned as work."""
