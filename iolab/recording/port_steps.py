"""Experiments with a completion port, step by step: what was called, and what it said. Plain data.

    one_read()   WSARecv: pending ── peer sends ── packet: key, bytes ── what the buffer holds before and after
    order() · at_once() · file_read() · cancelled() · closed() · one_port_for_ever()

Two facts that surprise:
* Packets come in the order of completion, which is nobody's order of asking. What leads back to the request is the
  address of its OVERLAPPED, and to the connection its key.
* An operation that could be done at once has its packet, too; and so has one that was cancelled, or whose socket was
  closed. A program counts: as many packets as operations.

Only Windows runs them, or Wine (under_wine).
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryFile

from iolab.kernel import iocp_operations as operations
from iolab.kernel.iocp import Packet, Port
from iolab.kernel.iocp_abi import errno_of

KEY, LIMIT_S, CLIENTS, IN_FLIGHT = 17, 30.0, 3, 8


@contextmanager
def _port_and_pairs(number: int) -> Iterator[tuple[Port, list]]:
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


def _told(packet: Packet) -> str:
    end = f"error {packet.winerror}" if packet.winerror else f"{packet.nbytes} bytes"
    return f"key {packet.key}, its OVERLAPPED, {end}"


def one_read() -> list[list[str]]:
    """[who, what was called, what it said], of one read of a socket."""
    buffer, steps = bytearray(8), []
    with _port_and_pairs(1) as (port, [(ours, peer)]):
        steps.append(["program", "CreateIoCompletionPort()", "a port"])
        steps.append(["program", f"CreateIoCompletionPort(socket, port, {KEY})", "the socket belongs to it"])
        request = operations.receive(port, ours.fileno(), buffer)
        steps.append(["program", "WSARecv(socket, buffer, OVERLAPPED)", f"pending; in flight: {len(port.in_flight)}"])
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
    """Receives of three sockets, and their peers send the last first: {"started", "packets"}, by keys."""
    with _port_and_pairs(CLIENTS) as (port, pairs):
        for ours, _ in pairs:
            operations.receive(port, ours.fileno(), bytearray(8))
        packets = []
        for _, peer in reversed(pairs):
            peer.sendall(b"x")
            packets += port.wait(LIMIT_S)
        return {"started": [KEY + number for number in range(CLIENTS)], "packets": [each.key for each in packets]}


def at_once() -> dict:
    """A receive of what has come already: it is over within the call. {"packets": of one operation}."""
    with _port_and_pairs(1) as (port, [(ours, peer)]):
        operations.receive(port, ours.fileno(), bytearray(1))
        peer.sendall(b"xy")
        port.wait(LIMIT_S)  # so the rest is there, too
        operations.receive(port, ours.fileno(), bytearray(1))
        return {"packets": len(port.wait(LIMIT_S)) + len(port.wait(0))}


def file_read() -> dict:
    """ReadFile at two offsets of a file of ten bytes, and behind its end: {offset: what came}."""
    found, port = {}, Port()
    with TemporaryFile(buffering=0) as file:
        file.write(b"0123456789")
        for offset in (6, 0):
            buffer = bytearray(4)
            request = operations.read(port, file.fileno(), buffer, offset)
            (packet,) = port.wait(LIMIT_S)
            operations.give_back(request)
            found[str(offset)] = bytes(buffer[: packet.nbytes]).decode()
        try:
            request = operations.read(port, file.fileno(), bytearray(4), 10)
            (packet,) = port.wait(LIMIT_S)
            operations.give_back(request)
            found["10"] = f"error {packet.winerror}"
        except OSError as error:
            found["10"] = f"error {error.winerror}"
    port.close()
    return found


def cancelled() -> dict:
    """CancelIoEx of an idle receive: {"asked", "packets", "error": Windows', "errno": what the models call it}."""
    with _port_and_pairs(1) as (port, [(ours, _)]):
        request = operations.receive(port, ours.fileno(), bytearray(8))
        asked = port.cancel(request)
        packets = port.wait(LIMIT_S)
        error = packets[0].winerror
        return {"asked": asked, "packets": len(packets), "error": error, "errno": errno_of(error)}


def closed() -> dict:
    """The program closes a socket with receives in flight: {"in_flight", "packets", "errors"}."""
    with _port_and_pairs(1) as (port, [(ours, _)]):
        for _ in range(IN_FLIGHT):
            operations.receive(port, ours.fileno(), bytearray(8))
        in_flight, packets = len(port.in_flight), []
        ours.close()
        while port.in_flight and (found := port.wait(LIMIT_S)):
            packets += found
        return {"in_flight": in_flight, "packets": len(packets), "errors": sorted({each.winerror for each in packets})}


def one_port_for_ever() -> dict:
    """A second port asks for a socket, while the first lives and after it was closed: Windows' errors."""
    errors = []
    with _port_and_pairs(1) as (port, [(ours, _)]):
        for _ in range(2):
            other = Port()
            try:
                other.associate(ours.fileno(), KEY)
                errors.append(0)
            except OSError as error:
                errors.append(error.winerror)
            other.close()
            port.close()
    return {"while_it_lives": errors[0], "after_its_close": errors[1]}
