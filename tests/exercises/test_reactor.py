"""The checks of the chapter on the reactor: the right answer is right, each typical mistake gets its explanation."""

from contextlib import suppress

import pytest

from iolab.exercises import attempting
from iolab.exercises.dispatching import check_dispatch
from iolab.exercises.handing_over import check_answer_slowly
from iolab.exercises.reactor import check_send_on
from iolab.models.readiness import READ, WRITE
from tests.left_behind import nothing_left_behind


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch):
    monkeypatch.setattr(attempting, "LIMIT_S", 10)
    with nothing_left_behind():
        yield


def answer(capsys, check, function) -> str:
    check(function)
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def send_on(handler, reactor, nothing_left=0, something_left=WRITE):
    with suppress(BlockingIOError):
        handler.left = handler.left[handler.sock.send(handler.left) :]
    reactor.register_handler(handler, something_left if handler.left else nothing_left)


def sends_once(handler, reactor):
    handler.sock.send(handler.left)


def forgets_to_ask(handler, reactor):
    handler.left = handler.left[handler.sock.send(handler.left) :]


def asks_for_ever(handler, reactor):
    send_on(handler, reactor, nothing_left=WRITE)


def lets_eagain_out(handler, reactor):
    while handler.left:
        forgets_to_ask(handler, reactor)


def sends_twice(handler, reactor):
    try:
        sent = handler.sock.send(handler.left)
        handler.left = handler.left[sent // 2 :]
    except BlockingIOError:
        pass
    reactor.register_handler(handler, WRITE if handler.left else 0)


def never_looks_at_the_result(handler, reactor):
    with suppress(BlockingIOError):
        handler.sock.send(handler.left)
    reactor.register_handler(handler, WRITE)


def removes_itself(handler, reactor):
    with suppress(BlockingIOError):
        handler.left = handler.left[handler.sock.send(handler.left) :]
    if handler.left:
        reactor.register_handler(handler, WRITE)
    else:
        reactor.remove_handler(handler)


def sends_until_refused(handler, reactor):
    while handler.left:
        try:
            handler.left = handler.left[handler.sock.send(handler.left) :]
        except BlockingIOError:
            break
    reactor.register_handler(handler, WRITE if handler.left else 0)


@pytest.mark.parametrize("function", [send_on, removes_itself, sends_until_refused])
def test_sending_the_rest_when_there_is_room_is_right(capsys, function):
    assert answer(capsys, check_send_on, function).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (sends_once, "Nobody had asked for WRITE, so nobody is told"),
        (forgets_to_ask, "Nobody had asked for WRITE, so nobody is told"),
        (asks_for_ever, "Told 100 times in a row that there is room"),
        (lets_eagain_out, "You let BlockingIOError out"),
        (sends_twice, "what went is what send returned"),
        (never_looks_at_the_result, "what went is what send returned"),
        (lambda handler, reactor: send_on(handler, reactor, something_left=READ), "Nobody had asked for WRITE"),
        (lambda handler, reactor: send_on(handler, reactor, something_left="WRITE"), "events must be"),
        (lambda handler: None, "TypeError"),
    ],
)
def test_a_wrong_way_to_send_is_told_what_the_kernel_did(capsys, function, why):
    said = answer(capsys, check_send_on, function)
    assert said.startswith("Not right yet.")
    assert why in said


def answer_slowly(handler, reactor, pool):
    def finished(found):
        if not handler.closed:
            handler.send(found)

    pool.submit(lambda: reactor.post(finished, handler.look_up()))


def in_the_loop(handler, reactor, pool):
    handler.send(handler.look_up())


def in_the_worker(handler, reactor, pool):
    pool.submit(lambda: handler.send(handler.look_up()))


def posts_the_call(handler, reactor, pool):
    pool.submit(lambda: reactor.post(handler.send(handler.look_up())))


def to_whom_has_gone(handler, reactor, pool):
    pool.submit(lambda: reactor.post(handler.send, handler.look_up()))


def asks_in_the_worker(handler, reactor, pool):
    def work():
        found = handler.look_up()
        if not handler.closed:
            reactor.post(handler.send, found)

    pool.submit(work)


def looks_up_too_early(handler, reactor, pool):
    pool.submit(reactor.post, handler.send, handler.look_up())


def sends_nothing(handler, reactor, pool):
    pool.submit(handler.look_up)


def raises_in_the_worker(handler, reactor, pool):
    pool.submit(lambda: handler.look_down())


def test_looking_up_in_a_worker_and_sending_in_the_loop_is_right(capsys):
    assert answer(capsys, check_answer_slowly, answer_slowly).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (in_the_loop, "look_up ran in the loop's thread"),
        (looks_up_too_early, "look_up ran in the loop's thread"),
        (in_the_worker, "send ran in the worker's thread"),
        (posts_the_call, "TypeError"),
        (to_whom_has_gone, "the handler was closed; you sent all the same"),
        (asks_in_the_worker, "the handler was closed; you sent all the same"),
        (sends_nothing, "What was sent: []"),
        (raises_in_the_worker, "AttributeError"),
    ],
)
def test_a_wrong_thread_is_named(capsys, function, why):
    said = answer(capsys, check_answer_slowly, function)
    assert said.startswith("Not right yet.")
    assert why in said


def test_nothing_looked_up_is_unanswered(capsys):
    assert answer(capsys, check_answer_slowly, lambda *_: None).startswith("Not answered yet.")


def dispatch(ready, handlers):
    found = [(fd, handlers[fd]) for fd, _ in ready if fd in handlers]
    for fd, handler in found:
        if handlers.get(fd) is handler:
            handler.handle_input()


def naive(ready, handlers):
    for fd, _ in ready:
        handlers[fd].handle_input()


def tells_the_newcomer(ready, handlers):
    for fd, _ in ready:
        if fd in handlers:
            handlers[fd].handle_input()


def tells_who_has_gone(ready, handlers):
    for handler in [handlers[fd] for fd, _ in ready]:
        handler.handle_input()


def tells_one(ready, handlers):
    handlers[ready[0][0]].handle_input()


def test_telling_who_was_found_and_is_still_there_is_right(capsys):
    assert answer(capsys, check_dispatch, dispatch).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (naive, "7 had removed 8 meanwhile"),
        (tells_the_newcomer, "what was found is not the newcomer's"),
        (tells_who_has_gone, "7 had removed 8 meanwhile"),
        (tells_one, "Told: handler of 7; expected"),
        (lambda ready, handlers: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_who_should_not_have_been_told_is_named(capsys, function, why):
    said = answer(capsys, check_dispatch, function)
    assert said.startswith("Not right yet.")
    assert why in said


def test_nobody_told_is_unanswered(capsys):
    assert answer(capsys, check_dispatch, lambda ready, handlers: None).startswith("Not answered yet.")
