"""Streams, senders and a time limit, shared by the tests that read."""

import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from iolab.kernel.thread_state import thread_state
from iolab.models import MODELS, asynchronous_io_uring, multiplexing_epoll, nonblocking
from tests.portable import WINDOWS, os

if not WINDOWS:
    import fcntl

# A pipe of os.pipe() knows no overlapped I/O, and select of Windows knows sockets alone.
KINDS = ("socketpair", "tcp") if WINDOWS else ("pipe", "socketpair", "tcp")
LIMIT_S = 120 if WINDOWS else 15  # in Wine each call is a talk with another process, which a loaded machine holds up
F_GETSIG, F_GETOWN_EX = 11, 16  # asm-generic/fcntl.h


class Variant(NamedTuple):
    """A model and the options that it is called with."""

    name: str
    model: object
    options: dict

    def read_into(self, fd: int, buffer, **more) -> int:
        return self.model.read_into(fd, buffer, **self.options, **more)

    def read_many(self, reads, **more) -> list[int]:
        return self.model.read_many(reads, **self.options, **more)


VARIANTS = (
    *(Variant(model.NAME, model, {}) for model in MODELS),
    Variant("nonblocking-with-pause", nonblocking, {"pause_s": 0.002}),
    Variant("epoll-edge", multiplexing_epoll, {"trigger": "edge"}),
    Variant("epoll-one-shot", multiplexing_epoll, {"trigger": "one-shot"}),
    *(
        Variant(f"io-uring-{manner}", asynchronous_io_uring, {"manner": manner})
        for manner in ("defer-taskrun", "async", "sqpoll")
    ),
)
every_variant = pytest.mark.parametrize(
    "variant",
    [
        pytest.param(
            variant,
            id=variant.name,
            marks=pytest.mark.skipif(bool(variant.model.unavailable()), reason=str(variant.model.unavailable())),
        )
        for variant in VARIANTS
    ],
)


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        return listener.accept()[0], peer


class Stream:
    """`fd` is to be read; what is sent comes from the other end, the peer's."""

    def __init__(self, kind: str) -> None:
        if kind == "pipe":
            self.fd, self.peer = os.pipe()
        else:
            reader, peer = socket.socketpair() if kind == "socketpair" else _tcp_pair()
            self.fd, self.peer = reader.detach(), peer.detach()

    def send(self, data: bytes) -> None:
        assert os.write(self.peer, data) == len(data)

    def end(self) -> None:
        """The peer closes."""
        peer, self.peer = self.peer, None
        if peer is not None:
            os.close(peer)

    def reset(self) -> None:
        """The peer closes with RST instead of FIN: SO_LINGER of 0 seconds, socket(7)."""
        with socket.socket(fileno=os.dup(self.peer)) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.end()


def _too_long(*_) -> None:
    raise TimeoutError(f"not over after {LIMIT_S} s")


@contextmanager
def open_streams(*kinds: str) -> Iterator[list[Stream]]:
    """One stream of each kind. After LIMIT_S the peers close and the main thread raises TimeoutError."""
    streams = [Stream(kind) for kind in kinds]

    def give_up() -> None:
        for stream in streams:
            stream.end()
        if not WINDOWS:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR2)

    handler = None if WINDOWS else signal.signal(signal.SIGUSR2, _too_long)
    watchdog = threading.Timer(LIMIT_S, give_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield streams
    finally:
        watchdog.cancel()
        watchdog.join()
        if not WINDOWS:
            signal.signal(signal.SIGUSR2, handler)
        for stream in streams:
            stream.end()
            os.close(stream.fd)


@contextmanager
def open_stream(kind: str) -> Iterator[Stream]:
    with open_streams(kind) as (stream,):
        yield stream


def _until_asleep(thread_id: int, limit_s: float = 0.02) -> None:
    """Until that thread sleeps in the kernel, and not for the interpreter's lock; a thread that never does, limit_s."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        time.sleep(0.001)
        seen = None if WINDOWS else thread_state(os.getpid(), thread_id)
        if seen and seen.state == "S" and not seen.wchan.startswith("futex"):
            return


@contextmanager
def meanwhile(*acts: Callable[[], object]) -> Iterator[None]:
    """Another thread does one act after the other, each when the calling thread has had time to wait for it.

    That makes the waits likely, it does not promise them: what a test asserts is true for every order.
    """
    reader = threading.get_native_id()

    def run() -> None:
        for act in acts:
            _until_asleep(reader)
            act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(LIMIT_S)


def in_another_thread(function: Callable[[], object]) -> object:
    """What `function` returns or raises, called in a thread that is not the main thread."""
    outcome = []

    def run() -> None:
        try:
            outcome.append((function(), None))
        except BaseException as error:  # raised again below, in the test's own thread
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(2 * LIMIT_S)
    (result, error) = outcome[0]
    if error is not None:
        raise error
    return result


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def kernel_state(*fds: int) -> dict:
    """What a model may change and has to put back, as the kernel and the interpreter tell it to this thread."""
    with open("/proc/thread-self/status") as status:
        signals = {line for line in status if line.startswith(("SigBlk", "SigPnd", "ShdPnd", "SigIgn", "SigCgt"))}
    numbers = (signal.SIGIO, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1))
    return {
        "open descriptors": open_descriptors(),
        "signals: mask, pending, ignored, caught": signals,
        "handlers": [signal.getsignal(number) for number in numbers],
        "flags": [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds],
        "signal sent": [fcntl.fcntl(fd, F_GETSIG) for fd in fds],
        "owner": [struct.unpack("ii", fcntl.fcntl(fd, F_GETOWN_EX, bytes(8))) for fd in fds],
    }


def pattern(nbytes: int) -> bytes:
    """Bytes in which a lost, doubled or swapped one shows."""
    return (bytes(range(251)) * (nbytes // 251 + 1))[:nbytes]
