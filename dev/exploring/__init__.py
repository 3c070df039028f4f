"""What the notebooks stand on: a result in a folder or a bucket, opened, and JupyterLab to read it in."""
