"""One model reads one regular file, in memory or not: who waits, who copies, and inside which call.

    bring the file to its state ── counters ── model.read_into ── counters ── compare the bytes
    once more, and look for other threads at the moment when the model is told that it has been read

Two facts that surprise:
* A regular file has no "not yet": O_NONBLOCK changes nothing, select and poll say "ready" before the disk has moved,
  and epoll refuses (EPERM). The wait is hidden in the read that follows.
* Looking costs time: to list the threads of a process in /proc takes about as long as a read from memory. So that
  look has a run of its own, and the times are those of the run before, at which nobody looked.
"""

import mmap
import os
import platform
import threading
import time

from iolab.kernel import page_cache
from iolab.kernel.tasks import Task, made_by_io_uring, tasks
from iolab.recorder import Recorder
from iolab.recording.evidence import clock
from iolab.recording.file_observation import FileObservation, Helper
from iolab.recording.files import BLOCK, HIT, bring_to, check, file_with, filesystem_of

try:
    from resource import RUSAGE_SELF, RUSAGE_THREAD, getrusage
except ImportError:
    RUSAGE_SELF = RUSAGE_THREAD = getrusage = None

UNTOUCHED = b"\xff"  # the buffer is full of it beforehand: its pages exist, and a copy shows


class LooksForHelpers(Recorder):
    """A recorder that looks at the threads of this process whenever the model is told that something has been read."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, Task] = {}

    def completed(self, fd: int, nbytes: int) -> None:
        self.seen |= tasks(os.getpid())
        super().completed(fd, nbytes)


def read_file(model, state: str = HIT, nbytes: int = 1 << 20, folder: str = ".", **options) -> FileObservation:
    """What `model` (a module of iolab.models) does with a file of `nbytes` in `folder`, in that state of the page cache.

    `state`: "hit", all of it in memory; "miss", none; "direct", none, and O_DIRECT. `options` go to the model. A
    refused by the kernel is in `error`. ValueError for a wrong argument, RuntimeError for what this machine or the
    folder's file system lacks.
    """
    check(nbytes, folder, state)
    if reason := clock.unavailable():
        raise RuntimeError(f"no evidence on this machine: {reason}")
    if reason := model.unavailable():
        raise RuntimeError(f"no model {model.NAME} on this machine: {reason}")
    data, threads_before = os.urandom(nbytes), tasks(os.getpid())
    # O_DIRECT wants an aligned buffer: a mapping begins at a page.
    with file_with(data, folder) as fd, mmap.mmap(-1, nbytes) as buffer:
        buffer[:] = UNTOUCHED * nbytes
        pages_before, recorder = bring_to(state, fd, nbytes, folder), Recorder()
        process, thread = _device_bytes(RUSAGE_SELF), _device_bytes(RUSAGE_THREAD)
        begin_ns, before = time.monotonic_ns(), clock.counters()
        read_bytes, refused = _read(model, fd, buffer, recorder, options)
        after, end_ns = clock.counters(), time.monotonic_ns()
        process, thread = _device_bytes(RUSAGE_SELF) - process, _device_bytes(RUSAGE_THREAD) - thread
        calls = recorder.calls(before.voluntary_switches)
        pages_after = page_cache.resident_pages(fd, nbytes)
        same_bytes = buffer[:read_bytes] == data[:read_bytes]
        helpers = () if refused else _helpers(model, state, fd, buffer, folder, options, threads_before)
    found = [call.end_ns for call in calls if call.nbytes or any(count for _, count in call.completed)]
    return FileObservation(
        model=model.NAME,
        state=state,
        nbytes=nbytes,
        folder=str(folder),
        filesystem=filesystem_of(folder),
        pages=page_cache.pages(nbytes),
        pages_before=pages_before,
        pages_after=pages_after,
        read_bytes=read_bytes,
        same_bytes=same_bytes,
        error=_words(refused, calls),
        begin_ns=begin_ns,
        wall_ns=end_ns - begin_ns,
        done_ns=found[-1] - begin_ns if found else None,
        cpu_ns=after.cpu_ns - before.cpu_ns,
        switches=after.voluntary_switches - before.voluntary_switches,
        device_bytes=thread,
        device_bytes_of_others=process - thread,
        helpers=helpers,
        fd=fd,
        calls=tuple(calls),
        helper_calls=tuple(call for helper in recorder.helpers for call in helper.calls()),
        options=options,
        kernel=f"{platform.system()} {platform.release()}",
    )


def _read(model, fd: int, buffer, recorder: Recorder, options: dict) -> tuple[int, int | None]:
    """What the model returned, and the kernel's errno if it refused."""
    try:
        return model.read_into(fd, buffer, recorder, **options), None
    except OSError as error:  # what the experiment is about; kept, its traceback would keep the buffer
        return 0, error.errno


def _words(refused: int | None, calls: list) -> str | None:
    """Which call was refused, and why."""
    if refused is None:
        return None
    name = next((call.name for call in reversed(calls) if call.errno == refused), "read")
    return f"{name}: {os.strerror(refused)}"


def _helpers(model, state, fd, buffer, folder, options: dict, before: dict[int, Task]) -> tuple[Helper, ...]:
    """The threads that Python does not know and that were made for this, or have read as much meanwhile.

    A notebook has other threads, too, which had a little CPU for reasons of their own.
    """
    bring_to(state, fd, len(buffer), folder)
    looking, known, process_id = LooksForHelpers(), {thread.native_id for thread in threading.enumerate()}, os.getpid()
    begun = tasks(process_id)
    _read(model, fd, buffer, looking, options)
    found = []
    for task in (looking.seen | tasks(process_id)).values():
        then = begun.get(task.thread_id, Task(task.thread_id, task.comm, 0))
        run_ns, new = task.run_ns - then.run_ns, task.thread_id not in before
        reads, io_uring = task.read_bytes - then.read_bytes >= len(buffer), made_by_io_uring(task.comm) and run_ns
        if task.thread_id not in known and (new or io_uring or reads):
            found.append(Helper(task.thread_id, task.comm, run_ns, new))
    return tuple(found)


def _device_bytes(who: int) -> int:
    return getrusage(who).ru_inblock * BLOCK
