"""The checks of the chapter on io_uring: right is right, each mistake is explained, with and without io_uring."""

import errno
import os

import pytest

from iolab.exercises import attempting, io_uring, io_uring_depth, io_uring_streams
from iolab.exercises.io_uring import check_decode
from iolab.exercises.io_uring_depth import check_fetch
from iolab.exercises.io_uring_streams import check_receive_all
from iolab.kernel import io_uring_layout as layout
from iolab.kernel.io_uring import unavailable
from tests.streams import kernel_state


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch):
    monkeypatch.setattr(attempting, "LIMIT_S", 0.3)
    before = kernel_state()
    yield
    assert kernel_state() == before


@pytest.fixture(params=["refused", "live"])
def here(request, monkeypatch):
    """A machine where io_uring is refused, and this one."""
    if request.param == "live" and unavailable():
        pytest.skip(unavailable())
    if request.param == "refused":
        for module in (io_uring, io_uring_streams, io_uring_depth):
            monkeypatch.setattr(module, "unavailable", lambda: "io_uring_setup: Operation not permitted")


def answer(capsys, check, function) -> str:
    check(function)
    return capsys.readouterr().out


def is_no(said: str, why: str) -> bool:
    return said.startswith(("Not right yet.", "Not answered yet.")) and why in said


# Decoding


def decode(cqe):
    user_data, res, flags = layout.CQE.unpack(cqe)
    more = bool(flags & layout.CQE_F_MORE)
    buffer = flags >> layout.CQE_BUFFER_SHIFT if flags & layout.CQE_F_BUFFER else None
    return user_data, res, more, buffer


def changed(place, change):
    def decode_otherwise(cqe):
        fields = list(decode(cqe))
        fields[place] = change(*layout.CQE.unpack(cqe))
        return tuple(fields)

    return decode_otherwise


def with_gap(cqe):
    more = ...
    return 1, 2, more, None


def truthy(cqe):
    *rest, buffer = decode(cqe)
    return (*rest, buffer or None)


def test_decoding_by_the_layout_is_right(capsys, here):
    assert answer(capsys, check_decode, decode).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (with_gap, "Not answered yet."),
        (None, "the function itself"),
        (lambda cqe: None, "returned None"),
        (lambda cqe: decode(cqe)[:3], "Four values are wanted"),
        (changed(0, lambda user_data, res, flags: user_data & 0xFFFFFFFF), "its 64 bits"),
        (changed(1, lambda user_data, res, flags: res & 0xFFFFFFFF), "with a sign"),
        (changed(2, lambda user_data, res, flags: flags != 0), "CQE_F_MORE alone"),
        (changed(2, lambda user_data, res, flags: flags & layout.CQE_F_BUFFER), "CQE_F_MORE alone"),
        (changed(3, lambda user_data, res, flags: flags >> 16), "without CQE_F_BUFFER there is none"),
        (changed(3, lambda user_data, res, flags: flags & layout.CQE_F_BUFFER or None), "upper 16 bits"),
        (truthy, "number 0 is a buffer like any other"),
        (lambda cqe: layout.SQE.unpack(cqe), "did not come to its end"),
    ],
)
def test_each_misread_field_is_named(capsys, here, function, why):
    assert is_no(answer(capsys, check_decode, function), why)


# Arming anew


def receive_all(arm, wait, give_back, *, gives_back=True, arms=lambda more: not more, keep=bytes, raises=True):
    received = []
    arm()
    while True:
        completions = wait()
        for res, _, data in completions:
            if res == 0 or (res < 0 and res != -errno.ENOBUFS and not raises):
                return b"".join(received)
            if res < 0 and res != -errno.ENOBUFS:
                raise OSError(-res, os.strerror(-res))
            if res > 0:
                received.append(keep(data))
        if gives_back:
            give_back()
        if arms(completions[-1][1]):
            arm()


def changed_loop(**options):
    return lambda arm, wait, give_back: receive_all(arm, wait, give_back, **options)


def ends_at_any_end(arm, wait, give_back):
    received = bytearray()
    arm()
    while True:
        for res, _, data in wait():
            if res <= 0:
                return bytes(received)
            received += data
        give_back()


