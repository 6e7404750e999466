"""What is on its way through Linux native AIO: kept until the next io_submit, in flight, or lying in the ring.

    keep(a), keep(b) ── submit() ──> io_submit ── in flight ──> ring ── take() ──> io_getevents ── next(): a, 1,000
                                         └ a look at the ring: is it over already?

Two facts that surprise:
* The look costs no system call, and it tells who copied: an event that lies in the ring when io_submit returns was
  brought about by io_submit, in the thread that called it.
* io_submit stops at the first request that it refuses, and says so only if there was none before it. So the rest is
  submitted again, until each was taken or refused for itself. io_submit(2).
"""

import errno
import os
import select
from collections import deque

from iolab.calls import CallNamer
from iolab.kernel import linux_aio
from iolab.models.completion import Operation

Asked = tuple[Operation | None, linux_aio.Request]  # None: the note's


class Submissions:
    """The requests of one processor; names its system calls to `call`, and tells it of reads that are over."""

    def __init__(self, call: CallNamer, entries: int) -> None:
        self._call = call
        self.kept: dict[int, Asked] = {}  # for the next submit(), by serial number
        self._later: dict[int, Asked] = {}
        self._submitting: dict[int, Asked] = {}  # whether the kernel took them, the context knows
        self._in_flight: dict[int, Asked] = {}
        self._events: deque[linux_aio.Event] = deque()  # not looked at yet
        self._refused: deque[tuple[Operation, int]] = deque()
        self._told, self.woken = set(), False
        self._note = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)  # its POLL belongs to no operation: it ends a wait
        listen, self._context = linux_aio.Request(linux_aio.POLL, self._note, events=select.POLLIN), None
        try:
            with call("io_setup"):
                self._context = linux_aio.Context(entries)
            with call("io_submit", self._note):
                (serial,) = self._context.submit([listen])
        except BaseException:
            self.close()
            raise
        self._in_flight[serial] = self._listen = None, listen

    def keep(self, operation: Operation, request: linux_aio.Request, later: bool = False) -> None:
        """For the next submit(); `later` for the one after the next begin()."""
        operation.state = serial = next(self._context.serials)
        (self._later if later else self.kept)[serial] = operation, request

    def begin(self) -> None:
        """A new round: what was to come later is next, before what was kept meanwhile: its places are free."""
        if self.woken:
            self._later[next(self._context.serials)] = self._listen
            self.woken = False
        self.kept, self._later = self._later | self.kept, {}

    def drop(self, operation: Operation) -> bool:
        """Keep it no longer; whether it had been kept."""
        self._settle()
        return bool(self.kept.pop(operation.state, None) or self._later.pop(operation.state, None))

    def submit(self) -> deque[tuple[Operation, int]]:
        """All that is kept, by one system call if the kernel likes each; to be emptied: who was refused, with -errno."""
        self._settle()
        while self.kept:
            fds = {request.fd for _, request in self.kept.values()}
            try:
                with self._call("io_submit", fds.pop() if len(fds) == 1 else -1):
                    # Before the call: Ctrl-C raises behind it, and then nobody must submit them again.
                    self._submitting, self.kept = self.kept, {}
                    self._context.submit([request for _, request in self._submitting.values()], [*self._submitting])
                    self._settle()
                    self._tell(self._context.peek())
            except OSError as error:
                self._settle()
                if error.errno == errno.EAGAIN and self._context.peek():
                    break  # full: taking events makes room
                items, full = [*self.kept.items()], error.errno == errno.EAGAIN
                these = items if full else items[:1]  # no room for one: none for the others
                refused = [(operation, -error.errno) for _, (operation, _) in these if operation]
                note, others = {serial: each for serial, each in these if not each[0]}, dict(items[len(these) :])
                self._refused += refused
                self._later |= note
                self.kept = others
        return self._refused

    def take(self, timeout: float | None) -> None:
        """Sleep until something is over, `timeout` seconds at most, and take what is. With 0, no call for nothing."""
        if timeout == 0 or self._events:
            timeout, there = 0, self._context.peek()
            self._tell(there)
            if there == []:
                return
        with self._call("io_getevents"):
            self._events += self._context.wait(timeout)
            self._tell(self._events)

    def next(self) -> tuple[Operation, linux_aio.Request, int] | None:
        """What is over, one by one, with what the kernel says of it; None: no more."""
        while self._events:
            serial, result = self._events[0]  # taken away without a call, behind which Ctrl-C would raise
            operation, request = self._in_flight[serial]
            self.woken |= operation is None
            del self._events[0], self._in_flight[serial]
            self._told.discard(serial)
            if operation:
                return operation, request, result
            os.eventfd_read(self._note)
        return None

    def wake(self) -> None:
        """End the take() that sleeps, or the next one; any thread may call it."""
        os.eventfd_write(self._note, 1)

    def cancel(self, operation: Operation) -> bool:
        """io_cancel, if it is in flight; whether the kernel will end it."""
        if operation.state not in self._in_flight:
            return False
        with self._call("io_cancel", operation.fd):
            return self._context.cancel(operation.state)

    def close(self) -> None:
        """Returns when nothing is written to any buffer; and the kernel takes some 30 ms to forget a context."""
        try:
            if self._context is not None:
                with self._call("io_destroy"):
                    self._context.close()
        finally:
            os.close(self._note)

    def _settle(self) -> None:
        """What the kernel did not take is kept again, in front."""
        taken = {serial: each for serial, each in self._submitting.items() if serial in self._context.in_flight}
        back = {serial: each for serial, each in self._submitting.items() if serial not in taken}
        self._in_flight |= taken
        self.kept, self._submitting = back | self.kept, {}

    def _tell(self, events: list[linux_aio.Event] | None) -> None:
        for serial, result in events or ():
            _, request = self._in_flight.get(serial, (None, None))
            if request and request.command == linux_aio.PREAD and result >= 0 and serial not in self._told:
                self._told.add(serial)
                self._call.completed(request.fd, result)
