"""What only Windows' Python can run; tests/under_wine/test_models.py has it run there."""

import ctypes
import errno
import gc
import os
import random
import socket
import threading
import weakref
from contextlib import suppress

import pytest

from iolab.kernel import iocp as kernel_port
from iolab.kernel import iocp_files as files
from iolab.kernel import iocp_operations as operations
from iolab.kernel.iocp import Port, unavailable
from iolab.models import asynchronous_iocp as iocp
from iolab.models import iocp_ports
from iolab.models.completion_queue import CompletionQueue
from iolab.recorder import Recorder
from tests.left_behind import descriptors
from tests.models.completion_back_ends import connected, tcp_listener
from tests.portable import MOST_NUMBERS

PATIENCE_S = 20


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with tcp_listener() as listener:
        client = connected(listener)
        return listener.accept()[0], client


def handles() -> set[int]:
    """All that this process has open in the kernel, ports and reopened files included; small multiples of 4."""
    flags = ctypes.byref(ctypes.c_uint32())  # GetProcessHandleCount is always 0 in Wine 8
    tell = ctypes.windll.kernel32.GetHandleInformation
    return {number for number in range(4, 4 * MOST_NUMBERS, 4) if tell(ctypes.c_void_p(number), flags)}


def interrupting(monkeypatch, name: str) -> None:
    """Ctrl-C comes while the next call of this function runs: Python raises as soon as it has returned."""
    real, left = kernel_port.function, [name]

    def function(called: str):
        if called not in left:
            return real(called)

        def interrupted(*arguments):
            left.clear()
            real(called)(*arguments)
            raise KeyboardInterrupt

        return interrupted

    for module in (kernel_port, operations, files):
        monkeypatch.setattr(module, "function", function)


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
    with ours, peer, Port() as port:
        port.associate(ours.fileno(), 4711)
        request = operations.receive(port, ours.fileno(), bytearray(10))
        assert request.pended
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
        with pytest.raises(ValueError, match="closed"):
            port.post(1)


def test_a_socket_that_does_not_know_its_own_address_can_be_told_of_its_listener():
    with tcp_listener() as listener, socket.socket() as never_bound:
        with pytest.raises(OSError, match="10022"):
            never_bound.getsockname()
        with suppress(ConnectionError):  # there is no connection
            operations.update_accepted(never_bound, listener.fileno())


def test_an_accepted_socket_knows_its_peer():
    with tcp_listener() as listener, CompletionQueue(iocp.IocpProcessor()) as queue:
        queue.accept(listener.fileno(), "accept")
        with connected(listener) as client:
            (completion,) = queue.wait(PATIENCE_S)
            with socket.socket(fileno=completion.result) as ours:
                assert ours.getpeername() == client.getsockname()


@pytest.mark.parametrize(
    ("refusal", "result"), [(errno.ENOTCONN, None), (errno.ECONNRESET, None), (errno.EINVAL, -errno.EINVAL)]
)
def test_only_a_connection_that_is_over_already_may_refuse_to_be_told_of_its_listener(monkeypatch, refusal, result):
    def refuse(*_):
        raise OSError(refusal, "refused")

    monkeypatch.setattr(operations, "update_accepted", refuse)
    with tcp_listener() as listener, CompletionQueue(iocp.IocpProcessor()) as queue:
        queue.accept(listener.fileno(), "accept")
        with connected(listener):
            (completion,) = queue.wait(PATIENCE_S)
    assert completion.result > 0 if result is None else completion.result == result
    if completion.result > 0:
        socket.close(completion.result)


def test_ctrl_c_in_a_wait_loses_no_packet(monkeypatch):
    ours, peer = tcp_pair()
    with ours, peer, Port() as port:
        port.associate(ours.fileno(), 1)
        request = operations.receive(port, ours.fileno(), bytearray(10))
        peer.sendall(b"hello")
        interrupting(monkeypatch, "GetQueuedCompletionStatusEx")
        with pytest.raises(KeyboardInterrupt):
            port.wait(PATIENCE_S)
        assert [(each.request, each.nbytes) for each in port.wait(0)] == [(request, 5)]
        port.post(42)
        interrupting(monkeypatch, "GetQueuedCompletionStatusEx")
        with pytest.raises(KeyboardInterrupt):
            port.wait(PATIENCE_S)
        assert port.wait(0) == [(42, None, 0, 0)]


