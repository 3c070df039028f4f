"""Where bytes lie: S3 clients, Hadoop's file systems, Parquet files and tables."""
