"""What can be started under a completion port: WSARecv, WSASend, AcceptEx, and ReadFile and WriteFile, overlapped.

    receive(port, sock, buffer) ── WSARecv ──┐ ERROR_IO_PENDING                       packet: 1,000 bytes
                                   kernel    └ waits for bytes, and copies them ──────┘
    read(port, fd, buffer, 4096) ── ReOpenFile(FILE_FLAG_OVERLAPPED) ── ReadFile ── packet ── CloseHandle

Two facts that surprise:
* Whether a handle knows overlapped I/O is settled when it is opened. A socket of Python's does; a file of Python's
  does not. So a file is opened a second time, by its handle, and not by its name: somebody may have renamed it.
* An accept needs its socket beforehand: AcceptEx turns an empty one into a connection. And that one does not know where
  it comes from, getpeername fails, until it has been told (SO_UPDATE_ACCEPT_CONTEXT).

Sockets are numbered by the kernel, files by the C library: a number may be both. What Winsock knows is a socket.
"""

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from iolab.kernel.iocp import Port, Request
from iolab.kernel.iocp_abi import DWORD, INVALID_HANDLE, WsaBuffer, accept_ex, failed, function
from iolab.kernel.pinned import Pinned

if os.name == "nt":
    import msvcrt
GENERIC_READ, GENERIC_WRITE, FILE_SHARE_ALL, FILE_FLAG_OVERLAPPED = 0x80000000, 0x40000000, 7, 0x40000000
SO_UPDATE_ACCEPT_CONTEXT = 0x700B
ADDRESS_NBYTES = 128 + 16  # sockaddr_storage, and 16 more: AcceptEx wants them for each of two addresses
_nothing_said = DWORD()  # where the functions write a count that only a synchronous caller may believe


def is_socket(fd: int) -> bool:
    """Whether the number is a socket of this process."""
    with suppress(OSError), ExitStack() as stack:  # WSAENOTSOCK
        # With its family given, Python asks nothing of it: a socket that was never bound does not know its own.
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=fd)
        stack.callback(sock.detach)
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
    return False


def receive(port: Port, sock: int, buffer) -> Request:
    """WSARecv into `buffer`: its packet says how many bytes, 0 at the end of the stream."""
    pinned = Pinned(buffer, writable=True)
    request = Request("WSARecv", sock, (pinned, WsaBuffer(pinned.nbytes, pinned.address), DWORD(0)))
    port.start(request, _receive)
    return request


def send(port: Port, sock: int, data) -> Request:
    """WSASend of `data`, at most 2**31 bytes of it."""
    pinned = Pinned(data)
    request = Request("WSASend", sock, (pinned, WsaBuffer(min(pinned.nbytes, 1 << 31), pinned.address)))
    port.start(request, _send)
    return request


def accept(port: Port, listener: int) -> tuple[Request, int]:
    """AcceptEx; the second is the socket that becomes the connection, to be `update_accepted` or closed."""
    with _borrowed(listener) as sock:
        accepted = socket.socket(sock.family, sock.type, sock.proto).detach()
    try:
        addresses = ctypes.create_string_buffer(2 * ADDRESS_NBYTES)
        request = Request("AcceptEx", listener, (addresses, accepted))
        port.start(request, _accept)
    except BaseException:
        socket.close(accepted)
        raise
    return request, accepted


def update_accepted(accepted: int, listener: int) -> None:
    """Tell the connection of which listener it is. OSError when it has been reset meanwhile."""
    with _borrowed(accepted) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, listener.to_bytes(8, "little"))


def read(port: Port, fd: int, buffer, offset: int) -> Request:
    """ReadFile at `offset`; ERROR_HANDLE_EOF behind the end, from here or in the packet. OSError: nothing is started."""
    return _file(port, "ReadFile", fd, GENERIC_READ, Pinned(buffer, writable=True), offset)


def write(port: Port, fd: int, data, offset: int) -> Request:
    """WriteFile at `offset`."""
    return _file(port, "WriteFile", fd, GENERIC_WRITE, Pinned(data), offset)


def give_back(request: Request) -> None:
    """What was opened for it: a file, once its packet has come; the socket of an accept that brings no connection."""
    if request.name == "AcceptEx":
        socket.close(request.kept[1])
    elif request.name in ("ReadFile", "WriteFile"):
        function("CloseHandle")(request.handle)


def _file(port: Port, name: str, fd: int, access: int, pinned: Pinned, offset: int) -> Request:
    original = msvcrt.get_osfhandle(fd)
    if not function(name)(original, None, 0, ctypes.addressof(_nothing_said), None):  # may `fd` do that at all?
        raise OSError(9, os.strerror(9), name)  # EBADF, as read(2) and write(2) say
    handle = function("ReOpenFile")(original, access, FILE_SHARE_ALL, FILE_FLAG_OVERLAPPED)
    if handle in (None, INVALID_HANDLE):
        raise failed("ReOpenFile")
    request = Request(name, handle, (pinned,), offset)
    try:
        port.associate(handle, fd)
        port.start(request, _read_or_write, pinned)
    except BaseException:
        give_back(request)
        raise
    return request


# Each says whether it has failed; the OVERLAPPED comes last.


def _receive(request: Request) -> bool:
    _, buffers, flags = request.kept
    return function("WSARecv")(
        request.handle, ctypes.addressof(buffers), 1, None, ctypes.addressof(flags), request.address, None
    )


def _send(request: Request) -> bool:
    return function("WSASend")(request.handle, ctypes.addressof(request.kept[1]), 1, None, 0, request.address, None)


def _accept(request: Request) -> bool:
    accepted, received = request.kept[1], ctypes.addressof(_nothing_said)
    call, nbytes = accept_ex(request.handle), ADDRESS_NBYTES
    return not call(
        request.handle, accepted, ctypes.addressof(request.kept[0]), 0, nbytes, nbytes, received, request.address
    )


def _read_or_write(request: Request, pinned: Pinned) -> bool:
    nbytes = min(pinned.nbytes, 1 << 31)
    return not function(request.name)(request.handle, pinned.address, nbytes, None, request.address)


@contextmanager
def _borrowed(number: int) -> Iterator[socket.socket]:
    """Python's object for a socket that stays somebody else's. OSError where it is none."""
    sock = socket.socket(fileno=number)
    try:
        yield sock
    finally:
        sock.detach()
