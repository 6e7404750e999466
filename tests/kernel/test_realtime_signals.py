"""sigtimedwait with the whole siginfo, against the kernel's documented layout and its real queues."""

import ctypes
import fcntl
import os
import signal
import struct
import threading
import time

import pytest

from iolab.kernel import realtime_signals as rt
from tests.streams import meanwhile, open_stream

pytestmark = pytest.mark.skipif(bool(rt.unavailable()), reason=str(rt.unavailable()))
PATIENCE_S = 5
TEN = 10


@pytest.fixture
def number():
    """A real-time signal that is blocked in this thread, as SIGIO is, and whose queues are empty in the end."""
    number = signal.SIGRTMIN + 5
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {number, signal.SIGIO})
    yield number
    while signal.sigtimedwait({number, signal.SIGIO}, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, old)


def signal_arrivals(fd, number):
    """`number` (0: plain SIGIO) to this thread for each arrival on `fd`."""
    fcntl.fcntl(fd, rt.F_SETOWN_EX, struct.pack(rt.F_OWNER_EX, rt.F_OWNER_TID, threading.get_native_id()))
    fcntl.fcntl(fd, rt.F_SETSIG, number)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)


def test_siginfo_is_128_bytes_with_the_union_at_16():
    info = rt._SigInfo
    assert ctypes.sizeof(info) == 128
    assert (info.si_signo.offset, info.si_errno.offset, info.si_code.offset) == (0, 4, 8)
    assert (info.si_band.offset, info.si_fd.offset) == (16, 24)


def test_a_signal_that_no_descriptor_sent_names_none(number):
    signal.pthread_kill(threading.get_ident(), number)
    info = rt.sigtimedwait({number}, PATIENCE_S)
    # The union of a signal from tkill(2) holds the sender's process and user where si_band and si_fd would be.
    assert (info.signal, info.fd, info.band) == (number, None, 0)


@pytest.mark.parametrize("kind", ["pipe", "socketpair", "tcp"])
def test_sigtimedwait_says_which_descriptor_and_why(number, kind):
    with open_stream("socketpair") as silent, open_stream(kind) as stream:
        signal_arrivals(silent.fd, number)
        signal_arrivals(stream.fd, number)
        with meanwhile(lambda: stream.send(b"data")):
            info = rt.sigtimedwait({number}, PATIENCE_S)
        assert (info.signal, info.code, info.fd) == (number, rt.POLL_IN, stream.fd)
        assert info.band & 1  # POLLIN of poll(2)


@pytest.mark.parametrize("timeout", [0, 0.02])
def test_sigtimedwait_returns_none_when_the_time_is_over_and_not_before(number, timeout):
    start = time.monotonic()
    assert rt.sigtimedwait({number}, timeout) is None
    assert timeout <= time.monotonic() - start < timeout + PATIENCE_S


def test_sigtimedwait_takes_only_the_signals_asked_for(number):
    signal.pthread_kill(threading.get_ident(), signal.SIGIO)
    assert rt.sigtimedwait({number}, 0) is None
    assert rt.sigtimedwait({number, signal.SIGIO}, PATIENCE_S).signal == signal.SIGIO


def test_sigtimedwait_goes_on_after_a_handler_ran(number):
    with open_stream("socketpair") as stream:
        signal_arrivals(stream.fd, number)
        times = []

        def send_the_second_time(*_):
            times.append(time.monotonic())
            if len(times) == 2:
                stream.send(b"data")

        old = signal.signal(signal.SIGALRM, send_the_second_time)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            assert rt.sigtimedwait({number}, PATIENCE_S).fd == stream.fd
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
    assert len(times) >= 2


def test_sigtimedwait_lets_a_handler_raise(number):
    class Interrupted(Exception):
        pass

    def interrupt(*_):
        raise Interrupted

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(Interrupted):
            rt.sigtimedwait({number}, PATIENCE_S)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_sigtimedwait_refuses_a_senseless_time_in_the_kernels_words(number):
    with pytest.raises(OSError, match="Invalid argument"):
        rt.sigtimedwait({number}, -1)


# M23: one SIGIO per message?


def test_ten_sends_while_sigio_is_blocked_leave_one_signal_and_ten_bytes(number):
    with open_stream("socketpair") as stream:
        signal_arrivals(stream.fd, 0)
        for _ in range(TEN):
            stream.send(b"x")
        infos = []
        while info := rt.sigtimedwait({signal.SIGIO}, 0):
            infos.append(info)
        assert len(infos) == 1
        assert len(os.read(stream.fd, 100)) == TEN


def test_ten_sends_while_a_realtime_signal_is_blocked_leave_ten_signals(number):
    with open_stream("socketpair") as stream:
        signal_arrivals(stream.fd, number)
        for _ in range(TEN):
            stream.send(b"x")
        infos = []
        while info := rt.sigtimedwait({number}, 0):
            infos.append(info)
        assert [(info.signal, info.fd) for info in infos] == [(number, stream.fd)] * TEN
