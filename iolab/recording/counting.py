"""What an experiment counts beside the calls: slices of work, threads that Python knows, bytes that a model came by."""

import threading
from collections.abc import Callable

from iolab.calls import Call
from iolab.recorder import Recorder


class CountedWork:
    """Counts the slices of work that a model found time for; sleeps inside them are not those of the next call."""

    def __init__(self, work: Callable[[], object], recorder: Recorder) -> None:
        self.slices, self._work, self._recorder = 0, work, recorder

    def __call__(self) -> None:
        self._work()
        self.slices += 1
        self._recorder.slept_elsewhere()


def native_ids() -> set[int]:
    """The threads of this process that Python knows, by the kernel's numbers."""
    return {thread.native_id for thread in threading.enumerate()}


def bytes_of(fd: int, calls: list[Call]) -> int:
    """How many bytes of one descriptor a model has come by, in its own calls or by completions."""
    told = [nbytes for call in calls for of, nbytes in call.completed if of == fd]
    return sum(told) if told else sum(call.nbytes or 0 for call in calls if call.fd == fd)
