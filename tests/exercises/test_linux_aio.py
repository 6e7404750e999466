"""The checks of the chapter on native AIO: right is right, each mistake is explained, nothing is left behind."""

import os
import re
import select
from pathlib import Path

import pytest

from iolab.exercises import attempting, linux_aio
from iolab.exercises.linux_aio import check_messages, check_read_all, check_read_each
from iolab.kernel.linux_aio import POLL, PREAD, Request, unavailable
from iolab.recorded import value_of
from tests.left_behind import nothing_left_behind

needs_native_aio = pytest.mark.skipif(bool(unavailable()), reason=str(unavailable()))


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch):
    monkeypatch.setattr(attempting, "LIMIT_S", 0.5)
    with nothing_left_behind():
        yield


def answer(capsys, check, function) -> str:
    check(function)
    return capsys.readouterr().out


def messages(context, sock, count, first=True, again=True, told=lambda result: result & select.POLLIN):
    got, arm = [], Request(POLL, sock.fileno(), events=select.POLLIN)
    if first:
        context.submit([arm])
    while len(got) < count:
        for event in context.wait():
            if told(event.result):
                got.append(sock.recv(100))
            if again:
                context.submit([arm])
    return got


def believes_only_pollin(context, sock, count):
    return messages(context, sock, count, told=lambda result: result == select.POLLIN)


def believes_only_pollin_and_asks_no_more(context, sock, count):
    return messages(context, sock, count, again=False, told=lambda result: result == select.POLLIN)


def reads_at_once(context, sock, count):
    context.submit([Request(POLL, sock.fileno(), events=select.POLLIN)])
    return [sock.recv(100)]


@needs_native_aio
def test_a_poll_for_each_message_is_right(capsys):
    said = answer(capsys, check_messages, messages)
    assert said.startswith("Right.")
    assert "for 3 messages" in said


@needs_native_aio
@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda context, sock, count: None, "Not answered yet. No POLL was submitted"),
        (lambda context, sock, count: messages(context, sock, count, first=False), "Not answered yet. No POLL"),
        (lambda context, sock, count: messages(context, sock, count, again=False), "a POLL is over with its event"),
        (believes_only_pollin, "result & POLLIN"),
        (believes_only_pollin_and_asks_no_more, "result & POLLIN"),
        (reads_at_once, "You let EAGAIN out"),
        (lambda context, sock, count: messages(context, sock, 1), "you returned [b'the first']"),
        (lambda context, sock, count: messages(context, sock, count)[::-1], "you returned [b'the third'"),
        (lambda context: None, "Not answered yet."),
        (lambda context, sock, count: messages(context, sock, count) and sock.close(), "you returned None"),
        (None, "Not answered yet."),
    ],
)
def test_what_is_missing_in_the_loop_is_said(capsys, function, why):
    said = answer(capsys, check_messages, function)
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said


def read_all(context, requests):
    results, rest = [], list(requests)
    while rest:
        try:
            serials = context.submit(rest)
        except OSError as error:
            results.append(-error.errno)
            rest.pop(0)
            continue
        done = {event.serial: event.result for event in context.wait(least=len(serials))}
        results += [done[serial] for serial in serials]
        rest = rest[len(serials) :]
    return results


def waits_for_all(context, requests):
    serials, done = context.submit(requests), {}
    while len(done) < len(requests):
        done |= {event.serial: event.result for event in context.wait()}
    return [done[serial] for serial in serials]


def stops_at_the_bad_one(context, requests):
    serials = context.submit(requests)
    return [event.result for event in context.wait(least=len(serials))]


def skips_the_rest(context, requests):
    try:
        got = stops_at_the_bad_one(context, requests)
    except OSError as error:
        got = [-error.errno]
    return got + [-9] * (len(requests) - len(got))


def one_by_one_without_care(context, requests):
    return [stops_at_the_bad_one(context, [each])[0] for each in requests]


@needs_native_aio
def test_submitting_the_rest_again_is_right(capsys):
    assert answer(capsys, check_read_all, read_all).startswith("Right.")


