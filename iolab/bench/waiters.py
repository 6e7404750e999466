"""Five ways to wait for one of many descriptors, each as a function that waits once, and finds the one that is ready.

    select, poll, epoll     watch(all) ── once        wait() ──> [(fd, READ)]
    io_uring, linux-aio     poll each  ── once        ask for the ready one again, wait() ──> its completion

Two facts that surprise:
* A ring polls, too, and the call that waits also submits what is asked anew. Yet in Python the wait takes some ten times
  epoll's: not the kernel, but what is packed, pinned and noted for each operation.
* Linux AIO has a poll of its own (IOCB_CMD_POLL, Linux 4.18), and needs two calls for the same.

Each wait checks that it was told of the right descriptor: else a number here would be the time of a mistake.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import NamedTuple

from iolab.kernel import linux_aio
from iolab.kernel.io_uring import Ring
from iolab.kernel.io_uring import unavailable as no_io_uring
from iolab.kernel.io_uring_operations import POLLIN, poll_add
from iolab.models import multiplexing_epoll, multiplexing_poll, multiplexing_select
from iolab.models.readiness import READ

MOST_ENTRIES = 4096  # of the submission queue: it is emptied when it is full
LIMIT_S = 10.0


class Waiter(NamedTuple):
    """`open(idle, ready)` arms all, and yields the function that waits once."""

    name: str
    unavailable: Callable[[], str | None]
    open: Callable[[Sequence[int], int], AbstractContextManager[Callable[[], None]]]


@contextmanager
def _demultiplexer(new: Callable, idle: Sequence[int], ready: int) -> Iterator[Callable[[], None]]:
    with closing(new()) as demultiplexer:
        for fd in (*idle, ready):
            demultiplexer.watch(fd, READ)
        told = [(ready, READ)]

        def wait() -> None:
            if (found := demultiplexer.wait(LIMIT_S)) != told:
                raise RuntimeError(f"told of {found}, not of {told}")

        yield wait


@contextmanager
def _io_uring(idle: Sequence[int], ready: int) -> Iterator[Callable[[], None]]:
    with closing(Ring(MOST_ENTRIES, 4 * MOST_ENTRIES)) as ring:
        for fd in idle:
            ring.put(poll_add(fd, POLLIN))
        ring.submit()

        def wait() -> None:
            asked = ring.put(poll_add(ready, POLLIN))
            found = [cqe.user_data for cqe in ring.wait(1, LIMIT_S)]
            if found != [asked]:
                raise RuntimeError(f"told of {found}, not of {asked}")

        yield wait


@contextmanager
def _linux_aio(idle: Sequence[int], ready: int) -> Iterator[Callable[[], None]]:
    with closing(linux_aio.Context(len(idle) + 1)) as context:
        poll = partial(linux_aio.Request, linux_aio.POLL, events=POLLIN)
        waiting = [poll(fd) for fd in idle]
        while waiting:
            waiting = waiting[len(context.submit(waiting)) :]

        def wait() -> None:
            asked, found = context.submit([poll(ready)]), context.wait(LIMIT_S)
            if [event.serial for event in found] != asked:
                raise RuntimeError(f"told of {found}, not of {asked}")

        yield wait


WAITERS = (
    Waiter("select", multiplexing_select.unavailable, partial(_demultiplexer, multiplexing_select.SelectDemultiplexer)),
    Waiter("poll", multiplexing_poll.unavailable, partial(_demultiplexer, multiplexing_poll.PollDemultiplexer)),
    Waiter("epoll", multiplexing_epoll.unavailable, partial(_demultiplexer, multiplexing_epoll.EpollDemultiplexer)),
    Waiter("io-uring", no_io_uring, _io_uring),
    Waiter("linux-aio", linux_aio.unavailable, _linux_aio),
)
