"""Run one model on one scenario, and bring back a Timeline.

open channels ─ start senders ─ counters, clock ─ model.read_into ─ clock, counters ─ stamps ─ assemble
                                    │                   │
                                    └ senders let go    └ named calls go to the recorder
"""

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from threading import get_native_id
from time import monotonic_ns

from iolab.calls import Call
from iolab.kernel.socket_timestamps import realtime_offset
from iolab.kernel.tasks import tasks
from iolab.recorder import Recorder, recorder_ns_per_call
from iolab.recording.assembling import timeline_of
from iolab.recording.channel import Channel
from iolab.recording.evidence import BEST, clock, kernel_stamp, rungs_up_to
from iolab.recording.evidence.helper_threads import helpers_of
from iolab.recording.observation import Observation
from iolab.recording.scenario import Scenario
from iolab.recording.sender import payload
from iolab.recording.senders import Senders
from iolab.recording.stream import Stream, before_the_end, overslept
from iolab.recording.timeline import KERNEL, PEER, Timeline

MOST_DISCARDED = 3  # in a row; the next is taken as it is
NEVER_SENT = b"\xff"  # the buffers are full of it beforehand: their pages exist, and a copy shows


class CountedWork:
    """Counts the slices of work that a model found time for; sleeps inside them are not those of the next call."""

    def __init__(self, work: Callable[[], object], recorder: Recorder) -> None:
        self.slices, self._work, self._recorder = 0, work, recorder

    def __call__(self) -> None:
        self._work()
        self.slices += 1
        self._recorder.slept_elsewhere()


def run(model, scenario: Scenario | None = None, evidence: str = BEST, work=None, **options) -> Timeline:
    """The Timeline of `model` (a module of iolab.models) reading what `scenario` sends.

    `work` is one slice of other work; `options` go to the model. What the peer does, an early end or a reset, is in
    facts["ended"]. A run in which the low-water mark made the reader oversleep (recording.sender) is discarded, counted,
    and done again. ValueError for a wrong argument, RuntimeError for what this machine lacks, OSError as the
    kernel says.
    """
    discarded = 0
    while True:
        seen = observe(model, scenario or Scenario(), evidence, work, **options)
        late = any(overslept(stream, seen.takes_of(fd), seen.asynchronous) for fd, stream in seen.streams.items())
        if not late or discarded == MOST_DISCARDED:
            return timeline_of(replace(seen, discarded=discarded))
        discarded += 1


def typical(model, scenario: Scenario, evidence: str = BEST, runs: int = 3, **options) -> Timeline:
    """Of several runs the one whose way from "ready" to the end took the median time; never an average of them."""
    if runs < 1:
        raise ValueError(f"runs must be at least 1, not {runs!r}")
    timelines = [run(model, scenario, evidence, **options) for _ in range(runs)]
    timelines.sort(key=lambda each: each.facts["wall_ns"] - each.facts["wait_ns"])
    chosen = timelines[(runs - 1) // 2]
    return replace(chosen, facts=chosen.facts | {"runs": runs})


def observe(model, scenario: Scenario, evidence: str = BEST, work=None, **options) -> Observation:
    """Run it, and keep all that was seen."""
    rungs, missing = rungs_up_to(evidence)
    if reason := model.unavailable():
        raise RuntimeError(f"no model {model.NAME} on this machine: {reason}")
    stamps = kernel_stamp in rungs and scenario.transport == "tcp"
    buffers = [bytearray(NEVER_SENT) * each.nbytes for each in scenario.deliveries]
    recorder, ended = Recorder(), None
    counted = None if work is None else CountedWork(work, recorder)
    with ExitStack() as stack:
        channels = [
            stack.enter_context(Channel(scenario.transport, each.nbytes, scenario.one_wait, stamps))
            for each in scenario.deliveries
        ]
        senders = stack.enter_context(Senders(scenario.deliveries, channels, scenario.time_limit_s))
        senders.start((os.getpid(), get_native_id()), kernel_stamp.TRAILER if stamps else 0)
        reads = [(channel.read_fd, buffer) for channel, buffer in zip(channels, buffers, strict=True)]
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
        present = tasks(os.getpid()) if known else {}
        later = realtime_offset() if stamps else None
        received = [kernel_stamp.last_segment(channel, offset, later) if stamps else None for channel in channels]
        sent, looks, helper_looks = senders.stop()
        received = [stamp if before_the_end(stamp, each) else None for stamp, each in zip(received, sent, strict=True)]
        timed_out = senders.timed_out
        fds = [channel.read_fd for channel in channels]
    calls = recorder.calls(before.voluntary_switches)
    helper_calls = [(each.thread_id, each.calls()) for each in recorder.helpers if each.calls()]
    helpers = []
    if known and any(call.completed for call in calls):
        threads |= native_ids() | {each.thread_id for each in recorder.helpers}
        helpers = helpers_of(known, present, helper_looks, threads, fds)
    streams = {}
    for number, (fd, delivery) in enumerate(zip(fds, scenario.deliveries, strict=True)):
        suffix = f"-{number + 1}" if len(fds) > 1 else ""
        lanes, low_water = (PEER + suffix, KERNEL + suffix), channels[number].low_water
        streams[fd] = Stream(lanes, delivery.nbytes, low_water, sent[number], received[number])
        nbytes = bytes_of(fd, calls)
        if buffers[number][:nbytes] != payload(nbytes) or buffers[number].count(NEVER_SENT) != delivery.nbytes - nbytes:
            raise RuntimeError(f"{model.NAME} returned {nbytes} bytes that are not the ones that were sent")
        if not ended and nbytes < delivery.nbytes:
            why = "the time limit was reached" if timed_out else "the stream ended early"
            ended = f"{why}, after {nbytes:,} bytes of {delivery.nbytes:,}"
    looks = looks if kernel_stamp in rungs else []
    words = " + ".join(["clock"] + ["receive time stamp"] * any(received) + ["looks into /proc"] * bool(looks))
    return Observation(
        model.NAME, scenario, streams, calls, recorder.thread_id, begin_ns, end_ns, before, after,
        looks, ended or "all bytes", words,
        missing, options, counted.slices if counted else None, recorder_ns_per_call(),
        helper_calls=helper_calls, helpers=helpers, looked_for_helpers=bool(known),
    )  # fmt: skip


def native_ids() -> set[int]:
    """The threads of this process that Python knows, by the kernel's numbers."""
    return {thread.native_id for thread in threading.enumerate()}


def bytes_of(fd: int, calls: list[Call]) -> int:
    """How many bytes of one descriptor a model has come by, in its own calls or by completions."""
    told = [nbytes for call in calls for of, nbytes in call.completed if of == fd]
    return sum(told) if told else sum(call.nbytes or 0 for call in calls if call.fd == fd)
