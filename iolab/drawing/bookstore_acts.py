"""What happens in a run, thread by thread, before it is cut into scenes: stays, and the carrying of books.

    spans    user·refused·user·refused·...·user | copy·runnable·copy | user
    stays    ───────── asks 30,805 times ────── |                    | own code
    carries                                     ├──── 1,048,576 B ───┤

A thread that does the same two or three things again and again stays at them: one long stay that says how often. Nothing
longer than a fifth of the run, and nothing that moved bytes, is drawn together with others.
"""

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

from iolab.recording.timeline import KERNEL, PEER, Span, Timeline

SHORTEST_NS = 1000  # what is shorter is shown as if it took so long
# A rhythm: from 8 spans on, of at most 3 kinds, each of them at least twice, none longer than a fifth of the run.
FEW, KINDS, OFTEN, LONG = 8, 3, 2, 5


class Carry(NamedTuple):
    """Bytes of one sender on their way from the shelf to the buffer; `lane` is who carries, "" for nobody knows."""

    lane: str
    start_ns: int
    end_ns: int
    nbytes: int
    sender: int


def people(timeline: Timeline) -> list[str]:
    """The lanes of threads: helpers first, the customer last, as in a figure."""
    return [lane for lane in timeline.lanes if not lane.startswith((PEER, KERNEL))]


def stays(timeline: Timeline, lane: str) -> list[Span]:
    """The spans of one thread, its rhythms drawn together."""
    spans = timeline.lane(lane)
    longest = timeline.facts["wall_ns"] / LONG
    result, run, kinds = (
        [],
        [],
        set(),
    )  # `kinds` are those of the run: counted anew for each span, a long run would take its square
    for span in spans:
        if span.nbytes or span.state in ("copy", "handover") or span.duration_ns > longest:
            result += [*_together(run), span]
            run, kinds = [], set()
            continue
        if len(kinds | {(span.state, span.call)}) > KINDS:
            result += _together(run)
            run, kinds = [], set()
        run.append(span)
        kinds.add((span.state, span.call))
    return result + _together(run)


def _together(run: list[Span]) -> list[Span]:
    kinds = Counter((span.state, span.call) for span in run)
    rare = [kinds[span.state, span.call] < OFTEN for span in run]
    first = rare.index(False) if False in rare else len(run)
    last = len(run) - rare[::-1].index(False) if False in rare else first
    if last - first < FEW:
        return run
    if True in rare[first:last]:  # what is rare interrupts the rhythm: on both sides of it there may be one
        at = rare.index(True, first)
        return [*_together(run[:at]), run[at], *_together(run[at + 1 :])]
    shares, middle = Counter(), run[first:last]
    for span in middle:
        shares[span.state, span.call] += span.duration_ns
    (state, call), _ = max(shares.items(), key=lambda share: (share[0][0] == "refused", share[1]))
    calls = sum(span.calls for span in middle if span.state == "refused") or 1
    return [*run[:first], replace(middle[0], state=state, call=call, end=middle[-1].end, calls=calls), *run[last:]]


def carries(timeline: Timeline) -> list[Carry]:
    """Every carrying of bytes, in the order of its end; also what came without anybody having been seen."""
    found, taken = [], Counter()
    for lane in people(timeline):
        spans = timeline.lane(lane)
        for number, span in enumerate(spans):
            if span.nbytes:
                start, end = span.start.ns, _end_of(spans, number)
                shares = _shares(timeline, end, span.nbytes, taken)
                if span.state == "user":  # somewhere in there: not before the bytes were there
                    start = max(start, min(_sent_ns(timeline, min(shares, default=0)), end))
                if start == end and number:  # by the evidence it took no time: still, it is to be seen
                    start = max(spans[number - 1].start.ns, end - SHORTEST_NS)
                found += [Carry(lane, start, end, nbytes, sender) for sender, nbytes in shares.items()]
    for sender, delivery in enumerate(timeline.facts["deliveries"]):
        missing = delivery["nbytes"] - taken[sender]
        if missing > 0 and not timeline.facts.get("copiers_known", True):
            found.append(Carry("", *_unseen(timeline, sender, delivery), missing, sender))
    return sorted(found, key=lambda each: (each.end_ns, each.start_ns))


def _end_of(spans: list[Span], number: int) -> int:
    """A copy that lost its CPU, or was interrupted, goes on: until its last piece."""
    first, end = spans[number], spans[number].end.ns
    for span in spans[number + 1 :]:
        if span.nbytes or span.call != first.call or span.state not in ("copy", "runnable", "call"):
            break
        end = span.end.ns if span.state == "copy" else end
    return end


def _queued(timeline: Timeline, sender: int) -> list[Span]:
    lanes = [lane for lane in timeline.lanes if lane.startswith(KERNEL)]
    return timeline.lane(lanes[sender]) if sender < len(lanes) else []


def _shares(timeline: Timeline, end_ns: int, nbytes: int, taken: Counter) -> dict[int, int]:
    """Whose bytes were taken then: those of the queue that was emptied nearest to that moment, then of the next one.

    One call may bring what several senders have sent, and is one span. `taken` is kept.
    """
    shares, ends = {}, {}
    for sender in range(len(timeline.facts["deliveries"])):
        ends[sender] = min((abs(span.end.ns - end_ns) for span in _queued(timeline, sender)), default=1 << 62)
    left = {number: each["nbytes"] - taken[number] for number, each in enumerate(timeline.facts["deliveries"])}
    for sender in sorted(ends, key=lambda sender: (left[sender] < nbytes, ends[sender])):
        if part := min(left[sender], nbytes):
            shares[sender] = part
            nbytes -= part
    taken.update(shares)
    return shares


def _sent_ns(timeline: Timeline, sender: int) -> int:
    lanes = [lane for lane in timeline.lanes if lane.startswith(PEER)]
    sends = [span.start.ns for span in timeline.lane(lanes[sender]) if span.nbytes] if sender < len(lanes) else []
    return max(sends, default=0)


def _unseen(timeline: Timeline, sender: int, delivery: dict) -> tuple[int, int]:
    done = delivery["done_ns"] or timeline.done_ns
    return min(max(_sent_ns(timeline, sender), timeline.facts["begin_ns"]), done), done
