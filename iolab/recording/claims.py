"""What each rung of evidence claims of one read: six boundaries, and for each a moment in an interval, rung by rung.

    block begins ┄┄┄┄┄┄ data ready ┄ reader runs ┄ copy starts ├──────┤ copy ends ┄ call ends
    clock          ├──┤          ├───┤                                         ├──────┤
    switch-record  ├┤                       ├──┤
    witness                                            ├─┤           ├─┤
    tracepoints    │             │           │           │             │              │
    function-graph                                        │           │

Two facts that surprise:
* The weaker rungs do not know of the better ones: each claims what it would claim alone. Only so can they be compared.
* A claim is an interval. A number that is off by 20 µs and says "within 25" is better evidence than one that is off
  by 2 and says "exactly".
"""

from dataclasses import replace

from iolab.recording.assembling import timeline_of
from iolab.recording.evidence import clock, function_graph, kernel_stamp, switch_record, trace_points, witness
from iolab.recording.invariants import violations
from iolab.recording.moment import Moment
from iolab.recording.observation import Observation
from iolab.recording.stamp import Stamp
from iolab.recording.stream import overslept
from iolab.recording.timeline import APPLICATION

BLOCK, READY, RUNS, COPY, COPIED, END = BOUNDARIES = (
    "block begins", "data ready", "reader runs", "copy starts", "copy ends", "call ends",
)  # fmt: skip
CLAIMANTS = {  # of each boundary, the best rung first
    BLOCK: (trace_points.NAME, switch_record.NAME, clock.NAME),
    READY: (trace_points.NAME, kernel_stamp.NAME, clock.NAME),
    RUNS: (trace_points.NAME, switch_record.NAME),
    COPY: (function_graph.NAME, trace_points.NAME, witness.NAME),
    COPIED: (function_graph.NAME, trace_points.NAME, witness.NAME),
    END: (trace_points.NAME, clock.NAME),
}
Claims = dict[tuple[str, str], Stamp]  # by boundary and rung


def boundaries_of(seen: Observation) -> tuple[str, ...]:
    """Those that a read of this kind has; who copies for an asynchronous model need not sleep, nor be in a call."""
    return (READY, COPY, COPIED) if seen.asynchronous else BOUNDARIES


def claims_of(seen: Observation) -> Claims:
    """All claims of a read of one descriptor; what a rung does not know is not among them."""
    claims = _by_the_clock(seen)
    for rung in (function_graph.NAME, trace_points.NAME, switch_record.NAME, witness.NAME):
        moments = [moment for moment in seen.moments if _rung_of(moment) == rung]
        for boundary, moment in _by_moments(seen, moments).items():
            stamp = Stamp(moment.ns, moment.earliest_ns, moment.latest_ns, moment.source)
            if boundary in boundaries_of(seen) and rung in CLAIMANTS[boundary]:
                claims[boundary, rung] = stamp
    return claims | _around_the_functions(seen, claims)


def unfit(seen: Observation) -> str:
    """Why a read cannot be used at all, whatever its rungs say; "" when it can."""
    [(fd, stream)] = seen.streams.items()
    if overslept(stream, seen.takes_of(fd), seen.asynchronous):
        return "overslept by the low-water mark"
    if seen.ended != "all bytes":
        return "not all bytes came"
    if not seen.asynchronous and (BLOCK, clock.NAME) not in _by_the_clock(seen):
        return "never asleep: data was there before"
    return "violations: an invariant is broken" if violations(timeline_of(seen)) else ""


def in_order(seen: Observation, claims: Claims, rung: str) -> bool:
    """Whether a rung's boundaries follow each other as the kernel's code does, between the calls of the model."""
    chain = [claims[boundary, rung].ns for boundary in boundaries_of(seen) if (boundary, rung) in claims]
    times = [seen.begin_ns, *chain, done_ns(seen)]
    return times == sorted(times)


def sent_ns(seen: Observation) -> int:
    """Before the send() of the last byte: until then the reader sleeps."""
    [stream] = seen.streams.values()
    return max(sent.before_ns for sent in stream.sends if sent.nbytes)


