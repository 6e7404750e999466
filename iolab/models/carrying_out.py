"""What a helper thread calls to carry an operation out: poll until it can be done, or called off; then the one call.

    helper   poll(fd, note) ┐                      ┌ read(fd) ┐          ┌── the result
    kernel                  └ waits for data ──────┘          └ copies ──┘

Two facts that surprise:
* The wait is in poll, not in read, for one reason: a note (an eventfd) can end it. A read that sleeps is ended by data,
  the end or a reset of the stream, SO_RCVTIMEO, shutdown(2) or a signal handler; close(2) in another thread does not.
* What poll says is true for a moment. Where others share the descriptor, O_NONBLOCK makes the difference between
  "somebody was faster: poll again" and a helper that is lost in read.

poll(2), eventfd(2), accept4(2).
"""

import errno
import os
import select
import socket
from collections.abc import Iterator

from iolab.calls import CallNamer
from iolab.models.at_once import MOST_ACCEPTS, is_crowded
from iolab.models.borrowed import accepted_from, borrowed_socket
from iolab.models.completion import ACCEPT, READ, RECEIVE, SEND, WRITE, Event, Operation

RECEIVED_AT_ONCE = 1 << 16


def carry_out(operation: Operation, call: CallNamer) -> Iterator[Event]:
    """Wait for the descriptor and make the one call: its Event. An accept takes all who wait by then, an Event for each.

    `operation.state` is an eventfd: once it is written to, an operation that was cancelled ends with ECANCELED.
    """
    try:
        result, data = _once_possible(operation, call)
        for _ in range(MOST_ACCEPTS - 1 if operation.kind == ACCEPT else 0):
            if is_crowded(result) or not _somebody_waits(operation.fd):  # a helper needs a note, an eventfd
                break
            yield Event(operation, result, True)
            result, data = _once_possible(operation, call)
    except OSError as error:
        result, data = -error.errno, None
    yield Event(operation, result, False, data)


def _somebody_waits(listener: int) -> bool:
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    return bool(poller.poll(0))


def _once_possible(operation: Operation, call: CallNamer) -> tuple[int, memoryview | None]:
    poller, reads = select.poll(), operation.kind in (READ, RECEIVE, ACCEPT)
    poller.register(operation.fd, select.POLLIN if reads else select.POLLOUT)
    poller.register(operation.state, select.POLLIN)
    while not operation.cancelled:
        with call("poll", operation.fd):
            ready = poller.poll()
        if any(fd == operation.state for fd, _ in ready):
            os.eventfd_read(operation.state)  # perhaps meant for the operation before this one
            continue
        try:
            return _at_once(operation, call)
        except BlockingIOError:  # O_NONBLOCK, and somebody else was faster
            continue
    raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))


def _at_once(operation: Operation, call: CallNamer) -> tuple[int, memoryview | None]:
    kind, fd, buffer, offset = operation.kind, operation.fd, operation.buffer, operation.offset
    if kind in (ACCEPT, SEND):
        with borrowed_socket(fd) as sock:
            if kind == ACCEPT:
                with call("accept4", fd):
                    return accepted_from(sock), None
            with call("sendto", fd):  # a blocking socket would keep the helper until all is sent
                return sock.send(buffer, socket.MSG_DONTWAIT), None
    if kind == WRITE and offset is not None:
        with call("write", fd):
            return os.pwrite(fd, buffer, offset), None
    if kind == WRITE:
        with call("write", fd):  # "ready" promises a pipe's room for so many bytes; one byte more may sleep. pipe(7)
            return os.write(fd, buffer[: select.PIPE_BUF]), None
    with call("read", fd):
        if kind == RECEIVE:
            data = memoryview(os.read(fd, RECEIVED_AT_ONCE))
            return call.returned(len(data)), data
        nbytes = os.readv(fd, [buffer]) if offset is None else os.preadv(fd, [buffer], offset)
        return call.returned(nbytes), None
