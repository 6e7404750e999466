"""What one run left behind, before anybody draws a conclusion from it: calls, stamps, counters, looks."""

from dataclasses import dataclass, field

from iolab.calls import Call
from iolab.kernel.thread_state import ThreadState
from iolab.recording.evidence.clock import Counters
from iolab.recording.scenario import Scenario
from iolab.recording.stream import Stream


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

    def calls_of(self, fd: int) -> list[Call]:
        """The calls on one descriptor."""
        return [call for call in self.calls if call.fd == fd]
