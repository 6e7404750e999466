"""The I/O models, one file each: read_into, read_many, unavailable, and a NAME.

Two families: synchronous models, in which the reading thread itself fetches the bytes from the kernel, and
asynchronous ones, in which it is told that they have been fetched.
"""

from iolab.models import (
    asynchronous_threads,
    blocking,
    multiplexing_epoll,
    multiplexing_poll,
    multiplexing_select,
    nonblocking,
    signal_driven,
)

MODELS = (
    blocking,
    nonblocking,
    multiplexing_select,
    multiplexing_poll,
    multiplexing_epoll,
    signal_driven,
    asynchronous_threads,
)
