"""What is on its way through Linux native AIO: kept until the next io_submit, in flight, or lying in the ring.

    keep(a), keep(b) ── submit() ──> io_submit ── in flight ──> ring ── take() ──> io_getevents ──> a: 1,000 bytes
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
from typing import NamedTuple

from iolab.calls import CallNamer
from iolab.kernel import linux_aio
from iolab.models.completion import Operation


class Taken(NamedTuple):
    """What the kernel says of a request, and the operation that it was made for."""

    operation: Operation
    request: linux_aio.Request
    result: int


class Submissions:
    """The requests of one processor; names its system calls to `call`, and tells it of reads that are over."""

    def __init__(self, call: CallNamer, entries: int) -> None:
        self._call = call
        self._kept: list[tuple[Operation | None, linux_aio.Request]] = []
        self._later: list[tuple[Operation | None, linux_aio.Request]] = []
        self._in_flight: dict[int, tuple[Operation | None, linux_aio.Request]] = {}  # by serial number
        self._told: set[int] = set()
        self.woken = False
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
        self._in_flight[serial] = None, listen

    @property
    def kept(self) -> bool:
        """Whether something waits for submit()."""
        return bool(self._kept)

    def keep(self, operation: Operation, request: linux_aio.Request, later: bool = False) -> None:
        """For the next submit(); `later` for the one after the next begin()."""
        (self._later if later else self._kept).append((operation, request))

    def begin(self) -> None:
        """A new round: what was to come later is next, before what was kept meanwhile: its places are free."""
        self.woken = False
        self._kept, self._later = self._later + self._kept, []

    def drop(self, operation: Operation) -> bool:
        """Keep it no longer; whether it had been kept."""
        for where in (self._kept, self._later):
            if any(each is operation for each, _ in where):
                where[:] = [each for each in where if each[0] is not operation]
                return True
        return False

    def submit(self) -> list[Taken]:
        """All that is kept, by one system call if the kernel likes each; those that it refuses, with -errno."""
        refused = []
        while self._kept:
            fds = {request.fd for _, request in self._kept}
            try:
                with self._call("io_submit", fds.pop() if len(fds) == 1 else -1):
                    serials = self._context.submit([request for _, request in self._kept])
                    self._entered(serials)
                    self._tell(self._context.peek())
            except OSError as error:
                if error.errno == errno.EAGAIN and self._context.peek():
                    break  # full: taking events makes room
                these = self._kept[: None if error.errno == errno.EAGAIN else 1]  # no room for one: none for the others
                del self._kept[: len(these)]
                refused += [Taken(operation, request, -error.errno) for operation, request in these if operation]
                self._later += [(None, request) for operation, request in these if not operation]
        return refused

    def take(self, timeout: float | None) -> list[Taken]:
        """Sleep until something is over, `timeout` seconds at most, and take what is. With 0, no call for nothing."""
        if timeout == 0:
            there = self._context.peek()
            self._tell(there)
            if there == []:
                return []
        with self._call("io_getevents"):
            events = self._context.wait(timeout)
            self._tell(events)
        taken = []
        for serial, result in events:
            operation, request = self._in_flight.pop(serial)
            self._told.discard(serial)
            if operation:
                taken.append(Taken(operation, request, result))
            else:
                os.eventfd_read(self._note)
                self.woken = True
                self._later.append((None, request))
        return taken

    def wake(self) -> None:
        """End the take() that sleeps, or the next one; any thread may call it."""
        os.eventfd_write(self._note, 1)

    def cancel(self, operation: Operation) -> bool:
        """io_cancel, if it is in flight; whether the kernel will end it."""
        if self._in_flight.get(operation.state, (None,))[0] is not operation:
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

    def _entered(self, serials: list[int]) -> None:
        for serial, (operation, request) in zip(serials, self._kept, strict=False):
            self._in_flight[serial] = operation, request
            if operation:
                operation.state = serial
        del self._kept[: len(serials)]

    def _tell(self, events: list[linux_aio.Event] | None) -> None:
        for serial, result in events or ():
            _, request = self._in_flight.get(serial, (None, None))
            if request and request.command == linux_aio.PREAD and result >= 0 and serial not in self._told:
                self._told.add(serial)
                self._call.completed(request.fd, result)
