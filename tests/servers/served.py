"""A server in a process of its own, with an application that a test can steer; and what the test sees of it in /proc.

As a program: python -m tests.servers.served KIND MECHANISM '{"idle_s": 1, ...}' DESCRIPTORS BACKLOG; it prints its port.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from iolab.servers.http_responses import Response, plain
from iolab.servers.listening import listen
from iolab.servers.processors import PROCESSORS
from iolab.servers.serve import DEMULTIPLEXERS, new_server
from iolab.servers.server_limits import ServerLimits
from iolab.servers.stop_signals import stopping_by_signals

PATIENCE_S = 20
FEW = {"connections": 300}  # native AIO takes room for each out of what the whole machine has, fs.aio-max-nr
ROOT = Path(__file__).parents[2]
LARGE = bytes(range(256)) * 4096  # 1 MiB


class Application:
    """GET /PATH answers its path; the other paths are what a test needs to see a server in trouble."""

    def __init__(self) -> None:
        self.released, self.held, self.handled = threading.Event(), 0, 0

    def slow(self, request) -> bool:
        return request.path.startswith("/slow") or request.query == "slow"

    def handle(self, request) -> Response:
        self.handled += 1
        if request.path == "/slow/held":
            self.held += 1
            self.released.wait(PATIENCE_S)
        elif request.path == "/block":
            time.sleep(0.5)  # on purpose: a handler that holds the loop up
        elif request.path == "/bad-header":
            return Response(200, b"x", headers=(("X", "a\r\nb"),))
        elif request.path == "/release":
            self.released.set()
        elif request.path == "/again":
            self.released.clear()
        elif request.path == "/large":
            return Response(200, LARGE * int(request.query or 1), "application/octet-stream")
        elif request.path == "/raise":
            raise RuntimeError("on purpose")
        elif request.path == "/counts":
            return Response(200, json.dumps({"held": self.held, "handled": self.handled}).encode(), "application/json")
        if request.method == "POST":
            return Response(200, request.body, "application/octet-stream")
        return plain(200, request.path)


class Variant(NamedTuple):
    """One of the servers over one of the mechanisms."""

    kind: str
    mechanism: str | None

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.mechanism}" if self.mechanism else self.kind

    def unavailable(self) -> str | None:
        if self.kind == "threads":
            return None
        return (
            DEMULTIPLEXERS[self.mechanism][0].unavailable()
            if self.kind == "reactor"
            else (PROCESSORS[self.mechanism].unavailable())
        )


VARIANTS = (
    *(Variant("reactor", mechanism) for mechanism in DEMULTIPLEXERS),
    *(Variant("proactor", mechanism) for mechanism in PROCESSORS),
    Variant("threads", None),
)


def parameters(*kinds: str) -> list:
    """All variants, or those of these kinds; a skip carries the kernel's reason."""
    return [
        pytest.param(each, id=each.name, marks=pytest.mark.skipif(bool(reason), reason=f"{each.mechanism}: {reason}"))
        for each in VARIANTS
        if not kinds or each.kind in kinds
        for reason in [each.unavailable()]
    ]


def eventually(condition, limit_s: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class Served:
    """A running server process."""

    def __init__(self, variant: Variant, descriptors: int = 0, backlog: int = 128, **limits) -> None:
        limits = FEW | limits if limits else {}
        arguments = ["-m", "tests.servers.served", variant.kind, variant.mechanism or "-"]
        self.process = self._start([*arguments, json.dumps(limits), str(descriptors), str(backlog)])
        self.variant = variant

    def _start(self, arguments: list[str]) -> subprocess.Popen:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen([sys.executable, *arguments], **pipes, text=True, env=environment, cwd=ROOT)

    def ready(self) -> "Served":
        """Once it listens."""
        self.port = int(self.process.stdout.readline())
        self.sockets_at_rest = self.sockets()
        return self

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def ask(self, path: str) -> bytes:
        """The body that a client of its own gets, while others are connected."""
        with self.connect() as client:
            client.sendall(get(path, "Connection: close"))
            head, _, body = everything(client).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            return body

    def release(self) -> None:
        """What is held goes on, even when the server takes no more connections."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def turn(self) -> None:
        """When this returns the loop has seen what had arrived before."""
        self.ask("/turn")

    def counts(self) -> dict:
        return json.loads(self.ask("/counts"))

    def _proc(self, name: str) -> Path:
        return Path(f"/proc/{self.process.pid}/{name}")

    def sockets(self) -> int:
        """Not all descriptors: a pool keeps one for each of its threads."""
        found = 0
        for link in self._proc("fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found += os.readlink(link).startswith("socket:")
        return found

    def at_rest(self) -> bool:
        """As many sockets as before the first client."""
        return self.sockets() <= self.sockets_at_rest

    def resident_bytes(self) -> int:
        line = next(line for line in self._proc("status").read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def cpu_s(self) -> float:
        fields = self._proc("stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, limit_s: float = PATIENCE_S) -> int:
        """The exit code."""
        return self.process.wait(limit_s)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        with suppress(BrokenPipeError):
            self.process.stdin.close()


@contextmanager
def served(variant: Variant, **options):
    server = Served(variant, **options)
    try:
        yield server.ready()
    finally:
        server.kill()


@contextmanager
def all_served(**options):
    """A server of each variant that runs here, by name; they start at the same time."""
    servers = {each.name: Served(each, **options) for each in VARIANTS if not each.unavailable()}
    try:
        yield {name: server.ready() for name, server in servers.items()}
    finally:
        for server in servers.values():
            server.kill()


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: test", *fields, "", ""]).encode()


def post(path: str, body: bytes, *fields: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(head).encode() + body


def everything(client: socket.socket) -> bytes:
    """Until the server closes."""
    pieces = []
    while piece := client.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def response(client: socket.socket) -> tuple[int, bytes]:
    """The next response on a connection that stays open: status and body, with not a byte of the one behind it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        assert byte, f"the connection ends after {head!r}"
        head += byte
    fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
    nbytes, body = int(fields["content-length"]), bytearray()
    while len(body) < nbytes:
        piece = client.recv(min(1 << 16, nbytes - len(body)))
        assert piece, f"the connection ends after {len(body)} of {nbytes} bytes"
        body += piece
    return int(head.split()[1]), bytes(body)


def reset(client: socket.socket) -> None:
    """Close with a reset instead of an end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


def main(kind: str, mechanism: str, limits: str, descriptors: str, backlog: str) -> int:
    logging.basicConfig(level=logging.CRITICAL)
    if int(descriptors):
        import resource

        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + int(descriptors),) * 2)
    listener = listen(backlog=int(backlog))
    port = listener.getsockname()[1]
    application = Application()
    threading.Thread(target=lambda: [application.released.set() for _ in sys.stdin], daemon=True).start()
    given = ServerLimits(**json.loads(limits)) if limits != "{}" else None
    server = new_server(kind, None if mechanism == "-" else mechanism, listener, application, limits=given)
    with stopping_by_signals(server.stop):
        print(port, flush=True)
        server.run()
    return min(server.cut_off, 1)


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # a handler that is held must not hold the test up
