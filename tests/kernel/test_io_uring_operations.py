"""What the kernel makes of each operation: the facts on which servers stand or fall."""

import errno
import os
import resource
import select
import socket
import time
from collections import Counter
from contextlib import contextmanager, suppress

import pytest

from iolab.kernel import io_uring_layout as layout
from iolab.kernel import io_uring_operations as op
from iolab.kernel.io_uring_sqe import by_worker, linked, silent
from tests.kernel.rings import (
    LIMIT_S,
    by_user_data,
    completed,
    every_set_up,
    needs_io_uring,
    nothing_for,
    open_ring,
    reset,
    result_of,
    tcp_pair,
    unix_pair,
)
from tests.streams import pattern

pytestmark = needs_io_uring
CANCELED = -errno.ECANCELED


@pytest.fixture
def ring():
    with open_ring() as ring:
        yield ring


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener


def connect(listener, count):
    return [socket.create_connection(listener.getsockname(), timeout=LIMIT_S) for _ in range(count)]


def close_all(*sockets_or_fds):
    for each in sockets_or_fds:
        os.close(each) if isinstance(each, int) else each.close()


def peers_of(fds) -> set:
    """Whom these descriptors are connected with; closes them."""
    sockets = [socket.socket(fileno=fd) for fd in fds]
    names = {each.getpeername() for each in sockets}
    close_all(*sockets)
    return names


# Reading and writing


@every_set_up
@pytest.mark.parametrize("asked_of_a_worker", [False, True], ids=["here", "IOSQE_ASYNC"])
def test_a_read_waits_for_data_and_brings_it(set_up, asked_of_a_worker):
    with open_ring(set_up) as ring, unix_pair() as (ours, peer):
        buffer = bytearray(10)
        sqe = op.read(ours.fileno(), buffer)
        read = ring.put(by_worker(sqe) if asked_of_a_worker else sqe)
        assert nothing_for(ring)
        peer.send(b"data")
        assert result_of(ring, read) == 4
        assert buffer == b"data" + bytes(6)


def test_a_file_is_written_and_read_at_offsets_and_its_position_stays(ring, tmp_path):
    with open(tmp_path / "file", "w+b", buffering=0) as file:
        assert result_of(ring, ring.put(op.write(file.fileno(), b"0123456789", 0))) == 10
        buffer = bytearray(4)
        assert result_of(ring, ring.put(op.read(file.fileno(), buffer, 3))) == 4
        assert (buffer, file.tell()) == (b"3456", 0)
        assert result_of(ring, ring.put(op.read(file.fileno(), buffer))) == 4  # at the position, as read(2)
        assert (buffer, file.tell()) == (b"0123", 4)
        assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_an_error_is_a_result(ring):
    reader, writer = os.pipe()
    os.close(reader)
    assert result_of(ring, ring.put(op.write(writer, b"x"))) == -errno.EPIPE
    os.close(writer)
    assert result_of(ring, ring.put(op.read(writer, bytearray(1)))) == -errno.EBADF


@pytest.mark.parametrize("flags", [0, op.MSG_DONTWAIT], ids=["nothing-asked", "MSG_DONTWAIT"])
def test_only_msg_dontwait_says_eagain_a_nonblocking_socket_waits(ring, flags):
    with unix_pair() as (ours, peer):
        ours.setblocking(False)
        recv = ring.put(op.recv(ours.fileno(), bytearray(4), flags))
        if flags:
            assert result_of(ring, recv) == -errno.EAGAIN
            return
        if found := ring.wait(1, 0.05):
            pytest.skip(f"this kernel answers for a nonblocking socket: {found}")
        peer.send(b"data")
        assert result_of(ring, recv) == 4


def test_recv_with_msg_waitall_is_filled_from_several_pieces(ring):
    with unix_pair() as (ours, peer):
        buffer = bytearray(6)
        recv = ring.put(op.recv(ours.fileno(), buffer, op.MSG_WAITALL))
        ring.enter()
        for piece in (b"ab", b"cd"):
            peer.send(piece)
            assert nothing_for(ring, 0.02)
        peer.send(b"ef")
        assert result_of(ring, recv) == 6
        assert buffer == b"abcdef"


