"""Provided buffers: the kernel chooses, none is lost, and none is shown to two readers."""

import errno
import os
import struct

import pytest

from iolab.kernel import io_uring_layout as layout
from iolab.kernel import io_uring_operations as op
from iolab.kernel.io_uring_buffers import BufferRing
from tests.kernel.rings import completed, needs_io_uring, nothing_for, open_ring, tcp_pair, unix_pair
from tests.streams import pattern

pytestmark = needs_io_uring
every_set_up = pytest.mark.parametrize("set_up", ["default", "newest"])
GROUP = 7


def lent(buffers, cqes) -> list[bytes]:
    return [bytes(buffers.lend(cqe)) for cqe in cqes if cqe.flags & layout.CQE_F_BUFFER]


@every_set_up
def test_each_arrival_comes_in_a_buffer_that_the_kernel_chose(set_up):
    with open_ring(set_up) as ring, unix_pair() as (ours, peer):
        buffers = BufferRing(ring, 4, 64, GROUP)
        recv = ring.put(op.recv_multishot(ours.fileno(), GROUP))
        ring.enter()
        got = []
        for number in range(20):  # five times round the ring
            data = bytes([number]) * (number + 1)
            peer.send(data)
            (cqe,) = completed(ring)
            assert (cqe.user_data, cqe.res, cqe.flags & layout.CQE_F_MORE) == (recv, len(data), layout.CQE_F_MORE)
            assert lent(buffers, [cqe]) == [data]
            got.append(cqe.flags >> layout.CQE_BUFFER_SHIFT)
            buffers.take_back()
        assert set(got) == {0, 1, 2, 3}


@every_set_up
def test_a_stream_larger_than_all_buffers_comes_whole_though_enobufs_ends_each_recv(set_up):
    data, got, refused = pattern(100_000), b"", 0
    with open_ring(set_up) as ring, tcp_pair() as (ours, peer):
        buffers = BufferRing(ring, 4, 1000, GROUP)
        ring.put(op.recv_multishot(ours.fileno(), GROUP))
        ring.enter()
        peer.sendall(data)
        while len(got) < len(data):
            found = completed(ring)
            got += b"".join(lent(buffers, found))
            buffers.take_back()
            ended = [cqe.res for cqe in found if not cqe.flags & layout.CQE_F_MORE]
            refused += ended.count(-errno.ENOBUFS)
            if ended:
                ring.put(op.recv_multishot(ours.fileno(), GROUP))
    assert got == data
    assert refused >= 1


@every_set_up
def test_a_full_cq_ends_a_multishot_recv_and_loses_no_byte(set_up):
    data, got, ended = pattern(64), b"", 0
    with open_ring(set_up, entries=2, cq_entries=2) as ring, tcp_pair() as (ours, peer):
        buffers = BufferRing(ring, 64, 1, GROUP)
        peer.sendall(data)
        ring.put(op.recv_multishot(ours.fileno(), GROUP))
        while len(got) < len(data):
            found = completed(ring)
            got += b"".join(lent(buffers, found))
            if any(not cqe.flags & layout.CQE_F_MORE for cqe in found):
                ended += 1
                ring.put(op.recv_multishot(ours.fileno(), GROUP))
    assert got == data
    assert ended >= 1


def test_the_end_of_the_stream_is_zero_without_a_buffer_and_without_more():
    with open_ring() as ring, unix_pair() as (ours, peer):
        BufferRing(ring, 4, 64, GROUP)
        ring.put(op.recv_multishot(ours.fileno(), GROUP))
        ring.enter()
        peer.close()
        (cqe,) = completed(ring)
        assert (cqe.res, cqe.flags & (layout.CQE_F_MORE | layout.CQE_F_BUFFER)) == (0, 0)


def test_idle_connections_tie_up_no_buffer():
    with open_ring() as ring, unix_pair() as (ours, peer), unix_pair() as (idle, _), unix_pair() as (idle_too, _):
        buffers = BufferRing(ring, 1, 64, GROUP)
        for sock in (idle, idle_too, ours):
            recv = ring.put(op.recv_multishot(sock.fileno(), GROUP))
        assert nothing_for(ring, 0.01)
        peer.send(b"data")
        (cqe,) = completed(ring)
        assert (cqe.user_data, lent(buffers, [cqe])) == (recv, [b"data"])


def test_a_pipe_is_read_into_a_chosen_buffer():
    reader, writer = os.pipe()
    with open_ring() as ring, open(reader, "rb"), open(writer, "wb", buffering=0) as pipe:
        buffers = BufferRing(ring, 4, 64, GROUP)
        ring.put(op.read_selected(reader, GROUP, 64))
        pipe.write(b"data")
        assert lent(buffers, completed(ring)) == [b"data"]


def test_a_view_is_dead_once_its_buffer_is_given_back():
    with open_ring() as ring, unix_pair() as (ours, peer):
        buffers = BufferRing(ring, 2, 64, GROUP)
        ring.put(op.recv_multishot(ours.fileno(), GROUP))
        peer.send(b"secret")
        (cqe,) = completed(ring)
        view = buffers.lend(cqe)
        buffers.take_back()
        with pytest.raises(ValueError, match="released"):
            bytes(view)


def test_a_buffer_that_somebody_still_exports_is_not_given_back():
    with open_ring() as ring, unix_pair() as (ours, peer):
        buffers = BufferRing(ring, 1, 64, GROUP)
        ring.put(op.recv_multishot(ours.fileno(), GROUP))
        peer.send(b"mine")
        pieces = struct.iter_unpack("2s", buffers.lend(completed(ring)[0]))
        with pytest.raises(BufferError):
            buffers.take_back()
        peer.send(b"other")
        (cqe,) = completed(ring)
        assert cqe.res == -errno.ENOBUFS
        assert list(pieces) == [(b"mi",), (b"ne",)]
        del pieces
        buffers.take_back()
        ring.put(op.recv_multishot(ours.fileno(), GROUP))
        assert lent(buffers, completed(ring)) == [b"other"]


def test_a_ring_of_buffers_is_given_back_only_when_nothing_takes_from_it():
    with open_ring() as ring, unix_pair() as (ours, _):
        buffers = BufferRing(ring, 4, 64, GROUP)
        recv = ring.put(op.recv_multishot(ours.fileno(), GROUP))
        with pytest.raises(ValueError, match=rf"operations \[{recv}\] still take buffers from group {GROUP}"):
            buffers.unregister()
        ring.put(op.cancel(recv))
        completed(ring, 2)
        buffers.unregister()
        recv = ring.put(op.recv_multishot(ours.fileno(), GROUP))
        (cqe,) = completed(ring)
        assert cqe.res == -errno.ENOBUFS  # there is no such group any more
        BufferRing(ring, 4, 64, GROUP)


def test_a_group_that_exists_is_refused_in_the_kernels_words():
    with open_ring() as ring:
        BufferRing(ring, 4, 64, GROUP)
        with pytest.raises(FileExistsError, match="io_uring_register"):
            BufferRing(ring, 4, 64, GROUP)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((3, 64), "count must be a power of two from 1 to 32,768, not 3"),
        ((0, 64), "not 0"),
        ((1 << 16, 64), "not 65536"),
        ((4, 0), "nbytes must be from 1"),
    ],
)
def test_a_wrong_count_or_size_is_named(arguments, named):
    with open_ring() as ring, pytest.raises(ValueError, match=named):
        BufferRing(ring, *arguments)
