"""Asynchronous I/O by a completion port: Windows' kernel carries the operation out, and puts a packet into a queue.

    application  WSARecv ┐ ── its own work ── GetQueuedCompletionStatusEx ┐           ┌ packet: 1,000 bytes
    kernel               └ waits ─────────────────────────────────────────└ copies ───┘

Two facts that surprise:
* Readiness is not offered here as an operation: a kernel in which every operation is a request with a completion is
  older here than select is; readiness is what has to be imitated. Therefore asyncio's loop on it has no add_reader.
* The buffer is the kernel's from the start on. Ten thousand silent clients with a receive each are ten thousand
  buffers, while a reactor, or io_uring with its pool, needs none before there are bytes.

A port is lent to a queue (iocp_ports); a file is opened anew for each operation (kernel/iocp_files). Lay
asynchronous_io_uring.py beside it: start is put, a packet is a CQE. What differs: each start is a call of its own, and a
refused one before it, since the socket's number may be that of another socket by now (iocp_ports.join).

learn.microsoft.com: "I/O Completion Ports"; Russinovich, Solomon, Ionescu: Windows Internals, "I/O system".
"""

import errno
import os
import socket
from collections import deque
from contextlib import suppress

from iolab.calls import CallNamer, unrecorded
from iolab.kernel import iocp_operations as operations
from iolab.kernel.iocp import unavailable as unavailable  # why there is none here
from iolab.kernel.iocp_abi import ERROR_HANDLE_EOF, errno_of
from iolab.kernel.iocp_request import Packet, Request
from iolab.models import iocp_ports, iocp_starts
from iolab.models.completion import ACCEPT, READ, RECEIVE, Event, Operation, read_when_complete
from iolab.models.completion_queue import CompletionQueue
from iolab.models.reads import Work

NAME = "iocp"
WOKEN = 0  # the key of a packet that wakes; no socket has this number
OVER_ALREADY = (errno.ENOTCONN, errno.ECONNRESET)  # a connection that was reset before it was told of its listener


class IocpProcessor:
    """completion.AsynchronousOperationProcessor by one completion port. OSError as Windows says."""

    def __init__(self, call: CallNamer = unrecorded) -> None:
        self._call, self._found = call, []  # and not handed out yet
        self._packets: deque[Packet] = deque()  # and not looked at yet
        self._operations: dict[Request, tuple[Operation, object]] = {}  # and what the result is: a buffer, a socket
        self._port = iocp_ports.borrow()

    def start(self, operation: Operation) -> None:
        try:
            if on_a_socket := iocp_starts.is_of_a_socket(operation):
                self._enter(operation.fd)
            begin = iocp_starts.on_a_socket if on_a_socket else iocp_starts.on_a_file
            request, brought = begin(self._port, operation, self._call)
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
            self._packets += self._port.wait(0 if self._found or self._packets else timeout)
            while self._packets:  # one by one: if this is interrupted, the others are still there
                if event := self._event(self._packets.popleft()):
                    self._found.append(event)
        found, self._found = self._found, []
        return found

    def wake(self) -> None:
        self._port.post(WOKEN)

    def close(self) -> None:
        iocp_ports.give_back(self._port)

    def _enter(self, sock: int) -> None:
        if not self._operations:
            self._port = iocp_ports.exchanged(self._port, sock)
        iocp_ports.join(self._port, sock)

    def _event(self, packet: Packet) -> Event | None:
        operation, brought = self._operations.pop(packet.request, (None, None))
        if operation is None:
            if packet.request is not None:  # what an earlier queue has abandoned; else a wake-up
                packet.request.give_back()
            return None
        operation.state = None  # which pins the buffer
        result = -errno_of(packet.winerror) if packet.winerror else packet.nbytes
        if operation.kind == ACCEPT:
            return Event(operation, self._accepted(operation.fd, brought, result))
        if packet.request.name in ("ReadFile", "WriteFile"):
            packet.request.give_back()
            result = 0 if packet.winerror == ERROR_HANDLE_EOF else result
            if operation.offset is None and result > 0:  # as after read(2)
                with suppress(OSError):  # closed meanwhile
                    os.lseek(operation.fd, brought + result, os.SEEK_SET)
        if operation.kind in (READ, RECEIVE) and result >= 0:
            self._call.completed(operation.fd, result)
        data = memoryview(brought)[:result] if operation.kind == RECEIVE and result > 0 else None
        return Event(operation, result, False, data)

    def _accepted(self, listener: int, accepted: socket.socket, result: int) -> int:
        if result < 0:
            accepted.close()
            return -errno.ECONNABORTED if result == -errno.ECONNRESET else result  # reset before it was accepted
        try:
            operations.update_accepted(accepted, listener)
        except OSError as error:
            if error.errno not in OVER_ALREADY:  # else whoever reads it is told
                accepted.close()
                return -error.errno
        return accepted.detach()


def read_into(fd: int, buffer, call: CallNamer = unrecorded, work: Work | None = None) -> int:
    """Read until `buffer` is full or the stream ends; the number of bytes read. OSError as the kernel says."""
    return read_many([(fd, buffer)], call, work)[0]


def read_many(reads, call: CallNamer = unrecorded, work: Work | None = None) -> list[int]:
    """Fill each (fd, buffer) of `reads`, all started at once; the counts in the order given."""
    return read_when_complete(lambda: CompletionQueue(IocpProcessor(call)), reads, work)
