"""The AWS regions in the European Union. Photos and features never leave them.

Source: the AWS global infrastructure list. London (eu-west-2) and Zurich (eu-central-2) are in
Europe but not in the Union, so they are left out.
"""

from typing import Final

EU_REGIONS: Final = (
    "eu-central-1",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-3",
)
