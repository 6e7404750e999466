"""How much lies in the kernel for a socket: bytes unread, bytes unsent, connections that nobody has accepted.

    peer: send(100)        recv(30)          unread: 70
          └── 100 in the socket's queue ──────┘

The answer is true for a moment only. And it asks about *this* end: what the peer has not sent yet nobody knows.
Unsent counts what the other end's kernel has not acknowledged; on loopback that is what it had no room for.
ioctl(2); tcp(7) SIOCINQ, SIOCOUTQ, TCP_INFO; unix(7), ioctl_pipe(2).
"""

import socket
import sys

try:
    from fcntl import ioctl
    from termios import FIONREAD, TIOCOUTQ
except ImportError:  # Windows has neither; the file still imports
    ioctl = FIONREAD = TIOCOUTQ = None

UNACKED_AT = 24  # in struct tcp_info (linux/tcp.h): 8 bytes, 4 numbers of 4 bytes, then tcpi_unacked


def unread(stream) -> int:
    """Bytes that a read of `stream` (a descriptor, or what has one) would find; 0 if it is closed. OSError else."""
    fd = stream if isinstance(stream, int) else stream.fileno()
    return int.from_bytes(ioctl(fd, FIONREAD, bytes(4)), sys.byteorder) if fd >= 0 else 0


def unsent(stream) -> int:
    """Bytes that were given to a TCP stream and not yet acknowledged by the other kernel: SIOCOUTQ; 0 if it is closed."""
    fd = stream if isinstance(stream, int) else stream.fileno()
    return int.from_bytes(ioctl(fd, TIOCOUTQ, bytes(4)), sys.byteorder) if fd >= 0 else 0


def not_accepted(listener: socket.socket) -> int:
    """Connections that wait in a listening TCP socket: of those the kernel says it in tcpi_unacked."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, UNACKED_AT + 4)
    return int.from_bytes(info[UNACKED_AT:], sys.byteorder)
