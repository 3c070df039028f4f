"""The account in memory of the product's unit tests serves these, too."""

from tests.fruit_pipeline.conftest import *  # noqa: F403
