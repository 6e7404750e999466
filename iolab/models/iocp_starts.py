"""Which function of Windows carries out which operation of a CompletionQueue, and what it is given.

    read, receive ── WSARecv        send, write ── WSASend        accept ── AcceptEx        of a socket
    read ── ReadFile                write ── WriteFile            at an offset              of a file

Two facts that surprise:
* read(2) and write(2) do not care what a descriptor is; Windows has a function for each kind, and sockets and files
  have numbers of their own: 4 may be both. Here the socket wins.
* A file that is open for overlapped I/O has no position. The one that read(2) would move is the C library's business:
  it is read before, and set when the packet has come.
"""

import errno
import os

from iolab.calls import CallNamer
from iolab.kernel import iocp_files as files
from iolab.kernel import iocp_operations as operations
from iolab.kernel.iocp import Port
from iolab.kernel.iocp_request import Request
from iolab.models.completion import ACCEPT, READ, RECEIVE, SEND, WRITE, Operation, position

RECEIVED_AT_ONCE = 1 << 14


def is_of_a_socket(operation: Operation) -> bool:
    """OSError when there is no such descriptor, or a file is to do what only sockets do."""
    found = operations.is_socket(operation.fd)
    if not found:
        os.fstat(operation.fd)  # EBADF
    if not found and operation.kind in (ACCEPT, RECEIVE, SEND):
        raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
    return found


def on_a_socket(port: Port, operation: Operation, call: CallNamer) -> tuple[Request, object]:
    """The second is what its result will be: a buffer, or the socket of an accept. OSError as Windows says."""
    kind, fd = operation.kind, operation.fd
    if kind == ACCEPT:
        with call("AcceptEx", fd):
            return operations.accept(port, fd)
    if kind in (SEND, WRITE):
        with call("WSASend", fd):
            return operations.send(port, fd, operation.buffer), None
    buffer = bytearray(RECEIVED_AT_ONCE) if kind == RECEIVE else operation.buffer
    with call("WSARecv", fd):
        return operations.receive(port, fd, buffer), buffer


def on_a_file(port: Port, operation: Operation, call: CallNamer) -> tuple[Request, int]:
    """The second is the offset. OSError as Windows says."""
    fd, buffer = operation.fd, operation.buffer
    at = position(fd) if operation.offset is None else operation.offset
    name, begin = ("ReadFile", files.read) if operation.kind == READ else ("WriteFile", files.write)
    with call(name, fd):
        return begin(port, fd, buffer, at or 0), at
