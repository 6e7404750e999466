"""A loop without a descriptor to spare, in a process of its own."""

import os
import resource

import pytest

from iolab.models import multiplexing_epoll
from iolab.recording.no_descriptor_left import no_descriptor_left, refused_accepts
from tests.left_behind import nothing_left_behind

needs_epoll = pytest.mark.skipif(multiplexing_epoll.unavailable() is not None, reason="epoll is Linux's")


@needs_epoll
def test_each_wait_tells_of_the_client_that_no_accept_can_take_and_our_own_limit_stays():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with nothing_left_behind():
        assert refused_accepts(25) == {"told": 25, "refused": [os.strerror(24)]}
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_not_one_more_descriptor_can_be_had_meanwhile_and_afterwards_they_can():
    with no_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        os.dup(0)
    os.close(os.dup(0))


@pytest.mark.parametrize("waits", [0, -1, 10_001])
def test_wrong_numbers_are_refused_in_words(waits):
    with pytest.raises(ValueError, match=f"waits must be from 1 to 10,000, not {waits}"):
        refused_accepts(waits)
