"""What the publishers bring, and when it is on the shelf: the sends of a run.

    sender   send ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓|▓▓▓▓ returns
    queue                     ready │
    scene    van ─────────────> here│ and no van any more

A fact that surprises: a send's bytes are there before it returns. The kernel carries them over, wakes the reader, and
only then comes back to the sender; the reader may have them in its buffer by that time.
"""

from math import inf
from typing import NamedTuple

from iolab.drawing.words import duration
from iolab.recording.timeline import PEER, Timeline


class Brought(NamedTuple):
    """Bytes on their way from a sender to the shelf, from `start_ns` to `end_ns`."""

    start_ns: int
    end_ns: int
    nbytes: int

    def by(self, moment_ns: int) -> int:
        """How many have come by then: as if they came evenly."""
        if moment_ns <= self.start_ns:
            return 0
        whole_ns = self.end_ns - self.start_ns
        return self.nbytes if moment_ns >= self.end_ns else self.nbytes * (moment_ns - self.start_ns) // whole_ns


def brought(timeline: Timeline) -> list[list[Brought]]:
    """Of each sender what its sends have brought; no van is under way once all is ready."""
    lanes = [lane for lane in timeline.lanes if lane.startswith(PEER)]
    found = []
    for lane, delivery in zip(lanes, timeline.facts["deliveries"], strict=False):
        ready_ns = (delivery.get("ready") or {}).get("ns", inf)
        sends = [(span, min(span.end.ns, ready_ns)) for span in timeline.lane(lane) if span.nbytes]
        found.append([Brought(span.start.ns, end_ns, span.nbytes) for span, end_ns in sends if end_ns > span.start.ns])
    return found


def when(timeline: Timeline, start_ns: int) -> str:
    """A moment in words: since the first call, and of one sender's run, once all was ready, since then."""
    ready = len(timeline.facts["deliveries"]) == 1 and timeline.facts["deliveries"][0].get("ready")
    since_ready_ns = start_ns - (ready["ns"] - timeline.facts["begin_ns"]) if ready else -1
    return f"ready + {duration(since_ready_ns)}" if since_ready_ns > 0 else duration(start_ns)
