"""What can be started on a socket under a completion port: WSARecv, WSASend, AcceptEx. (Files: iocp_files.)

    receive(port, sock, buffer) ── WSARecv ──┐ ERROR_IO_PENDING                       packet: 1,000 bytes
                                   kernel    └ waits for bytes, and copies them ──────┘

Two facts that surprise:
* An accept needs its socket beforehand: AcceptEx turns an empty one into a connection. And that one does not know where
  it comes from, getsockname, getpeername and shutdown fail, until it has been told (SO_UPDATE_ACCEPT_CONTEXT).
* A receive of 0 bytes is one, too: it is over when something has come, and leaves it there.

Sockets are numbered by the kernel, files by the C library: a number may be both. What Winsock knows is a socket.
learn.microsoft.com: WSARecv, AcceptEx.
"""

import ctypes
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from iolab.kernel.iocp import Port
from iolab.kernel.iocp_abi import DWORD, MOST_NBYTES, WsaBuffer, accept_ex, function
from iolab.kernel.iocp_request import Request
from iolab.kernel.pinned import Pinned

SO_UPDATE_ACCEPT_CONTEXT = 0x700B
ADDRESS_NBYTES = 128 + 16  # sockaddr_storage, and 16 more: AcceptEx wants them for each of two addresses
_nothing_said = DWORD()  # where AcceptEx writes a count that only a synchronous caller may believe


def is_socket(fd: int) -> bool:
    """Whether the number is a socket of this process."""
    with suppress(OSError), ExitStack() as stack:  # WSAENOTSOCK
        # With its family given, Python asks nothing of it: a socket that was never bound does not know its own.
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=fd)
        stack.callback(sock.detach)
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
    return False


def receive(port: Port, sock: int, buffer) -> Request:
    """WSARecv into `buffer`, at most MOST_NBYTES: its packet says how many bytes, 0 at the end of the stream."""
    pinned = Pinned(buffer, writable=True)
    request = Request("WSARecv", sock, (pinned, WsaBuffer(min(pinned.nbytes, MOST_NBYTES), pinned.address), DWORD(0)))
    port.start(request, _receive)
    return request


def send(port: Port, sock: int, data) -> Request:
    """WSASend of `data`, at most MOST_NBYTES of it."""
    pinned = Pinned(data)
    request = Request("WSASend", sock, (pinned, WsaBuffer(min(pinned.nbytes, MOST_NBYTES), pinned.address)))
    port.start(request, _send)
    return request


def accept(port: Port, listener: int) -> tuple[Request, socket.socket]:
    """AcceptEx; the second is the socket that becomes the connection, to be `update_accepted` or closed."""
    accept_ex(listener)  # asked before anything is in flight: it may be refused
    with _borrowed(listener) as sock:
        accepted = socket.socket(sock.family, sock.type, sock.proto)
    request = Request("AcceptEx", listener, (ctypes.create_string_buffer(2 * ADDRESS_NBYTES),), accepted)
    try:
        port.start(request, _accept)
    except BaseException:
        if request.address not in port.in_flight:  # else the kernel has it, and its packet comes
            request.give_back()
        raise
    return request, accepted


def update_accepted(accepted: socket.socket, listener: int) -> None:
    """Tell the connection of which listener it is. OSError when it has been reset meanwhile."""
    accepted.setsockopt(socket.SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, listener.to_bytes(8, "little"))


# Each says whether it has failed; the OVERLAPPED comes last.


def _receive(request: Request) -> bool:
    _, buffers, flags = request.kept
    return function("WSARecv")(
        request.handle, ctypes.addressof(buffers), 1, None, ctypes.addressof(flags), request.address, None
    )


def _send(request: Request) -> bool:
    return function("WSASend")(request.handle, ctypes.addressof(request.kept[1]), 1, None, 0, request.address, None)


def _accept(request: Request) -> bool:
    accepted, addresses, nbytes = request.opened.fileno(), ctypes.addressof(request.kept[0]), ADDRESS_NBYTES
    received = ctypes.addressof(_nothing_said)
    return not accept_ex(request.handle)(
        request.handle, accepted, addresses, 0, nbytes, nbytes, received, request.address
    )


@contextmanager
def _borrowed(number: int) -> Iterator[socket.socket]:
    """Python's object for a socket that stays somebody else's. OSError where it is none."""
    sock = socket.socket(fileno=number)
    try:
        yield sock
    finally:
        sock.detach()
