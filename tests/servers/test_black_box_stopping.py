"""How every server stops: it answers what is under way, waits for nobody for ever, and leaves nothing."""

import signal
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from iolab.models.asynchronous_io_uring import IoUringProcessor
from iolab.models.asynchronous_io_uring import unavailable as no_io_uring
from iolab.models.completion_queue import CompletionQueue
from iolab.servers import graceful_end
from iolab.servers.listening import listen
from iolab.servers.proactor_http_server import proactor_http_server
from iolab.servers.serve import new_server
from iolab.servers.server_limits import ServerLimits
from iolab.servers.serving import serving
from tests.left_behind import descriptors
from tests.models.completion_back_ends import nothing_left
from tests.servers.served import (
    FEW,
    LARGE,
    PATIENCE_S,
    Application,
    all_served,
    eventually,
    everything,
    get,
    parameters,
    post,
    response,
    served,
)

every_server = pytest.mark.parametrize("variant", parameters())


@every_server
def test_a_signal_lets_requests_in_flight_finish_and_nobody_else_in(variant):
    with served(variant) as server:
        idle, held, half, closing = (server.connect() for _ in range(4))
        idle.sendall(get("/a"))
        assert response(idle) == (200, b"/a\n")
        held.sendall(get("/slow/held") + get("/behind"))
        half.sendall(post("/echo", b"body")[:-2])
        closing.sendall(get("/a") + get("/slow/held"))
        assert response(closing) == (200, b"/a\n")
        assert eventually(lambda: server.counts()["held"] == 2)
        server.signal(signal.SIGTERM)
        assert everything(idle) == b""
        assert eventually(lambda: refused(server.port))
        half.sendall(b"dy")
        answer = everything(half)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"body")
        assert server.process.poll() is None
        server.release()
        for client, last in ((held, b"/behind\n"), (closing, b"/slow/held\n")):
            answer = everything(client)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert answer.endswith(b"\r\nConnection: close\r\n\r\n" + last)
            assert answer.count(b"\r\nConnection: close\r\n") == 1
        for client in (idle, held, half, closing):
            client.close()
        assert server.wait() == 0


@every_server
def test_a_request_that_was_sent_before_the_signal_is_answered(variant):
    with served(variant) as server:
        clients = [server.connect() for _ in range(50)]
        for client in clients:
            client.sendall(get("/a"))
            assert response(client) == (200, b"/a\n")
        for client in clients:
            client.sendall(get("/b"))
        server.signal(signal.SIGINT)
        for client in clients:
            assert everything(client).endswith(b"\r\n\r\n/b\n")
            client.close()
        assert server.wait() == 0


@every_server
def test_clients_that_were_connected_before_the_signal_and_not_yet_accepted_are_answered(variant):
    with served(variant) as server, ExitStack() as clients:
        blocking = clients.enter_context(server.connect())
        blocking.sendall(get("/block"))
        waiting = []
        for _ in range(30):  # the loop is held up, or will be: the kernel connects them
            waiting.append(clients.enter_context(server.connect()))
            waiting[-1].sendall(get("/a"))
        server.signal()
        for client in waiting:
            assert everything(client).endswith(b"\r\n\r\n/a\n")
            client.close()
        assert response(blocking) == (200, b"/block\n")
        blocking.close()
        assert server.wait() == 0


def test_the_second_signal_ends_it_at_once():
    with all_served(stop_s=60.0) as servers, ExitStack() as clients:
        for name, server in servers.items():
            held = clients.enter_context(server.connect())
            held.sendall(get("/slow/held"))
            assert eventually(lambda server=server: server.counts()["held"] == 1), name
            server.signal(signal.SIGTERM)
        for name, server in servers.items():
            assert eventually(lambda server=server: refused(server.port)), name
        time.sleep(0.3)  # what comes sooner is taken for the first one
        assert [name for name, server in servers.items() if server.process.poll() is not None] == []
        start = time.monotonic()
        for server in servers.values():
            server.signal(signal.SIGTERM)
        assert {name: server.wait() for name, server in servers.items()} == dict.fromkeys(servers, 1)
        assert time.monotonic() - start < 10


def test_after_the_deadline_it_waits_no_longer():
    with all_served(stop_s=0.5, linger_s=60.0, reader_s=60.0) as servers, ExitStack() as clients:
        for name, server in servers.items():
            held, unread, lingering = (clients.enter_context(server.connect()) for _ in range(3))
            held.sendall(get("/slow/held"))
            unread.sendall(get("/large?16"))
            lingering.sendall(get("/a", "Connection: close"))
            assert everything(lingering).startswith(b"HTTP/1.1 200 ")
            assert eventually(lambda server=server: server.counts()["held"] == 1), name
        start = time.monotonic()
        for server in servers.values():
            server.signal(signal.SIGTERM)
        assert {name: server.wait() for name, server in servers.items()} == dict.fromkeys(servers, 1)
        assert 0.4 < time.monotonic() - start < 10


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


# Within this process, so that all it leaves can be seen


