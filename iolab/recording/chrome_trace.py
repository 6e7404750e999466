"""A Timeline as Chrome's trace JSON, for ui.perfetto.dev, chrome://tracing and whatever else reads that format.

    {"ph": "X", "ts": 150177.304, "dur": 304.179}     a bar: begin and length, in microseconds with a fraction
    {"ph": "s", "id": 1} ... {"ph": "f", "id": 1}     an arrow, from the bar around the one to the bar around the other

Two facts that surprise. The unit is the microsecond whatever `displayTimeUnit` says, so a nanosecond is the third
decimal: of a double, which for the clock of a machine that has been up for a year has none. So times count from the
first event; `otherData` says which moment that was. And Perfetto makes nanoseconds by *cutting off*: 0.29 µs, which
no double holds exactly, may become 289 ns. So what is written is a number that gives the nanosecond cut off or rounded.
"""

import json
import math

from iolab.recording.timeline import Timeline
from iolab.recording.trace_events import Bar, Mark, Track, trace_events


def chrome_trace(timeline: Timeline) -> str:
    """The JSON text (the "Trace Event Format" document, object form); ValueError where spans of a lane overlap."""
    tracks, bars, marks = events = trace_events(timeline)
    zero_ns = events.first_ns
    timed = [_bar(bar, zero_ns) for bar in bars]
    timed += [event for mark in marks for event in _mark(mark, zero_ns)]
    # Viewers take the lines in this order where times are equal: bars first, each arrow's end right after its own mark.
    timed.sort(key=lambda event: event["ts"])
    whole = {
        "displayTimeUnit": "ns",
        "otherData": {"model": timeline.model, "clock": "CLOCK_MONOTONIC", "zero_ns": zero_ns, "facts": timeline.facts},
        "traceEvents": [*_names(tracks), *timed],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False)


def microseconds(ns: int) -> float:
    """The double that is `ns` again, when multiplied by 1000 and rounded or cut off; exact below 2 ** 51 ns, 26 days."""
    whole = ns / 1000
    return whole if int(whole * 1000) == ns else math.nextafter(whole, math.inf)


def _where(track: Track) -> dict:
    return {"pid": track.process_id, "tid": track.thread_id}


def _names(tracks: list[Track]) -> list[dict]:
    """Metadata events: what processes and threads are called, and in which order they are shown."""
    names, processes = [], set()
    for rank, track in enumerate(tracks):
        told = {"thread_name": {"name": track.lane}, "thread_sort_index": {"sort_index": rank}}
        if track.process_id not in processes:
            told |= {"process_name": {"name": track.process}, "process_sort_index": {"sort_index": rank}}
        processes.add(track.process_id)
        names += [{"ph": "M", **_where(track), "name": name, "args": args} for name, args in told.items()]
    return names


def _bar(bar: Bar, zero_ns: int) -> dict:
    times = {"ts": microseconds(bar.start_ns - zero_ns), "dur": microseconds(bar.end_ns - bar.start_ns)}
    return {"ph": "X", **_where(bar.track), **times, "name": bar.name, "cat": bar.category, "args": bar.details}


def _mark(mark: Mark, zero_ns: int) -> list[dict]:
    """An instant; or, where an arrow leaves or arrives, a bar without length for it to hold on to, and that end."""
    event = {**_where(mark.track), "ts": microseconds(mark.ns - zero_ns), "name": mark.name, "cat": mark.category}
    if not mark.flow:
        return [{"ph": "i", "s": "t", **event, "args": mark.details}]
    # bp "e": the arrow arrives at the bar around this moment, not at the next that begins.
    end = {"ph": "f", "bp": "e", **event} if mark.arrives else {"ph": "s", **event}
    return [{"ph": "X", **event, "dur": 0, "args": mark.details}, {**end, "id": mark.flow}]
