"""One read of many bytes, in each of the ways in which somebody may carry it out: for recording.who_copies.

    recv · nonblocking · select · poll · epoll · signal-driven      the thread itself, in a call that is the read
    threads · POSIX AIO · linux-aio · io_uring                      the read is handed over; who copies is the question

Two facts that surprise:
* That a read is handed over does not say to whom: to a thread of the program, of the C library, of the kernel, to a
  device, or to one's own thread, a little later.
* For most descriptors native AIO hands nothing over: io_submit makes the copy before it returns.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from iolab.kernel import posix_aio
from iolab.kernel.io_uring_operations import MSG_WAITALL
from iolab.kernel.posix_aio_block import ControlBlock
from iolab.models import (
    asynchronous_linux_aio,
    asynchronous_threads,
    multiplexing_epoll,
    multiplexing_poll,
    multiplexing_select,
    nonblocking,
    signal_driven,
)
from iolab.models.asynchronous_linux_aio import LinuxAioProcessor
from iolab.models.asynchronous_threads import ThreadsProcessor
from iolab.models.borrowed import borrowed_socket
from iolab.models.completion_queue import CompletionQueue
from iolab.recording.way_to_read import SOCKET, Mark, Read, Way, filled
from iolab.recording.ways_in_a_ring import RING_WAYS


@contextmanager
def _by_recv() -> Iterator[Read]:
    def fill(fd: int, buffer: memoryview, mark: Mark) -> None:
        with borrowed_socket(fd) as sock:
            filled(lambda done: sock.recv_into(buffer[done:], 0, MSG_WAITALL), len(buffer))
        mark("inside recv")

    yield fill


@contextmanager
def _by_posix_aio() -> Iterator[Read]:
    def fill(fd: int, buffer: memoryview, mark: Mark) -> None:
        def read_piece(done: int) -> int:
            block = ControlBlock(fd, buffer[done:])
            posix_aio.aio_read(block)
            mark("inside aio_read")
            posix_aio.aio_suspend([block])
            mark("inside aio_suspend")
            return posix_aio.aio_return(block)

        filled(read_piece, len(buffer))

    yield fill


@contextmanager
def _by_queue(processor: Callable[[], object]) -> Iterator[Read]:
    queue = CompletionQueue(processor())

    def fill(fd: int, buffer: memoryview, mark: Mark) -> None:
        def read_piece(done: int) -> int:
            queue.read(fd, buffer[done:], done)
            (completion,) = queue.wait(None)
            return completion.result

        filled(read_piece, len(buffer))
        mark("starting the read and waiting for its completion")

    try:
        yield fill
    finally:
        queue.close()


@contextmanager
def _by_model(model) -> Iterator[Read]:
    def fill(fd: int, buffer: memoryview, mark: Mark) -> None:
        model.read_into(fd, buffer)
        mark("inside its own read")

    yield fill


def _model(model) -> Way:
    return Way(model.NAME, SOCKET, lambda: _by_model(model), model.unavailable)


WAYS = (
    Way("recv", SOCKET, _by_recv, lambda: None),
    *map(_model, (nonblocking, multiplexing_select, multiplexing_poll, multiplexing_epoll, signal_driven)),
    Way("threads", SOCKET, lambda: _by_queue(ThreadsProcessor), asynchronous_threads.unavailable),
    Way("POSIX AIO", SOCKET, _by_posix_aio, posix_aio.unavailable),
    Way("linux-aio", SOCKET, lambda: _by_queue(LinuxAioProcessor), asynchronous_linux_aio.unavailable),
    *RING_WAYS,
)
