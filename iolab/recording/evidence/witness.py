"""Rung 2, the witness: another process sees the bytes arrive in the reader's buffer, whoever copies them there.

    copier      ┆ copy begins  ├───────────── copy ─────────────┤┆ ends
    witness        first byte ┆                                  ┆ last byte
                  <─ LEAD_NS ─┤                                  ├─ TRAIL_NS ─>   what no buffer can tell

It needs no privilege and works for every model: a read by the thread itself, a helper of the C library, a thread of
the kernel, a device. What it cannot tell is who it was: its moments are those of thread 0.

Two facts that surprise:
* The kernel has begun to copy a microsecond or two before the first byte shows: it first has to find the piece, and
  to fetch both memories into its cache.
* A witness that shares its CPU with the reader sees nothing: it is away just when the reader is there. So the reader
  is kept off the witness's CPU, and with it whatever it starts meanwhile. On a busy machine the witness loses its CPU
  to others; then it says nothing rather than something vague.
"""

import os
import sys
from contextlib import suppress
from functools import cache
from itertools import pairwise
from time import monotonic_ns

from iolab.kernel.cpus import allowed_cpus, cpu_quota, cpus_of_one_core
from iolab.recording.evidence.watcher import START_LIMIT_S, Watcher
from iolab.recording.moment import Moment
from iolab.recording.shared_buffer import SharedBuffer

NAME = "witness"
LEAD_NS, TRAIL_NS = 6_000, 1_500  # measured against trace points: 0.5 to 4.7 µs, and 0.1 to 1.2 µs
AWAY_NS = 20_000  # between two looks: then the witness had lost its CPU
STORE_NS = 1_000  # a byte may show on another CPU some ns after its writer has read the clock: CPUs buffer their stores


class Observer:
    """A context manager around one run; `buffers` are SharedBuffers, all of them still full of NEVER_SENT.

    From begin to end the reader stays off one CPU, and so does what it starts meanwhile, helpers and, if they are
    started after it, senders: with these on two CPUs a 1 MiB read takes 3 % longer, else 20 %. RuntimeError
    when no witness starts, ValueError when the reader has no second CPU, OSError as the kernel says.
    """

    def __init__(self, reader: tuple[int, int], buffers: list[SharedBuffer], fds: list[int]) -> None:
        self.away = 0  # begins and ends that came while the witness had no CPU; known after `moments`
        self._reader, self._buffers, self._fds = reader, buffers, fds
        self._watcher: Watcher | None = None
        self._affinity: tuple[set[int], set[int]] | None = None  # the reader's: before, and meanwhile

    def __enter__(self) -> "Observer":
        thread_id = self._reader[1]
        before = os.sched_getaffinity(thread_id)
        cpu = cpu_of_the_witness()
        meanwhile = before - set(cpus_of_one_core(cpu)) or before - {cpu}
        if not meanwhile:
            raise ValueError(f"the reader must be allowed on another CPU than {cpu}, the witness's")
        try:
            self._watcher = Watcher(cpu, self._buffers)
            os.sched_setaffinity(thread_id, meanwhile)
            self._affinity = before, meanwhile
        except BaseException:
            self.close()
            raise
        return self

    def moments(self) -> list[Moment]:
        """Begin and end of the copy into each buffer, as far as they were seen; how much: `nbytes`."""
        moments, self.away = [], 0
        for saw in self._watcher.stop():
            fd, nbytes, ends = self._fds[saw.buffer], len(self._buffers[saw.buffer]), []
            if saw.offset == 0:
                ns, earliest_ns = saw.earliest_ns, saw.earliest_ns - LEAD_NS
                ends.append(Moment("copy-start", 0, ns, earliest_ns, saw.latest_ns, NAME, fd))
            if saw.offset == nbytes - 1:
                ns, latest_ns = saw.latest_ns, saw.latest_ns + TRAIL_NS
                ends.append(Moment("copy-end", 0, ns, saw.earliest_ns, latest_ns, NAME, fd, nbytes))
            if saw.latest_ns - saw.earliest_ns <= AWAY_NS:
                moments += ends
            else:
                self.away += len(ends)
        return moments

    def progress(self) -> dict[int, list[tuple[int, int]]]:
        """For each descriptor how many bytes were there when, at the latest (ns): at most one pair a sixteenth."""
        seen = {fd: [] for fd in self._fds}
        for saw in self._watcher.stop():
            seen[self._fds[saw.buffer]].append((saw.offset + 1, saw.latest_ns))
        return seen

    def close(self) -> None:
        """End the witness; let the reader run again where it was allowed to. Again is harmless."""
        affinity, self._affinity = self._affinity, None
        if affinity:
            with suppress(ProcessLookupError):  # the thread has ended
                if os.sched_getaffinity(self._reader[1]) == affinity[1]:  # else somebody has changed it meanwhile
                    os.sched_setaffinity(self._reader[1], affinity[0])
        if self._watcher:
            self._watcher.close()

    def __exit__(self, kind, error, traceback) -> None:
        try:
            if kind is None:
                self._watcher.stop()
        finally:
            self.close()


def cpu_of_the_witness() -> int:
    """Always the same one: glibc's helper of an earlier read, which was kept off it, may still be there for the next."""
    return max(allowed_cpus())


def unavailable() -> str | None:
    """Why there can be no witness here; None when one saw two bytes come just when they were written."""
    if not hasattr(os, "memfd_create") or not hasattr(os, "sched_setaffinity"):
        return f"{sys.platform} has no memfd_create or no sched_setaffinity"
    cpus, quota = allowed_cpus(), cpu_quota()
    if len(cpus) < 2:
        return f"sched_getaffinity: CPU {cpus[0]} only; a witness needs another one than the reader"
    if quota is not None and quota < 2:
        return f"the control group's quota is {quota:g} CPUs: a witness would use up what the reader needs"
    return _tested(tuple(cpus))


@cache
def _tested(cpus: tuple[int, ...]) -> str | None:
    try:
        with (
            SharedBuffer(2) as buffer,
            Watcher(cpu_of_the_witness(), [buffer]) as watcher,
        ):
            times = [monotonic_ns()]
            for place in range(2):
                buffer[place] = 0
                times.append(monotonic_ns())
            if not watcher.seen_all(START_LIMIT_S):
                return f"a witness on one of the CPUs {cpus} saw nothing within {START_LIMIT_S} s"
            for saw, (before_ns, after_ns) in zip(watcher.stop(), pairwise(times), strict=True):
                if saw.earliest_ns > after_ns + STORE_NS or saw.latest_ns < before_ns - STORE_NS:
                    return (
                        f"the witness saw byte {saw.offset} come {saw.latest_ns - before_ns:,} ns after its write began"
                    )
    except (OSError, RuntimeError) as error:
        return f"no witness: {error}"
    return None
