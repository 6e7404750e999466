"""signalfd against the kernel's queues, and against sigqueue(3), which sends the values."""

import ctypes
import os
import select
import signal
import threading

import pytest

from iolab.kernel import signal_descriptor
from iolab.kernel.signal_descriptor import open_signals, read_signals
from tests.streams import open_descriptors

pytestmark = pytest.mark.skipif(bool(signal_descriptor.unavailable()), reason=str(signal_descriptor.unavailable()))
PATIENCE_S = 5
SI_QUEUE, SI_TKILL = -1, -6  # bits/siginfo-consts.h


@pytest.fixture
def number():
    """A real-time signal that is blocked in this thread, and whose queue is empty in the end."""
    number = signal.SIGRTMIN + 6
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    yield number
    while signal.sigtimedwait({number}, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, old)


@pytest.fixture
def descriptor(number):
    fd = open_signals({number})
    yield fd
    os.close(fd)


def queue(number, value):
    """sigqueue(3) to this thread alone: other threads of the test run have not blocked the signal."""
    info = (ctypes.c_int * 32)(number, 0, SI_QUEUE)
    info[4], info[5] = os.getpid(), os.getuid()
    ctypes.cast(ctypes.addressof(info) + 24, ctypes.POINTER(ctypes.c_uint64))[0] = value
    libc = ctypes.CDLL(None, use_errno=True)
    kill = {"x86_64": 297, "aarch64": 240}[os.uname().machine]  # rt_tgsigqueueinfo(2)
    assert libc.syscall(kill, os.getpid(), threading.get_native_id(), number, info) == 0


def test_reading_without_a_signal_returns_an_empty_list_at_once(descriptor):
    assert read_signals(descriptor) == []


def test_each_queued_signal_comes_in_order_with_its_own_value(descriptor, number):
    values = [1, (1 << 63) + 5, 0, 42]
    for value in values:
        queue(number, value)
    assert select.select([descriptor], [], [], PATIENCE_S)[0] == [descriptor]
    assert read_signals(descriptor) == [(number, SI_QUEUE, os.getpid(), value) for value in values]
    assert read_signals(descriptor) == []


def test_more_signals_than_one_read_takes_come_all(descriptor, number):
    for value in range(100):
        queue(number, value)
    assert [each.value for each in read_signals(descriptor)] == list(range(100))


def test_a_signal_that_carries_no_value_has_the_value_0(descriptor, number):
    signal.pthread_kill(threading.get_ident(), number)
    assert read_signals(descriptor) == [(number, SI_TKILL, os.getpid(), 0)]


def test_a_signal_that_is_not_blocked_is_refused_before_anything_is_opened(number):
    before = open_descriptors()
    with pytest.raises(ValueError, match=str(int(number) + 1)):
        open_signals({number, number + 1})
    with pytest.raises(ValueError, match="none"):
        open_signals(())
    assert open_descriptors() == before


def test_the_descriptor_is_not_inherited_by_another_program(descriptor):
    assert not os.get_inheritable(descriptor)
