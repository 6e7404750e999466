"""How POSIX AIO tells of an end: by a signal to the process, by a function in a new thread, or not at all.

    helper thread:  pread(2) ─ copied ─┬─ SIGEV_SIGNAL: rt_sigqueueinfo(2) ──> signalfd(2), sigwait(3): the value
                                       └─ SIGEV_THREAD: a new thread ──> function()

Two facts that surprise:
* SIGEV_THREAD is one new thread for each completion, and glibc unblocks every signal in it: beside it, a signal that
  all of the program's own threads have blocked can still end the process.
* When the queue of signals is full (RLIMIT_SIGPENDING), glibc puts the error of the *notification* in place of the
  result: the bytes are read, and lost.

So: few requests at once by signal; no mixture of both in one process. sigevent(3type), sigqueue(3), aio(7).
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from iolab.kernel.posix_aio_layout import NOTIFY_FUNCTION, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, Sigevent

LAST_CALLBACKS_S = 1  # how long the end of the interpreter waits for callbacks that are on their way


class BySignal(NamedTuple):
    """SIGEV_SIGNAL: the process is sent `signal`, and with it `value`, an address-sized integer: signalfd shows it."""

    signal: int
    value: int = 0


class ByThread(NamedTuple):
    """SIGEV_THREAD: a new thread calls `function()`; what it raises is put on `callback_errors`."""

    function: Callable[[], object]


callback_errors: list[BaseException] = []
_callbacks: dict[int, Callable[[], object]] = {}
_numbers = count(1)


@NOTIFY_FUNCTION
def _arrived(number: int) -> None:
    """Runs in a thread of the C library's making; it takes the interpreter's lock, and must not raise."""
    try:
        _callbacks[number]()
    except BaseException as error:  # kept for whoever asks: here nobody would see it
        callback_errors.append(error)
    finally:
        _callbacks.pop(number, None)


# A thread may be about to call it at any moment until the process ends.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_arrived))


def set_notification(event: Sigevent, notify: BySignal | ByThread | None) -> None:
    """Fill `event`; None is SIGEV_NONE. ValueError for a signal that this thread has not blocked."""
    if notify is None:
        event.sigev_notify = SIGEV_NONE
    elif isinstance(notify, BySignal):
        # Sent to the process: any thread that has not blocked it takes it, and its default action ends the process.
        if notify.signal not in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
            raise ValueError(f"notify: signal {notify.signal} must be blocked in this thread (pthread_sigmask) first")
        event.sigev_notify, event.sigev_signo = SIGEV_SIGNAL, notify.signal
        event.sigev_value.sival_ptr = notify.value
    else:
        number = next(_numbers)
        _callbacks[number] = notify.function
        event.sigev_notify = SIGEV_THREAD
        event.sigev_value.sival_ptr = number
        event.sigev_notify_function = ctypes.cast(_arrived, ctypes.c_void_p)


def forget_notification(event: Sigevent) -> None:
    """The request to which it belongs has not been taken."""
    if event.sigev_notify == SIGEV_THREAD:
        _callbacks.pop(event.sigev_value.sival_ptr, None)


def wait_for_callbacks(but: int = 0, limit_s: float = LAST_CALLBACKS_S) -> bool:
    """Until all functions but so many have been called and have returned; False when the time is over first.

    aio_error says "over" a moment before the function is called: the new thread is only being started.
    """
    deadline = time.monotonic() + limit_s
    while len(_callbacks) > but:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_callbacks.clear)  # the threads that were to call them are not there
