"""What only Windows' Python can run; tests/under_wine/test_models.py has it run there."""

import errno
import gc
import os
import random
import socket
import threading

import pytest

from iolab.kernel import iocp_operations as operations
from iolab.kernel.iocp import Port, unavailable
from iolab.models import asynchronous_iocp as iocp
from iolab.models.completion_queue import CompletionQueue
from iolab.recorder import Recorder
from tests.left_behind import descriptors
from tests.models.completion_back_ends import connected, tcp_listener

PATIENCE_S = 20


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with tcp_listener() as listener:
        client = connected(listener)
        return listener.accept()[0], client


def test_this_is_windows_python_over_completion_ports():
    assert os.name == "nt"
    assert unavailable() is None


def test_a_read_of_a_socket_fills_the_buffer_by_a_packet_for_each_piece():
    ours, peer = tcp_pair()
    recorder, buffer = Recorder(), bytearray(1000)
    with ours, peer:
        sender = threading.Thread(target=lambda: [peer.sendall(b"x" * 500), peer.sendall(b"y" * 500)])
        sender.start()
        assert iocp.read_into(ours.fileno(), buffer, recorder) == 1000
        sender.join()
    assert buffer == b"x" * 500 + b"y" * 500
    names = [call.name for call in recorder.calls()]
    assert names[0] == "WSARecv"
    assert set(names) == {"WSARecv", "GetQueuedCompletionStatusEx"}
    assert sum(nbytes for call in recorder.calls() for _, nbytes in call.completed) == 1000


def test_a_read_of_a_socket_ends_with_the_stream():
    ours, peer = tcp_pair()
    with ours:
        with peer:
            peer.sendall(b"short")
        assert iocp.read_into(ours.fileno(), bytearray(10)) == 5


def test_a_read_of_a_file_goes_on_where_the_one_before_it_ended(tmp_path):
    data = random.Random(1).randbytes(3 << 20)
    (tmp_path / "file").write_bytes(data)
    recorder, first, second = Recorder(), bytearray(1 << 20), bytearray(4 << 20)
    with open(tmp_path / "file", "rb", buffering=0) as file:
        assert iocp.read_into(file.fileno(), first, recorder) == 1 << 20
        assert iocp.read_into(file.fileno(), second) == 2 << 20
        assert file.read() == b""
    assert first + second[: 2 << 20] == data
    assert {call.name for call in recorder.calls()} == {"ReadFile", "GetQueuedCompletionStatusEx"}


def test_many_reads_are_under_way_at_once():
    pairs, buffers = [tcp_pair() for _ in range(3)], [bytearray(4) for _ in range(3)]
    sender = threading.Thread(target=lambda: [peer.sendall(b"data") for _, peer in reversed(pairs)])
    sender.start()
    assert iocp.read_many([(ours.fileno(), each) for (ours, _), each in zip(pairs, buffers, strict=True)]) == [4] * 3
    sender.join()
    assert buffers == [b"data"] * 3
    for pair in pairs:
        for each in pair:
            each.close()


def test_a_socket_can_be_read_by_one_queue_after_the_other_and_not_by_two_at_once():
    ours, peer = tcp_pair()
    with ours, peer:
        for _ in range(5):
            peer.sendall(b"data")
            assert iocp.read_into(ours.fileno(), bytearray(4)) == 4
        with CompletionQueue(iocp.IocpProcessor()) as first, CompletionQueue(iocp.IocpProcessor()) as second:
            for queue in (first, second):
                queue.read(ours.fileno(), bytearray(4), queue)
            peer.sendall(b"data")
            results = sorted(queue.wait(PATIENCE_S)[0].result for queue in (first, second))
        assert results == [-errno.EINVAL, 4]


def test_packets_carry_key_request_and_count():
    ours, peer = tcp_pair()
    port = Port()
    with ours, peer:
        port.associate(ours.fileno(), 4711)
        request = operations.receive(port, ours.fileno(), bytearray(10))
        assert port.wait(0) == []
        peer.sendall(b"hello")
        (packet,) = port.wait(PATIENCE_S)
        assert (packet.key, packet.request, packet.nbytes, packet.winerror) == (4711, request, 5, 0)
        port.post(42)
        assert port.wait(PATIENCE_S) == [(42, None, 0, 0)]
        with pytest.raises(OSError, match="CreateIoCompletionPort") as refused:
            port.associate(ours.fileno(), 1)
        assert refused.value.winerror == 87
        port.close()
        port.close()
        with pytest.raises(ValueError, match="closed"):
            port.post(1)


def test_fifty_times_closing_with_operations_in_flight_leaves_none_and_crashes_never():
    chance, before = random.Random(7), descriptors()
    for number in range(50):
        port = Port()
        listener, (ours, peer), (full, other) = tcp_listener(), tcp_pair(), tcp_pair()
        for sock in (listener, ours, full):
            port.associate(sock.fileno(), sock.fileno())
        accepted = [operations.accept(port, listener.fileno())[1] for _ in range(4)]
        for _ in range(8):
            operations.receive(port, ours.fileno(), bytearray(chance.randrange(1, 100_000)))
        operations.send(port, full.fileno(), bytes(8 << 20))
        assert len(port.in_flight) >= 12
        if number % 2:  # something is over, and its packet waits in the port
            peer.sendall(b"x" * chance.randrange(1, 50_000))
        gc.collect()
        port.close()
        assert port.in_flight == {}
        for each in accepted:
            socket.close(each)
        for sock in (listener, ours, peer, full, other):
            sock.close()
    assert descriptors() == before


def test_fifty_times_closing_a_queue_with_operations_in_flight_leaves_none():
    before = descriptors()
    for number in range(50):
        listener, (ours, peer) = tcp_listener(), tcp_pair()
        processor = iocp.IocpProcessor()
        queue = CompletionQueue(processor)
        queue.accept(listener.fileno(), "accept")
        queue.receive(ours.fileno(), "receive")
        queue.send(ours.fileno(), bytes(8 << 20), "send")
        client = connected(listener) if number % 2 else None
        queue.close()
        assert processor._port.in_flight == {}
        for sock in filter(None, (listener, ours, peer, client)):
            sock.close()
    assert descriptors() == before
