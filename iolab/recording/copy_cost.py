"""What a copy costs against its size: the same bytes from the same queue, once copied, once thrown away.

    recv(n)              ├─ call ─┤├───── copy n bytes to the buffer ─────┤├─ free, acknowledge ─┤
    recv(n, MSG_TRUNC)   ├─ call ─┤                                        ├─ free, acknowledge ─┤

Two facts that surprise:
* With MSG_TRUNC a TCP socket returns n and copies nothing: the buffer stays as it was (tcp(7)). The difference
  between the two calls is therefore the copy. (On UDP the flag means something else: the datagram's true length.)
* For a small read the copy is lost in the price of the call itself.

All n bytes lie in the socket's queue before the clock starts, FIONREAD says so: nothing waits here. And all is
warm: the bytes were written a moment ago. After a long wait the same copy takes several times as long.

recv(2), tcp(7), ioctl_tty(2) for FIONREAD.
"""

import mmap
import select
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from statistics import median
from time import monotonic_ns
from typing import NamedTuple

from iolab.kernel.socket_queue import unread

MAX_BYTES, MAX_REPEATS = 64 << 20, 10_000
QUEUE_LIMIT_S = 5


class CopyCost(NamedTuple):
    """Medians in nanoseconds for one size: the copying recv, the one that discards, a memcpy inside the program."""

    nbytes: int
    recv_ns: int
    discard_ns: int
    memcpy_ns: int
    repeats: int

    @property
    def copy_ns(self) -> int:
        """What recv took longer than the discarding one: the kernel's copy. Below zero where noise is larger."""
        return self.recv_ns - self.discard_ns


def copy_costs(sizes: Iterable[int], repeats: int = 21) -> list[CopyCost]:
    """One row for each of `sizes` in bytes, over loopback TCP; recv, discard and memcpy take turns `repeats` times.

    A size that this machine's TCP does not queue whole (/proc/sys/net/ipv4/tcp_rmem) has no row. ValueError for a
    wrong argument; RuntimeError when MSG_TRUNC copies here after all; OSError as the kernel says.
    """
    sizes = list(sizes)
    if not sizes:
        raise ValueError("sizes must hold at least one size")
    for size in sizes:
        _check("each of sizes", size, MAX_BYTES)
    _check("repeats", repeats, MAX_REPEATS)
    return [row for size in sizes if (row := copy_cost_of(size, repeats))]


def _check(name: str, value: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
        raise ValueError(f"{name} must be from 1 to {high:,}, not {value!r}")


def copy_cost_of(nbytes: int, repeats: int) -> CopyCost | None:
    """The row of one size; None when TCP does not queue so much."""
    data, old = b"\xaa" * nbytes, b"\xff" * nbytes
    recv_ns, discard_ns, memcpy_ns = [], [], []
    with ExitStack() as stack:
        # Begins at a page. On some processors a copy to a place a few bytes further into its page than the source
        # is ten times slower, and a bytearray can begin 16 bytes into one.
        buffer = stack.enter_context(mmap.mmap(-1, nbytes))
        writer, reader = _connected(stack, nbytes)
        memcpy = partial(buffer.__setitem__, slice(None), data)
        for _ in range(repeats):
            for flags, times in ((0, recv_ns), (socket.MSG_TRUNC, discard_ns)):
                buffer[:] = old
                if not _queued(writer, reader, data):
                    return None
                took, count = _timed(partial(reader.recv_into, buffer, nbytes, flags))
                if buffer[:] != (data if flags == 0 else old)[:count] + old[count:]:
                    raise RuntimeError(
                        "recv with MSG_TRUNC copied the bytes on this kernel" if flags else "recv lost bytes"
                    )
                if count == nbytes:
                    times.append(took)
                _drain(reader, nbytes - count)
            memcpy_ns.append(_timed(memcpy)[0])
    if not (recv_ns and discard_ns):
        return None
    medians = (round(median(times)) for times in (recv_ns, discard_ns, memcpy_ns))
    return CopyCost(nbytes, *medians, min(len(recv_ns), len(discard_ns)))


def _connected(stack: ExitStack, nbytes: int) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection, which `stack` closes; it queues `nbytes` before it calls its reader ready."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        # Inherited by the accepted socket, whose receive buffer then grows with it.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, nbytes)
        writer = stack.enter_context(socket.create_connection(server.getsockname()))
        reader = stack.enter_context(server.accept()[0])
    writer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    writer.setblocking(False)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, nbytes)
    return writer, reader


def _queued(writer: socket.socket, reader: socket.socket, data: bytes) -> bool:
    """Send `data`, and sleep until the low-water mark tells that all of it is queued; False when it cannot be."""
    rest = memoryview(data)
    while True:
        readable, writable, _ = select.select([reader], [writer] if rest else [], [], QUEUE_LIMIT_S)
        if not writable:
            return bool(readable) and not rest and unread(reader) == len(data)
        rest = rest[writer.send(rest) :]


def _timed(function: Callable[[], object]) -> tuple[int, object]:
    start = monotonic_ns()
    result = function()
    return monotonic_ns() - start, result


def _drain(reader: socket.socket, nbytes: int) -> None:
    while nbytes > 0:
        nbytes -= reader.recv_into(bytearray(nbytes), nbytes)
