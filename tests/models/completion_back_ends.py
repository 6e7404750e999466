"""The mechanisms under a CompletionQueue, and what every test of them needs: a queue, its answers, its traces."""

import importlib
import importlib.util
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from iolab.calls import CallNamer, unrecorded
from iolab.models.completion import Operation
from iolab.models.completion_queue import CompletionQueue
from tests.left_behind import descriptors
from tests.portable import WINDOWS, open_numbers, os

PATIENCE_S = 10  # how late a loaded machine may be
IDLE_S = 8  # by then glibc's idle helper threads (1 s) and io_uring's workers (5 s) have ended


class BackEnd(NamedTuple):
    """A processor's module and class, and the options it is made with."""

    name: str
    module: str
    processor_class: str
    options: dict

    def processor(self, call: CallNamer = unrecorded, **more):
        return getattr(importlib.import_module(self.module), self.processor_class)(call, **self.options, **more)

    def unavailable(self) -> str | None:
        if importlib.util.find_spec(self.module) is None:
            return f"{self.module} is not part of this package yet"
        return importlib.import_module(self.module).unavailable()


MODELS = "iolab.models.asynchronous_"
BACK_ENDS = (
    BackEnd("threads", MODELS + "threads", "ThreadsProcessor", {}),
    BackEnd("posix-aio", MODELS + "posix_aio", "PosixAioProcessor", {}),
    BackEnd("linux-aio", MODELS + "linux_aio", "LinuxAioProcessor", {}),
    *(
        BackEnd(f"io-uring-{manner}", MODELS + "io_uring", "IoUringProcessor", {"manner": manner})
        for manner in ("default", "defer-taskrun", "async")
    ),
    BackEnd("iocp", MODELS + "iocp", "IocpProcessor", {}),
)


def parameters(*names: str) -> list:
    """Those back ends (all, without a name) as parameters of a test; a skip carries the kernel's reason."""
    chosen = [each for each in BACK_ENDS if not names or each.name in names]
    return [
        pytest.param(each, id=each.name, marks=pytest.mark.skipif(bool(reason), reason=str(reason)))
        for each in chosen
        for reason in [each.unavailable()]
    ]


class Watched:
    """A processor between which and its queue a test may stand: `start` and `wait` can be replaced."""

    def __init__(self, processor) -> None:
        self.processor, self.not_hurried = processor, []
        self.start, self.wait = processor.start, processor.wait
        self.abandon, self.wake, self.close = processor.abandon, processor.wake, processor.close

    def cancel(self, operation: Operation) -> bool:
        hurried = self.processor.cancel(operation)
        self.not_hurried += [] if hurried else [operation]
        return hurried


class Queue(CompletionQueue):
    """A CompletionQueue over a `watched` processor."""

    def __init__(self, processor) -> None:
        self.watched = Watched(processor)
        super().__init__(self.watched)

    @property
    def not_hurried(self) -> list[Operation]:
        """The operations of which the processor has said that it cannot end them."""
        return self.watched.not_hurried


class Told(NamedTuple):
    """A Completion that outlives the next wait(): `data` is a copy, b"" for none."""

    token: object
    result: int
    more: bool
    data: bytes


def told_now(queue, timeout: float = 0) -> list[Told]:
    """What one wait() tells."""
    return [Told(token, result, more, bytes(data or b"")) for token, result, more, data in queue.wait(timeout)]


def told(queue, enough: Callable[[list[Told]], bool], limit_s: float = PATIENCE_S) -> list[Told]:
    """What wait() tells until it is enough."""
    found: list[Told] = []
    deadline = time.monotonic() + limit_s
    while not enough(found):
        left_s = deadline - time.monotonic()
        assert left_s > 0, f"not enough after {limit_s} s: {len(found)} completions, {found[-8:]}"
        found += told_now(queue, left_s)
    return found


def to_the_last(queue, *tokens) -> list[Told]:
    """What wait() tells until each token has had its last completion."""
    return told(queue, lambda found: set(tokens) <= {each.token for each in found if not each.more})


def last(queue, token) -> Told:
    """The last completion of `token`, which is the only one that comes."""
    (only,) = to_the_last(queue, token)
    return only


def received(queue, token, nbytes: int) -> bytes:
    """At least so many bytes of a receive, or all until its end."""
    return data_of(told(queue, lambda found: len(data_of(found, token)) >= nbytes or ended(found, token)), token)


def data_of(found: list[Told], token) -> bytes:
    return b"".join(each.data for each in found if each.token == token)


def ended(found: list[Told], token) -> bool:
    return any(each.token == token and not each.more for each in found)


def start_all(queue) -> None:
    """What the queue has kept is with the mechanism now."""
    assert queue.wait(0) == []


def eventually(condition: Callable[[], object], limit_s: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def native_threads() -> list[str]:
    """The names of this process' threads as the kernel knows them, those of the C library and of io_uring included."""
    names = []
    for comm in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):
            names.append(comm.read_text().strip())
    return names


def helpers() -> int:
    """Threads of this process; io_uring's workers, of which the kernel keeps one or two in store, not counted."""
    return sum(not name.startswith("iou-wrk") for name in native_threads())


@contextmanager
def nothing_left(helpers_too: bool = True) -> Iterator[None]:
    """The body leaves no descriptor and, in the end, no thread that was not there before."""
    before, threads, known = descriptors(), helpers(), threading.active_count()
    yield
    left = descriptors() - before
    assert left == set(), left
    assert threading.active_count() <= known
    if helpers_too:
        assert eventually(lambda: helpers() <= threads, IDLE_S), native_threads()


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS in /proc/self/status")


def tcp_listener(backlog: int = 128) -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=backlog)


def connected(listener: socket.socket) -> socket.socket:
    client = socket.create_connection(listener.getsockname(), timeout=PATIENCE_S)
    client.settimeout(PATIENCE_S)
    return client


def is_open(fd: int) -> bool:
    if WINDOWS:
        return f"{fd} -> socket" in open_numbers()  # a file may have that number, too
    return os.path.islink(f"/proc/self/fd/{fd}")
