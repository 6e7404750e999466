"""The I/O models, one file each: read_into, read_many, unavailable, and a NAME.

Two families: synchronous models, in which the reading thread itself fetches the bytes from the kernel, and
asynchronous ones, in which it is told that they have been fetched.

Those of Unix: what one machine can compare. asynchronous_iocp, which is Windows', stands beside them.
"""

from iolab.models import (
    asynchronous_io_uring,
    asynchronous_linux_aio,
    asynchronous_posix_aio,
    asynchronous_threads,
    blocking,
    multiplexing_epoll,
    multiplexing_poll,
    multiplexing_select,
    nonblocking,
    signal_driven,
)

SYNCHRONOUS = (blocking, nonblocking, multiplexing_select, multiplexing_poll, multiplexing_epoll, signal_driven)
ASYNCHRONOUS = (asynchronous_threads, asynchronous_posix_aio, asynchronous_linux_aio, asynchronous_io_uring)
MODELS = SYNCHRONOUS + ASYNCHRONOUS
