"""From trace points to threads: which are ours, when each lost its CPU, was woken, and got one again.

    task_newtask   4711 ──> 4712 (iou-wrk-4711)        whoever is born of our threads, as a thread, is ours
    sched_switch   prev=4711 state=S  next=0           "switched-out" S
    sched_waking   pid=4711                            "waking"
    (nothing)      sys_exit by 4711                    then it has been switched in, between the two: so much is certain

Two facts that surprise:
* On some virtual machines the switch from an idle CPU to a thread is never traced. The thread's next event proves that
  it runs: the moment is given as an interval, and says so.
* An event that a thread's number stands on may come from an interrupt that only borrowed the thread's time.
"""

from collections import Counter

from iolab.kernel.trace_format import Event
from iolab.recording.moment import Moment

CLONE_THREAD = 0x10000  # linux/sched.h
IN_INTERRUPT = 0x58  # of common_flags: hard, soft, not maskable
STATES = "SDTtXZPI"  # bits of prev_state from the lowest on; none of them: it could go on, "R"


def by_event(kind: str, event: Event, thread_id: int, fd: int = -1, nbytes: int = 0, detail: str = "") -> Moment:
    """The moment that an event is: a trace point defines its moment, so there is nothing to be uncertain of."""
    return Moment(kind, thread_id, event.ns, event.ns, event.ns, f"trace point {event.name}", fd, nbytes, detail)


class Threads:
    """The threads of one program: those known in the beginning, and those that are born of them."""

    def __init__(self, thread_ids: list[int], events: list[Event]) -> None:
        self._ids = set(thread_ids)
        self._names: dict[int, str] = {}
        self._births: list[Event] = []
        for event in events:
            fields = event.fields
            if event.name == "task/task_newtask":
                if event.thread_id in self._ids and fields["clone_flags"] & CLONE_THREAD:
                    self._ids.add(fields["pid"])
                    self._names[fields["pid"]] = fields["comm"]
                    self._births.append(event)
            elif event.name == "task/task_rename" and event.thread_id in self._names:  # io_uring's, after their birth
                self._names[event.thread_id] = fields["newcomm"]

    def __contains__(self, thread_id: int) -> bool:
        return thread_id in self._ids

    @property
    def moments(self) -> list[Moment]:
        """The births of threads."""
        pids = [event.fields["pid"] for event in self._births]
        return [
            by_event("worker", each, pid, detail=self._names[pid]) for each, pid in zip(self._births, pids, strict=True)
        ]


class Scheduling:
    """Takes all events in the order of time; `moments` are the switches and wake-ups of `ours`.

    `switches` counts the switches that were recorded: ("out", thread) and ("in", thread).
    """

    def __init__(self, ours: Threads) -> None:
        self.moments: list[Moment] = []
        self.switches: Counter = Counter()
        self._ours = ours
        self._off: dict[int, int] = {}  # threads without a CPU; since when one may have been given to them

    def take(self, event: Event) -> None:
        """One more event, of any thread."""
        fields = event.fields
        if not fields["common_flags"] & IN_INTERRUPT:
            self._runs(event)
        if event.name == "sched/sched_switch":
            self._switched(event, fields["prev_pid"], fields["next_pid"])
        elif event.name == "sched/sched_waking" and fields["pid"] in self._ours:
            self.moments.append(by_event("waking", event, fields["pid"]))
            if fields["pid"] in self._off:
                self._off[fields["pid"]] = event.ns

    def _switched(self, event: Event, before: int, after: int) -> None:
        if before in self._ours:
            bits = event.fields["prev_state"] & 0xFF
            state = STATES[(bits & -bits).bit_length() - 1] if bits else "R"
            self.moments.append(by_event("switched-out", event, before, detail=state))
            self._off[before] = event.ns
            self.switches["out", before] += 1
        if after in self._ours:
            self.moments.append(by_event("switched-in", event, after))
            self._off.pop(after, None)
            self.switches["in", after] += 1

    def _runs(self, event: Event) -> None:
        """Its thread does something. If nobody saw it being switched in, that has happened before."""
        since_ns = self._off.pop(event.thread_id, None)
        if since_ns is not None:
            source = f"before trace point {event.name}; the switch itself was not recorded"
            self.moments.append(Moment("switched-in", event.thread_id, event.ns, since_ns, event.ns, source))
