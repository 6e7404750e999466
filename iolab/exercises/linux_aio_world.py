"""A native AIO context for an answer, in a world that goes on only while the answer waits: no clock, no thread.

    answer   submit([POLL]) ── wait() ┐         ┌ event ── submit([POLL]) ── wait() ┐
    world                             └ a peer ─┘                                   └ nothing to come: TooLong

Two facts that surprise:
* Whether an event is still to come can be known: what was submitted is under way, or waits for an arrival; and if no
  arrival is left, the thread that waits would sleep for ever. So a check need not wait to find out.
* The kernel may set more bits of a POLL's result than were asked for; it depends on who was faster. Here it always
  does, so that an answer is right or wrong on each run.

io_submit(2), io_getevents(2), poll(2).
"""

import errno
from collections.abc import Callable

from iolab.exercises.attempting import TooLong
from iolab.kernel.linux_aio import POLL, PREAD, Context, Event, Request
from iolab.kernel.socket_queue import unread

OFTEN, MASK_BITS = 200, 0x40 | 0x80  # POLLRDNORM, POLLRDBAND: nobody asked for them


class World:
    """A Context for an answer, in which something happens only while the answer waits."""

    def __init__(self, context: Context, acts: list[Callable]) -> None:
        self._context, self._acts, self._polls = context, acts, {}
        self.asked, self.in_vain, self.waits = {POLL: 0, PREAD: 0}, 0, 0

    def submit(self, requests: list[Request]) -> list[int]:
        serials = self._context.submit(requests)
        for serial, request in zip(serials, requests, strict=False):
            self.asked[request.command] = self.asked.get(request.command, 0) + 1
            if request.command == POLL:
                self._polls[serial] = request.fd
        return serials

    def wait(self, timeout_s: float | None = None, least: int = 1) -> list[Event]:
        self.waits += 1
        events = self._take(0)
        while len(events) < least and timeout_s != 0:
            if len(self._context) > len(self._polls) or any(map(unread, self._polls.values())):
                events += self._take(None)  # it is under way
            elif self._acts:  # here the thread sleeps
                self._acts.pop(0)()
            else:
                raise TooLong("asleep for ever")
        if self.waits > OFTEN:
            raise TooLong("it spins")
        self.in_vain += sum(event.result == -errno.EAGAIN for event in events)
        return events

    def _take(self, timeout_s: float | None) -> list[Event]:
        events = self._context.wait(timeout_s)
        extra = {event.serial: MASK_BITS for event in events if self._polls.pop(event.serial, None) is not None}
        return [Event(serial, result | extra.get(serial, 0)) for serial, result in events]
