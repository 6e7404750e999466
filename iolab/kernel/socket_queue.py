"""How many bytes lie in the kernel for a stream, unread: FIONREAD.

    peer: send(100)        recv(30)          unread: 70
          └── 100 in the socket's queue ──────┘

The answer is true for a moment only. And it asks about *this* end: what the peer has not sent yet nobody knows.
ioctl(2); tcp(7) SIOCINQ, unix(7), ioctl_pipe(2).
"""

import sys

try:
    from fcntl import ioctl
    from termios import FIONREAD
except ImportError:  # Windows has neither; the file still imports
    ioctl = FIONREAD = None


def unread(stream) -> int:
    """Bytes that a read of `stream` (a descriptor, or what has one) would find; 0 if it is closed. OSError else."""
    fd = stream if isinstance(stream, int) else stream.fileno()
    return int.from_bytes(ioctl(fd, FIONREAD, bytes(4)), sys.byteorder) if fd >= 0 else 0
