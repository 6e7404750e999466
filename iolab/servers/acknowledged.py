"""How much of what was sent the client's kernel has acknowledged: whether somebody who reads slowly reads at all.

    program   send ── 4 MB taken ──────────── send: EAGAIN ............ EAGAIN ............ 1.3 MB taken
    kernel                                    acknowledged: 70 kB, 140 kB, 210 kB, ...

Two facts that surprise:
* A socket is not writable again as soon as there is room, but when a third of its buffer is free (in the kernel:
  sk_stream_is_writeable). With 4 MB of buffer and a client on a slow line, a minute may pass in which all is well.
* So "no write for half a minute" does not mean that nobody reads. The kernel counts what was acknowledged: that does.

tcp(7): TCP_INFO, tcpi_bytes_acked, Linux 4.1.
"""

import socket
import struct
from contextlib import suppress

from iolab.models.borrowed import borrowed_socket

_BYTES_ACKED = struct.Struct("=Q")
_OFFSET = 120  # in struct tcp_info, linux/tcp.h


def acknowledged(fd: int) -> int:
    """The bytes that the other side has acknowledged so far on this connection; 0 where the kernel does not count."""
    with borrowed_socket(fd) as sock, suppress(OSError, AttributeError):  # no TCP; no TCP_INFO in this Python
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _OFFSET + _BYTES_ACKED.size)
        return _BYTES_ACKED.unpack_from(info, _OFFSET)[0] if len(info) == _OFFSET + _BYTES_ACKED.size else 0
    return 0
