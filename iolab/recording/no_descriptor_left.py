"""A loop that accepts while no descriptor is left: told at each wait, refused at each accept.

    listener     one client in its queue: readable
    wait ── told ── accept: EMFILE ── wait ── told ── accept: EMFILE ── ...      a full core, and nobody is served

Two facts that surprise:
* A connection that cannot be accepted stays in the listener's queue. So the listener stays readable, and a loop that
  logs the error and goes on is told of it again at once.
* The limit is the whole process's: whoever lowers it to try this in a notebook takes the last descriptor from the
  kernel's other threads, too, and the next message may be lost. So it is tried in a new process.

accept(2), EMFILE; getrlimit(2), RLIMIT_NOFILE.
"""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from iolab.aio_demo_process import run_alone
from iolab.models.multiplexing_epoll import EpollDemultiplexer
from iolab.models.readiness import READ
from iolab.servers.listening import listen

try:
    from resource import RLIMIT_NOFILE, getrlimit, setrlimit
except ImportError:  # Windows has no such limits; the file still imports
    RLIMIT_NOFILE = getrlimit = setrlimit = None

MOST, LIMIT_S = 10_000, 10


def refused_accepts(waits: int = 100) -> dict:
    """So many turns of a loop that has a client to accept and no descriptor for it, in a new process.

    "told": how many waits told of the listener; "refused": the words of accept's errors. ValueError for less than 1.
    """
    if not 1 <= waits <= MOST:
        raise ValueError(f"waits must be from 1 to {MOST:,}, not {waits!r}")
    return json.loads(run_alone(__name__, {"waits": waits}))


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """The lowest number that is free is the first that is not allowed."""
    os.close(lowest_free := os.dup(0))
    limits = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        yield
    finally:
        setrlimit(RLIMIT_NOFILE, limits)


def accept_without_room(waits: int) -> dict:
    """The loop, in this process."""
    told, refused = 0, set()
    with listen() as listener, closing(EpollDemultiplexer()) as exchange:
        exchange.watch(listener.fileno(), READ)
        with socket.create_connection(listener.getsockname(), LIMIT_S), no_descriptor_left():
            for _ in range(waits):
                told += len(exchange.wait(LIMIT_S))
                try:
                    listener.accept()
                except OSError as error:
                    refused.add(error.strerror)
    return {"told": told, "refused": sorted(refused)}


if __name__ == "__main__":
    print(json.dumps(accept_without_room(json.loads(sys.argv[1])["waits"])))
