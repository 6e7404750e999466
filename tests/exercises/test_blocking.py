"""The checks of the chapter on blocking: right answers, typical wrong ones, and answers that never end."""

import os
import threading
import time

import pytest

from iolab.exercises import attempting
from iolab.exercises.blocking import check_read_all, check_read_exactly, check_read_lines


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch):
    monkeypatch.setattr(attempting, "LIMIT_S", 0.3)
    fds, threads = os.listdir("/proc/self/fd"), threading.active_count()
    yield
    deadline = time.monotonic() + 5  # a thread of the answer that was woken may still have to end
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == threads
    assert os.listdir("/proc/self/fd") == fds


def exactly(fd, nbytes):
    parts = []
    while nbytes:
        part = os.read(fd, nbytes)
        if not part:
            break
        parts.append(part)
        nbytes -= len(part)
    return b"".join(parts)


def exactly_byte_by_byte(fd, nbytes):
    data = bytearray()
    while len(data) < nbytes and (byte := os.read(fd, 1)):
        data += byte
    return data


def exactly_with_gap(fd, nbytes):
    return os.read(fd, ...)


def exactly_without_loop(fd, nbytes):
    return os.read(fd, nbytes)


def exactly_but_greedy(fd, nbytes):
    data = b""
    while len(data) < nbytes and (part := os.read(fd, nbytes)):
        data += part
    return data


def exactly_but_greedy_and_cut(fd, nbytes):
    return exactly_but_greedy(fd, nbytes)[:nbytes]


def exactly_blind_to_the_end(fd, nbytes):
    data = b""
    while len(data) < nbytes:
        data += os.read(fd, nbytes - len(data))
    return data


def exactly_swallowing_everything(fd, nbytes):
    data = b""
    while len(data) < nbytes:
        try:
            data += os.read(fd, nbytes - len(data))
        except:  # noqa: E722
            continue
    return data


def exactly_without_counting(fd, nbytes):
    data = b""
    while part := os.read(fd, nbytes):
        data += part
    return data


def exactly_losing_the_end(fd, nbytes):
    data = exactly(fd, nbytes)
    return data if len(data) == nbytes else b""


def exactly_raising(fd, nbytes):
    raise EOFError("early")


def exactly_closing(fd, nbytes):
    data = exactly(fd, nbytes)
    if len(data) < nbytes:
        os.close(fd)
    return data


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (exactly, "Right."),
        (exactly_byte_by_byte, "Right."),
        (exactly_closing, "Right."),
        (exactly_with_gap, "Not answered yet."),
        (None, "Not answered yet."),
        (exactly_without_loop, "returns as soon as"),
        (exactly_but_greedy, "bytes of the next message"),
        (exactly_but_greedy_and_cut, "bytes of the next message"),
        (exactly_blind_to_the_end, "it returns no bytes, every time"),
        (exactly_swallowing_everything, "it returns no bytes, every time"),
        (exactly_without_counting, "subtract"),
        (exactly_losing_the_end, "not what had come"),
        (exactly_raising, "EOFError: early"),
        (lambda fd, nbytes: None, "NoneType"),
    ],
)
def test_read_exactly(answer, says, capsys):
    check_read_exactly(answer)
    assert says in capsys.readouterr().out


def lines(fd):
    kept, result = b"", []
    while received := os.read(fd, 1024):
        *whole, kept = (kept + received).split(b"\n")
        result += whole
    return result + [kept] * bool(kept)


def lines_by_a_file(fd):
    with open(fd, "rb", closefd=False) as file:
        return [line.rstrip(b"\n") for line in file]


def lines_one_a_read(fd):
    result = []
    while received := os.read(fd, 1024):
        result.append(received.rstrip(b"\n"))
    return result


def lines_split_but_not_kept(fd):
    result = []
    while received := os.read(fd, 1024):
        result += received.splitlines()
    return result


def lines_without_the_last(fd):
    return lines(fd)[:-1]


def lines_for_ever(fd):
    while True:
        os.read(fd, 1024)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lines, "Right."),
        (lines_by_a_file, "Right."),
        (lines_one_a_read, "one read returned both"),
        (lines_split_but_not_kept, "half a line"),
        (lines_without_the_last, "has no line end; the stream ended"),
        (lines_for_ever, "stop there"),
        (lambda fd: "one", "not a list of lines"),
        (lambda fd: [*lines(fd), b""], "your function returned"),
        (lambda fd: 1 // 0, "ZeroDivisionError"),
        (3, "Not answered yet."),
    ],
)
def test_read_lines(answer, says, capsys):
    check_read_lines(answer)
    assert says in capsys.readouterr().out


def read_to_end(fd):
    return b"".join(iter(lambda: os.read(fd, 100), b""))


def all_with_threads(fds, done):
    threads = [
        threading.Thread(target=lambda number=number, fd=fd: done(number, read_to_end(fd)))
        for number, fd in enumerate(fds)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def all_one_after_the_other(fds, done):
    for number, fd in enumerate(fds):
        done(number, read_to_end(fd))


def all_without_join(fds, done):
    for number, fd in enumerate(fds):
        threading.Thread(target=lambda number=number, fd=fd: (time.sleep(0.05), done(number, read_to_end(fd)))).start()


def all_done_at_the_end(fds, done):
    data = {}
    threads = [
        threading.Thread(target=lambda number=number, fd=fd: data.update({number: read_to_end(fd)}), daemon=True)
        for number, fd in enumerate(fds)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in data:
        done(number, data[number])


def all_the_same_number(fds, done):
    all_with_threads(fds, lambda number, data: done(number, data[:2]))


def all_with_a_failing_thread(fds, done):
    threads = [threading.Thread(target=lambda: [][0])]
    threads[0].start()
    threads[0].join()


def all_open(fds, done):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (all_with_threads, "Right."),
        (all_one_after_the_other, "3 bytes of stream 2 lie ready"),
        (all_without_join, "Wait for your threads"),
        (all_done_at_the_end, "done was not called"),
        (all_the_same_number, "done was called with"),
        (all_with_a_failing_thread, "IndexError"),
        (lambda fds, done: None, "0 of 3"),
        (all_open, "Not answered yet."),
    ],
)
def test_read_all(answer, says, capsys):
    check_read_all(answer)
    assert says in capsys.readouterr().out