def maker(variant, application=None, **limits):
    """For `serving`: makes the server in its own thread, and remembers its port."""
    listener = listen()

    def new():
        return new_server(variant.kind, variant.mechanism, listener, application or Application(),
                          limits=ServerLimits(**FEW | limits))  # fmt: skip

    new.address = listener.getsockname()
    return new


def ask(address, request: bytes = get("/a", "Connection: close")) -> bytes:
    with socket.create_connection(address, timeout=PATIENCE_S) as client:
        client.sendall(request)
        return everything(client)


@every_server
def test_fifty_starts_and_stops_leave_nothing(variant, monkeypatch):
    monkeypatch.setattr(graceful_end, "GRACE_S", 0.001)
    with nothing_left():
        for _ in range(50):
            with serving(new := maker(variant)):
                assert ask(new.address).endswith(b"/a\n")
            assert refused(new.address[1])


@every_server
def test_a_thousand_connections_leave_nothing(variant):
    with nothing_left(), serving(new := maker(variant)):
        for number in range(1000):
            with socket.create_connection(new.address, timeout=PATIENCE_S) as client:
                client.sendall(get("/a"))
                assert response(client) == (200, b"/a\n")
                if number % 3 == 0:
                    client.shutdown(socket.SHUT_WR)


@every_server
def test_an_end_in_the_middle_of_everything_leaves_nothing(variant):
    """Receives, sends and handlers are under way, buffers are in flight, and clients do not read."""
    application = Application()
    with nothing_left(), ExitStack() as clients:
        with serving(new := maker(variant, application, stop_s=60.0)) as server:
            for number in range(30):
                client = clients.enter_context(socket.create_connection(new.address, timeout=PATIENCE_S))
                client.sendall([get("/large?8"), post("/echo", b"body")[:-1], get("/slow/held"), b""][number % 4])
            assert eventually(lambda: application.held > 0)
            server.stop()
            threading.Timer(0.2, application.released.set).start()
            server.stop()
        assert server.cut_off > 0
        application.released.set()


@every_server
def test_closed_before_it_ran_it_gives_back_those_who_have_connected(variant):
    """Their accept is over, and nobody has been told: that comes out in the middle of close()."""
    with nothing_left(), ExitStack() as clients:
        server, ours = (new := maker(variant))(), len(descriptors())
        for _ in range(3):
            clients.enter_context(socket.create_connection(new.address, timeout=PATIENCE_S))
        eventually(
            lambda: len(descriptors()) > ours + 3, limit_s=0.3
        )  # a helper thread accepts by itself, others do not
        server.close()


@every_server
def test_ctrl_c_in_the_thread_that_runs_it_leaves_nothing(variant):
    listener, application = listen(), Application()
    with nothing_left():
        server = new_server(variant.kind, variant.mechanism, listener, application)

        def interrupt_once_asked() -> None:
            if application.handled:
                signal.raise_signal(signal.SIGINT)
            server.loop.call_after(0.01, interrupt_once_asked)

        with socket.create_connection(listener.getsockname(), timeout=PATIENCE_S) as client:
            client.sendall(get("/a") + get("/large?8"))
            interrupt_once_asked()
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                with pytest.raises(KeyboardInterrupt):
                    server.run()
            finally:
                signal.signal(signal.SIGINT, before)
        server.stop()  # harmless


@every_server
def test_a_server_that_cannot_be_made_says_why_and_leaves_nothing(variant, monkeypatch):
    def fail(server):
        raise OSError(24, "Too many open files")

    with nothing_left():
        monkeypatch.setattr("iolab.servers.worker_pool.WorkerPool.__init__", lambda *_: fail(None))
        with pytest.raises(OSError, match="Too many open files"), serving(new := maker(variant)):
            pass
        assert refused(new.address[1])


def test_a_server_over_nothing_refuses_wrong_limits():
    with pytest.raises(ValueError, match="connections must be an integer from 1 on, not 0"):
        ServerLimits(connections=0)
    with pytest.raises(ValueError, match="idle_s must be more than 0 seconds, not -1"):
        ServerLimits(idle_s=-1)
    with pytest.raises(ValueError, match="low_water must be at most high_water"):
        ServerLimits(low_water=1 << 30)


# What only a ring has

needs_io_uring = pytest.mark.skipif(bool(no_io_uring()), reason=str(no_io_uring()))


def many_bodies_at_once(options: dict, count: int = 40) -> None:
    listener = listen()
    address, body = listener.getsockname(), LARGE[:60_000]

    def new():
        return proactor_http_server(listener, Application(), CompletionQueue(IoUringProcessor(**options)))

    with nothing_left(), serving(new), ExitStack() as clients:
        sockets = [clients.enter_context(socket.create_connection(address, timeout=PATIENCE_S)) for _ in range(count)]
        request = post("/echo", body)
        for begin in range(0, len(request), 20_000):
            for client in sockets:
                client.sendall(request[begin : begin + 20_000])
        for client in sockets:
            assert response(client) == (200, body)


@needs_io_uring
def test_a_pool_with_too_few_buffers_loses_no_byte():
    many_bodies_at_once({"pool": (2, 512)})


@needs_io_uring
def test_a_completion_queue_with_too_few_places_loses_no_connection():
    many_bodies_at_once({"entries": 2, "cq_entries": 4})
