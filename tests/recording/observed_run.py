"""One run of one model under the observer of a rung, as experiment.observe() does it, with nothing drawn from it."""

import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic_ns

from iolab.recorder import Recorder
from iolab.recording.channel import Channel
from iolab.recording.scenario import Scenario
from iolab.recording.sender import payload
from iolab.recording.senders import Senders, Sent
from iolab.recording.shared_buffer import SharedBuffer


@dataclass
class Run:
    """What the reader's clock, the senders and the rung say; `fds` in the order of the deliveries."""

    before_ns: int
    after_ns: int
    moments: list
    sent: list[list[Sent]]
    fds: list[int]
    observer: object
    reader: tuple[int, int]
    helpers: set[int]  # threads of the model's own


def observed_run(rung, model, scenario: Scenario, **options) -> Run:
    """Read what `scenario` sends; the bytes are checked."""
    with ExitStack() as stack:
        buffers = [stack.enter_context(SharedBuffer(each.nbytes)) for each in scenario.deliveries]
        channels = [
            stack.enter_context(Channel(scenario.transport, each.nbytes, scenario.one_wait))
            for each in scenario.deliveries
        ]
        fds = [channel.read_fd for channel in channels]
        reader = os.getpid(), threading.get_native_id()
        recorder = Recorder()
        observer = stack.enter_context(rung.Observer(reader, buffers, fds))
        # What is started from now on inherits that it stays off the witness's CPU.
        senders = stack.enter_context(Senders(scenario.deliveries, channels, scenario.time_limit_s))
        senders.start(None, 0)
        senders.go(monotonic_ns())
        before_ns = monotonic_ns()
        model.read_many(list(zip(fds, buffers, strict=True)), recorder, **options)
        after_ns = monotonic_ns()
        moments = observer.moments()
        sent, _, _ = senders.stop()
        for buffer in buffers:
            assert buffer[:] == payload(len(buffer))
        helpers = {each.thread_id for each in recorder.helpers}
        return Run(before_ns, after_ns, moments, sent, fds, observer, reader, helpers)