def test_a_send_is_short_when_nobody_reads_and_msg_waitall_makes_the_kernel_finish_it(ring):
    data = pattern(16 << 20)
    with tcp_pair() as (ours, peer):
        send = ring.put(op.send(ours.fileno(), data, 0))
        sent = result_of(ring, send)
        assert 0 < sent < len(data)
        drained = bytearray()
        while len(drained) < sent:
            drained += peer.recv(1 << 20)
        send = ring.put(op.send(ours.fileno(), data))
        ring.enter()
        got = bytearray()
        while len(got) < len(data):
            got += peer.recv(1 << 20)
        assert result_of(ring, send) == len(data)
        assert got == data
        assert drained == data[:sent]


def test_poll_tells_the_events_and_reads_nothing(ring):
    with unix_pair() as (ours, peer):
        poll = ring.put(op.poll_add(ours.fileno(), op.POLLIN))
        assert nothing_for(ring, 0.02)
        peer.send(b"data")
        assert result_of(ring, poll) & op.POLLIN
        assert ours.recv(4) == b"data"


# Connections


def test_multishot_accept_completes_for_each_connection_and_they_are_closed_on_exec(ring, listener):
    accept = ring.put(op.accept_multishot(listener.fileno()))
    ring.enter()
    clients = connect(listener, 5)
    found = completed(ring, 5)
    assert all(cqe.user_data == accept and cqe.flags & layout.CQE_F_MORE for cqe in found)
    accepted = [cqe.res for cqe in found]
    assert [os.get_inheritable(fd) for fd in accepted] == [False] * 5
    assert list(ring.in_flight) == [accept]
    names = {client.getsockname() for client in clients}
    assert peers_of(accepted) == names
    close_all(*clients)


@contextmanager
def no_descriptor_left():
    """Every number below RLIMIT_NOFILE is taken. The limit counts that is in force when an accept is submitted."""
    limits, taken = resource.getrlimit(resource.RLIMIT_NOFILE), []
    taken.append(os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 3, limits[1]))
    try:
        with suppress(OSError):  # EMFILE
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        close_all(*taken)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_want_of_descriptors_ends_a_multishot_accept_and_the_connection_waits_in_the_backlog(ring, listener):
    first, second = socket.socket(), socket.socket()
    with first, second:
        with no_descriptor_left():
            accept = ring.put(op.accept_multishot(listener.fileno()))
            ring.enter()
            first.connect(listener.getsockname())
            (cqe,) = completed(ring)
            assert (cqe.user_data, cqe.res, cqe.flags & layout.CQE_F_MORE) == (accept, -errno.EMFILE, 0)
            second.connect(listener.getsockname())
            assert nothing_for(ring, 0.02)
        ring.put(op.accept_multishot(listener.fileno()))
        accepted = [socket.socket(fileno=cqe.res) for cqe in completed(ring, 2)]
        assert [each.getpeername() for each in accepted] == [first.getsockname(), second.getsockname()]
        close_all(*accepted)


@pytest.mark.parametrize("set_up", ["default", "newest"])
def test_a_full_cq_ends_a_multishot_accept_and_loses_no_connection(set_up, listener):
    with open_ring(set_up, entries=4, cq_entries=4) as ring:
        ring.put(op.accept_multishot(listener.fileno()))
        ring.enter()
        clients, accepted, ended = connect(listener, 10), [], 0
        deadline = time.monotonic() + LIMIT_S
        while len(accepted) < 10 and time.monotonic() < deadline:
            for cqe in ring.wait(1, 0.2):
                if cqe.res >= 0:
                    accepted.append(cqe.res)
                if not cqe.flags & layout.CQE_F_MORE:
                    ended += 1
                    ring.put(op.accept_multishot(listener.fileno()))
        assert peers_of(accepted) == {client.getsockname() for client in clients}
        assert ended >= 1
        close_all(*clients)


