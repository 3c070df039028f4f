"""The product on local AWS: the emulator's own fixtures serve its tests."""

from tests.dev.local_aws.conftest import *  # noqa: F403
