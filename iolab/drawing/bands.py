"""What is too thin to draw, drawn together: polls between which there is less than a pixel are one band."""

from collections.abc import Iterable
from dataclasses import replace

from iolab.recording.timeline import Span


def bands(spans: Iterable[Span], pixel_ns: float) -> list[Span]:
    """The spans of a lane, in order; refused calls less than `pixel_ns` apart as one span, all else as it is."""
    result: list[Span] = []
    for span in spans:
        last = result[-1] if result else None
        if last and last.state == span.state == "refused" and span.start.ns - last.end.ns < pixel_ns:
            result[-1] = replace(last, end=span.end, calls=last.calls + span.calls)
        elif not (last and last.state == "refused" and span.state == "user" and span.duration_ns < pixel_ns):
            result.append(span)
    return result
