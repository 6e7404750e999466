"""What the tests of io_uring share: a ring of each set-up, closed in the end, and streams."""

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from iolab.kernel import io_uring_layout as layout
from iolab.kernel.io_uring import NEWEST, Cqe, Ring, unavailable
from tests.left_behind import descriptors

SET_UPS = {
    "default": {},
    "newest": {"wished": NEWEST},
    "sqpoll": {"required": layout.SETUP_SQPOLL},
}
LIMIT_S = 10  # nothing here takes so long, unless it never ends
needs_io_uring = pytest.mark.skipif(bool(unavailable()), reason=str(unavailable()))
every_set_up = pytest.mark.parametrize("set_up", SET_UPS)


@contextmanager
def open_ring(set_up: str = "default", **more) -> Iterator[Ring]:
    """A ring; once it is closed, no descriptor is open that was not before."""
    before = descriptors()
    ring = Ring(**SET_UPS[set_up], **more)
    try:
        yield ring
    finally:
        ring.close()
    assert {each for each in descriptors() - before if "io_uring" in each} == set()


@contextmanager
def tcp_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname(), timeout=LIMIT_S)
        with peer, listener.accept()[0] as ours:
            yield ours, peer


@contextmanager
def unix_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peer = socket.socketpair()
    with ours, peer:
        peer.settimeout(LIMIT_S)
        yield ours, peer


def completed(ring: Ring, count: int = 1) -> list[Cqe]:
    """The next CQEs, `count` at least; they must come."""
    found = ring.wait(count, LIMIT_S)
    assert len(found) >= count, f"{found} within {LIMIT_S} s"
    return found


def result_of(ring: Ring, user_data: int) -> int:
    """The result of the operation that is the only one to complete."""
    (cqe,) = completed(ring)
    assert cqe.user_data == user_data
    return cqe.res


def by_user_data(cqes: list[Cqe]) -> dict[int, int]:
    assert len({cqe.user_data for cqe in cqes}) == len(cqes)
    return {cqe.user_data: cqe.res for cqe in cqes}


def nothing_for(ring: Ring, seconds: float = 0.05) -> bool:
    """No completion within that time: a bound that cannot fail on a slow machine."""
    return ring.wait(1, seconds) == []


def reset(sock: socket.socket) -> None:
    """Close with RST in place of FIN: SO_LINGER of 0 seconds, socket(7)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def name(result: int) -> str | int:
    """An errno's name; a count as it is."""
    return errno.errorcode[-result] if result < 0 else result
