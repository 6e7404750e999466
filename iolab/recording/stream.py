"""One stream of bytes: what its sender did, when bytes lay in the kernel, when a reader could be woken.

peer     ├─ send all but one ─┤├ send the last ┤
kernel        ├──────────── queued ────────────────────────┤ until a read has taken all of it
                                  ┆ ready
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from iolab.calls import Call
from iolab.recording.evidence import clock, kernel_stamp
from iolab.recording.evidence.kernel_stamp import FAR
from iolab.recording.senders import Sent
from iolab.recording.stamp import Stamp, exact
from iolab.recording.timeline import Link, Span


@dataclass
class Stream:
    """One descriptor's evidence, and how far the reader has come with it."""

    lanes: tuple[str, str]  # of the peer and of the kernel's queue
    wanted: int
    low_water: int = 1
    sends: list[Sent] = field(default_factory=list)
    received: Stamp | None = None  # the kernel's stamp of the last segment
    consumed: int = 0
    traced: Stamp | None = None  # when the kernel said that the last bytes are ready

    def arrival(self, number: int) -> Stamp | None:
        """When byte `number` was there, by the best evidence."""
        if self.traced and number == sum(sent.nbytes for sent in self.sends):
            return self.traced
        bracket = clock.arrival(self.sends, number)
        last = sum(sent.nbytes for sent in self.sends)
        return kernel_stamp.narrowed(bracket, self.received) if number == last else bracket

    def _wake_up(self) -> Stamp | None:
        return self.arrival(self.consumed + min(self.low_water, max(1, self.wanted - self.consumed)))

    def was_ready(self, ns: int) -> bool:
        """Whether what wakes a reader was there before `ns` for certain: a call that slept then had other reasons."""
        stamp = self._wake_up()
        return stamp is not None and stamp.latest_ns <= ns

    def ready(self, from_ns: int, to_ns: int) -> Stamp:
        """When a sleeping reader was woken for this stream, known to be between the two moments."""
        stamp = self._wake_up()
        if stamp is None:
            return Stamp(to_ns, from_ns, to_ns, "unknown: the sender left no stamp")
        return stamp.within(from_ns, to_ns)


def peer_and_queue(stream: Stream, reads: list[Call]) -> tuple[list[Span], list[Link]]:
    """The lanes of the peer and of the kernel's queue, and the arrow of the last bytes from one to the other."""
    peer, queue = stream.lanes
    spans, links, events, offset = [], [], [], 0
    for sent in stream.sends:
        name = "send" if sent.nbytes else "close"
        spans.append(Span(peer, "peer", exact(sent.before_ns), exact(sent.after_ns), 0, name, sent.nbytes))
        if sent.nbytes:
            came = stream.arrival(offset + 1).within(sent.before_ns, _taken_ns(reads, offset))
            links.append(Link("data", peer, sent.before_ns, queue, max(came.ns, sent.before_ns)))
            events.append((came.ns, 0, sent.nbytes, came))
            offset += sent.nbytes
    events += [(read.end_ns, 1, -read.nbytes, exact(read.end_ns)) for read in reads if read.nbytes]
    level, since = 0, None
    for _, _, change, stamp in sorted(events, key=lambda event: event[:2]):
        if level <= 0 < level + change:
            since = stamp
        elif level > 0 >= level + change:
            spans.append(Span(queue, "queued", since, stamp, 0, "", None, since.source))
        level += change
    return spans, links[-1:]


def closed_ns(sends: list[Sent]) -> int:
    """When the sender ended the stream; far in the future if it did not."""
    return min((sent.before_ns for sent in sends if not sent.nbytes), default=FAR)


def overslept(stream: Stream, takes: list[Call], asynchronous: bool) -> bool:
    """Whether a read began before the last byte was sent, and came back only when the sender ended the stream."""
    last = max((sent.before_ns for sent in stream.sends if sent.nbytes), default=0)
    end = closed_ns(stream.sends)
    if end == FAR or stream.low_water == 1 or sum(sent.nbytes for sent in stream.sends) < stream.wanted:
        return False
    return any(take.end_ns >= end and (asynchronous or (take.slept and take.start_ns < last)) for take in takes)


def in_the_order(delays_ms: list[float], streams: Iterable[Stream]) -> bool:
    """Whether the senders began in the order in which they were asked to; what was never sent tells nothing."""
    pairs = zip(delays_ms, streams, strict=True)
    begun = sorted((stream.sends[0].before_ns, delay_ms) for delay_ms, stream in pairs if stream.sends)
    return all(delay_ms <= after for (_, delay_ms), (_, after) in pairwise(begun))


def before_the_end(received: Stamp | None, sends: list[Sent]) -> bool:
    """Whether a receive time stamp is that of data, and not of the segment that ended the stream."""
    return received is not None and received.latest_ns < closed_ns(sends)


def _taken_ns(reads: list[Call], offset: int) -> int:
    """When the read returned that took the byte behind `offset`; far in the future if none did."""
    total = 0
    for read in reads:
        total += read.nbytes or 0
        if total > offset:
            return read.end_ns
    return FAR