@needs_native_aio
@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda context, requests: None, "Not answered yet."),
        (waits_for_all, "it took 1, and said so by what it returned"),
        (stops_at_the_bad_one, "Request 3 was never carried out"),
        (skips_the_rest, "Request 3 was never carried out"),
        (one_by_one_without_care, "You let EBADF out"),
        (lambda context, requests: read_all(context, requests)[::-1], "The results are [4, 7, 9]"),
        (lambda context, requests: 1 / 0, "ZeroDivisionError"),
        (lambda context, requests: 7, "you returned 7"),
        (lambda context: None, "TypeError"),
        (None, "TypeError"),
    ],
)
def test_what_became_of_a_bad_request_is_said(capsys, function, why):
    said = answer(capsys, check_read_all, function)
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said


def read_each(context, socks, buffers, poll=True, again=True, behind=True, order=list):
    counts, full, asked = [0] * len(socks), [], {}

    def ask(command, number):
        rest = memoryview(buffers[number])[counts[number] if behind else 0 :]
        (serial,) = context.submit([Request(command, socks[number].fileno(), rest, events=select.POLLIN)])
        asked[serial] = command, number

    for number in range(len(socks)):
        ask(POLL if poll else PREAD, number)
    while asked:
        for event in context.wait():
            command, number = asked.pop(event.serial)
            if command == POLL or event.result < 0:
                ask(PREAD, number)
                continue
            counts[number] += event.result
            if counts[number] >= len(buffers[number]):
                full.append(number)
            elif again:
                ask(POLL if poll else PREAD, number)
    return order(full)


def fetches_itself(context, socks, buffers):
    full, counts, asked = [], [0] * len(socks), {}
    arms = [Request(POLL, sock.fileno(), events=select.POLLIN) for sock in socks]
    asked.update(zip(context.submit(arms), range(len(socks)), strict=True))
    while asked:
        for event in context.wait():
            number = asked.pop(event.serial)
            counts[number] += os.readv(socks[number].fileno(), [memoryview(buffers[number])[counts[number] :]])
            if counts[number] == len(buffers[number]):
                full.append(number)
            else:
                asked[context.submit([arms[number]])[0]] = number
    return full


def waits_for_one_after_the_other(context, socks, buffers):
    for sock, buffer in zip(socks, buffers, strict=True):
        count = 0
        while count < len(buffer):
            context.submit([Request(POLL, sock.fileno(), events=select.POLLIN)])
            context.wait()
            context.submit([Request(PREAD, sock.fileno(), memoryview(buffer)[count:])])
            count += context.wait()[0].result
    return [0, 1, 2]


@needs_native_aio
def test_polling_then_reading_until_full_is_right(capsys):
    said = answer(capsys, check_read_each, read_each)
    assert said == "Right. 4 POLLs, 4 PREADs, no recv, and nobody waited for anybody.\n"


@needs_native_aio
@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda context, socks, buffers: None, "Not answered yet. Your function submitted nothing"),
        (lambda context, socks, buffers: read_each(context, socks, buffers, poll=False), "reads ended with EAGAIN"),
        (lambda context, socks, buffers: read_each(context, socks, buffers, behind=False), "The second piece belongs"),
        (
            lambda context, socks, buffers: read_each(context, socks, buffers, again=False),
            "You returned, and unread lies what came for [0]",
        ),
        (lambda context, socks, buffers: read_each(context, socks, buffers, order=sorted), "you returned [0, 1, 2]"),
        (waits_for_one_after_the_other, "you returned [0, 1, 2]"),
        (lambda context, socks, buffers: context.wait(), "slept for ever, and unread lies what came for [0, 1, 2]"),
        (fetches_itself, "no PREAD was submitted"),
        (lambda context, socks, buffers: socks[0].recv(3), "BlockingIOError"),
        (lambda context: None, "TypeError"),
        (None, "TypeError"),
    ],
)
def test_what_is_wrong_with_the_reads_is_said(capsys, function, why):
    said = answer(capsys, check_read_each, function)
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said


@pytest.mark.parametrize("check", [check_messages, check_read_all, check_read_each])
def test_where_there_is_no_native_aio_the_kernels_words_say_so(capsys, check, monkeypatch):
    monkeypatch.setattr(linux_aio, "unavailable", lambda: "io_setup: Function not implemented")
    assert "Not answered yet." in answer(capsys, check, messages)
    assert "Function not implemented" in answer(capsys, check, messages)


def test_what_the_chapter_shows_where_a_machine_refuses_is_recorded():
    chapter = (Path(__file__).parents[2] / "notebooks" / "07-linux-aio.ipynb").read_text()
    names = re.findall(r'obtain_value\(\\"([a-z.-]+)', chapter)
    assert len(names) > 5
    assert all(value_of(name)["recorded"] for name in names)
