"""From calls and evidence to spans: each moment of the application thread in exactly one state.

    calls      ├──────────── read ────────────┤                   named by the model, timed by the recorder
    slept?     1 voluntary switch                                 counted by the kernel
    ready                      ┆                                  sender's bracket, receive time stamp
    spans      ├── blocked ────┼── handover ──┤                   what follows from the three

Rules, in this order: a call that was refused is `refused`. A call that slept is `blocked` until the data was ready
and `handover` from then on; it is `handover` as a whole if the data was there before. A call that did not sleep and returned bytes is `copy`, whole: entry and exit are
inside. Any other call is `call`, and the time between two calls is `user`.
"""

from collections.abc import Iterator
from dataclasses import replace
from errno import EAGAIN

from iolab.calls import Call
from iolab.recording.evidence import kernel_stamp
from iolab.recording.facts import facts_of
from iolab.recording.observation import Observation
from iolab.recording.polling import merged
from iolab.recording.stamp import Stamp, exact
from iolab.recording.stream import Stream, peer_and_queue
from iolab.recording.timeline import APPLICATION, Link, Span, Timeline

READS = {"read"}
HANDLER = "signal handler"
WAITS = {"select", "poll", "epoll_wait", "sigtimedwait"}  # wait for descriptors, copy nothing


def timeline_of(seen: Observation) -> Timeline:
    """All lanes of one run."""
    spans, links = application_lane(seen)
    spans = merged(spans)
    for fd, stream in seen.streams.items():
        more_spans, more_links = peer_and_queue(stream, seen.calls_of(fd))
        spans, links = spans + more_spans, links + more_links
    return Timeline(seen.model, facts_of(seen), tuple(spans), tuple(links))


def application_lane(seen: Observation) -> tuple[list[Span], list[Link]]:
    """The application thread from begin to end without a gap, and the arrows that reach it."""
    spans, links, cursor = [], [], seen.begin_ns
    streams = {fd: replace(stream, consumed=0) for fd, stream in seen.streams.items()}

    def add(state: str, start: Stamp, end: Stamp, evidence: str, call: Call | None = None, nbytes: int | None = None):
        if end.ns == start.ns and (call is None or state == "blocked"):
            return
        name, inside = (call.name, end.ns - start.ns) if call else ("", 0)
        spans.append(Span(APPLICATION, state, start, end, seen.thread_id, name, nbytes, evidence, 1, inside))

    for call in seen.calls:
        add("user", exact(cursor), exact(call.start_ns), "clock")
        start, end = exact(call.start_ns), exact(call.end_ns)
        stream, cursor = streams.get(call.fd), call.end_ns
        if call.errno == EAGAIN:
            add("refused", start, end, "clock, EAGAIN", call)
        elif call.slept and _waited(call, stream, streams):
            ready, woken_by = _woken(call, stream, streams)
            asleep = kernel_stamp.state_during(seen.looks, call.start_ns, ready.ns)
            slept = f"slept {call.slept}×" + (f", /proc: {asleep}" if asleep else "")
            add("blocked", _asleep_from(call, ready, seen), ready, f"clock, {slept}", call)
            add("handover", ready, end, f"clock, {ready.source}", call, call.nbytes)
            links.extend(_arrows(call, ready, woken_by))
        elif call.slept and call.name not in READS | WAITS:
            add("blocked", start, end, f"clock, slept {call.slept}×", call)
        elif call.slept and call.nbytes:  # for the interpreter's lock, or for memory
            add("handover", start, end, f"clock, slept {call.slept}× although data was there", call, call.nbytes)
        elif call.nbytes:
            add("copy", start, end, "clock, never slept: an upper bound", call, call.nbytes)
        else:
            add("call", start, end, "clock", call, call.nbytes)
        if call.name == HANDLER:
            ready, woken_by = _woken(call._replace(start_ns=seen.begin_ns, end_ns=call.start_ns), None, streams)
            links.append(Link("signal", woken_by.lanes[1], ready.ns, APPLICATION, call.start_ns))
        if stream and call.nbytes is not None:
            stream.consumed += call.nbytes
            if call.nbytes == 0 or stream.consumed >= stream.wanted:
                links.append(Link("complete", stream.lanes[1], call.end_ns, APPLICATION, call.end_ns))
    add("user", exact(cursor), exact(seen.end_ns), "clock")
    return spans, links


def _waited(call: Call, stream: Stream | None, streams: dict[int, Stream]) -> bool:
    """Whether a call that slept did so for data: not if that was there before the call began."""
    if call.name in READS:
        return stream is not None and not stream.was_ready(call.start_ns)
    pending = [each for each in streams.values() if each.consumed < each.wanted]
    return call.name in WAITS and not any(each.was_ready(call.start_ns) for each in pending)


def _asleep_from(call: Call, ready: Stamp, seen: Observation) -> Stamp:
    """The bar begins with the call. The thread slept a little later: after no more CPU time than it used in all."""
    awake_ns = seen.after.cpu_ns - seen.before.cpu_ns
    preempted = seen.after.involuntary_switches > seen.before.involuntary_switches
    latest_ns = ready.ns if preempted else min(call.start_ns + awake_ns, ready.ns)
    return Stamp(call.start_ns, call.start_ns, latest_ns, "clock, thread CPU time")


def _woken(call: Call, stream: Stream | None, streams: dict[int, Stream]) -> tuple[Stamp, Stream]:
    """When what a sleeping call waited for was there, and which stream it was."""
    if stream:
        return stream.ready(call.start_ns, call.end_ns), stream
    waiting = [each for each in streams.values() if each.consumed < each.wanted] or list(streams.values())
    moments = [(each.ready(call.start_ns, call.end_ns), each) for each in waiting]
    first, by = min(moments, key=lambda moment: moment[0].ns)
    # Which of them it was is not known for sure: the first of all lies before the end of every interval.
    earliest, latest = (min(getattr(stamp, name) for stamp, _ in moments) for name in ("earliest_ns", "latest_ns"))
    return Stamp(first.ns, earliest, latest, first.source), by


def _arrows(call: Call, ready: Stamp, stream: Stream) -> Iterator[Link]:
    queue = stream.lanes[1]
    if call.name not in WAITS:
        yield Link("wake-up", queue, ready.ns, APPLICATION, ready.ns)
    elif call.name == "sigtimedwait":
        yield Link("signal", queue, ready.ns, APPLICATION, call.end_ns)
    else:
        yield Link("ready", queue, ready.ns, APPLICATION, call.end_ns)