def test_closing_a_descriptor_neither_ends_its_recv_nor_tells_the_peer(ring):
    with unix_pair() as (ours, peer):
        buffer = bytearray(4)
        recv = ring.put(op.recv(ours.fileno(), buffer))
        ring.enter()
        ours.close()
        assert not select.select([peer], [], [], 0.05)[0]  # no end of the stream for the peer
        peer.send(b"late")
        assert result_of(ring, recv) == 4
        assert buffer == b"late"
        assert peer.recv(1) == b""  # the last reference went with the operation


def test_a_cancel_after_close_brings_the_end_of_the_stream(ring):
    with unix_pair() as (ours, peer):
        recv = ring.put(op.recv(ours.fileno(), bytearray(4)))
        ring.enter()
        ours.close()
        cancel = ring.put(op.cancel(recv))
        assert by_user_data(completed(ring, 2)) == {recv: CANCELED, cancel: 0}
        assert peer.recv(1) == b""


def test_a_reset_connection_is_an_error_and_an_end_is_zero(ring):
    with tcp_pair() as (ours, peer):
        recv = ring.put(op.recv(ours.fileno(), bytearray(4)))
        ring.enter()
        reset(peer)
        assert result_of(ring, recv) == -errno.ECONNRESET
    with tcp_pair() as (ours, peer):
        recv = ring.put(op.recv(ours.fileno(), bytearray(4)))
        ring.enter()
        peer.close()
        assert result_of(ring, recv) == 0


# Links and time-outs


def test_a_chain_sends_shuts_down_and_closes_in_its_order(ring):
    with unix_pair() as (ours, peer):
        fd = ours.detach()
        send = ring.put(linked(op.send(fd, b"goodbye")))
        shutdown = ring.put(linked(op.shutdown(fd, socket.SHUT_WR)))
        close = ring.put(op.close(fd))
        found = completed(ring, 3)
        assert [(cqe.user_data, cqe.res) for cqe in found] == [(send, 7), (shutdown, 0), (close, 0)]
        assert not os.path.lexists(f"/proc/self/fd/{fd}")
        assert [peer.recv(100), peer.recv(100)] == [b"goodbye", b""]


def test_a_chain_breaks_where_one_fails(ring):
    with unix_pair() as (ours, peer):
        peer.close()
        send = ring.put(linked(op.send(ours.fileno(), b"goodbye")))
        close = ring.put(op.close(ours.fileno()))
        assert by_user_data(completed(ring, 2)) == {send: -errno.EPIPE, close: CANCELED}
        assert os.path.lexists(f"/proc/self/fd/{ours.fileno()}")


@pytest.mark.parametrize(
    ("operation", "msg_flags", "then"),
    [
        ("read", 0, CANCELED),
        ("recv", 0, 0),
        ("recv", op.MSG_WAITALL, CANCELED),
        ("send", op.MSG_DONTWAIT, 0),
        ("send", op.MSG_DONTWAIT | op.MSG_WAITALL, CANCELED),
    ],
    ids=["read", "recv", "recv-WAITALL", "send", "send-WAITALL"],
)
def test_a_short_transfer_breaks_a_chain_but_of_a_recv_or_send_only_with_msg_waitall(ring, operation, msg_flags, then):
    nbytes = 1 << 23
    with unix_pair() as (ours, peer):
        peer.send(b"data")
        peer.shutdown(socket.SHUT_WR)
        sqe = {
            "read": lambda: op.read(ours.fileno(), bytearray(nbytes)),
            "recv": lambda: op.recv(ours.fileno(), bytearray(nbytes), msg_flags),
            "send": lambda: op.send(ours.fileno(), bytes(nbytes), msg_flags),
        }[operation]()
        first, second = ring.put(linked(sqe)), ring.put(op.nop())
        found = by_user_data(completed(ring, 2))
        assert 0 < found[first] < nbytes
        assert found[second] == then


def test_a_timeout_completes_when_the_time_is_over_and_not_before(ring):
    start = time.monotonic()
    assert result_of(ring, ring.put(op.timeout(0.03))) == -errno.ETIME
    assert 0.03 <= time.monotonic() - start < LIMIT_S


