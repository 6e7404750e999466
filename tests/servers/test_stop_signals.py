"""SIGINT and SIGTERM become calls of stop: at once, once for each, and not once the body has been left."""

import os
import signal
import threading

import pytest

from iolab.servers import stop_signals
from iolab.servers.stop_signals import STOPPING, held_back, stopping_by_signals
from tests.left_behind import nothing_left_behind
from tests.servers.served import eventually


@pytest.fixture
def stops():
    """The threads in which stop was called."""
    return []


def alone(body) -> None:
    """In a child, which has this thread only: any other one here, of whatever library, could take what is held back."""
    child = os.fork()
    if not child:
        code = 1
        try:
            body()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def stop_into(stops):
    return lambda: stops.append(threading.current_thread().name)


def test_each_signal_is_one_call_in_another_thread(stops, monkeypatch):
    monkeypatch.setattr(stop_signals, "AGAIN_S", 0)
    handlers = [signal.getsignal(number) for number in STOPPING]
    with nothing_left_behind(), stopping_by_signals(stop_into(stops)):
        for count, number in enumerate(STOPPING, 1):
            os.kill(os.getpid(), number)
            assert eventually(lambda count=count: len(stops) == count)
    assert stops == ["signals", "signals"]
    assert [signal.getsignal(number) for number in STOPPING] == handlers


def test_what_comes_soon_after_the_first_is_the_first(stops, monkeypatch):
    """`timeout` of the shell sends the same signal to the process and to its group."""
    monkeypatch.setattr(stop_signals, "AGAIN_S", 3600)
    with stopping_by_signals(stop_into(stops)):
        for number in STOPPING * 3:
            os.kill(os.getpid(), number)
        assert eventually(lambda: stops)
    assert len(stops) == 1  # the thread has ended, after the last of them


def test_a_signal_during_a_system_call_is_heard_while_the_call_goes_on(stops):
    reader, writer = os.pipe()
    with stopping_by_signals(lambda: (stops.append(1), os.write(writer, b"x"))):
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert os.read(reader, 1) == b"x", "the main thread sleeps in read(2) until stop is called"
    os.close(reader)
    os.close(writer)


def test_other_signals_stop_nothing(stops):
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with stopping_by_signals(stop_into(stops)):
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert stops == []


def test_a_signal_that_is_held_back_is_heard_as_soon_as_somebody_listens(stops):
    def body():
        with held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            with stopping_by_signals(stop_into(stops)):
                assert eventually(lambda: stops)
        assert len(stops) == 1

    alone(body)


def test_a_signal_when_all_is_done_is_dropped():
    """Else it would end the process by its default action."""

    def body():
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        with held_back():
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
        assert not signal.sigpending() & set(STOPPING)

    alone(body)
