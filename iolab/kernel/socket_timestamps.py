"""When the kernel took a packet in: socket receive time stamps, on the clock that everything else uses.

    peer: send() ──> netif_rx, stamped here ──> TCP ──> socket queue, the reader is woken ──> recvmsg() tells
                     CLOCK_REALTIME                                                           the stamp

Two facts that surprise:
* Only recvmsg(2) hands the stamp over, and for TCP only that of the *last* segment that it took. A read(2)
  loses it: so an experiment lets one byte more than the reader wants ride in the last segment, and asks for the
  stamp with that byte, afterwards.
* The stamp is in CLOCK_REALTIME, which may be set at any moment. `realtime_offset` measures its distance from
  CLOCK_MONOTONIC with a bracket; two brackets that disagree mean that somebody set the clock.

socket(7), SO_TIMESTAMPNS; Documentation/networking/timestamping.rst. Python has no names for the numbers.
"""

import socket
import struct
from time import monotonic_ns, time_ns
from typing import NamedTuple

SO_TIMESTAMPNS = 35  # SO_TIMESTAMPNS_OLD of asm-generic/socket.h: x86-64 and arm64
_TIMESPEC = struct.Struct("@qq")  # struct timespec of a 64-bit machine: seconds, nanoseconds


class ClockOffset(NamedTuple):
    """CLOCK_REALTIME minus CLOCK_MONOTONIC, in nanoseconds, true within half of `width_ns` either way."""

    offset_ns: int
    width_ns: int


def realtime_offset(attempts: int = 50) -> ClockOffset:
    """The narrowest of several brackets monotonic, realtime, monotonic."""
    best = None
    for _ in range(attempts):
        before = monotonic_ns()
        realtime = time_ns()  # CLOCK_REALTIME
        after = monotonic_ns()
        if best is None or after - before < best.width_ns:
            best = ClockOffset(realtime - (before + after) // 2, after - before)
    return best


def ask_for_timestamps(sock: socket.socket) -> None:
    """From now on the kernel stamps what arrives. OSError where it does not (ENOPROTOOPT)."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def receive_with_timestamp(sock: socket.socket, nbytes: int) -> tuple[bytes, int | None]:
    """recvmsg(2) without waiting: the bytes, and the stamp in CLOCK_REALTIME nanoseconds if one came along.

    BlockingIOError when nothing is there.
    """
    data, ancillary, _, _ = sock.recvmsg(nbytes, socket.CMSG_SPACE(_TIMESPEC.size), socket.MSG_DONTWAIT)
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(payload) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(payload)
            return data, seconds * 1_000_000_000 + nanoseconds
    return data, None


def unavailable() -> str | None:
    """Why this machine gives no stamps, in the kernel's words; None when it does."""
    try:
        with socket.socket() as sock:
            ask_for_timestamps(sock)
    except OSError as error:
        return f"setsockopt SO_TIMESTAMPNS: {error.strerror}"
    return None
