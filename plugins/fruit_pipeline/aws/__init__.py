"""The AWS clients of a run, and how their calls are retried."""

import logging
from typing import Final

_CHATTY: Final = ("botocore.credentials", "botocore.configprovider", "aiobotocore.credentials")
"""Say of every client where its credentials and its endpoint were found."""

for _name in _CHATTY:
    logging.getLogger(_name).setLevel(logging.WARNING)
