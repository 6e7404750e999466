"""What of the completion port's border can be held against the declarations anywhere; the rest: tests/under_wine."""

import ctypes

import pytest

from iolab.kernel import iocp_operations as operations
from iolab.kernel.iocp_abi import Overlapped, OverlappedEntry, WsaBuffer


class Large:
    """A pinned buffer of 4 GiB, whose length has no place in 32 bits."""

    nbytes, address = 1 << 32, 4096

    def __init__(self, buffer, writable: bool = False) -> None: ...


class PortOfNothing:
    def start(self, request, begin) -> None: ...


@pytest.mark.parametrize("start", [operations.receive, operations.send])
def test_four_gibibytes_are_no_zero_bytes(monkeypatch, start):
    monkeypatch.setattr(operations, "Pinned", Large)
    request = start(PortOfNothing(), 4, b"")
    (buffer,) = (each for each in request.kept if isinstance(each, WsaBuffer))
    assert buffer.nbytes == 1 << 31


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the sizes of 64-bit Windows")
def test_structures_are_as_long_as_in_windows_headers():
    assert [ctypes.sizeof(each) for each in (Overlapped, OverlappedEntry, WsaBuffer)] == [32, 32, 16]
