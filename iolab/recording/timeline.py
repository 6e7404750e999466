"""A Timeline: what one run of one model did, lane by lane, as plain data.

    peer         ░ send                              links: data, wake-up, ready, signal, complete
    kernel         ▓▓▓▓▓▓▓▓▓ queued
    application  ////// blocked //////|▒ handover ▒|

All times are CLOCK_MONOTONIC in nanoseconds, as time.monotonic_ns() gives them. A boundary is a Stamp: a number,
the interval in which the truth is claimed to lie, and who says so.
"""

import json
from dataclasses import dataclass, field

from iolab.recording.stamp import Stamp

PEER, KERNEL, APPLICATION, HELPER = "peer", "kernel", "application", "helper"
STATES = ("user", "call", "blocked", "runnable", "copy", "handover", "refused", "queued", "peer", "device")
LINKS = ("data", "wake-up", "ready", "signal", "complete")
VERSION = 1


@dataclass(frozen=True, slots=True)
class Span:
    """A thread, or a queue, in one state from `start` to `end`.

    `call` is the system call it belongs to, "" for none; `nbytes` what that call returned, None where no bytes
    are; `calls` how many calls this span stands for: a long run of polls is one span, `calls_ns` of it in calls.
    """

    lane: str
    state: str
    start: Stamp
    end: Stamp
    thread_id: int = 0
    call: str = ""
    nbytes: int | None = None
    evidence: str = "clock"
    calls: int = 1
    calls_ns: int = 0

    @property
    def duration_ns(self) -> int:
        return self.end.ns - self.start.ns


@dataclass(frozen=True, slots=True)
class Link:
    """An arrow from one lane to another: `kind` of LINKS, and when it leaves and arrives."""

    kind: str
    from_lane: str
    from_ns: int
    to_lane: str
    to_ns: int


@dataclass(frozen=True)
class Timeline:
    """One run. `facts` says what was asked, measured and known: see assembling.facts_of for the keys."""

    model: str
    facts: dict = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    links: tuple[Link, ...] = ()

    def lane(self, name: str) -> list[Span]:
        """The spans of one lane in order of time."""
        return sorted((span for span in self.spans if span.lane == name), key=lambda span: span.start.ns)

    @property
    def lanes(self) -> list[str]:
        """The lanes from top to bottom: peers, kernel queues, helper threads, the application: as the bytes go."""
        order = {PEER: 0, KERNEL: 1, HELPER: 2, APPLICATION: 3}
        names = dict.fromkeys(span.lane for span in self.spans)
        return sorted(names, key=lambda name: (order.get(name.partition("-")[0], 2), len(name), name))

    @property
    def done_ns(self) -> int:
        """When the application knew that its last bytes were there; what it did then, closing a ring say, comes later."""
        known = [link.to_ns for link in self.links if link.kind == "complete"]
        return max(known, default=0) or self.lane(APPLICATION)[-1].end.ns

    def total_ns(self, state: str, lane: str = APPLICATION) -> int:
        """How long a lane was in a state."""
        return sum(span.duration_ns for span in self.spans if (span.lane, span.state) == (lane, state))

    def to_json(self) -> str:
        """The JSON that `from_json` reads."""
        spans = [
            {
                "lane": span.lane,
                "state": span.state,
                "start_ns": span.start.ns,
                "end_ns": span.end.ns,
                "thread_id": span.thread_id,
                "call": span.call,
                "nbytes": span.nbytes,
                "evidence": span.evidence,
                "calls": span.calls,
                "calls_ns": span.calls_ns,
                "start_stamp": [span.start.earliest_ns, span.start.latest_ns, span.start.source],
                "end_stamp": [span.end.earliest_ns, span.end.latest_ns, span.end.source],
            }
            for span in self.spans
        ]
        links = [{name: getattr(link, name) for name in Link.__slots__} for link in self.links]
        whole = {"version": VERSION, "model": self.model, "facts": self.facts, "spans": spans, "links": links}
        return json.dumps(whole, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Timeline":
        """The Timeline of `to_json`; ValueError when the text is none, or of another version."""
        whole = json.loads(text)
        if not isinstance(whole, dict) or whole.get("version") != VERSION:
            raise ValueError(f"not a Timeline of version {VERSION}")
        try:
            return cls(
                whole["model"],
                whole["facts"],
                tuple(_span(**each) for each in whole["spans"]),
                tuple(Link(**each) for each in whole["links"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a Timeline: {error}") from None

    def __repr__(self) -> str:
        got, evidence = self.facts.get("nbytes", 0), self.facts.get("evidence", "no evidence")
        wall_ms = sum(span.duration_ns for span in self.lane(APPLICATION)) / 1e6
        return f"<Timeline of {self.model}: {got:,} bytes in {wall_ms:.1f} ms, {len(self.spans)} spans, by {evidence}>"

    def _repr_png_(self) -> bytes:
        # The one import that points up, and only when a notebook asks for a picture of this object.
        from iolab.drawing.timeline_figure import draw_timeline

        return draw_timeline(self)._repr_png_()


def _span(start_ns, end_ns, start_stamp, end_stamp, **rest) -> Span:
    return Span(start=Stamp(start_ns, *start_stamp), end=Stamp(end_ns, *end_stamp), **rest)
