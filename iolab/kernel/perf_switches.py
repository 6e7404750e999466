"""When a thread left its CPU and when it had one again, to the nanosecond, told by the scheduler itself.

    thread      ── runs ──┐                               ┌── runs ──
    ring buffer         out, ns                         in, ns          PERF_RECORD_SWITCH, CLOCK_MONOTONIC

Two facts that surprise:
* An event that is inherited follows the threads that its thread starts, io_uring's workers too, from their first
  moment on. But such an event may have a ring only if it is bound to one CPU: hence a ring for each.
* A ring that is full drops what comes, and the record that would say so needs room in the ring, too. How much
  was lost, read(2) on the event tells, since Linux 6.0.

perf_event_open(2). No privilege is needed (kernel.perf_event).
"""

import mmap
import os
import struct
import sys
import time
from typing import NamedTuple

from iolab.kernel.perf_event import ANY_CPU, DISABLE, ENABLE, refusal, switch_event

try:
    import fcntl
except ImportError:  # no such calls there; the file still imports
    fcntl = None

RING_BYTES = 1 << 17  # 5,461 records; perf_event_mlock_kb allows each user 516 KiB a CPU
_SWITCH, _OUT, _PREEMPTED = 14, 1 << 13, 1 << 14  # PERF_RECORD_SWITCH and its bits in perf_event_header.misc
_HEADER, _BODY = struct.Struct("=IHH"), struct.Struct("=IIQ")
_RECORD = _HEADER.size + _BODY.size
_DATA_HEAD, _DATA_TAIL = 1024, 1032  # in struct perf_event_mmap_page, the ring's first page


class Switch(NamedTuple):
    """One switch of one thread: off its CPU (`out`; `preempted` if it would rather have stayed), or onto one."""

    ns: int
    process_id: int
    thread_id: int
    out: bool
    preempted: bool


class SwitchRing:
    """The switches of a thread (0: the calling one). With a `cpu`: those on this CPU alone, and also those of all
    threads and processes that it starts from now on. A context manager. OSError as the kernel says."""

    def __init__(self, thread_id: int = 0, cpu: int = ANY_CPU, nbytes: int = RING_BYTES) -> None:
        self.lost = 0  # switches that did not fit in; known after `read`
        self._fd, self._counts_lost = switch_event(thread_id, cpu)
        self._ring = None
        pages = 1 << (max(nbytes // mmap.PAGESIZE, 1).bit_length() - 1)  # the kernel wants a power of two
        try:
            self._ring = mmap.mmap(self._fd, (1 + pages) * mmap.PAGESIZE)
        except OSError as error:  # EPERM: more than perf_event_mlock_kb
            self.close()
            raise OSError(error.errno, error.strerror, "mmap of a perf event's ring") from None

    def start(self) -> None:
        """Record from now on."""
        fcntl.ioctl(self._fd, ENABLE, 0)

    def stop(self) -> None:
        """Record no more. The kernel asks every CPU that is concerned, so all that happened before is in the ring."""
        fcntl.ioctl(self._fd, DISABLE, 0)

    def read(self) -> list[Switch]:
        """What was recorded since the last time, in order; to be called after `stop`."""
        head, tail = struct.unpack_from("=QQ", self._ring, _DATA_HEAD)
        size = len(self._ring) - mmap.PAGESIZE
        start, ring = tail % size, self._ring[mmap.PAGESIZE :]
        records, offset, switches = (ring[start:] + ring[:start])[: head - tail], 0, []
        while offset < len(records):
            kind, misc, nbytes = _HEADER.unpack_from(records, offset)
            if kind == _SWITCH:
                process_id, thread_id, ns = _BODY.unpack_from(records, offset + _HEADER.size)
                switches.append(Switch(ns, process_id, thread_id, bool(misc & _OUT), bool(misc & _PREEMPTED)))
            offset += nbytes
        struct.pack_into("=Q", self._ring, _DATA_TAIL, head)
        if self._counts_lost:
            _, self.lost = struct.unpack("=QQ", os.read(self._fd, 16))  # the count, 0 of a dummy; the lost ones
        else:
            self.lost += size - len(records) < 2 * _RECORD  # full: at least one, if any came after
        return switches

    def close(self) -> None:
        """Give event and ring back; again is harmless."""
        if self._ring is not None:
            self._ring.close()
        if self._fd >= 0:
            os.close(self._fd)
        self._ring, self._fd = None, -1

    def __enter__(self) -> "SwitchRing":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.close()


def alternate(switches: list[Switch]) -> bool:
    """Whether the switches of one thread, in order, are out and in by turns: if not, one is missing."""
    return all(one.out != other.out for one, other in zip(switches, switches[1:], strict=False))


def unavailable() -> str | None:
    """Why this thread's switches cannot be had, in the kernel's words; None when a short sleep was seen, out and in."""
    if fcntl is None or not sys.platform.startswith("linux"):
        return f"{sys.platform} has no perf_event_open"
    for seconds in (
        1e-4,
        1e-2,
    ):  # a time so short may be over before its thread sleeps: then there is nothing to record
        try:
            with SwitchRing() as ring:
                ring.start()
                time.sleep(seconds)
                ring.stop()
                seen = ring.read()
        except OSError as error:
            return refusal(error)
        if seen and seen[0].out and not seen[-1].out and alternate(seen):
            return None
    words = " ".join("out" if switch.out else "in" for switch in seen)
    return f"perf_event_open: a sleep was recorded as {words or 'nothing'} instead of out and in"
