"""The kernel's trace points in an instance of tracefs: which events, from when to when, and what came of it.

    with opened() as instance:
        instance.enable("sched/sched_switch", "prev_pid==4711||next_pid==4711")
        instance.start() ... instance.stop()
        instance.events()        times by CLOCK_MONOTONIC: those of time.monotonic_ns()

Two facts that surprise:
* The filter is compiled by the kernel and decides in the kernel: what it refuses costs less than what it lets through,
  and takes no place in the buffer.
* A full buffer overwrites its oldest events (`overrun`) and says so. Those that it has are then complete from some
  moment on, and that moment is known: `Losses.complete_from_ns`.

A trace point costs nearly nothing while it is off: the kernel's code is patched. Documentation/trace/events.rst.
"""

import os
from contextlib import suppress
from struct import unpack_from

from iolab.kernel.trace_buffer import Losses, losses, page_layout, pages, records
from iolab.kernel.trace_format import Event, EventFormat
from iolab.kernel.trace_instances import QUIET, take

CLOCK = "mono"
_BUFFERS_KIB = 32 << 10  # for all CPUs together
_MOST_KIB, _LEAST_KIB = 4096, 256  # for one of them


class Instance:
    """A context manager; `close` leaves nothing on. Of one process and one thread."""

    def __init__(self, folder: str, held: int, own: bool) -> None:
        self.folder, self._held, self.own = folder, held, own
        self._formats: dict[int, EventFormat] = {}
        self._first_ns: dict[int, int] = {}
        try:
            self._quiet()
            self.write("trace_clock", CLOCK)
            kib = max(_LEAST_KIB, min(_MOST_KIB, _BUFFERS_KIB // max(1, len(self._cpus()))))
            self.write("buffer_size_kb", str(kib))
            self._layout = page_layout(self.read("events/header_page"))
        except BaseException:
            self.close()
            raise

    def has(self, event: str) -> bool:
        """Whether this kernel knows the event: "sock/sk_data_ready"."""
        return os.path.exists(f"{self.folder}/events/{event}/enable")

    def enable(self, event: str, only: str = "") -> None:
        """Switch an event on, for those that the filter `only` lets through; again, to change the filter.

        OSError as the kernel says: ENOENT for an unknown event, EINVAL for a filter.
        """
        self.understand(event)
        self.write(f"events/{event}/filter", only or "0")
        self.write(f"events/{event}/enable", "1")

    def understand(self, event: str) -> None:
        """Read the format of an event, and thereby how to read its records. OSError as the kernel says."""
        known = EventFormat(event, self.read(f"events/{event}/format"))
        self._formats[known.number] = known

    def start(self) -> None:
        """From now on events are recorded, after those that are there."""
        self.write("tracing_on", "1")

    def stop(self) -> None:
        """From now on none is."""
        self.write("tracing_on", "0")

    def events(self) -> list[Event]:
        """Stop, and take out all events in the order of time. Without the stop, reading itself would add to them."""
        self.stop()
        found = []
        for cpu in self._cpus():
            events = self._events_of(cpu)
            if events:
                self._first_ns.setdefault(cpu, events[0].ns)
            found += events
        return sorted(found, key=lambda event: event.ns)

    def _events_of(self, cpu: int) -> list[Event]:
        found = []
        for page in pages(f"{self.folder}/per_cpu/cpu{cpu}/trace_pipe_raw", self._layout):
            for ns, record in records(page, self._layout):
                known = self._formats.get(unpack_from("=H", record)[0])
                if known:
                    found.append(known.event(ns, cpu, record))
        return found

    def losses(self) -> Losses:
        """What is missing from all events so far; to be asked after `events`."""
        all_cpus = {cpu: losses(self.read(f"per_cpu/cpu{cpu}/stats")) for cpu in self._cpus()}
        return Losses(
            sum(each.overrun for each in all_cpus.values()),
            sum(each.dropped for each in all_cpus.values()),
            max((self._first_ns.get(cpu, 0) for cpu, each in all_cpus.items() if each.overrun), default=0),
        )

    def read(self, file: str) -> str:
        """What a file of the instance says."""
        with open(f"{self.folder}/{file}") as opened_file:
            return opened_file.read()

    def write(self, file: str, text: str) -> None:
        """Tell it something; what the file held is gone. OSError as the kernel says, with the file's name."""
        fd = os.open(f"{self.folder}/{file}", os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(fd, text.encode())
        except OSError as error:
            error.filename = f"{self.folder}/{file}"
            raise
        finally:
            os.close(fd)

    def _quiet(self) -> None:
        """All off and empty, also after a process that was killed in the middle."""
        for order in QUIET.items():
            self.write(*order)

    def _cpus(self) -> list[int]:
        return sorted(int(name[3:]) for name in os.listdir(f"{self.folder}/per_cpu"))

    def close(self) -> None:
        """Switch all off; remove an instance of one's own, empty one that root has lent. More than once: no harm."""
        held, self._held = self._held, -1
        if held < 0:
            return
        try:
            with suppress(FileNotFoundError):  # somebody has removed it meanwhile: there is nothing to clean
                self._quiet()
                if self.own:
                    os.rmdir(self.folder)
                else:
                    self.write("buffer_size_kb", "4")  # gives the memory back
        finally:
            os.close(held)

    def __enter__(self) -> "Instance":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.close()


def opened() -> Instance:
    """An instance to trace in, with all events off. OSError as the kernel says: not mounted, not allowed, in use."""
    return Instance(*take())
