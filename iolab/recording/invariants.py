"""What must hold of every Timeline, whatever machine it was measured on: the reasons for which one is not believed."""

from iolab.recording.timeline import APPLICATION, HELPER, KERNEL, LINKS, STATES, Timeline


def violations(timeline: Timeline) -> list[str]:
    """What is wrong with it, in words; [] for a Timeline that can be true."""
    return [
        *_unknown_words(timeline),
        *_overlaps(timeline),
        *_wall_time(timeline),
        *_bytes(timeline),
        *_ready_before_copy(timeline),
        *_arrows(timeline),
    ]


def _unknown_words(timeline: Timeline):
    yield from (f"no state is called {span.state!r}" for span in timeline.spans if span.state not in STATES)
    yield from (f"no link is called {link.kind!r}" for link in timeline.links if link.kind not in LINKS)


def _overlaps(timeline: Timeline):
    for lane in timeline.lanes:
        spans = timeline.lane(lane)
        for before, after in zip(spans, spans[1:], strict=False):
            if after.start.ns < before.end.ns:
                yield f"{lane}: {before.state} overlaps {after.state}"
        yield from (f"{lane}: {span.state} ends before it begins" for span in spans if span.duration_ns < 0)


def _wall_time(timeline: Timeline):
    states = sum(span.duration_ns for span in timeline.lane(APPLICATION))
    if states != timeline.facts["wall_ns"]:
        yield f"the thread's states add up to {states} ns, its wall time is {timeline.facts['wall_ns']} ns"


def _threads(timeline: Timeline):
    """The spans of all threads: of the application and of its helpers."""
    return [span for span in timeline.spans if span.lane == APPLICATION or span.lane.startswith(HELPER)]


def _bytes(timeline: Timeline):
    fetched = sum(span.nbytes or 0 for span in _threads(timeline))
    known = timeline.facts.get("copiers_known", True)
    if fetched > timeline.facts["nbytes"] or (known and fetched != timeline.facts["nbytes"]):
        yield f"{fetched} bytes were copied, {timeline.facts['nbytes']} were returned"


def _ready_before_copy(timeline: Timeline):
    ends = [span.end.latest_ns for span in _threads(timeline) if span.nbytes]
    queued = [span.start.earliest_ns for span in timeline.spans if span.lane.startswith(KERNEL)]
    if ends and queued and min(queued) > min(ends):
        yield "bytes were copied before any had come"


def _arrows(timeline: Timeline):
    complete = {(link.from_lane, link.to_ns) for link in timeline.links if link.kind == "complete"}
    for link in timeline.links:
        if link.kind in ("ready", "signal") and (link.from_lane, link.to_ns) in complete:
            yield f"{link.kind} and complete are the same moment"
        if link.to_ns < link.from_ns:
            yield f"{link.kind} arrives before it leaves"