def done_ns(seen: Observation) -> int:
    """When the call had returned that brought the last bytes."""
    [fd] = seen.streams
    return seen.takes_of(fd)[-1].end_ns


def _by_the_clock(seen: Observation) -> Claims:
    """The two rungs that need no observer: what the figure would say with them alone."""
    [(fd, stream)] = seen.streams.items()
    bracket, end_ns = clock.arrival(stream.sends, stream.wanted), done_ns(seen)
    claims = {(READY, clock.NAME): bracket}
    if stream.received:
        narrowed = kernel_stamp.narrowed(bracket, stream.received)
        claims[READY, kernel_stamp.NAME] = narrowed.within(seen.begin_ns, max(end_ns, narrowed.earliest_ns))
    if seen.asynchronous:
        return claims
    alone = replace(seen, moments=[], streams={fd: replace(stream, traced=None)})
    spans = timeline_of(alone).lane(APPLICATION)
    asleep = [
        span for span in spans if span.state == "blocked" and span.start.ns < bracket.earliest_ns < span.end.latest_ns
    ]
    if asleep:
        claims[BLOCK, clock.NAME] = asleep[-1].start
    # After it was woken, the thread used no more CPU time than in the whole run; if it was not kept from a CPU.
    preempted = seen.after.involuntary_switches > seen.before.involuntary_switches
    awake_ns = end_ns if preempted else seen.after.cpu_ns - seen.before.cpu_ns
    earliest_ns = min(end_ns, max(bracket.earliest_ns, end_ns - awake_ns))
    claims[END, clock.NAME] = Stamp(end_ns, earliest_ns, end_ns, "clock, thread CPU time")
    return claims


def _rung_of(moment: Moment) -> str:
    own = {rung.NAME for rung in (function_graph, switch_record, witness)}
    return moment.source if moment.source in own else trace_points.NAME


def _around_the_functions(seen: Observation, claims: Claims) -> Claims:
    """Trace points beside the function graph: they say between which two the copying function ran, and no more."""
    start, end = (claims.get((boundary, trace_points.NAME)) for boundary in (COPY, COPIED))
    if not (start and end and (COPY, function_graph.NAME) in claims):
        return {}
    own = [each for each in seen.moments if _rung_of(each) == trace_points.NAME and start.ns <= each.ns <= end.ns]
    ends, starts = ([each.ns for each in own if each.kind == kind] for kind in ("copy-end", "copy-start"))
    return {
        (COPY, trace_points.NAME): Stamp(start.ns, start.ns, ends[0], start.source),
        (COPIED, trace_points.NAME): Stamp(end.ns, starts[-1], end.ns, end.source),
    }


def _by_moments(seen: Observation, moments: list[Moment]) -> dict[str, Moment]:
    [fd] = seen.streams
    asleep_by_ns, end_ns, found = sent_ns(seen), done_ns(seen), {}

    def of(kind: str, after_ns: int = 0, before_ns: int = end_ns) -> list[Moment]:
        reader = (seen.thread_id,) if kind.startswith("switched") else None
        return [
            each for each in moments
            if each.kind == kind and after_ns < each.ns <= before_ns and (reader is None or each.thread_id in reader)
        ]  # fmt: skip

    outs = [each for each in of("switched-out", before_ns=asleep_by_ns) if not each.detail.startswith("R")]
    found[BLOCK] = outs[-1:]
    found[RUNS] = of("switched-in", outs[-1].ns)[:1] if outs else []
    found[READY] = [each for each in of("data-ready") if each.fd == fd][-1:]
    found[COPY] = [each for each in of("copy-start") if each.fd in (fd, -1)][:1]
    found[COPIED] = [each for each in of("copy-end") if each.fd in (fd, -1)][-1:]
    found[END] = [each for each in of("call-exit") if each.fd == fd and each.nbytes > 0][-1:]
    return {boundary: moment for boundary, [moment] in ((key, each) for key, each in found.items() if each)}
