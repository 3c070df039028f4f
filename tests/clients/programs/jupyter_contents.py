"""A person's hour in JupyterHub, whose storage EMR sets up so: open the notebook, change, save, rename it.

Prints as JSON what JupyterHub shows before and after, and what the next cluster's shows of what was saved.
"""

import json
import os
import sys

from s3contents import S3ContentsManager


def hub(bucket: str) -> S3ContentsManager:
    """With the bucket and the prefix of EMR's own jupyter_notebook_config.py; credentials are the node's."""
    return S3ContentsManager(
        bucket=bucket,
        prefix=os.path.join("jupyter", "jovyan"),  # noqa: PTH118 -- as EMR has it
        endpoint_url=os.environ["AWS_ENDPOINT_URL"],
        region_name="eu-west-1",
    )


def names(manager: S3ContentsManager) -> list[str]:
    return sorted(each["name"] for each in manager.get("", content=True)["content"])


bucket = sys.argv[1]
first = hub(bucket)
before = names(first)
[shipped] = before
notebook = first.get(shipped)["content"]
notebook["cells"][0]["source"] = "mine"
first.save({"type": "notebook", "format": "json", "content": notebook}, shipped)
copy = first.copy(shipped)["name"]
first.rename(copy, "mine.ipynb")
first.save({"type": "directory"}, "drafts")
first.delete("drafts")
saved = hub(bucket).get("mine.ipynb")["content"]["cells"][0]["source"]
print(json.dumps({"before": before, "after": names(first), "saved": saved}))
