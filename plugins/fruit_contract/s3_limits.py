"""What S3 bears: the featurize step keeps to it, and the estimate of a run counts with it."""

from typing import Final

READS_A_SECOND: Final = 5_500
"""GET and HEAD of one partitioned prefix, at least. S3 splits a busy prefix by and by, and until then answers
503 SlowDown. https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"""