def lets_every_error_out(arm, wait, give_back):
    received = bytearray()
    arm()
    while True:
        for res, _, data in wait():
            if res < 0:
                raise OSError(-res, os.strerror(-res))
            if not res:
                return bytes(received)
            received += data
        give_back()


def arms_only_after_enobufs(arm, wait, give_back):
    received = bytearray()
    arm()
    while True:
        for res, _, data in wait():
            if res == -errno.ENOBUFS:
                give_back()
                arm()
            elif res < 0:
                raise OSError(-res, os.strerror(-res))
            elif res == 0:
                return bytes(received)
            else:
                received += data


def stops_early(arm, wait, give_back):
    arm()
    return bytes(wait()[0][2])


def test_arming_when_more_is_missing_is_right(capsys, here):
    assert answer(capsys, check_receive_all, receive_all).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda arm, wait, give_back: ..., "Not answered yet."),
        (lambda arm, wait, give_back: None, "Not answered yet."),
        (ends_at_any_end, "ENOBUFS ends the receive, not the stream"),
        (lets_every_error_out, "ENOBUFS ends the receive, not the stream"),
        (changed_loop(arms=lambda more: True), "two receives share one stream"),
        (changed_loop(arms=lambda more: False), "nothing is armed"),
        (arms_only_after_enobufs, "as when the CQ is full. You wait, and nothing is armed"),
        (changed_loop(gives_back=False), "Give them back before you arm"),
        (changed_loop(keep=lambda view: view), "Copy what you keep"),
        (changed_loop(raises=False), "-ECONNRESET"),
        (stops_early, "you returned b'message 0. '"),
        (lambda arm, wait, give_back: wait(), "nothing is armed"),
        (lambda arm: None, "Not right yet."),
    ],
)
def test_each_way_to_lose_a_stream_is_named(capsys, here, function, why):
    assert is_no(answer(capsys, check_receive_all, function), why)


# Many in flight


def fetch(submit, wait, count, depth, most=None, spread=0):
    number_of, pieces, number = {}, {}, 0
    while len(pieces) < count:
        while number < count and len(number_of) < (most or depth) + spread:
            number_of[submit(number)] = number
            number += 1
        for user_data, data in wait():
            pieces[number_of.pop(user_data)] = data
    return b"".join(pieces[number] for number in range(count))


def in_order_of_completion(submit, wait, count, depth):
    data, in_flight, number = b"", 0, 0
    while in_flight or number < count:
        while number < count and in_flight < depth:
            submit(number)
            number, in_flight = number + 1, in_flight + 1
        for _, piece in wait():
            data, in_flight = data + piece, in_flight - 1
    return data


def in_batches(submit, wait, count, depth):
    pieces = {}
    for first in range(0, count, depth):
        number_of = {submit(number): number for number in range(first, min(first + depth, count))}
        while number_of:
            for user_data, data in wait():
                pieces[number_of.pop(user_data)] = data
    return b"".join(pieces[number] for number in range(count))


def leaves_early(submit, wait, count, depth):
    for number in range(min(count, depth)):
        submit(number)
    return b""


def waits_too_often(submit, wait, count, depth):
    data = fetch(submit, wait, count, depth)
    wait()
    return data


def reads_twice(submit, wait, count, depth):
    fetch(submit, wait, count, depth)
    return fetch(submit, wait, count, depth)


def test_keeping_the_queue_full_is_right(capsys, here):
    assert answer(capsys, check_fetch, fetch).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda submit, wait, count, depth: ..., "Not answered yet."),
        (lambda submit, wait, count, depth: None, "Not answered yet."),
        (lambda *all_of_it: fetch(*all_of_it, most=1), "less than 4 in flight"),
        (lambda *all_of_it: fetch(*all_of_it, spread=1), "more than there is room for"),
        (in_order_of_completion, "Which is which, user_data says"),
        (in_batches, "less than 4 in flight"),
        (leaves_early, "their buffers are the kernel's"),
        (waits_too_often, "nothing is in flight"),
        (reads_twice, "you read a piece twice"),
        (lambda submit, wait, count, depth: submit(count), "IndexError"),
        (lambda *all_of_it: fetch(*all_of_it)[:-1], "you returned"),
        (lambda submit: None, "TypeError"),
    ],
)
def test_each_way_to_read_a_file_wrongly_is_named(capsys, here, function, why):
    assert is_no(answer(capsys, check_fetch, function), why)
