"""A run of an event loop, step by step: clients act, the loop turns, and after each step both sides are looked at.

    a connects · b connects │ turn 1 │ a asks · b asks half │ turn 2 │ ... │ b leaves │ last turn
                            └ wait is called · returns · each handler · the turn is over

What is looked at, `seen()`, is the loop's own affair: reactor_turns and proactor_turns have one each, and the same clients.
Nothing is timed here, so nothing is spoilt by looking: the clients are in the same thread, between two steps all stands
still. For the same reason every wait has a time-out of 0: whoever could end it is the one who would sleep.
"""

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack

from iolab.kernel.socket_queue import unread, unsent
from iolab.recording.loop_clients import ASK, HALF, LONG_NBYTES, connected, read_all, until

CLIENT, LOOP, HANDLER, KERNEL = "client", "loop", "handler", "kernel"
MOST_TURNS = 60  # until the long page is read


class LoopRun:
    """`words` are said of the steps of a request, by their numbers (servers.steps); `seen` is set by the loop's file."""

    def __init__(self, words: dict[int, tuple[str, str]]) -> None:
        self._words, self.steps, self.turn_number, self.running = words, [], 0, None
        self.names: dict[int, str] = {}  # what stands behind a descriptor of the server's
        self.server, self.seen, self.arrived = None, dict, lambda: None
        self._clients: dict[str, socket.socket] = {}
        self._over = False

    def note(self, who: str, title: str, says: str) -> None:
        """A step has been made: by `who`, called `title`; look at both sides. After close() nothing is noted."""
        if self._over:
            return
        step = {"turn": self.turn_number, "who": who, "title": title, "says": says, "running": self.running}
        self.steps.append(step | self.seen())

    def close(self) -> None:
        """Give everything back; that is no part of the story."""
        self._over = True
        if self.server:
            self.server.close()

    def stepped(self, number: int, connection: int, at_ns: int | None = None) -> None:
        """What the server calls: a servers.steps.StepNoter."""
        self.learn()
        if number in self._words:
            title, says = self._words[number]
            name = self.name(connection)
            self.running = connection
            self.note(HANDLER, f"{name}: {title}", says.format(who=name))

    def name(self, fd: int) -> str:
        """Whose descriptor it is: "listener", "a", "b"; "wake-up" for the loop's own."""
        return self.names.get(fd, "wake-up")

    def learn(self) -> None:
        """The names of connections that were accepted meanwhile, by the port at their other end."""
        ports = {client.getsockname()[1]: name for name, client in self._clients.items() if client.fileno() >= 0}
        for handler in self.server.handlers if self.server else ():
            if handler.fd not in self.names:
                with socket.socket(fileno=os.dup(handler.fd)) as theirs:
                    self.names[handler.fd] = ports.get(theirs.getpeername()[1], "?")

    def fd_of(self, name: str) -> int:
        """The server's descriptor of a client."""
        return next(fd for fd, known in self.names.items() if known == name)

    def turn(self) -> None:
        """One turn of the loop."""
        self.turn_number += 1
        self.server.loop.handle_events(0)
        self.learn()
        self.running = None
        self.note(LOOP, "the turn is over", "All handlers have returned. The loop begins its next turn.")

    def act(self, name: str, title: str, says: str, do: Callable[[], object]) -> None:
        """A client does something that the server's kernel hears of; noted when it has."""
        before = self.arrived()
        do()
        until(lambda: self.arrived() != before, f"{name} {title}")
        self.note(CLIENT, f"{name} {title}", says)

    def play(self, not_handed_in: Callable[[], bool] = lambda: False) -> None:
        """The whole run; `not_handed_in`: whether the loop has started something of which the kernel knows nothing yet."""

        def turn_for_work() -> None:
            for _ in range(MOST_TURNS):
                if not not_handed_in():
                    return
                self.turn()

        with ExitStack() as stack:
            turn_for_work()
            for name in ("a", "b"):
                self.act(name, "connects", f"Client {name} connects. The kernel completes the connection by itself.",
                         lambda name=name: self._connect(stack, name))  # fmt: skip
            self.turn()
            turn_for_work()
            a, b = self._clients["a"], self._clients["b"]
            self.act("a", "asks for a page", "Client a sends a whole request.", lambda: a.send(ASK["/book"]))
            half, rest = ASK["/long"][:HALF], ASK["/long"][HALF:]
            self.act("b", "sends half a request", "Client b sends the first bytes of a request.", lambda: b.send(half))
            self.turn()
            turn_for_work()
            self.note(CLIENT, "a reads its answer", f"Client a reads {read_all(a):,} bytes.")
            self.act(
                "b", "sends the rest", "Client b asks for a long page, and will read slowly.", lambda: b.send(rest)
            )
            self.turn()
            turn_for_work()
            got = 0
            for _ in range(MOST_TURNS):
                got += (nbytes := self._read_on(b))
                self.note(CLIENT, "b reads", f"Client b reads {nbytes:,} bytes, {got:,} by now. That makes room.")
                if got > LONG_NBYTES:
                    break
                self.turn()
            self.act("b", "closes", "Client b closes its connection.", b.close)
            self.turn()
            turn_for_work()

    def _connect(self, stack: ExitStack, name: str) -> None:
        self._clients[name] = stack.enter_context(connected(self.server.listener.getsockname()))

    def _read_on(self, client: socket.socket) -> int:
        """All that comes, until nothing is on the way to it any more."""
        fd, parts = self.fd_of("b"), []

        def drained() -> bool:
            parts.append(read_all(client))
            return not unsent(fd) and not unread(client)

        until(drained, "nothing is on the way to b any more")
        return sum(parts)
