"""From trace points to moments: calls, data that is ready, signals and io_uring's own work; and all kinds together.

    sk_data_ready  skaddr=...5680       "data-ready", in the context of whoever brought the data
    sys_exit       NR 45 = 1048576      "call-exit", nbytes is what the kernel returned: -11 is EAGAIN
    task_add · task_work_run · complete     "task-work": added, run, completed

Two facts that surprise:
* The data that one thread waits for is made ready by another: over loopback by the sender, inside its own send().
* io_uring_task_add happens there, too. That it concerns us is told by the ring's address, which our own threads'
  events have shown.
"""

import signal

from iolab.kernel.call_numbers import READING, call_name
from iolab.kernel.trace_format import Event
from iolab.recording.evidence.traced_copies import ENTER, EXIT, Copies
from iolab.recording.evidence.traced_devices import Devices
from iolab.recording.evidence.traced_events import READY, READY_BEFORE_6_3
from iolab.recording.evidence.traced_functions import FunctionCopies
from iolab.recording.evidence.traced_scheduling import Scheduling, Threads, by_event
from iolab.recording.evidence.traced_sockets import Sockets
from iolab.recording.moment import Moment

_RING = {
    "io_uring/io_uring_task_add": "added",
    "io_uring/io_uring_task_work_run": "run",
    "io_uring/io_uring_local_work_run": "run",
    "io_uring/io_uring_complete": "completed",
    "io_uring/io_uring_queue_async_work": "given to a worker",
}


class Calls:
    """System calls and signals of our own threads."""

    def __init__(self, ours: Threads, fds: list[int]) -> None:
        self.moments: list[Moment] = []
        self._ours, self._fds = ours, fds
        self._reading: dict[int, int] = {}  # by thread

    def take(self, event: Event) -> None:
        """One more event, of any thread."""
        fields, thread_id = event.fields, event.thread_id
        if event.name == "signal/signal_generate" and fields["pid"] in self._ours:
            self.moments.append(by_event("signal", event, fields["pid"], detail=f"generated {_signal(fields['sig'])}"))
        if thread_id not in self._ours:
            return
        if event.name == ENTER:
            name = call_name(fields["id"])
            fd = fields["args"][0] if name in READING and fields["args"][0] in self._fds else -1
            self._reading[thread_id] = fd
            self.moments.append(by_event("call-enter", event, thread_id, fd, detail=name))
        elif event.name == EXIT:
            fd = self._reading.pop(thread_id, -1)
            self.moments.append(by_event("call-exit", event, thread_id, fd, fields["ret"], call_name(fields["id"])))
        elif event.name == "signal/signal_deliver":
            self.moments.append(by_event("signal", event, thread_id, detail=f"delivered {_signal(fields['sig'])}"))


class Arrivals:
    """Data that became ready, in whatever context."""

    def __init__(self, sockets: Sockets) -> None:
        self.moments: list[Moment] = []
        self._sockets = sockets
        self._arrived: dict[int, tuple[int, int]] = {}  # by CPU: descriptor and time of the last segment

    def take(self, event: Event) -> None:
        """One more event, of any thread."""
        if event.name == READY:
            fd = self._sockets.fd(event.fields)
            if fd >= 0:
                self.moments.append(by_event("data-ready", event, event.thread_id, fd))
        elif event.name == READY_BEFORE_6_3:
            self._arrived[event.cpu] = self._sockets.fd(event.fields), event.ns
        elif event.name == "sched/sched_waking" and event.cpu in self._arrived:
            fd, since_ns = self._arrived.pop(event.cpu)
            source = f"between trace points {READY_BEFORE_6_3} and {event.name}"
            self.moments.append(Moment("data-ready", event.thread_id, event.ns, since_ns, event.ns, source, fd))


class RingWork:
    """What io_uring does for the rings of our own threads."""

    def __init__(self, ours: Threads, events: list[Event]) -> None:
        self.moments: list[Moment] = []
        self._ours = ours
        self._rings = {each.fields["ctx"] for each in events if each.thread_id in ours and "ctx" in each.fields}

    def take(self, event: Event) -> None:
        """One more event, of any thread."""
        if event.name in _RING and (event.thread_id in self._ours or event.fields.get("ctx") in self._rings):
            nbytes = event.fields.get("res", 0)
            self.moments.append(by_event("task-work", event, event.thread_id, -1, nbytes, _RING[event.name]))


def moments_of(
    events: list[Event], thread_ids: list[int], sockets: Sockets, files: dict[tuple[int, int], int], fds: list[int]
) -> tuple[list[Moment], dict[tuple[str, int], int]]:
    """All moments in the order of time, and how often each thread was seen switched ("out" or "in", thread)."""
    ours = Threads(thread_ids, events)
    scheduling, copies = Scheduling(ours), Copies(ours, sockets, files, fds)
    functions = FunctionCopies(copies)
    takers = (scheduling, copies, functions, Calls(ours, fds), Arrivals(sockets), RingWork(ours, events), Devices())
    for event in events:
        for taker in takers:
            taker.take(event)
    found = ours.moments + [moment for taker in takers for moment in taker.moments]
    return sorted(found, key=lambda moment: moment.ns), dict(scheduling.switches)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name of its own
        return f"signal {number}"
