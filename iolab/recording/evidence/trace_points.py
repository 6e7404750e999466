"""Rung 4, the kernel's own trace points: everything between the call and its return, to the nanosecond.

    sys_enter ── switched out ┄┄┄ data ready ── waking ┄ switched in ── copy ├──────┤ ── sys_exit
                              asleep          runnable, without a CPU      by whom: the event says it

Two facts that surprise:
* Between "woken" and "runs" lies a phase that textbooks leave out. It is often longer than the copy.
* An instrument has to be tested on the spot: on some virtual machines a part of the switches is never traced. So a
  chain is never built on one event alone, and `switches` tells how many were seen out and in.

It needs root once: as root each run has an instance of its own; root may also lend one to a user (kernel.delegation).
"""

import os
import socket
from functools import cached_property
from threading import get_native_id

from iolab.kernel import tracefs
from iolab.kernel.tasks import tasks
from iolab.kernel.trace_buffer import Losses
from iolab.kernel.trace_instances import lock, where
from iolab.recording.evidence.traced_events import READY, REQUIRED, files_of, switch_on
from iolab.recording.evidence.traced_moments import moments_of
from iolab.recording.evidence.traced_sockets import known_sockets
from iolab.recording.moment import Moment

NAME = "tracepoints"
CHAIN = ("call-enter", "data-ready", "copy-start", "copy-end", "call-exit")  # of a read that need not wait
_passed: set[str] = set()  # the places in which the self-test has succeeded


class Observer:
    """Traces one run: a context manager. `reader` is (process, thread); `fds` are the descriptors that it will read.

    Nothing may have been sent yet. OSError as the kernel says. After the run `moments()`, `losses`, `switches`, and
    `missing`: events that this kernel does not know.
    """

    def __init__(self, reader: tuple[int, int], buffers: list, fds: list[int]) -> None:
        process_id, thread_id = reader
        others = sorted(set(tasks(process_id)) - {thread_id}, reverse=True)
        self._thread_ids, self._fds, self._events = [thread_id, *others], list(fds), []
        self.losses, self.missing = Losses(0, 0), []
        self._instance = tracefs.opened()
        try:
            self._sockets = known_sockets(self._instance, self._fds, get_native_id())
            self._files = files_of(self._fds)
            self.missing = switch_on(self._instance, self._thread_ids, self._sockets, self._fds)
        except BaseException:
            self._instance.close()
            raise

    def __enter__(self) -> "Observer":
        self._instance.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.close()

    def close(self) -> None:
        """Stop, keep what was recorded, and leave nothing on in the kernel. More than once: no harm."""
        instance, self._instance = self._instance, None
        if instance is None:
            return
        with instance:
            self._take(instance)

    def _take(self, instance: tracefs.Instance) -> None:
        self._events = instance.events()
        self.losses = instance.losses()

    @cached_property
    def _found(self) -> tuple[list[Moment], dict[tuple[str, int], int]]:
        return moments_of(self._events, self._thread_ids, self._sockets, self._files, self._fds)

    def moments(self) -> list[Moment]:
        """What was seen, in the order of time; after the run.

        "call-exit" has in `nbytes` what the kernel returned; "data-ready" the thread in whose time the data came.
        """
        return self._found[0]

    @property
    def switches(self) -> dict[tuple[str, int], int]:
        """How often each thread was seen losing a CPU, ("out", thread), and getting one, ("in", thread)."""
        return self._found[1]


class Off:
    """The rung with all prepared and nothing switched on: what tracing costs is the difference between the two."""

    NAME = f"{NAME} prepared, off"

    class Observer(Observer):
        def __enter__(self) -> "Observer":
            return self


def unavailable() -> str | None:
    """Why this machine gives no trace points, in the kernel's words; None when a read was traced from end to end."""
    try:
        place, own = where()
        if not own:
            os.close(lock(place))  # whether another notebook holds it
        if place not in _passed:
            if problem := _lacking() or _problem(*of_a_read(Observer)):
                return problem
            _passed.add(place)
    except OSError as error:
        return f"{error.filename or 'trace points'}: {error.strerror}"
    except ValueError as error:  # a format that is not understood
        return str(error)
    return None


def _lacking() -> str | None:
    with tracefs.opened() as instance:
        missing = [event for event in REQUIRED if not instance.has(event)]
    since = "; it is there since Linux 6.3" if missing == [READY] else ""
    return f"this kernel lacks the trace points {', '.join(missing)}{since}" if missing else None


def of_a_read(kind: type[Observer]) -> tuple[list[Moment], Observer]:
    """What a new Observer sees of a read over loopback, whose data has been there for long: for a self-test."""
    buffer, sent = bytearray(1 << 12), bytes(1 << 12)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as peer:
        reader, _ = server.accept()
        with reader:
            fd = reader.fileno()
            with kind((os.getpid(), get_native_id()), [buffer], [fd]) as observer:
                peer.sendall(sent)
                reader.recv_into(buffer, len(sent), socket.MSG_WAITALL)
    return [each for each in observer.moments() if each.kind in CHAIN and each.fd == fd], observer


def _problem(read: list[Moment], observer: Observer) -> str | None:
    """What is wrong with the trace of a read, if anything."""
    kinds = [each.kind for each in read]
    if absent := [kind for kind in CHAIN if kind not in kinds]:
        where_else = "; a container has other numbers for its threads" if CHAIN[0] in absent else ""
        return f"self-test: of a read that was traced no {', '.join(absent)} was seen{where_else}"
    if any(each.thread_id != get_native_id() for each in read if each.kind != "data-ready"):
        return "self-test: a read was traced under another thread's number"
    enters, _, starts, ends, exits = ([each.ns for each in read if each.kind == kind] for kind in CHAIN)
    if not enters[0] < starts[0] < ends[0] <= ends[-1] < exits[-1] or observer.losses.dropped:
        return "self-test: the trace points of a read came in another order than the kernel's code"
    return None
