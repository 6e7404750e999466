"""Runs of the package's own experiment with the trace points on, for the tests of that evidence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_native_id

from iolab.recording import experiment
from iolab.recording.evidence.trace_points import Observer
from iolab.recording.observation import Observation
from iolab.recording.senders import Senders


class Traced:
    """What was seen of one run: by the package, and by the kernel. `moments` are those between begin and end."""

    def __init__(self, seen: Observation, observer: Observer, fds: list[int]) -> None:
        self.seen, self.observer, self.fds = seen, observer, fds
        self.moments = [each for each in observer.moments() if seen.begin_ns <= each.ns <= seen.end_ns]

    def of(self, kind: str, thread_id: int | None = None, fd: int | None = None) -> list:
        """The moments of one kind, of one thread, of one descriptor."""
        return [
            each
            for each in self.moments
            if each.kind == kind and thread_id in (None, each.thread_id) and fd in (None, each.fd)
        ]

    @property
    def copiers(self) -> set[int]:
        """The threads that copied from the descriptors that were read."""
        return {each.thread_id for each in self.of("copy-start") if each.fd in self.fds}


@contextmanager
def traced_experiments() -> Iterator:
    """Within it, traced(model, scenario, ...) is experiment.observe(...) with an Observer around the run.

    With off=True all is prepared in the same way, and switched off again before anything is sent.
    """
    started, off_again = [], [False]

    class TracedSenders(Senders):
        def go(self, start_ns: int) -> None:
            fds = [channel.read_fd for channel in self._channels]
            observer = Observer((os.getpid(), get_native_id()), [], fds)
            started.append((observer, fds))
            observer.__enter__()
            if off_again[0]:
                observer.close()
            super().go(experiment.monotonic_ns())

        def stop(self):
            started[-1][0].close()
            return super().stop()

    def traced(model, scenario, off: bool = False, **options) -> Traced:
        experiment.Senders, off_again[0] = TracedSenders, off
        try:
            seen = experiment.observe(model, scenario, **options)
        finally:
            experiment.Senders = Senders
            for observer, _ in started:
                observer.close()
        return Traced(seen, *started[-1])

    yield traced
