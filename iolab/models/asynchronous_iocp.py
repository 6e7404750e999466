"""Asynchronous I/O by a completion port: Windows' kernel carries the operation out, and puts a packet into a queue.

    application  WSARecv ┐ ── its own work ── GetQueuedCompletionStatusEx ┐           ┌ packet: 1,000 bytes
    kernel               └ waits ─────────────────────────────────────────└ copies ───┘

Two facts that surprise:
* There is no readiness under it: a kernel in which every operation is a request with a completion is older here than
  select is; readiness is what has to be imitated. Therefore asyncio's loop on it has no add_reader.
* The buffer is the kernel's from the start on. Ten thousand silent clients with a receive each are ten thousand
  buffers, while a reactor, or io_uring with its pool, needs none before there are bytes.

A port is lent to a queue (iocp_ports); a file is opened anew for each operation (kernel/iocp_operations). Lay
asynchronous_io_uring.py beside it: start is put, a packet is a CQE. What differs: each start is a call of its own.

learn.microsoft.com: "I/O Completion Ports"; Russinovich, Solomon, Ionescu: Windows Internals, "I/O system".
"""

import errno
import os
from contextlib import suppress

from iolab.calls import CallNamer, unrecorded
from iolab.kernel import iocp_operations as operations
from iolab.kernel.iocp import Packet, Request
from iolab.kernel.iocp import unavailable as unavailable  # why there is none here
from iolab.kernel.iocp_abi import ERROR_HANDLE_EOF, errno_of
from iolab.models import iocp_ports
from iolab.models.completion import ACCEPT, READ, RECEIVE, SEND, WRITE, Event, Operation, position, read_when_complete
from iolab.models.completion_queue import CompletionQueue
from iolab.models.reads import Work

NAME = "iocp"
RECEIVED_AT_ONCE = 1 << 14
WOKEN = 0  # the key of a packet that wakes; no socket has this number


class IocpProcessor:
    """completion.AsynchronousOperationProcessor by one completion port. OSError as Windows says."""

    def __init__(self, call: CallNamer = unrecorded) -> None:
        self._call, self._found = call, []  # and not handed out yet
        self._operations: dict[Request, tuple[Operation, object]] = {}  # and what the result is: a buffer, a socket
        self._port = iocp_ports.borrow()

    def start(self, operation: Operation) -> None:
        try:
            request, brought = (self._on_socket if self._is_socket(operation) else self._on_file)(operation)
        except OSError as error:
            at_the_end = getattr(error, "winerror", 0) == ERROR_HANDLE_EOF
            result = 0 if at_the_end else -(error.errno or errno.EINVAL)
            self._found.append(Event(operation, result))
        else:
            operation.state = request
            self._operations[request] = operation, brought

    def cancel(self, operation: Operation) -> bool:
        if operation.state in self._operations:
            with self._call("CancelIoEx"):
                self._port.cancel(operation.state)
        return True  # how it went, its packet tells

    def abandon(self, operation: Operation) -> None:
        """The port keeps its OVERLAPPED and its buffer until the packet."""

    def wait(self, timeout: float | None) -> list[Event]:
        only = [each.fd for each, _ in self._operations.values()] if len(self._operations) == 1 else ()
        with self._call("GetQueuedCompletionStatusEx", *only):
            packets = self._port.wait(0 if self._found else timeout)
            self._found += filter(None, map(self._event, packets))
        found, self._found = self._found, []
        return found

    def wake(self) -> None:
        self._port.post(WOKEN)

    def close(self) -> None:
        iocp_ports.give_back(self._port)

    def _is_socket(self, operation: Operation) -> bool:
        found = operations.is_socket(operation.fd)
        if not found:
            os.fstat(operation.fd)  # EBADF
        if not found and operation.kind in (ACCEPT, RECEIVE, SEND):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
        return found

    def _on_socket(self, operation: Operation) -> tuple[Request, object]:
        kind, fd, port = operation.kind, operation.fd, self._port
        iocp_ports.join(port, fd)
        if kind == ACCEPT:
            with self._call("AcceptEx", fd):
                return operations.accept(port, fd)
        if kind in (SEND, WRITE):
            with self._call("WSASend", fd):
                return operations.send(port, fd, operation.buffer), None
        buffer = bytearray(RECEIVED_AT_ONCE) if kind == RECEIVE else operation.buffer
        with self._call("WSARecv", fd):
            return operations.receive(port, fd, buffer), buffer

    def _on_file(self, operation: Operation) -> tuple[Request, object]:
        fd, buffer = operation.fd, operation.buffer
        at = position(fd) if operation.offset is None else operation.offset
        if at is None:
            raise OSError(errno.EINVAL, "neither a socket nor a file: it knows no overlapped I/O")
        name, begin = ("ReadFile", operations.read) if operation.kind == READ else ("WriteFile", operations.write)
        with self._call(name, fd):
            return begin(self._port, fd, buffer, at), at

    def _event(self, packet: Packet) -> Event | None:
        operation, brought = self._operations.pop(packet.request, (None, None))
        if operation is None:
            if packet.request is not None:  # what an earlier queue has abandoned; else a wake-up
                operations.give_back(packet.request)
            return None
        operation.state = None  # which pins the buffer
        result = -errno_of(packet.winerror) if packet.winerror else packet.nbytes
        if operation.kind == ACCEPT:
            return Event(operation, self._accepted(operation.fd, packet.request, brought, result))
        if packet.request.name in ("ReadFile", "WriteFile"):
            operations.give_back(packet.request)
            result = 0 if packet.winerror == ERROR_HANDLE_EOF else result
            if operation.offset is None and result > 0:  # as after read(2)
                with suppress(OSError):  # closed meanwhile
                    os.lseek(operation.fd, brought + result, os.SEEK_SET)
        if operation.kind in (READ, RECEIVE) and result >= 0:
            self._call.completed(operation.fd, result)
        data = memoryview(brought)[:result] if operation.kind == RECEIVE and result > 0 else None
        return Event(operation, result, False, data)

    def _accepted(self, listener: int, request: Request, accepted: int, result: int) -> int:
        if result >= 0:
            with suppress(OSError):  # reset meanwhile: whoever reads it is told
                operations.update_accepted(accepted, listener)
            return accepted
        operations.give_back(request)
        return -errno.ECONNABORTED if result == -errno.ECONNRESET else result  # reset before it was accepted


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None) -> list[int]:
    """Fill each (fd, buffer) of `reads`, all started at once; the counts in the order given."""
    return read_when_complete(lambda: CompletionQueue(IocpProcessor(call)), reads, work)