def test_a_timeout_that_counts_completes_with_the_others(ring):
    timeout = ring.put(op.timeout(LIMIT_S * 10, count=2))
    nops = [ring.put(op.nop()) for _ in range(2)]
    assert by_user_data(completed(ring, 3)) == {timeout: 0, nops[0]: 0, nops[1]: 0}


def test_a_linked_timeout_ends_a_recv_that_takes_too_long(ring):
    with unix_pair() as (ours, _):
        start = time.monotonic()
        recv = ring.put(linked(op.recv(ours.fileno(), bytearray(4))))
        timeout = ring.put(op.link_timeout(0.03))
        assert by_user_data(completed(ring, 2)) == {recv: CANCELED, timeout: -errno.ETIME}
        assert time.monotonic() - start >= 0.03


def test_a_linked_timeout_is_called_off_when_the_data_comes(ring):
    with unix_pair() as (ours, peer):
        recv = ring.put(linked(op.recv(ours.fileno(), bytearray(4))))
        timeout = ring.put(op.link_timeout(LIMIT_S * 10))
        ring.enter()
        peer.send(b"data")
        assert by_user_data(completed(ring, 2)) == {recv: 4, timeout: CANCELED}


def test_a_negative_time_is_named():
    with pytest.raises(ValueError, match="seconds must be at least 0, not -1"):
        op.timeout(-1)


# Cancelling


def test_cancel_says_what_there_is_to_cancel(ring):
    with unix_pair() as (ours, _):
        recv = ring.put(op.recv(ours.fileno(), bytearray(4)))
        cancel, none = ring.put(op.cancel(recv)), ring.put(op.cancel(1 << 60))
        assert by_user_data(completed(ring, 3)) == {recv: CANCELED, cancel: 0, none: -errno.ENOENT}


@pytest.mark.parametrize("everything", [False, True], ids=["of-a-descriptor", "of-the-ring"])
def test_cancelling_many_tells_how_many(ring, everything):
    with unix_pair() as (ours, peer):
        here = [ring.put(op.recv(ours.fileno(), bytearray(4))) for _ in range(3)]
        there = ring.put(op.recv(peer.fileno(), bytearray(4)))
        cancel = ring.put(op.cancel_all(None if everything else ours.fileno()))
        found = by_user_data(completed(ring, 5 if everything else 4))
        assert found[cancel] == (4 if everything else 3)
        assert [found[each] for each in here] == [CANCELED] * 3
        assert found.get(there) == (CANCELED if everything else None)


@pytest.mark.parametrize("asked_of_a_worker", [False, True], ids=["here", "IOSQE_ASYNC"])
def test_a_cancel_that_races_with_data_loses_or_wins_and_no_byte_is_lost(ring, asked_of_a_worker):
    outcomes = Counter()
    with unix_pair() as (ours, peer):
        for _ in range(200):
            buffer = bytearray(1)
            sqe = op.recv(ours.fileno(), buffer)
            recv = ring.put(by_worker(sqe) if asked_of_a_worker else sqe)
            ring.enter()
            cancel = ring.put(op.cancel(recv))
            peer.send(b"x")
            found = by_user_data(completed(ring, 2))
            outcomes[found[recv], found[cancel]] += 1
            if found[recv] != 1:
                assert ours.recv(1) == b"x"
    assert sum(outcomes.values()) == 200
    # A worker that is cancelled in its sleep may say EINTR for ECANCELED.
    assert {recv for recv, _ in outcomes} <= {1, CANCELED, -errno.EINTR}
    assert {cancel for _, cancel in outcomes} <= {0, -errno.ENOENT, -errno.EALREADY}


# Silence


def test_what_is_silent_completes_only_if_it_fails(ring):
    with unix_pair() as (ours, peer):
        ring.put(silent(op.send(ours.fileno(), b"data")))
        assert nothing_for(ring, 0.02)
        assert peer.recv(4) == b"data"
        peer.close()
        send = ring.put(silent(op.send(ours.fileno(), b"data")))
        assert result_of(ring, send) == -errno.EPIPE
    assert send not in ring.silent
