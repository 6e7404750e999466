"""Several processes on one port: each with its own listener and its own loop, and a parent that sees to them.

    parent     listen, listen ── fork ── fork ── sigtimedwait ── SIGCHLD: worker 1 has died ── fork again
    worker 1   [listener 1] ── accept ── serve ── killed    ·· its listener lives on in the parent ··   [listener 1] ──
    worker 2   [listener 2] ── accept ── serve ─────────────────────────────────────────────────────────────────────

Two facts that surprise:
* Two threads of Python share one interpreter lock; two processes do not, and share the port: with SO_REUSEPORT the
  kernel deals connections out to the listeners. Each has a queue of its own.
* What waits in a listener's queue dies with the last descriptor of that listener. The parent holds one of each: so a
  worker that is killed loses the connections that it had accepted, and not those that were waiting.

A worker's loop is made after the fork: an epoll would be shared with the parent, a ring is refused to a child (EEXIST).
A worker that finds its parent gone, by the end of a pipe that only the parent holds open for writing, stops.

socket(7), fork(2), sigtimedwait(2), waitpid(2).
"""

import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from time import monotonic

from iolab.servers.stop_signals import AGAIN_S

HEARD = (signal.SIGINT, signal.SIGTERM)
FIRST_PAUSE_S, LONGEST_PAUSE_S, HEALTHY_S = 0.1, 5.0, 1.0  # who has lived that long is started again at once


class Workers:
    """One for each listener; `serve(listener)` serves in a child, stops at SIGTERM, and returns the exit code.

    The listeners are closed with it. For a process without other threads.
    """

    def __init__(self, listeners: list[socket.socket], serve: Callable[[socket.socket], int]) -> None:
        self._listeners, self._serve = listeners, serve
        self._running: dict[int, tuple[int, float]] = {}  # process: its listener, and when it began
        self._due = dict.fromkeys(range(len(listeners)), 0.0)  # listener without a worker: when it gets one
        self._pauses = dict.fromkeys(self._due, 0.0)
        self._alive, self._held_open = os.pipe()  # who reads the end of it knows that the parent has gone

    def run(self, limit_s: float, started: Callable[[], None]) -> bool:
        """Until SIGINT or SIGTERM, which is handed on; then at most `limit_s` more. Whether all have ended well.

        `started` is called when these signals are heard.
        """
        heard = {*HEARD, signal.SIGCHLD}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, heard)
        told, deadline, well = float("-inf"), None, True
        try:
            started()
            while deadline is None or self._running:
                if deadline is None:
                    self._start_those_due()
                info = signal.sigtimedwait(heard, self._left_s(deadline))
                now = monotonic()
                if info is not None and info.si_signo in HEARD and now - told > AGAIN_S:
                    told, deadline = now, deadline or now + limit_s
                    self._tell_all(signal.SIGTERM)
                codes = self._reap(now)
                well = well and (deadline is None or not any(codes))
                if deadline is not None and now >= deadline:
                    return False
        finally:
            self._end()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        return well

    def _start_those_due(self) -> None:
        for number in [number for number, at in self._due.items() if at <= monotonic()]:
            try:
                process = os.fork()
            except BlockingIOError:  # EAGAIN: no more processes at the moment
                self._due[number] = monotonic() + FIRST_PAUSE_S
                continue
            if not process:
                self._be_worker(number)
            del self._due[number]
            self._running[process] = number, monotonic()

    def _be_worker(self, number: int) -> None:
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent hands it on
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask | {signal.SIGTERM})  # it waits until this one serves
            os.close(self._held_open)
            for other in self._listeners[:number] + self._listeners[number + 1 :]:
                other.close()
            threading.Thread(target=self._stop_with_parent, daemon=True, name="parent").start()
            code = self._serve(self._listeners[number])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)  # nothing of what the parent would do at its end

    def _stop_with_parent(self) -> None:
        os.read(self._alive, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _left_s(self, deadline: float | None) -> float:
        """How long to sleep: until the deadline, or until a worker is due."""
        until = min(self._due.values(), default=monotonic() + 3600) if deadline is None else deadline
        return max(0.0, until - monotonic())

    def _reap(self, now: float) -> list[int]:
        """The wait statuses of those who have ended; their listeners are due to get new workers."""
        statuses = []
        for process, (number, since) in list(self._running.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del self._running[process]
                statuses.append(status)
                healthy = now - since >= HEALTHY_S
                self._pauses[number] = (
                    0.0 if healthy else min(max(self._pauses[number] * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)
                )
                self._due[number] = now + self._pauses[number]
        return statuses

    def _tell_all(self, number: int) -> None:
        for listener in self._listeners:  # who connects from now on is refused at once
            listener.close()
        for process in self._running:
            os.kill(process, number)  # nobody has waited for it yet: the number is still its own

    def _end(self) -> None:
        self._tell_all(signal.SIGKILL)
        for process in self._running:
            os.waitpid(process, 0)
        self._running.clear()
        for fd in (self._alive, self._held_open):
            os.close(fd)
