"""Rung 3, the switch record: when the reader and its helpers fell asleep and when each had a CPU again, by the scheduler.

    reader   ── read() ──┐ out                    in ┌── copies ──        perf_event_open, PERF_RECORD_SWITCH
    helper                    in ┌── runs ──┐ out                         inherited from the reader that started it

Two facts that surprise:
* No privilege is needed for one's own threads, and nobody has to look for helpers: the record follows each thread that
  the reader starts, io_uring's workers too, from its first moment on. Those that are there already get one each.
* Instruments must be tested. A switch in without a switch out before it cannot be; of a thread whose record does not
  alternate one is missing, and then nothing of it is believed.

A thread that left its CPU against its will is "R" in `detail`; why the others sleep, this record does not say.
"""

import os
import time
from contextlib import suppress
from threading import get_native_id

from iolab.kernel import perf_switches
from iolab.kernel.cpus import present_cpus
from iolab.kernel.perf_switches import Switch, SwitchRing, alternate
from iolab.kernel.tasks import tasks
from iolab.recording.moment import Moment

NAME = "switch-record"
# The record is written a little after the switch out, and some time after the switch in, when the thread's own
# events are switched on again. Measured against trace points.
OUT_LATE_NS, IN_LATE_NS = 3_000, 25_000
SMALL_RING = 1 << 14


class Observer:
    """A context manager around one run. OSError as the kernel says."""

    def __init__(self, reader: tuple[int, int], buffers: list, fds: list[int]) -> None:
        self._reader, self._rings, self._switches, self._running = reader, [], {}, False
        self.lost = 0  # switches that did not fit into a ring
        self.unpaired: list[int] = []  # threads whose record does not alternate

    def __enter__(self) -> "Observer":
        process_id, thread_id = self._reader
        try:
            for cpu in present_cpus():
                self._rings.append(SwitchRing(thread_id, cpu))
            for other in tasks(process_id).keys() - {thread_id}:
                with suppress(ProcessLookupError):  # it has ended meanwhile
                    self._rings.append(SwitchRing(other, nbytes=SMALL_RING))
            for ring in self._rings:
                ring.start()
            self._running = True
        except BaseException:
            self.close()
            raise
        return self

    def stop(self) -> None:
        """End the record."""
        if not self._running:
            return
        self._running = False
        for ring in self._rings:
            ring.stop()
        seen = sorted(switch for ring in self._rings for switch in ring.read())
        self.lost = sum(ring.lost for ring in self._rings)
        for switch in seen:
            if switch.process_id == self._reader[0]:
                self._switches.setdefault(switch.thread_id, []).append(switch)
        self.unpaired = [thread_id for thread_id, own in self._switches.items() if not alternate(own)]

    def moments(self) -> list[Moment]:
        """All switches of threads whose record is whole, in order of time."""
        self.stop()
        whole = [own for thread_id, own in self._switches.items() if thread_id not in self.unpaired]
        return sorted((_moment(switch) for own in whole for switch in own), key=lambda moment: moment.ns)

    def close(self) -> None:
        """Give all rings back; again is harmless."""
        for ring in self._rings:
            ring.close()
        self._rings, self._running = [], False

    def __exit__(self, kind, error, traceback) -> None:
        try:
            if kind is None:
                self.stop()
        finally:
            self.close()


def _moment(switch: Switch) -> Moment:
    ns, thread_id = switch.ns, switch.thread_id
    if switch.out:
        return Moment("switched-out", thread_id, ns, ns - OUT_LATE_NS, ns, NAME, detail="R" if switch.preempted else "")
    return Moment("switched-in", thread_id, ns, ns - IN_LATE_NS, ns, NAME)


def unavailable() -> str | None:
    """Why there is no such record here, in the kernel's words; None when a sleep of this thread was recorded whole."""
    if reason := perf_switches.unavailable():
        return reason
    reader = os.getpid(), get_native_id()
    try:
        with Observer(reader, [], []) as observer:
            time.sleep(1e-3)  # longer than a timer may be late
    except OSError as error:  # too many CPUs for the descriptors or the memory that one user may have
        return f"{error.filename}: {error.strerror}"
    own = [moment.kind for moment in observer.moments() if moment.thread_id == reader[1]]
    return None if len(own) >= 2 and not observer.lost else f"perf_event_open: a sleep was recorded as {own}"
