"""How long io_submit takes: the call that is said to return at once, in five cases.

    file, in memory        ├ io_submit: copies ┤                                    the event is there
    file, not in memory    ├ io_submit: asleep, copies, asleep, copies ┤            the event is there
    file, O_DIRECT         ├ io_submit ┤ ......... the disk works ......... ├ io_getevents ┤
    blocking socket        ├ io_submit: asleep until the peer sends ────────────┤   the event is there
    nonblocking socket     ├ io_submit ┤                                            the event is there: EAGAIN

Two facts that surprise:
* Of the five, one is asynchronous. The others are over when io_submit returns, and two of them had to sleep for it.
* The kernel counts a sleep where it happens. The thread's voluntary switches, asked before and after io_submit, need
  no trust in a clock.

A disk that answers within the call, such as one that is a file in its host's memory, may make the third row like the
first. io_submit(2), io_getevents(2), getrusage(2).
"""

import mmap
import os
import socket
import threading
import time
from typing import NamedTuple

from iolab.kernel import linux_aio
from iolab.recording.files import DIRECT, HIT, MISS, bring_to, check, file_with

try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:
    RUSAGE_THREAD = getrusage = None

SOCKET_BYTES, LIMIT_S = 1000, 30


class SubmitTime(NamedTuple):
    """One io_submit of one read. `missing` says why there is none on this machine; then the rest is 0."""

    what: str
    nbytes: int
    submit_ns: int = 0  # inside io_submit
    slept: int = 0  # voluntary context switches in there
    there: bool = False  # the event lay in the ring when io_submit returned
    wait_ns: int = 0  # from its return until io_getevents had the event
    result: int = 0  # of the event: bytes, or -errno
    missing: str | None = None


def submit_times(nbytes: int = 1 << 20, folder: str = ".", wait_ms: float = 50) -> list[SubmitTime]:
    """One row for each case; the files have `nbytes` in `folder`, the peer sends after `wait_ms`.

    ValueError for a wrong argument, RuntimeError where there is no native AIO at all, OSError as the kernel says.
    """
    check(nbytes, folder, DIRECT)
    if isinstance(wait_ms, bool) or not isinstance(wait_ms, int | float) or not 1 <= wait_ms <= 10_000:
        raise ValueError(f"wait_ms must be from 1 to 10,000, not {wait_ms!r}")
    if reason := linux_aio.unavailable():
        raise RuntimeError(f"no native AIO on this machine: {reason}")
    cases = (("file, in memory", HIT), ("file, not in memory", MISS), ("file, O_DIRECT", DIRECT))
    with linux_aio.Context(8) as context:
        rows = [_of_file(context, what, state, nbytes, folder) for what, state in cases]
        rows.append(_of_socket(context, f"blocking socket, data after {wait_ms:g} ms", wait_ms / 1000))
        rows.append(_of_socket(context, "nonblocking socket, no data", None))
    return rows


def _of_file(context: linux_aio.Context, what: str, state: str, nbytes: int, folder: str) -> SubmitTime:
    with file_with(os.urandom(nbytes), folder) as fd, mmap.mmap(-1, nbytes) as buffer:
        buffer[:] = bytes(nbytes)  # its pages exist
        try:
            bring_to(state, fd, nbytes, folder)
        except RuntimeError as error:
            return SubmitTime(what, nbytes, missing=str(error))
        return _timed(context, what, fd, buffer)


def _of_socket(context: linux_aio.Context, what: str, wait_s: float | None) -> SubmitTime:
    reader, peer = socket.socketpair()
    with reader, peer:
        if wait_s is None:
            reader.setblocking(False)
            return _timed(context, what, reader.fileno(), bytearray(SOCKET_BYTES))
        begun = threading.Event()

        def send() -> None:
            begun.wait(LIMIT_S)
            time.sleep(wait_s)
            peer.sendall(bytes(SOCKET_BYTES))

        sender = threading.Thread(target=send)
        sender.start()
        begun.set()
        try:
            return _timed(context, what, reader.fileno(), bytearray(SOCKET_BYTES))
        finally:
            sender.join()


def _timed(context: linux_aio.Context, what: str, fd: int, buffer) -> SubmitTime:
    request = linux_aio.Request(linux_aio.PREAD, fd, buffer)
    before, start_ns = getrusage(RUSAGE_THREAD).ru_nvcsw, time.monotonic_ns()
    (serial,) = context.submit([request])
    submitted_ns, after = time.monotonic_ns(), getrusage(RUSAGE_THREAD).ru_nvcsw
    lying = context.peek()
    there = (
        context.wait(0) if lying is None or lying else []
    )  # None: where the ring cannot be read, the kernel is asked
    ((_, result),) = there or context.wait()
    waited_ns = time.monotonic_ns() - submitted_ns
    return SubmitTime(what, len(buffer), submitted_ns - start_ns, after - before, bool(there), waited_ns, result)
