"""Run one model on one scenario, and bring back a Timeline.

open channels ─ start senders ─ counters, clock ─ model.read_into ─ clock, counters ─ stamps ─ assemble
                                    │                   │
                                    └ senders let go    └ named calls go to the recorder
"""

import os
from contextlib import ExitStack
from dataclasses import replace
from threading import get_native_id
from time import monotonic_ns

from iolab.kernel.socket_timestamps import realtime_offset
from iolab.kernel.tasks import tasks
from iolab.recorder import Recorder, recorder_ns_per_call
from iolab.recording.assembling import timeline_of
from iolab.recording.channel import Channel
from iolab.recording.collector import no_collection
from iolab.recording.counting import CountedWork, bytes_of, native_ids
from iolab.recording.evidence import BEST, clock, kernel_stamp, rungs_up_to
from iolab.recording.evidence.helper_threads import as_traced, could_tell, helpers_of
from iolab.recording.invariants import violations
from iolab.recording.observation import Observation
from iolab.recording.observers import NEVER_SENT, Observers, buffer_for, last_ready
from iolab.recording.scenario import Scenario
from iolab.recording.sender import payload
from iolab.recording.senders import Senders
from iolab.recording.stream import Stream, before_the_end, closed_ns, in_the_order, overslept
from iolab.recording.timeline import KERNEL, PEER, Timeline

MOST_DISCARDED = 3  # in a row


def run(model, scenario: Scenario | None = None, evidence: str = BEST, work=None, **options) -> Timeline:
    """The Timeline of `model` (a module of iolab.models) reading what `scenario` sends.

    `work` is one slice of other work; `options` go to the model. What the peer does, an early end or a reset, is in
    facts["ended"]. A run in which the low-water mark made the reader oversleep (recording.sender), or the senders began
    in another order than asked (a busy machine), is discarded, counted, and done again; after MOST_DISCARDED it is
    taken, and says so: facts["doubtful"]. ValueError for a wrong argument, RuntimeError for what this machine lacks,
    OSError as the kernel says.
    """
    scenario, discarded = scenario or Scenario(), 0
    delays_ms = [each.delay_ms for each in scenario.deliveries]
    while True:
        seen = observe(model, scenario, evidence, work, **options)
        timeline = timeline_of(replace(seen, discarded=discarded))
        doubtful = _why_doubtful(seen, delays_ms) or ("; ".join(violations(timeline)) if seen.moments else "")
        if not doubtful:
            return timeline
        if discarded == MOST_DISCARDED:
            return replace(timeline, facts=timeline.facts | {"doubtful": doubtful})
        discarded += 1


def _why_doubtful(seen: Observation, delays_ms: list[float]) -> str:
    if any(overslept(stream, seen.takes_of(fd), seen.asynchronous) for fd, stream in seen.streams.items()):
        return "the reader overslept"
    return "" if in_the_order(delays_ms, seen.streams.values()) else "the senders began in another order"


