"""Experiments with a completion port, step by step: what was called, and what it said. Plain data.

    one_read()   WSARecv: pending ── peer sends ── packet: key, bytes ── what the buffer holds before and after
    order() · at_once() · file_read()        how it ends: port_endings

Two facts that surprise:
* Packets come in the order of completion, which is nobody's order of asking. What leads back to the request is the
  address of its OVERLAPPED, and to the connection its key.
* An operation that could be done at once has its packet, too. A program counts: as many packets as operations.

Only Windows runs them, or Wine (under_wine).
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryFile

from iolab.kernel import iocp_files as files
from iolab.kernel import iocp_operations as operations
from iolab.kernel.iocp import Port
from iolab.kernel.iocp_request import Packet, Request

KEY, LIMIT_S, CLIENTS = 17, 30.0, 3


@contextmanager
def port_and_pairs(number: int) -> Iterator[tuple[Port, list]]:
    """A port, and pairs of TCP sockets of which the first ones belong to it, with keys from KEY on."""
    with ExitStack() as stack:
        listener, port, pairs = stack.enter_context(socket.create_server(("127.0.0.1", 0))), Port(), []
        for key in range(KEY, KEY + number):
            peer = stack.enter_context(socket.create_connection(listener.getsockname()))
            ours = stack.enter_context(listener.accept()[0])
            port.associate(ours.fileno(), key)
            pairs.append((ours, peer))
        stack.callback(port.close)  # first of all: what is in flight ends while its sockets are there
        yield port, pairs


def _said(request: Request) -> str:
    """What the call said that started it."""
    return "pending" if request.pended else "over at once"


def _told(packet: Packet) -> str:
    end = f"error {packet.winerror}" if packet.winerror else f"{packet.nbytes} bytes"
    return f"key {packet.key}, its OVERLAPPED, {end}"


def one_read() -> list[list[str]]:
    """[who, what was called, what it said], of one read of a socket."""
    buffer, steps = bytearray(8), []
    with port_and_pairs(1) as (port, [(ours, peer)]):
        steps.append(["program", "CreateIoCompletionPort()", "a port"])
        steps.append(["program", f"CreateIoCompletionPort(socket, port, {KEY})", "the socket belongs to it"])
        request = operations.receive(port, ours.fileno(), buffer)
        steps.append(
            ["program", "WSARecv(socket, buffer, OVERLAPPED)", f"{_said(request)}; in flight: {len(port.in_flight)}"]
        )
        steps.append(["program", "GetQueuedCompletionStatusEx(port, 0 ms)", f"packets: {len(port.wait(0))}"])
        peer.sendall(b"a book")
        steps.append(["peer", "send('a book')", "6 bytes"])
        (packet,) = port.wait(LIMIT_S)
        steps.append(["program", "GetQueuedCompletionStatusEx(port)", f"a packet: {_told(packet)}"])
        assert packet.request is request
        steps.append(["program", "looks into the buffer", bytes(buffer[: packet.nbytes]).decode()])
        steps.append(["program", "counts what is in flight", str(len(port.in_flight))])
    return steps


def order() -> dict:
    """Receives of three sockets, by keys: {"started", "packets"} while the peers send the last first; and

    {"started_late", "packets_late"} when the bytes have come before, and all packets are taken together.
    """
    with port_and_pairs(CLIENTS) as (port, pairs):
        for ours, _ in pairs:
            operations.receive(port, ours.fileno(), bytearray(1))
        packets = []
        for _, peer in reversed(pairs):
            peer.sendall(b"xy")
            packets += port.wait(LIMIT_S)  # so the rest is there, too
        late = [1, 2, 0]
        for number in late:
            operations.receive(port, pairs[number][0].fileno(), bytearray(1))
        together: list[Packet] = []
        while len(together) < CLIENTS and (found := port.wait(LIMIT_S)):
            together += found
        return {"started": [KEY + number for number in range(CLIENTS)], "packets": [each.key for each in packets],
                "started_late": [KEY + number for number in late], "packets_late": [each.key for each in together]}  # fmt: skip


def at_once() -> dict:
    """A receive of what has come already: {"said": by the call, "packets": of this operation, "received"}."""
    with port_and_pairs(1) as (port, [(ours, peer)]):
        operations.receive(port, ours.fileno(), bytearray(1))
        peer.sendall(b"xy")
        port.wait(LIMIT_S)  # so the rest is there, too
        buffer = bytearray(1)
        request = operations.receive(port, ours.fileno(), buffer)
        said = _said(request)
        packets = len(port.wait(LIMIT_S)) + len(port.wait(0))
        return {"said": said, "packets": packets, "received": buffer.decode()}


def file_read() -> dict:
    """ReadFile at two offsets of a file of ten bytes, and behind its end: {offset: what came}."""
    found = {}
    with Port() as port, TemporaryFile(buffering=0) as file:
        file.write(b"0123456789")
        for offset in (6, 0, 10):
            buffer = bytearray(4)
            try:
                request = files.read(port, file.fileno(), buffer, offset)
            except OSError as error:  # it has failed at once
                found[str(offset)] = f"error {error.winerror}"
                continue
            (packet,) = port.wait(LIMIT_S)
            request.give_back()
            read = bytes(buffer[: packet.nbytes]).decode()
            found[str(offset)] = f"error {packet.winerror}" if packet.winerror else read
    return found
