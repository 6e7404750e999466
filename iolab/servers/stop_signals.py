"""SIGINT and SIGTERM, heard by a thread: one lets the server finish, another one ends it at once.

    kernel   SIGTERM ──> C handler: 1 byte into a socket ─┐
    main     sleeps in epoll_wait, io_uring_enter, ...    │  ... the loop runs what was posted
    thread   sleeps in recv ──────────────────────────────┴─ stop() ── post

Two facts that surprise:
* A handler written in Python does not run when the signal comes, but when the interpreter is next between two
  instructions, in the main thread. If the signal comes just before the wait begins, that is when the wait is over,
  perhaps never. But the C handler writes its byte at once (signal.set_wakeup_fd).
* One press of Ctrl-C, or one `timeout` of the shell, may send the same signal twice: to the process, and to its group.
  So what comes within AGAIN_S of the first is the first.

signal(7), signal.set_wakeup_fd; the main thread must use it (ValueError elsewhere).
"""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

AGAIN_S = 0.2
STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_back(numbers: tuple[int, ...] = STOPPING) -> Iterator[None]:
    """Signals wait while a server is built, and while it is taken down: then no file is left half made."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        while pending := signal.sigpending() & set(numbers):  # all is done: there is nothing left to stop
            signal.sigwait(pending)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def stopping_by_signals(stop: Callable[[], None], numbers: tuple[int, ...] = STOPPING) -> Iterator[None]:
    """While the body runs, each of these signals calls `stop` in a thread, held back or not; then all is as it was."""
    heard, told = socket.socketpair()
    told.setblocking(False)
    thread = threading.Thread(target=_listen, args=(heard, stop, frozenset(numbers)), daemon=True, name="signals")
    wakeup = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, _noted) for number in numbers}
    thread.start()
    with_mask = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers) if with_mask else None
    try:
        yield
    finally:
        if with_mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        told.close()  # the thread reads the end
        thread.join()
        heard.close()


def _noted(number, frame) -> None:
    """So that the interpreter neither ends nor raises; the byte has been written already."""


def _listen(heard: socket.socket, stop: Callable[[], None], numbers: frozenset[int]) -> None:
    last = float("-inf")
    while byte := heard.recv(1):
        now = monotonic()
        if byte[0] in numbers and now - last > AGAIN_S:
            last = now
            stop()
