"""The reactor: a loop that waits for events, and tells each event's handler that its I/O *can now be done*.

    register_handler(h, READ) ──> wait() ┐                   ┌─ (7, READ) ──> h.handle_input(): recv(7), by h itself
    Demultiplexer                        └─ waits for any ───┘                └ then the next handler, the next wait

Two facts that surprise:
* What a wait reports is a list that grows old while it is worked off: the first handler may close the third one's
  descriptor, and open another that gets the same number. So the handlers are looked up before the first of them runs,
  and before each one's turn it is asked whether it still wants that.
* While a handler runs nobody else is served, not even by the kernel's help. A handler that takes a second takes it
  from everyone. So it hands slow work to another thread, which brings the result back by post().

POSA2, Reactor. Where the demultiplexer tells of arrivals only (epoll's EDGE), a handler reads and writes until EAGAIN.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic, monotonic_ns
from typing import Protocol

from iolab.models.readiness import READ, WRITE, Demultiplexer
from iolab.servers.posted import Posted
from iolab.servers.timers import Timer, Timers

log = logging.getLogger("iolab.servers")


class EventHandler(Protocol):
    """POSA2: Event Handler; `fd`, its Handle, does not change while it is registered.

    Input: data, a connection, the end, or an error, the call will tell. Output: room. Error: one of the two has raised.
    """

    fd: int

    def handle_input(self) -> None: ...
    def handle_output(self) -> None: ...
    def handle_error(self, error: Exception) -> None: ...


@dataclass(slots=True)
class _Registration:
    handler: EventHandler
    events: int = 0


class Reactor:
    """POSA2: Reactor, over a Demultiplexer that it closes with itself. For one thread; others may only post()."""

    def __init__(self, demultiplexer: Demultiplexer) -> None:
        self._demultiplexer, self._timers, self._posted = demultiplexer, Timers(), Posted()
        self._registered: dict[int, _Registration] = {}
        self._running, self.woken_ns = False, 0  # when the last wait was over, CLOCK_MONOTONIC
        self.post: Callable = self._posted.post  # (callback, *arguments), from any thread; ValueError if closed
        self.register_handler(self._posted, READ)

    def register_handler(self, handler: EventHandler, events: int) -> None:
        """Tell `handler` of READ, WRITE, or both; again to change that, 0 for neither. Errors as the demultiplexer's."""
        fd, known = handler.fd, self._registered.get(handler.fd)
        if known is not None and known.handler is not handler:
            raise ValueError(f"handler: descriptor {fd} has another handler")
        if not events:
            self.remove_handler(handler)
        elif known is None or known.events != events:
            self._demultiplexer.watch(fd, events)
            self._registered.setdefault(fd, _Registration(handler)).events = events

    def remove_handler(self, handler: EventHandler) -> None:
        """It hears of nothing more, not even of what was found already. Before its descriptor is closed, please."""
        known = self._registered.get(handler.fd)
        if known is not None and known.handler is handler:
            known.events = 0
            del self._registered[handler.fd]
            self._demultiplexer.forget(handler.fd)

    def call_after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call it from the loop once `delay_s` seconds are over, unless the timer is cancelled."""
        return self._timers.after(delay_s, callback)

    def handle_events(self, timeout: float | None = None) -> None:
        """One turn: wait, for `timeout` seconds at most, dispatch what can be done, ring the timers that are due."""
        ready = self._demultiplexer.wait(self._timers.left_s(timeout))
        self.woken_ns, registered = monotonic_ns(), self._registered
        found = [(each, each.events, events) for fd, events in ready if (each := registered.get(fd)) is not None]
        for registration, asked, events in found:
            asks = registration.events
            try:
                # A hang-up comes as READ unasked, and for ever unless it is heard. Who asked, and has changed its mind, is not told.
                if events & READ and asks and (asks & READ or not asked & READ):
                    registration.handler.handle_input()
                if events & WRITE and registration.events & WRITE:
                    registration.handler.handle_output()
            except Exception as error:
                self._failed(registration.handler, error)
        now = monotonic()
        while (callback := self._timers.due(now)) is not None:
            self._call(callback)

    def run(self) -> None:
        """Turn by turn until stop(). Ctrl-C ends it, too; then it may be run again, or closed."""
        self._running = True
        while self._running:
            self.handle_events()

    def stop(self) -> None:
        """The present turn is the last, or the next one. Any thread may call it."""
        self.post(setattr, self, "_running", False)

    def close(self) -> None:
        """Give back what the kernel lent. The handlers' descriptors are theirs."""
        self._registered.clear()
        self._demultiplexer.close()
        self._posted.close()

    def _failed(self, handler: EventHandler, error: Exception) -> None:
        log.exception("reactor: %r has raised", handler)  # one client's trouble is not the others'
        self._call(partial(handler.handle_error, error))

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            log.exception("reactor: %r has raised", callback)
