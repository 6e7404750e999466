"""What `iolab serve` does: build the server that was asked for, say where it listens, serve until a signal comes.

    iolab serve proactor --completions io-uring        listen ── Proactor(CompletionQueue(IoUringProcessor)) ── run
                         --workers 4                   listen × 4 ── fork × 4, each as above

Two facts that surprise:
* The number of clients that a server bears is set where it waits. select(2) knows no descriptor above 1023; POSIX AIO
  and the pool of threads need a thread for each client that is silent; a ring or an epoll needs next to nothing.
* Who connects before the line "listening on ..." is printed is served all the same: the kernel has connected it.
"""

import os
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from iolab.models import multiplexing_epoll, multiplexing_poll, multiplexing_select
from iolab.models.completion_queue import CompletionQueue
from iolab.servers.bookstore import Bookstore
from iolab.servers.http_server import LAST_WORK_S, HttpServer
from iolab.servers.inhabited_folder import inhabited_folder
from iolab.servers.listening import listen, url
from iolab.servers.proactor_http_server import proactor_http_server
from iolab.servers.processors import PROCESSORS
from iolab.servers.reactor_http_server import reactor_http_server
from iolab.servers.server_limits import USUAL, ServerLimits
from iolab.servers.steps import NAMES, NotedSteps, Step, line, unnoted
from iolab.servers.stop_signals import STOPPING, held_back, stopping_by_signals
from iolab.servers.threaded_http_server import BOUNDED, threaded_http_server

DEMULTIPLEXERS = {
    "select": (multiplexing_select, multiplexing_select.SelectDemultiplexer, ServerLimits(connections=900)),
    "poll": (multiplexing_poll, multiplexing_poll.PollDemultiplexer, USUAL),
    "epoll": (multiplexing_epoll, multiplexing_epoll.EpollDemultiplexer, USUAL),
}


def new_server(kind: str, mechanism: str | None, listener, application, step=unnoted, limits=None) -> HttpServer:
    """A server of `kind` ("reactor", "proactor", "threads") over a demultiplexer or processor, by name; to be run here.

    RuntimeError, with the kernel's reason, where the machine lacks it; then the listener is closed, too.
    """
    try:
        if kind == "threads":
            return threaded_http_server(listener, application, limits or BOUNDED, step)
        if kind == "reactor":
            module, new_demultiplexer, usual = DEMULTIPLEXERS[mechanism]
            _check(mechanism, module.unavailable())
            return reactor_http_server(listener, application, new_demultiplexer(), limits or usual, step)
        back_end = PROCESSORS[mechanism]
        _check(mechanism, back_end.unavailable())
        limits = limits or back_end.limits
        return proactor_http_server(listener, application, CompletionQueue(back_end.new(limits)), limits, step)
    except BaseException:
        listener.close()
        raise


def serve(options) -> None:
    """Carry `iolab serve` out. RuntimeError when clients had to be cut off."""
    if options.workers > 1 and not hasattr(os, "fork"):
        raise ValueError(f"workers must be 1 where there is no fork, not {options.workers}")
    with held_back(), _database(options.database) as path:
        if options.workers > 1:
            cut_off = _serve_with_workers(options, path)
        else:
            cut_off = _serve(options, path, listen(options.host, options.port), STOPPING, _announce)
    if cut_off:
        raise RuntimeError("stopped with clients unanswered")


def _serve(options, path, listener, signals, started) -> int:
    step = NotedSteps(_printer(options.kind)) if options.steps else unnoted
    address = url(listener)
    with listener, Bookstore(path) as bookstore:
        server = new_server(options.kind, options.mechanism, listener, bookstore, step)
        with stopping_by_signals(server.stop, signals):
            started(address)
            server.run()
    return server.cut_off


def _serve_with_workers(options, path) -> bool:
    import signal

    from iolab.servers.workers import Workers

    Bookstore(path).close()  # made once, before several would make it
    with ExitStack() as stack:
        listeners = [stack.enter_context(listen(options.host, options.port, reuse_port=True))]
        port, address = listeners[0].getsockname()[1], url(listeners[0])
        for _ in range(options.workers - 1):
            listeners.append(stack.enter_context(listen(options.host, port, reuse_port=True)))

        def serve_in_child(listener) -> int:
            return min(1, _serve(options, path, listener, (signal.SIGTERM,), lambda address: None))

        workers = Workers(listeners, serve_in_child)
        return not workers.run(USUAL.stop_s + LAST_WORK_S + 1, lambda: _announce(address))


def _announce(address: str) -> None:
    print(f"listening on {address}", flush=True)


@contextmanager
def _database(path: Path | None):
    """Where the books are; without a path, a file that is removed at the end."""
    if path is not None:
        yield path
    else:
        with inhabited_folder("iolab-books-") as folder:
            yield folder / "bookstore.sqlite"


def _printer(kind: str):
    names, since_ns = NAMES[kind], time.monotonic_ns()

    def heard(step: Step) -> None:
        try:
            print(line(step, names, since_ns), flush=True)
        except BrokenPipeError:  # `iolab serve ... | head`: nobody reads on, and the clients are served all the same
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    return heard


def _check(mechanism: str, reason: str | None) -> None:
    if reason:
        raise RuntimeError(f"{mechanism}: {reason}")
