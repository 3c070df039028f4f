"""Promise: make chaos does not wait for ever for a lane that has died."""

import multiprocessing
import sys

import pytest

from chaos import lanes


def test_a_lane_that_dies_is_an_error() -> None:
    spawned = multiprocessing.get_context("spawn")
    dead = spawned.Process(target=sys.exit, args=(3,))
    dead.start()
    dead.join(30)
    with pytest.raises(lanes.LaneError, match="ended before its scenarios did"):
        lanes._next(spawned.Queue(), [dead])
