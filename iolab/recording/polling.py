"""A hundred thousand polls as one span that says so: count, time inside the calls, time between them.

    read ─ EAGAIN ─ read ─ EAGAIN ─ read ─ EAGAIN ─ ...        ├──────── refused: read, 83,412 calls ────────┤

Up to FEW polls of a run are kept one by one, so that a figure can draw each. Of more, only those shortly before
some bytes are; the others become one span for each stretch that nothing longer than the loop's own overhead
interrupts. No poll is left out and none is invented.
"""

from collections.abc import Iterable
from dataclasses import replace
from statistics import median

from iolab.recording.timeline import Span

FEW = 200
CLOSE_NS = 200_000  # polls this close before bytes are kept: a figure shows the last refusals one by one
LOOP_NS = 20_000  # a gap that is longer than this, and than ten usual ones, is something else: work, a lost CPU


def merged(spans: Iterable[Span]) -> list[Span]:
    """The spans of one thread, in order, with long runs of refused calls and the gaps between them as one."""
    spans = list(spans)
    if sum(span.state == "refused" for span in spans) <= FEW:
        return spans
    gaps = [b.duration_ns for a, b, c in zip(spans, spans[1:], spans[2:], strict=False) if _between_polls(a, b, c)]
    limit = max(LOOP_NS, 10 * median(gaps)) if gaps else LOOP_NS
    close = _close_to_bytes(spans)
    result = []
    for number, span in enumerate(spans):
        last = result[-1] if result else None
        following = spans[number + 1] if number + 1 < len(spans) else None
        if last and not close[number] and _poll_again(last, span):
            result[-1] = _joined(last, span)
        elif not (
            last
            and following
            and _between_polls(last, span, following)
            and not close[number + 1]
            and span.duration_ns <= limit
        ):  # otherwise it is a gap in the middle of what the next step joins
            result.append(span)
    return result


def _close_to_bytes(spans: list[Span]) -> list[bool]:
    """Of each span, whether bytes came less than CLOSE_NS after its end."""
    close, next_bytes = [], float("inf")
    for span in reversed(spans):
        close.append(next_bytes - span.end.ns < CLOSE_NS)
        next_bytes = span.start.ns if span.nbytes else next_bytes
    return close[::-1]


def _poll_again(last: Span, span: Span) -> bool:
    return last.state == span.state == "refused" and last.call == span.call


def _between_polls(before: Span, gap: Span, after: Span) -> bool:
    return gap.state == "user" and before.state == after.state == "refused" and before.call == after.call


def _joined(first: Span, then: Span) -> Span:
    return replace(first, end=then.end, calls=first.calls + then.calls, calls_ns=first.calls_ns + then.calls_ns)
