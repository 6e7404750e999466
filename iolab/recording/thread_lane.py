"""From the calls of one thread to spans: each moment of the thread in exactly one state, and the arrows that reach it.

    calls      ├──────────── read ────────────┤                   named by the model, timed by the recorder
    slept?     1 voluntary switch                                 counted by the kernel
    ready                      ┆                                  sender's bracket, receive time stamp
    spans      ├── blocked ────┼── handover ──┤                   what follows from the three

Rules, in this order: a call that was refused is `refused`. A call that slept is `blocked` until what it waited for was
there, and `handover` from then on; it is `handover` as a whole if that was there before. A call that did not sleep and
brought bytes is `copy`, whole: entry and exit are inside. Any other call is `call`; what lies between two is `user`,
asleep or not. Bytes that another thread has copied are not in this lane: of a completion that a helper has worked for,
the wait lasts until the helper was done.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace
from errno import EAGAIN, EINPROGRESS
from itertools import islice

from iolab.calls import COMPLETION, Call
from iolab.recording.evidence import kernel_stamp
from iolab.recording.observation import APPLICATION_COPIES, Observation
from iolab.recording.refining import Part, inside, parts_of
from iolab.recording.stamp import Stamp, exact
from iolab.recording.stream import Stream
from iolab.recording.timeline import APPLICATION, Link, Span
from iolab.recording.wake_ups import COMPLETION_WAITS, READS, WAITS, awaited, done_by_another, waited, wake_up, woken

HANDLER = "signal handler"
NOT_YET = {EAGAIN: "EAGAIN", EINPROGRESS: "EINPROGRESS"}


class ThreadLane:
    """The spans and links of one thread; `lane` is its name in the figure."""

    def __init__(self, seen: Observation, lane: str, thread_id: int) -> None:
        self.spans: list[Span] = []
        self.links: list[Link] = []
        self._seen, self._lane, self._thread_id = seen, lane, thread_id
        self._takes = {fd: seen.takes_of(fd) for fd in seen.streams}
        self._switches = [one.ns for one in seen.moments if one.kind == "switched-out" and one.thread_id == thread_id]

    def fill(self, calls: list[Call], begin_ns: int, end_ns: int) -> "ThreadLane":
        """The whole lane from begin to end, without a gap."""
        cursor = begin_ns
        for number, call in enumerate(calls):
            nbytes = self._own_bytes(call)
            found = nbytes if call.name == COMPLETION else None
            what = "clock" if found is None else "clock; a completion found in memory, copied in the midst of this"
            self._stretch("user", cursor, call.start_ns, what, nbytes=found)
            cursor = call.end_ns
            if call.name != COMPLETION:
                self._call(call, nbytes, islice(calls, number, None))
        self._stretch("user", cursor, end_ns, "clock")
        return self

    def _stretch(self, state, from_ns: int, to_ns: int, evidence: str, call: Call | None = None, nbytes=None) -> None:
        """One state, but where the thread was seen without a CPU; bytes, and the call, count with its last part."""
        parts = [Part("call", exact(from_ns), exact(to_ns), evidence)]
        if bisect_left(self._switches, from_ns) < bisect_left(self._switches, to_ns):
            seen = inside(self._seen.moments, self._thread_id, None, from_ns, to_ns)
            parts = parts_of(seen, exact(from_ns), exact(to_ns), None) or parts
        in_it = [part for part in parts if part.state == "call" or part.state == "blocked" and call is None]
        for part in parts:
            now, why = (state, evidence) if part in in_it else (part.state, part.evidence)
            here = part is (in_it or parts)[-1]
            self._add(now, part.start, part.end, why, call, nbytes if here else None, int(here))

    def _call(self, call: Call, nbytes: int | None, from_here: Iterable[Call]) -> None:
        start, end = exact(call.start_ns), exact(call.end_ns)
        if call.errno in NOT_YET:  # perhaps a hundred thousand times
            self._stretch("refused", call.start_ns, call.end_ns, f"clock, {NOT_YET[call.errno]}", call)
            return
        streams, fd = self._streams(call.start_ns), awaited(call, from_here)
        stream = streams.get(fd)
        for_helper = call.name in COMPLETION_WAITS and stream and self._seen.copier(fd)[0] != APPLICATION_COPIES
        if self._taken_apart(call, nbytes, fd, {} if for_helper else streams):
            return
        if call.slept and for_helper:
            done = done_by_another(self._seen, fd, call, stream)
            self._add("blocked", self._asleep_from(call, done), done, self._slept(call, done.ns), call)
            self._add("handover", done, end, f"clock, {done.source}", call)
        elif call.slept and waited(call, stream, streams):
            ready, by = woken(call, stream, streams)
            self._add("blocked", self._asleep_from(call, ready), ready, self._slept(call, ready.ns), call)
            self._add("handover", ready, end, f"clock, {ready.source}", call, nbytes)
            self.links.append(wake_up(self._lane, call, ready, by))
        elif call.slept and call.name not in READS | WAITS and not nbytes:
            self._add("blocked", start, end, f"clock, slept {call.slept}×", call)
        elif call.slept and nbytes:  # for the interpreter's lock, or for memory
            self._add("handover", start, end, f"clock, slept {call.slept}× although data was there", call, nbytes)
        elif nbytes:
            self._add("copy", start, end, "clock, never slept: an upper bound", call, nbytes)
        else:
            self._add("call", start, end, "clock", call, nbytes)
        if call.name == HANDLER:
            ready, by = woken(call._replace(start_ns=self._seen.begin_ns, end_ns=call.start_ns), None, streams)
            self.links.append(Link("signal", by.lanes[1], ready.ns, self._lane, call.start_ns))

    def _taken_apart(self, call: Call, nbytes: int | None, fd: int, streams: dict[int, Stream]) -> bool:
        """The call by what higher rungs have seen inside it, if they have seen enough. `streams` may wake it."""
        copies = fd if nbytes and fd in self._takes else None
        seen = inside(self._seen.moments, self._thread_id, copies, call.start_ns, call.end_ns)
        stream = streams.get(fd)
        ready = stream.ready(call.start_ns, call.end_ns) if stream else None
        parts = parts_of(seen, exact(call.start_ns), exact(call.end_ns), ready) if seen else []
        copied = [part for part in parts if part.state == "copy"]
        if (
            not copied and nbytes and len(parts) > 1 and parts[-1].state == "call"
        ):  # switches alone: with its CPU it copied
            copied = [
                parts[-1]._replace(state="copy", evidence=f"{parts[-1].evidence}; until the return: an upper bound")
            ]
            parts[-1:] = copied
        if not parts or (nbytes and not copied):
            return False
        for part in parts:
            count = nbytes if copied and part is copied[0] else None
            self._add(part.state, part.start, part.end, part.evidence, call, count)
        if streams and any(part.state == "blocked" for part in parts) and waited(call, stream, streams):
            self.links.append(wake_up(self._lane, call, *woken(call, stream, streams)))
        return True

    def _add(self, state, start: Stamp, end: Stamp, evidence, call: Call | None = None, nbytes=None, calls=1) -> None:
        if end.ns == start.ns and not nbytes and (call is None or state in ("blocked", "handover")):
            return
        name, inside = (call.name, end.ns - start.ns) if call else ("", 0)
        self.spans.append(Span(self._lane, state, start, end, self._thread_id, name, nbytes, evidence, calls, inside))

    def _own_bytes(self, call: Call) -> int | None:
        """The bytes of a call that this thread has copied itself."""
        mine = [nbytes for fd, nbytes in call.completed if self._seen.copier(fd)[0] == APPLICATION_COPIES]
        return sum(mine) if mine else call.nbytes

    def _streams(self, ns: int) -> dict[int, Stream]:
        taken = {fd: sum(take.nbytes or 0 for take in takes if take.end_ns <= ns) for fd, takes in self._takes.items()}
        return {fd: replace(stream, consumed=taken[fd]) for fd, stream in self._seen.streams.items()}

    def _slept(self, call: Call, until_ns: int) -> str:
        looks = self._seen.looks if self._lane == APPLICATION else []
        asleep = kernel_stamp.state_during(looks, call.start_ns, until_ns)
        return f"clock, slept {call.slept}×" + (f", /proc: {asleep}" if asleep else "")

    def _asleep_from(self, call: Call, until: Stamp) -> Stamp:
        """The bar begins with the call. The thread slept a little later: after no more CPU time than it used in all."""
        before, after = self._seen.before, self._seen.after
        preempted = after.involuntary_switches > before.involuntary_switches or self._lane != APPLICATION
        latest_ns = until.ns if preempted else min(call.start_ns + after.cpu_ns - before.cpu_ns, until.ns)
        return Stamp(call.start_ns, call.start_ns, latest_ns, "clock, thread CPU time")
