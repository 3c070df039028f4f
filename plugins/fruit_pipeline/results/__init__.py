"""What a run leaves on S3: tables, the pointer to the current result, checks, clean-up, the report."""
