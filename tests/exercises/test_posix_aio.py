"""The checks of the chapter on POSIX AIO: right is right, each mistake is explained, nothing is left behind."""

import os
from contextlib import suppress

import pytest

from iolab.exercises import attempting
from iolab.exercises.posix_aio import check_result_of, check_write_and_read_back
from iolab.exercises.posix_aio_callbacks import check_in_order_of_end
from iolab.kernel import posix_aio
from iolab.kernel.posix_aio import aio_read, aio_return, aio_suspend, aio_write
from iolab.kernel.posix_aio_block import ControlBlock, in_progress
from iolab.kernel.posix_aio_notification import ByThread
from tests.left_behind import nothing_left_behind

pytestmark = pytest.mark.skipif(bool(posix_aio.unavailable()), reason=str(posix_aio.unavailable()))


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch):
    monkeypatch.setattr(attempting, "LIMIT_S", 1.0)
    with nothing_left_behind():
        yield
        assert in_progress() == ()


def answer(capsys, check, function) -> str:
    check(function)
    return capsys.readouterr().out


def is_explained(said: str, why: str) -> None:
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said


# 1. result_of


def result_of(aio, block):
    aio.aio_suspend([block])
    return aio.aio_return(block)


def asks_again_after_a_time_out(aio, block):
    while not aio.aio_suspend([block], 1):
        pass
    assert aio.aio_error(block) == 0
    return aio.aio_return(block)


def asks_in_a_loop(aio, block):
    while aio.aio_error(block) == 115:
        pass
    return aio.aio_return(block)


def believes_the_time_out(aio, block):
    aio.aio_suspend([block], 1)
    return aio.aio_return(block)


def collects_twice(aio, block):
    aio.aio_suspend([block])
    aio.aio_return(block)
    return aio.aio_return(block)


def collects_nothing(aio, block):
    aio.aio_suspend([block])
    return aio.aio_error(block)


@pytest.mark.parametrize("function", [result_of, asks_again_after_a_time_out])
def test_sleeping_until_the_end_and_collecting_once_is_right(capsys, function):
    assert answer(capsys, check_result_of, function).startswith("Right. You slept")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda aio, block: None, "Not answered yet."),
        (asks_in_a_loop, "This burns a CPU"),
        (believes_the_time_out, "its time was over, not the read"),
        (lambda aio, block: aio.aio_return(block), "collected before the end"),
        (collects_twice, "It collects once"),
        (collects_nothing, "You returned 0"),
        (lambda aio, block: result_of(aio, block) - 1, "You returned 7"),
        (lambda aio: None, "TypeError"),
        (lambda aio, block: posix_aio.aio_suspend([block]), "still busy when the time was over"),
    ],
)
def test_what_is_wrong_with_the_wait_is_said(capsys, function, why):
    is_explained(answer(capsys, check_result_of, function), why)


# 2. write_and_read_back


def write_and_read_back(fd, data, compare=True, hide=False, counts=()):
    back = bytearray(len(data))
    for begin, buffer in ((aio_write, data), (aio_read, back)):
        block = ControlBlock(fd, buffer)
        begin(block)
        aio_suspend([block])
        if not hide:
            count = aio_return(block)
        else:
            with suppress(OSError):
                count = aio_return(block)
    return back == data if compare else count == len(data)


def false_for_a_failure(fd, data):
    try:
        return write_and_read_back(fd, data)
    except OSError:
        return False


def test_comparing_the_bytes_and_letting_the_failure_out_is_right(capsys):
    assert answer(capsys, check_write_and_read_back, write_and_read_back).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda fd, data: None, "Not answered yet."),
        (lambda fd, data: write_and_read_back(fd, data, compare=False, hide=True), "failed with EBADF"),
        (lambda fd, data: write_and_read_back(fd, data, hide=True), "failed with EBADF, and you said False"),
        (false_for_a_failure, "failed with EBADF"),
        (lambda fd, data: write_and_read_back(fd, data, compare=False), "compare the bytes"),
        (lambda fd, data: write_and_read_back(fd, data) or 1 / 0, "ZeroDivisionError"),
        (lambda fd, data: False, "you returned False"),
        (lambda fd, data: os.fstat(-1), "OSError"),
    ],
)
def test_what_success_may_hide_is_said(capsys, function, why):
    is_explained(answer(capsys, check_write_and_read_back, function), why)


# 3. in_order_of_end


def in_order_of_end(fds, queue, callback=lambda queue, number: lambda: queue.put(number), extra=0):
    buffers = [bytearray(20) for _ in fds]
    blocks = [
        ControlBlock(fd, buffers[number], notify=ByThread(callback(queue, number))) for number, fd in enumerate(fds)
    ]
    for block in blocks:
        aio_read(block)
    ended = [queue.get() for _ in range(len(fds) + extra)]
    return [(number, bytes(buffers[number][: aio_return(blocks[number])])) for number in ended]


def binds_late(fds, queue):
    buffers, blocks = [bytearray(20) for _ in fds], []
    for number, fd in enumerate(fds):
        blocks.append(ControlBlock(fd, buffers[number], notify=ByThread(lambda: queue.put(number))))  # noqa: B023
        aio_read(blocks[-1])
    found = []
    for _ in fds:
        ended = queue.get()
        found.append((ended, bytes(buffers[ended][: aio_return(blocks[ended])])))
    return found


def in_the_order_of_the_start(fds, queue):
    return sorted(in_order_of_end(fds, queue))


def never_sleeps_on_the_queue(fds, queue):
    buffer = bytearray(20)
    block = ControlBlock(fds[0], buffer)
    aio_read(block)
    while not aio_suspend([block], 0.05):
        pass


def begins_and_leaves(fds, queue):
    for fd in fds:
        aio_read(ControlBlock(fd, bytearray(20)))
    return [(0, b"")]


def test_a_queue_that_callbacks_fill_is_right(capsys):
    assert answer(capsys, check_in_order_of_end, in_order_of_end).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda fds, queue: None, "Not answered yet."),
        (binds_late, "Each note says 2"),
        (in_the_order_of_the_start, "The reads ended in the order 2, 0, 1"),
        (lambda fds, queue: in_order_of_end(fds, queue, lambda *_: lambda: 1 / 0), "ZeroDivisionError"),
        (lambda fds, queue: in_order_of_end(fds, queue, lambda *_: lambda: None), "nobody put a note there"),
        (lambda fds, queue: in_order_of_end(fds, queue, extra=1), "nobody put a note there"),
        (never_sleeps_on_the_queue, "You never slept on the queue"),
        (begins_and_leaves, "you returned [(0, b'')]"),
        (lambda fds: None, "TypeError"),
    ],
)
def test_what_is_wrong_with_the_queue_is_said(capsys, function, why):
    is_explained(answer(capsys, check_in_order_of_end, function), why)