def typical(model, scenario: Scenario, evidence: str = BEST, runs: int = 3, **options) -> Timeline:
    """Of several runs the one whose way from "ready" to the end took the median time; never an average of them."""
    if runs < 1:
        raise ValueError(f"runs must be at least 1, not {runs!r}")
    timelines = [run(model, scenario, evidence, **options) for _ in range(runs)]
    # Not to the end of the call: io_destroy may take a hundred times as long as the read.
    timelines.sort(key=lambda each: each.done_ns - each.facts["begin_ns"] - each.facts["wait_ns"])
    chosen = timelines[(runs - 1) // 2]
    return replace(chosen, facts=chosen.facts | {"runs": runs})


@no_collection()
def observe(model, scenario: Scenario, evidence: str | tuple = BEST, work=None, **options) -> Observation:
    """Run it, and keep all that was seen; `evidence` is a name, or the very rungs to use."""
    rungs, missing = rungs_up_to(evidence) if isinstance(evidence, str) else (evidence, {})
    if reason := model.unavailable():
        raise RuntimeError(f"no model {model.NAME} on this machine: {reason}")
    stamps = kernel_stamp in rungs and scenario.transport == "tcp"
    recorder, ended = Recorder(), None
    counted = None if work is None else CountedWork(work, recorder)
    with ExitStack() as stack:
        buffers = [stack.enter_context(buffer_for(rungs, each.nbytes)) for each in scenario.deliveries]
        channels = [
            stack.enter_context(Channel(scenario.transport, each.nbytes, scenario.one_wait, stamps))
            for each in scenario.deliveries
        ]
        senders = stack.enter_context(Senders(scenario.deliveries, channels, scenario.time_limit_s))
        reads = [(channel.read_fd, buffer) for channel, buffer in zip(channels, buffers, strict=True)]
        with Observers(
            rungs, buffers, [fd for fd, _ in reads]
        ) as observers:  # before the senders: they keep off its CPU
            senders.start((os.getpid(), get_native_id()), kernel_stamp.TRAILER if stamps else 0)
            offset = realtime_offset() if stamps else None
            known, threads = tasks(os.getpid()) if kernel_stamp in rungs else {}, native_ids()
            senders.go(monotonic_ns())
            before, begin_ns = clock.counters(), monotonic_ns()
            try:
                if len(reads) == 1:
                    model.read_into(*reads[0], recorder, counted, **options)
                else:
                    model.read_many(reads, recorder, counted, **options)
            except ConnectionError as error:  # the peer's doing, and what the experiment is about
                ended = f"{type(error).__name__}: {error.strerror}"
            end_ns, after = monotonic_ns(), clock.counters()
            # Stopping the observers may take longer than GRACE_S; then the stream has ended, and no stamp is left.
            present = tasks(os.getpid()) if known else {}
            later = realtime_offset() if stamps else None
            received = [kernel_stamp.last_segment(channel, offset, later) if stamps else None for channel in channels]
        sent, looks, helper_looks = senders.stop()
        received = [stamp if before_the_end(stamp, each) else None for stamp, each in zip(received, sent, strict=True)]
        sent = [
            [each for each in sends if each.nbytes or each.before_ns <= end_ns] for sends in sent
        ]  # it waits no more
        timed_out = senders.timed_out
        fds, contents = [channel.read_fd for channel in channels], [bytes(buffer) for buffer in buffers]
        moments = observers.moments(begin_ns, end_ns)  # while the buffers that were watched are still there
    calls = recorder.calls(before.voluntary_switches)
    helper_calls = [(each.thread_id, each.calls()) for each in recorder.helpers if each.calls()]
    helpers = []
    if known and any(call.completed for call in calls):
        threads |= native_ids() | {each.thread_id for each in recorder.helpers}
        wanted = {fd: bytes_of(fd, calls) for fd in fds}
        helpers = helpers_of(known, present, helper_looks, threads, wanted)
        helpers = as_traced(helpers, moments, threads, known, present, fds)
    streams = {}
    for number, (fd, delivery) in enumerate(zip(fds, scenario.deliveries, strict=True)):
        suffix = f"-{number + 1}" if len(fds) > 1 else ""
        lanes, low_water = (PEER + suffix, KERNEL + suffix), channels[number].low_water
        nbytes, content = bytes_of(fd, calls), contents[number]
        traced = last_ready(moments, fd, closed_ns(sent[number])) if nbytes == delivery.nbytes else None
        streams[fd] = Stream(lanes, delivery.nbytes, low_water, sent[number], received[number], traced=traced)
        if content[:nbytes] != payload(nbytes) or content.count(NEVER_SENT) != delivery.nbytes - nbytes:
            raise RuntimeError(f"{model.NAME} returned {nbytes} bytes that are not the ones that were sent")
        if not ended and nbytes < delivery.nbytes:
            why = "the time limit was reached" if timed_out else "the stream ended early"
            ended = f"{why}, after {nbytes:,} bytes of {delivery.nbytes:,}"
    looks = looks if kernel_stamp in rungs else []
    words = ["clock"] + ["receive time stamp"] * any(received) + ["looks into /proc"] * bool(looks) + observers.names
    return Observation(
        model.NAME, scenario, streams, calls, recorder.thread_id, begin_ns, end_ns, before, after,
        looks, ended or "all bytes", " + ".join(words),
        missing, options, counted.slices if counted else None, recorder_ns_per_call(),
        helper_calls=helper_calls, helpers=helpers, looked_for_helpers=bool(known) and could_tell(present, helper_looks), moments=moments,
        lost=observers.lost(),
    )  # fmt: skip
