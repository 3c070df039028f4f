"""Local AWS: the emulator's own fixtures serve the tests of what is read back from it."""

from tests.dev.local_aws.conftest import *  # noqa: F403
