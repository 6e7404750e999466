"""Linux native AIO: a program submits requests, the kernel puts events into a ring.

    submit([Request(PREAD, fd, buffer)])                   wait() ──> [Event(serial, 4096)]
    kernel     └─ carries it out, or has begun to ─> ring ─┘

Two facts that surprise:
* "Submit" promises nothing about waiting. A read of a blocking socket sleeps inside io_submit until the peer sends;
  a read through the page cache is over, copied, when io_submit returns. Only O_DIRECT lets a disk work meanwhile.
* io_cancel succeeds with an error: EINPROGRESS says that the event will come through the ring as always.

So nothing is submitted that could sleep: a socket is polled (POLL, Linux 4.19), then read without waiting. Control
block and buffer are kept until their event was taken. Any thread may use a Context, several at once too: the
kernel finds it by the address space. For the same reason a forked child, with one of its own, has none.
"""

import errno
import os
import time
from contextlib import suppress
from itertools import count
from typing import Self

from iolab.kernel import linux_aio_abi as abi
from iolab.kernel.linux_aio_abi import FDSYNC, FSYNC, POLL, PREAD, PREADV, PWRITE, PWRITEV, why
from iolab.kernel.linux_aio_abi import unavailable as unavailable  # why there is none here
from iolab.kernel.linux_aio_request import Event, Request, block_of

__all__ = ["FDSYNC", "FSYNC", "POLL", "PREAD", "PREADV", "PWRITE", "PWRITEV", "Context", "Event", "Request", "why"]
MOST_EVENTS = 256  # taken by one call


class Context:
    """A context of the kernel's, for at least `entries` requests whose events were not taken yet. io_setup(2)."""

    _context: int | None = None

    def __init__(self, entries: int = 128) -> None:
        if isinstance(entries, bool) or not isinstance(entries, int) or not 1 <= entries < 1 << 31:
            raise ValueError(f"entries must be an integer from 1 to 2,147,483,647, not {entries!r}")
        self.in_flight: dict[int, tuple[abi.Iocb, object]] = {}
        self._left: list[Event] = []  # taken by a wait that a signal handler ended
        self.serials, self._process_id = count(1), os.getpid()
        self._context = abi.io_setup(entries)

    def _own(self) -> int:
        if self._context is None:
            raise ValueError("this Context is closed")
        if os.getpid() != self._process_id:
            raise RuntimeError("a forked child has no native AIO context: make one after the fork")
        return self._context

    def __len__(self) -> int:  # how many requests are in flight: their event was not taken yet
        return len(self.in_flight)

    def submit(self, requests: list[Request], serials: list[int] | None = None) -> list[int]:
        """Numbers, out of `serials`, of the requests that the kernel took: all, or those before a bad one.

        OSError when it refuses the first; EAGAIN: no more fit until events are taken. ValueError for a buffer that
        cannot be filled, before the call. A signal handler may raise: `in_flight` tells what was taken. io_submit(2).
        """
        context, serials = self._own(), serials or [next(self.serials) for _ in requests]
        made = {serial: block_of(request, serial) for serial, request in zip(serials, requests, strict=True)}
        returned = [0]
        try:
            # Kept before the call: a signal handler that raises just after it must not free what the kernel writes to.
            self.in_flight.update(made)
            if made:
                abi.io_submit(context, [block for block, _ in made.values()], returned)
            self._forget(serials[returned[-1] :])
        except BaseException:  # refused, or a handler raised, after the call or before it
            self._forget(serials[max(returned) :])
            raise
        return serials[: returned[-1]]

    def _forget(self, serials: list[int]) -> None:
        for serial in serials:
            self.in_flight.pop(serial, None)

    def wait(self, timeout_s: float | None = None, least: int = 1, sigmask=None) -> list[Event]:
        """Sleep until `least` events are there, or the time is over (None: never), and take what is there.

        A signal handler may raise: the next wait has what was taken. If it does not, this one goes on, with what is left
        of the time. With `sigmask`, which alone is blocked meanwhile, InterruptedError tells of other signals.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (context := self._own()) and not self._left:
            places = (abi.IoEvent * max(least, MOST_EVENTS))()
            try:
                nevents = abi.io_getevents(context, least, places, timeout_s, sigmask)
                events = [Event(each.data, each.res) for each in places[:nevents]]
                self._forget([event.serial for event in events])
                return events
            except InterruptedError:
                if sigmask is not None:
                    raise
                timeout_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            except BaseException:  # a handler raised, perhaps after the call
                self._left += [Event(each.data, each.res) for each in places if each.data]
                raise
        self._forget([event.serial for event in self._left])
        left, self._left = self._left, []
        return left

    def peek(self) -> list[Event] | None:
        """The events that the next wait finds, left there; no system call. None where the ring cannot be read."""
        events = abi.events_in_ring(self._own())
        if events is None:
            return None
        # A place that another CPU is still writing to shows an older serial number, and those are never in flight.
        return self._left + [Event(event.data, event.res) for event in events if event.data in self.in_flight]

    def cancel(self, serial: int) -> bool:
        """Ask for the end of a request. True: its event comes, of a POLL with 0. False: over, or not to be stopped.

        Of all commands only POLL can be stopped. io_cancel(2).
        """
        context, in_flight = self._own(), self.in_flight.get(serial)
        try:
            if in_flight:
                abi.io_cancel(context, in_flight[0])
        except OSError as error:
            if error.errno not in (errno.EINPROGRESS, errno.EINVAL):
                raise
            return error.errno == errno.EINPROGRESS
        return False

    def close(self) -> None:
        """Stop what can be stopped, wait for the rest, give all back; events not taken are lost. io_destroy(2)."""
        context, own = self._context, os.getpid() == self._process_id
        try:
            if context is not None and own:
                abi.io_destroy(context)
        except BaseException:  # a signal handler raised, after the call or before it: EINVAL says which
            with suppress(OSError):
                abi.io_destroy(context)
            raise
        finally:  # nothing writes to the buffers any more
            self._context, self._left = None, []
            self.in_flight.clear()

    def __del__(self) -> None:  # forgotten: the kernel must not write to memory that others use by then
        if self._context is not None:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.close()
