"""What one run left behind, before anybody draws a conclusion from it: calls, stamps, counters, looks."""

from dataclasses import dataclass, field
from functools import cached_property

from iolab.calls import Call
from iolab.kernel.thread_state import ThreadState
from iolab.recording.evidence.clock import Counters
from iolab.recording.evidence.helper_threads import Helper
from iolab.recording.moment import Moment
from iolab.recording.scenario import Scenario
from iolab.recording.stream import Stream

APPLICATION_COPIES, HELPER_COPIES, UNKNOWN = "application", "helper", "unknown"


@dataclass(frozen=True)
class Observation:
    """One run of one model; times are CLOCK_MONOTONIC in nanoseconds."""

    model: str
    scenario: Scenario
    streams: dict[int, Stream]  # by the descriptor that the model read
    calls: list[Call]
    thread_id: int
    begin_ns: int
    end_ns: int
    before: Counters
    after: Counters
    looks: list[ThreadState] = field(default_factory=list)
    ended: str = "all bytes"
    evidence: str = "clock"
    evidence_missing: dict[str, str] = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    work_slices: int | None = None
    recorder_ns_per_call: int = 0
    discarded: int = 0
    helper_calls: list[tuple[int, list[Call]]] = field(default_factory=list)  # of the model's own threads
    helpers: list[Helper] = field(default_factory=list)  # of the C library's and the kernel's
    looked_for_helpers: bool = False
    moments: list[Moment] = field(default_factory=list)  # of the higher rungs
    lost: dict[str, int] = field(default_factory=dict)  # events for which a rung had no room

    @cached_property
    def asynchronous(self) -> bool:
        """Whether bytes came by completions."""
        return any(call.completed for call in self.calls)

    @cached_property
    def _copiers_traced(self) -> dict[int, set[int]]:
        """By descriptor: the threads in whose time trace points saw copies."""
        found: dict[int, set[int]] = {}
        for each in self.moments:
            if each.kind == "copy-start" and each.thread_id:  # the witness does not know whose: 0
                found.setdefault(each.fd, set()).add(each.thread_id)
        return found

    def takes_of(self, fd: int) -> list[Call]:
        """The calls that took bytes of one descriptor out of the kernel, with their counts.

        For a completion it is the call that told of it: then the bytes were taken before its end.
        """
        recorded = [
            call for _, calls in self.helper_calls for call in calls if call.fd == fd and call.nbytes is not None
        ]
        if recorded:
            return sorted(recorded, key=lambda call: call.start_ns)
        told = [call._replace(fd=fd, nbytes=nbytes) for call in self.calls for of, nbytes in call.completed if of == fd]
        return told or [call for call in self.calls if call.fd == fd and call.nbytes is not None]

    def copier(self, fd: int) -> tuple[str, int | None]:
        """Who copied the bytes of one descriptor, and the helper's thread id where that is known."""
        if not self.asynchronous:
            return APPLICATION_COPIES, self.thread_id
        for thread_id, calls in self.helper_calls:
            if any(call.fd == fd and call.nbytes is not None for call in calls):
                return HELPER_COPIES, thread_id
        traced = self._copiers_traced.get(fd, set())
        if traced == {self.thread_id}:
            return APPLICATION_COPIES, self.thread_id
        for helper in self.helpers:
            if traced == {helper.thread_id} or (helper.fd == fd and not traced):
                return HELPER_COPIES, helper.thread_id
        if self.helpers:
            only = self.helpers[0].thread_id if len(self.helpers) == 1 and self.helpers[0].fd is None else None
            return (HELPER_COPIES if only else UNKNOWN), only
        return (APPLICATION_COPIES, self.thread_id) if self.looked_for_helpers else (UNKNOWN, None)

    @property
    def copiers_known(self) -> bool:
        """Whether it is known of every descriptor who has copied its bytes."""
        return all(self.copier(fd)[0] != UNKNOWN for fd in self.streams)
