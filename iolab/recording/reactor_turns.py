"""A run of the reactor, step by step: what the program sees, beside what the kernel holds at that very moment.

    step             the program                         the kernel
    a asks           handlers of listener, a, b          interests: all of them; ready: a; unread: 37 B for a
    wait returns     told: a can be read                 the same
    handle_input     a's handler is about to recv        the same: nobody has fetched anything yet
    parsed           a request                           unread: 0 B

Two facts that surprise:
* Between "told" and the handler's recv nothing has happened in the kernel. The bytes lie where they lay: readiness is
  news, not a delivery.
* b reads slowly: one send takes a part of the page, and from then on, and only then, the interest list says OUT.

The server is the package's own, with its HTTP handlers; what is noted changes nothing. Numbers are those of this run.
"""

from contextlib import closing

from iolab.kernel import descriptor_info as info
from iolab.kernel.socket_queue import not_accepted, unread, unsent
from iolab.models.multiplexing_epoll import EpollDemultiplexer
from iolab.models.multiplexing_epoll import unavailable as unavailable
from iolab.recording.loop_clients import TwoPages, small_listener
from iolab.recording.loop_run import LOOP, LoopRun
from iolab.servers.reactor_http_server import reactor_http_server

NAME = "epoll.turns"
WORDS = {
    3: ("handle_input", "The reactor calls {who}'s handle_input. It has been told, and has no byte yet: it will call recv itself."),
    4: ("parsed", "{who}'s handler has called recv itself, which copied the bytes, and has parsed a whole request."),
    6: ("encoded", "The response to {who} is encoded. The handler is about to call send itself."),
    8: ("handle_output", "The reactor calls {who}'s handle_output: there is room again. It will call send once more."),
}  # fmt: skip
KINDS = {"listener": "Acceptor", "wake-up": "Posted"}


class Noted(EpollDemultiplexer):
    """epoll that notes what the loop is told."""

    def __init__(self, run: LoopRun) -> None:
        super().__init__()
        self._run, self.told = run, []

    def wait(self, timeout: float | None = None) -> list[tuple[int, int]]:
        self.told = []
        self._run.note(LOOP, "epoll_wait is called", "The loop calls epoll_wait. It would sleep if nothing were ready.")
        self.told = super().wait(timeout)
        names = " and ".join(self._run.name(fd) for fd, _ in self.told)
        says = f"epoll_wait returns: {names} can be served. It says who, and brings not one byte."
        self._run.note(LOOP, "epoll_wait returns", says if names else "epoll_wait returns an empty list.")
        return self.told

    def books(self) -> dict:
        """The program's own view: its handlers, what each asked for, and what the last wait has told."""
        asked = [[fd, self._run.name(fd), info.words(events)] for fd, events in sorted(self._watched.items())]
        handlers = [[fd, name, KINDS.get(name, "HttpHandler"), events] for fd, name, events in asked]
        return {
            "handlers": handlers,
            "told": [[fd, self._run.name(fd), info.words(events)] for fd, events in self.told],
        }

    def interests(self) -> list[tuple[int, int]]:
        """The kernel's view."""
        return info.interest_list(self._epoll.fileno())


def turns() -> dict:
    """The run: {"kind", "mechanism", "steps": [...]}; of a step the keys are the documentation. Plain data for JSON.

    RuntimeError where the kernel does not deliver in time; OSError as the kernel says.
    """
    with closing(LoopRun(WORDS)) as run:
        epoll, listener = Noted(run), small_listener()
        run.names[listener.fileno()] = "listener"

        def sockets() -> list[list]:
            return [[fd, name, unread(fd), unsent(fd)] for fd, name in _connections(run, epoll.interests())]

        def seen() -> dict:
            interests = epoll.interests()
            named = [[fd, run.name(fd), info.words(events)] for fd, events in interests]
            ready = [[fd, run.name(fd), info.words(events)] for fd, events in info.ready_by_poll(interests)]
            kernel = {"interests": named, "ready": ready, "sockets": sockets(), "not_accepted": not_accepted(listener)}
            return {"program": epoll.books(), "kernel": kernel}

        run.server = reactor_http_server(listener, TwoPages(), epoll, step=run.stepped)
        run.seen = seen
        run.arrived = lambda: (not_accepted(listener), info.ready_by_poll(epoll.interests()), sockets())
        run.play()
        return {"kind": "reactor", "mechanism": "epoll", "steps": list(run.steps)}


def _connections(run: LoopRun, interests: list[tuple[int, int]]) -> list[tuple[int, str]]:
    return [(fd, run.name(fd)) for fd, _ in interests if run.name(fd) not in KINDS]
