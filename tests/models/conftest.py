"""A completion queue over each mechanism, and a look at what it leaves."""

import pytest

from tests.left_behind import descriptors
from tests.models.completion_back_ends import BackEnd, Queue, parameters


@pytest.fixture(params=parameters())
def back_end(request) -> BackEnd:
    return request.param


@pytest.fixture
def queue(back_end):
    """A queue that is closed in the end; then no descriptor is open that was not before."""
    before = descriptors()
    queue = Queue(back_end.processor())
    yield queue
    queue.close()
    assert descriptors() - before == set()
