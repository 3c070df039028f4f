"""The session, model and S3 server of the Spark steps serve these tests, too."""

from tests.fruit_spark.conftest import *  # noqa: F403