def test_a_processor_that_is_interrupted_looks_at_the_other_packets_later(monkeypatch):
    pairs = [tcp_pair() for _ in range(3)]
    processor = iocp.IocpProcessor()
    with CompletionQueue(processor) as queue:
        for number, (ours, _) in enumerate(pairs):
            queue.read(ours.fileno(), bytearray(1), number)
        for ours, _ in pairs:
            processor._port.cancel(
                next(each for each in processor._port.in_flight.values() if each.handle == ours.fileno())
            )
        real, left = processor._event, [KeyboardInterrupt]

        def interrupted(packet):
            event = real(packet)
            if left and event:
                processor._found.append(event)
                raise left.pop()
            return event

        monkeypatch.setattr(processor, "_event", interrupted)
        with pytest.raises(KeyboardInterrupt):
            queue.wait(PATIENCE_S)
        found = []
        while len(found) < 3:
            found += (more := queue.wait(PATIENCE_S))
            assert more, found
        assert {(each.token, each.result) for each in found} == {(number, -errno.ECANCELED) for number in range(3)}
    for pair in pairs:
        for each in pair:
            each.close()


def test_what_was_opened_for_an_interrupted_start_is_closed_once_and_when_its_packet_has_come(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    closed, close = [], files.Reopened.close
    monkeypatch.setattr(files.Reopened, "close", lambda self: [closed.append(self.handle), close(self)])
    with open(tmp_path / "file", "rb", buffering=0) as file, tcp_listener() as listener, Port() as port:
        port.associate(listener.fileno(), 1)
        real = operations._accept
        monkeypatch.setattr(operations, "_accept", lambda request: [real(request), _interrupt()])
        with pytest.raises(KeyboardInterrupt):
            operations.accept(port, listener.fileno())
        (accept,) = port.in_flight.values()
        assert accept.opened.fileno() > 0
        real_read = files._read_or_write
        monkeypatch.setattr(files, "_read_or_write", lambda request: [real_read(request), _interrupt()])
        with pytest.raises(KeyboardInterrupt):
            files.read(port, file.fileno(), bytearray(4), 0)
        assert (len(port.in_flight), closed) == (2, [])
    assert accept.opened.fileno() == -1
    assert len(closed) == 1


def _interrupt():
    raise KeyboardInterrupt


def test_a_port_does_not_wait_for_ever_for_what_ctrl_c_has_kept_from_being_begun(monkeypatch):
    monkeypatch.setattr(kernel_port, "LAST_S", 0.2)
    ours, peer = tcp_pair()
    port = Port()
    port.associate(ours.fileno(), 1)
    monkeypatch.setattr(operations, "_receive", lambda request: _interrupt())
    with pytest.raises(KeyboardInterrupt):
        operations.receive(port, ours.fileno(), bytearray(4))
    assert len(port.in_flight) == 1
    port.close()
    with pytest.raises(ValueError, match="closed"):
        port.wait(0)
    for each in (ours, peer):
        each.close()


def test_a_socket_that_has_no_accept_ex_leaves_nothing_in_flight(monkeypatch):
    def refuse(_):
        raise OSError(errno.EOPNOTSUPP, "WSAIoctl")

    monkeypatch.setattr(operations, "accept_ex", refuse)
    before = descriptors()
    with Port() as port:
        with tcp_listener() as listener, pytest.raises(OSError, match="WSAIoctl"):
            operations.accept(port, listener.fileno())
        assert port.in_flight == {}
    assert descriptors() == before


def test_what_is_in_flight_outlives_a_port_that_everybody_has_forgotten():
    class Buffer(bytearray):
        pass

    ours, peer = tcp_pair()
    port, buffer = Port(), Buffer(4)
    port.associate(ours.fileno(), 1)
    operations.receive(port, ours.fileno(), buffer)
    port, buffer = weakref.ref(port), weakref.ref(buffer)
    gc.collect()
    peer.sendall(b"data")
    (packet,) = port().wait(PATIENCE_S)
    assert (packet.nbytes, bytes(buffer())) == (4, b"data")
    port().close()
    del packet
    gc.collect()
    assert (port(), buffer()) == (None, None)
    for each in (ours, peer):
        each.close()


def test_a_message_longer_than_the_buffer_is_over_and_has_its_packet():
    with socket.socket(type=socket.SOCK_DGRAM) as ours, socket.socket(type=socket.SOCK_DGRAM) as peer, Port() as port:
        ours.bind(("127.0.0.1", 0))
        port.associate(ours.fileno(), 1)
        peer.sendto(b"0123456789", ours.getsockname())
        buffer = bytearray(4)
        operations.receive(port, ours.fileno(), buffer)
        (packet,) = port.wait(PATIENCE_S)
        assert (bytes(buffer), packet.winerror in (0, 234, 10040)) == (b"0123", True)


def test_a_pipe_is_refused_at_once_and_in_words():
    reading, writing = os.pipe()
    try:
        with Port() as port, pytest.raises(OSError, match="neither a socket nor a file"):
            files.read(port, reading, bytearray(4), 0)
        with CompletionQueue(iocp.IocpProcessor()) as queue:
            queue.read(reading, bytearray(4), "read")
            assert queue.wait(PATIENCE_S)[0].result == -errno.EINVAL
    finally:
        os.close(reading)
        os.close(writing)


def test_a_file_is_read_and_written_only_as_it_was_opened(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    with Port() as port:
        with open(tmp_path / "file", "rb") as file, pytest.raises(OSError, match="descriptor") as refused:
            files.write(port, file.fileno(), b"x", 0)
        assert refused.value.errno == errno.EBADF
        with open(tmp_path / "file", "ab") as file, pytest.raises(OSError, match="descriptor") as refused:
            files.read(port, file.fileno(), bytearray(1), 0)
        assert refused.value.errno == errno.EBADF


def test_a_new_queue_finds_the_port_of_its_socket_again():
    pairs = [tcp_pair() for _ in range(2)]
    with CompletionQueue(iocp.IocpProcessor()) as one, CompletionQueue(iocp.IocpProcessor()) as two:
        for queue, (ours, peer) in zip((one, two), pairs, strict=True):
            queue.read(ours.fileno(), bytearray(1), "read")
            peer.sendall(b"x")
            assert queue.wait(PATIENCE_S)[0].result == 1
    for ours, peer in (*pairs, *reversed(pairs)):
        peer.sendall(b"y")
        assert iocp.read_into(ours.fileno(), bytearray(1)) == 1
    for pair in pairs:
        for each in pair:
            each.close()


def test_the_port_of_a_socket_is_forgotten_with_it():
    ours, peer = tcp_pair()
    with peer, CompletionQueue(iocp.IocpProcessor()) as queue:
        number = ours.detach()
        peer.sendall(b"x")
        queue.read(number, bytearray(1), "read")
        assert queue.wait(PATIENCE_S)[0].result == 1
        assert number in iocp_ports._ports
        queue.close_connection(number, "closed")
        assert queue.wait(PATIENCE_S)[0] == ("closed", 0, False, None)
        assert number not in iocp_ports._ports


def test_fifty_times_closing_with_operations_in_flight_leaves_none_and_crashes_never():
    chance = random.Random(7)

    def once(number: int) -> None:
        listener, (ours, peer), (full, other) = tcp_listener(), tcp_pair(), tcp_pair()
        with Port() as port, listener, ours, peer, full, other:
            for sock in (listener, ours, full):
                port.associate(sock.fileno(), sock.fileno())
            for _ in range(4):
                operations.accept(port, listener.fileno())
            for _ in range(8):
                operations.receive(port, ours.fileno(), bytearray(chance.randrange(1, 100_000)))
            operations.send(port, full.fileno(), bytes(8 << 20))
            assert len(port.in_flight) >= 12
            if number % 2:  # something is over, and its packet waits in the port
                peer.sendall(b"x" * chance.randrange(1, 50_000))
            gc.collect()
            port.close()
            assert port.in_flight == {}

    once(1)
    before = descriptors(), len(handles())
    for number in range(50):
        once(number)
    assert (descriptors(), len(handles())) == before


def test_fifty_reads_and_writes_of_a_file_leave_no_handle(tmp_path):
    def once(number: int) -> None:
        with open(tmp_path / "file", "w+b", buffering=0) as file:
            with CompletionQueue(iocp.IocpProcessor()) as queue:
                queue.write(file.fileno(), b"%8d" % number, "write", 0)
                assert queue.wait(PATIENCE_S)[0].result == 8
            buffer = bytearray(16)
            assert iocp.read_into(file.fileno(), buffer) == 8

    once(0)
    before = len(handles())
    for number in range(50):
        once(number)
    assert len(handles()) == before


def test_fifty_times_closing_a_queue_with_operations_in_flight_leaves_none():
    def once(number: int) -> None:
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

    once(1)
    before = descriptors(), len(handles())
    for number in range(50):
        once(number)
    assert (descriptors(), len(handles())) == before
