"""Checks of the chapter on the two phases: tell wait from copy, make a file cold, wait without taking a byte.

    sender      ┄┄ 100 ms ┄┄ send ┄ send ┄ send        a process of its own, on a real TCP connection
    answer      ├── runs here, under a limit ──┤       then FIONREAD: what lies unread? and the thread's CPU time

Two facts that surprise:
* An answer that burns the CPU and one that sleeps take the same time on the wall clock: the thread's own clock tells.
* Whether a file's pages were dropped is no matter of time either: mincore(2) counts them.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from time import monotonic_ns, thread_time_ns
from typing import NamedTuple

from iolab.exercises.attempting import TooLong, attempt, is_open, raised
from iolab.exercises.checking import right, wrong
from iolab.kernel import page_cache
from iolab.kernel.socket_queue import unread
from iolab.recording.channel import Channel
from iolab.recording.scenario import Delivery
from iolab.recording.senders import Senders

GAP = "Put your own lines in place of the dots."
SENDER_LIMIT_S, WAIT_MS, NBYTES, PIECES, PAUSE_MS = 5, 100, 3_000, 3, 40
BURNS = 0.06  # of a CPU; who sleeps uses a hundredth, who asks and asks a tenth even beside two busy programs
FILE_BYTES, FILES = 1 << 20, 3


class Trial(NamedTuple):
    """What an answer did on a socket; `sent` are the bytes sent by then, `unread` those that lay in the queue."""

    result: object
    error: BaseException | None
    cpu_share: float
    sent: int
    unread: int


def _tried(function: Callable, delivery: Delivery) -> Trial:
    with Channel("tcp", delivery.nbytes) as channel, Senders((delivery,), [channel], SENDER_LIMIT_S) as senders:
        senders.start(None, 0)
        senders.go(monotonic_ns())
        cpu_ns, start_ns = thread_time_ns(), monotonic_ns()
        result, error = attempt(function, channel.socket, delivery.nbytes)
        end_ns, cpu_ns = monotonic_ns(), thread_time_ns() - cpu_ns
        left = unread(channel.socket) if channel.socket.fileno() >= 0 else 0
        sent, *_ = senders.stop()
    done = sum(each.nbytes for each in sent[0] if each.before_ns <= end_ns)
    return Trial(result, error, cpu_ns / (end_ns - start_ns), done, left)


def check_two_phases(two_phases: Callable) -> None:
    """`two_phases(sock, nbytes)` waits, then copies; returns (wait_ns, copy_ns, data)."""
    if is_open(two_phases, GAP):
        return None
    trial = _tried(two_phases, Delivery(WAIT_MS, 1))
    if isinstance(trial.error, BlockingIOError):
        return wrong(
            "EAGAIN: the socket was nonblocking when nothing was there yet, so the kernel refused. Wait first."
        )
    if trial.error:
        return raised(trial.error)
    shape = trial.result if isinstance(trial.result, tuple) and len(trial.result) == 3 else (None,) * 3
    wait_ns, copy_ns, data = shape
    if not (isinstance(wait_ns, int) and isinstance(copy_ns, int)):
        return wrong(f"Your function returned {trial.result!r}, not the three values (wait_ns, copy_ns, data).")
    if data != b"\0":  # the first byte of what senders send
        return wrong(
            f"The sender sent one byte, and your function returned {data!r}: who waits takes none, recv takes it."
        )
    if trial.cpu_share > BURNS:
        return wrong("Wait and copy are told apart, but your thread did not sleep while it waited: it asked again and again, "
                     "and used the CPU for that. Let the kernel wake you.")  # fmt: skip
    if copy_ns > wait_ns:
        return wrong("Your copy_ns is nearly all of the time. Nothing was there yet when your first clock stopped, so recv "
                     "itself went to sleep: it held the wait and the copy. Wait until the socket is ready, then recv. "
                     "A socket can be written to at any time, so select's second list does not wait; and a time-out of 0 does not either.")  # fmt: skip
    return right(
        "One call slept and copied nothing, the other copied and did not sleep. That is how multiplexing splits a read."
    )


def check_make_cold(make_cold: Callable) -> None:
    """`make_cold(fd)` drops the pages of a file that was just written."""
    if is_open(make_cold, GAP):
        return None
    cold = judged = 0
    for _ in range(FILES):  # of three files two decide: a fast device may clean one in passing
        with tempfile.TemporaryFile(dir=".") as file:
            file.write(b"\xfa" * FILE_BYTES)
            file.flush()
            judged += page_cache.resident_pages(file.fileno(), FILE_BYTES) > 0
            given = os.dup(file.fileno())  # which the answer may close
            _, error = attempt(make_cold, given)
            with suppress(OSError):
                os.close(given)
            if error:
                return raised(error)
            if os.fstat(file.fileno()).st_size != FILE_BYTES:
                return wrong("Your function changed the file. Its bytes stay; only the kernel's copy in memory may go.")
            cold += page_cache.resident_pages(file.fileno(), FILE_BYTES) == 0
    names = getattr(getattr(make_cold, "__code__", None), "co_names", ())
    synced = bool({"fsync", "fdatasync", "sync"} & set(names))
    if "posix_fadvise" not in names and (cold < 2 or not judged):
        return wrong(
            "The pages are still in memory: nobody told the kernel that you do not need them (POSIX_FADV_DONTNEED)."
        )
    if not synced and (cold < 2 or not judged):
        return wrong("The pages are still in memory. They are dirty: write put them there, the device has not got them yet, and "
                     "the kernel drops no page whose bytes exist nowhere else. Bring them to the device first.")  # fmt: skip
    if cold < 2 and judged and not _keeps_all():
        return wrong("Both calls are there, and the pages still are, too: the advice came before the pages were clean.")
    return right(
        "First the device has the bytes, then the kernel may forget them. On tmpfs the pages are the file: there is nothing to drop to."
    )


def _keeps_all() -> bool:
    """Whether this folder's file system drops no page even when asked in the right order: tmpfs."""
    from iolab.recording.file_read import file_reads

    return not file_reads(".", FILE_BYTES).evicted


def check_wait_until_queued(wait_until_queued: Callable) -> None:
    """`wait_until_queued(sock, nbytes)` returns when so many bytes lie in the queue; it takes none, and sleeps."""
    if is_open(wait_until_queued, GAP):
        return None
    trial = _tried(wait_until_queued, Delivery(WAIT_MS / 2, NBYTES, PIECES, PAUSE_MS))
    if isinstance(trial.error, TooLong) and trial.unread == NBYTES:
        return wrong(
            "All bytes lay in the queue, and your function still waited. What does the kernel wait for in your call?"
        )
    if trial.error and trial.unread == trial.sent:
        return raised(trial.error)
    if trial.unread < trial.sent:
        return wrong("Bytes are missing from the queue: your function took them out. recv copies and removes; look for a way "
                     "to wait that does neither.")  # fmt: skip
    if trial.sent < NBYTES:
        return wrong("Your function came back before all bytes were there. A socket is ready as soon as its low-water mark "
                     "is reached, and that is one byte unless you say otherwise (SO_RCVLOWAT, socket(7)).")  # fmt: skip
    if trial.cpu_share > BURNS:
        return wrong("All bytes are there, and none was taken. But your thread asked again and again instead of sleeping: the "
                     "wait cost a CPU. Let the kernel wake you.")  # fmt: skip
    return right("Everything is there, your thread slept meanwhile, and every byte still lies in the kernel's queue.")
