"""Which address in the kernel's memory a descriptor has: trace points speak of sockets by it, never by a number.

    recv(fd, MSG_PEEK | MSG_DONTWAIT) = EAGAIN       sock:sock_recv_length  sk=0xffff888012345680  ret=-11
    getsockname, getpeername                         tcp:tcp_probe          sport=40118 dport=51622

Two facts that surprise:
* A read that fails is told, too. So a look that takes nothing, before any byte has been sent, reveals the address.
* With the address in the filter the kernel throws away what concerns anybody else's sockets: another program on the
  machine may cause seventy such events in a millisecond.

sock_recv_length is there since Linux 6.3. Before that the pair of ports must do.
"""

import os
import socket
import stat
from contextlib import suppress
from typing import NamedTuple

from iolab.kernel.tracefs import Instance
from iolab.models.borrowed import borrowed_socket

RECEIVED = "sock/sock_recv_length"


class Sockets(NamedTuple):
    """The descriptors of sockets: by address in the kernel, where known, and by (local, remote) port of TCP."""

    addresses: dict[int, int]
    ports: dict[tuple[int, int], int]
    number: int = 0  # how many there are, known or not

    def fd(self, fields: dict) -> int:
        """The descriptor that an event is about, -1 when it is about none of these."""
        address = fields.get("skaddr", fields.get("sk"))
        if address in self.addresses:
            return self.addresses[address]
        return -1 if self.addresses else self.ports.get((fields.get("sport"), fields.get("dport")), -1)


def known_sockets(instance: Instance, fds: list[int], thread_id: int) -> Sockets:
    """Find out about those of `fds` that are sockets; `thread_id` is the caller's. No byte is taken, no error cleared.

    Must come before anything is sent: an error that waits in a socket would be reported here instead of to the reader.
    """
    sockets = {fd: port for fd in fds if (port := _ports(fd)) is not None}
    addresses = {}
    if sockets and instance.has(RECEIVED):
        instance.enable(RECEIVED, f"common_pid=={thread_id}")
        instance.start()
        for fd in sockets:
            _peek(fd)
        instance.stop()
        told = [event.fields["sk"] for event in instance.events() if event.name == RECEIVED]
        if len(told) == len(sockets):
            addresses = dict(zip(told, sockets, strict=True))
    return Sockets(addresses, {pair: fd for fd, pair in sockets.items() if pair}, len(sockets))


def _ports(fd: int) -> tuple[int, int] | tuple[()] | None:
    """The ports of a TCP socket, () of another one; None of what is no socket."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return None
    with borrowed_socket(fd) as sock:
        try:
            return sock.getsockname()[1], sock.getpeername()[1]
        except (OSError, IndexError, TypeError):
            return ()


def _peek(fd: int) -> None:
    with borrowed_socket(fd) as sock, suppress(OSError):
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
