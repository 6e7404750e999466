"""Who stands on a completion port: our proactor, with the lecture's eight steps, and asyncio's ProactorEventLoop.

    eight_steps()   client ── GET ── 2 3 4 5 6 7 8 ── 200        servers/steps, in the server's own thread
    event_loop()    asyncio: accept, recv_into, send ── on an IocpProactor; add_reader ── NotImplementedError

Two facts that surprise:
* asyncio has a proactor on Windows and a reactor elsewhere, under one interface of coroutines: a program that awaits
  cannot tell. One that asks "tell me when it can be read" can: its loop on a completion port does not offer that.
* It does what the CompletionQueue here does, and for the same reasons: a dictionary of what is in flight pins the
  memory, and its close goes on taking packets until nothing is left in it.

Only Windows runs them, or Wine (under_wine). CPython: Lib/asyncio/windows_events.py.
"""

import asyncio
import threading
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

from iolab.servers.bookstore import Bookstore
from iolab.servers.bookstore_titles import TITLES
from iolab.servers.listening import listen
from iolab.servers.serve import new_server
from iolab.servers.serving import serving
from iolab.servers.steps import NotedSteps

LIMIT_S = 30
OPERATIONS = ("accept", "connect", "recv", "recv_into", "send")


def eight_steps() -> dict:
    """One GET to the bookstore: {"status", "steps": [number, ...] in their order, "threads": how many took them}."""
    noted = NotedSteps()
    with TemporaryDirectory() as folder, Bookstore(Path(folder) / "books.sqlite") as shop, listen() as listener:
        address = listener.getsockname()
        with serving(lambda: new_server("proactor", "iocp", listener, shop, noted)):
            client = HTTPConnection(*address, timeout=LIMIT_S)
            client.request("GET", f"/books/{TITLES[0].isbn}")
            status = client.getresponse().status
        client.close()  # the server has ended: it has noted all there was
    first = [each for each in noted.steps if each.connection == noted.steps[0].connection]
    end = next(place for place, each in enumerate(first) if each.number == 8) + 1
    return {"status": status, "steps": [each.number for each in first[:end]],
            "threads": len({each.thread for each in first[:end]})}  # fmt: skip


def event_loop() -> dict:
    """An echo by asyncio: {"loop", "proactor": asyncio's own, "started": operations, "echo", "add_reader"}."""
    found: dict = {}
    thread = threading.Thread(target=_in_a_loop, args=(found,))  # a notebook's own thread has a loop already
    thread.start()
    thread.join(LIMIT_S)
    return found


def _in_a_loop(found: dict) -> None:
    started = found["started"] = []

    class Noted(asyncio.IocpProactor):
        """Writes down what is started; all the rest is asyncio's."""

    def noting(name: str):
        def start(self, *arguments):
            started.append(name)
            return getattr(super(Noted, self), name)(*arguments)

        return start

    for name in OPERATIONS:
        setattr(Noted, name, noting(name))

    async def echo(reader, writer):
        writer.write((await reader.read(100)).upper())
        writer.close()

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello")
        found["echo"] = (await reader.read()).decode()
        writer.close()
        try:
            loop.add_reader(server.sockets[0], print)
            found["add_reader"] = "it has one"
        except NotImplementedError as error:
            found["add_reader"] = type(error).__name__
        server.close()

    usual = asyncio.new_event_loop()  # what asyncio.run takes
    found |= {"loop": type(usual).__name__, "proactor": type(usual._proactor).__name__}
    usual.close()
    loop = type(usual)(Noted())
    try:
        loop.run_until_complete(ask())
    finally:
        loop.close()
    found["started"] = sorted(set(started))  # their order depends on who is faster
