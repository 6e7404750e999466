"""The checks of the chapter on the proactor: the right answer is right, each typical mistake gets its explanation."""

import threading

import pytest

from iolab.exercises import attempting, completing, proactor
from iolab.exercises.completing import check_start
from iolab.exercises.proactor import check_handle_receive, check_send_pages
from tests.left_behind import nothing_left_behind


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch):
    monkeypatch.setattr(attempting, "LIMIT_S", 20)
    hook = threading.excepthook
    with nothing_left_behind():
        yield
    assert threading.excepthook is hook


def answer(capsys, check, function) -> str:
    check(function)
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def handle_receive(handler, proactor, completion):
    if completion.result > 0:
        proactor.send(handler.fd, bytes(completion.data), handler)
    else:
        proactor.close_connection(handler.fd, handler)


def forgets_end_and_error(handler, proactor, completion):
    proactor.send(handler.fd, bytes(completion.data), handler)


def forgets_the_end(handler, proactor, completion):
    if completion.result > 0:
        proactor.send(handler.fd, bytes(completion.data), handler)


def forgets_the_error(handler, proactor, completion):
    if completion.result == 0:
        proactor.close_connection(handler.fd, handler)
    elif completion.data is not None:
        proactor.send(handler.fd, bytes(completion.data), handler)


def sends_half(handler, proactor, completion):
    proactor.send(handler.fd, bytes(completion.data[:3]), handler)


def test_three_cases_of_one_completion_are_right(capsys):
    assert answer(capsys, check_handle_receive, handle_receive).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (forgets_end_and_error, "result 0"),
        (forgets_the_end, "the connection stays open. Who closes it"),
        (forgets_the_error, "-ECONNRESET: an error is a result here"),
        (sends_half, "The peer sent b'a book' and heard b'a b'"),
        (lambda handler, proactor, completion: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_case_that_is_forgotten_is_named(capsys, function, why):
    said = answer(capsys, check_handle_receive, function)
    assert said.startswith("Not right yet.")
    assert why in said


def test_a_handler_that_does_nothing_is_unanswered(capsys, monkeypatch):
    monkeypatch.setattr(proactor, "PATIENCE_S", 0.2)
    assert answer(capsys, check_handle_receive, lambda *_: None).startswith("Not answered yet.")


def send_pages(proactor, handler, pages):
    for page in pages:
        proactor.send(handler.fd, page, handler)
    handler.close_when_sent()


def one_buffer_for_all(proactor, handler, pages):
    buffer = bytearray(len(pages[0]))
    for page in pages:
        buffer[:] = page
        proactor.send(handler.fd, buffer, handler)
    handler.close_when_sent()


def closes_at_once(proactor, handler, pages):
    for page in pages:
        proactor.send(handler.fd, page, handler)
    proactor.close_connection(handler.fd, handler)


def one_buffer_and_closes_at_once(proactor, handler, pages):
    buffer = bytearray(len(pages[0]))
    for page in pages:
        buffer[:] = page
        proactor.send(handler.fd, buffer, handler)
    proactor.close_connection(handler.fd, handler)


def never_closes(proactor, handler, pages):
    for page in pages:
        proactor.send(handler.fd, page, handler)


def a_copy_for_each(proactor, handler, pages):
    buffer = bytearray(len(pages[0]))
    for page in pages:
        buffer[:] = page
        proactor.send(handler.fd, bytes(buffer), handler)
    handler.close_when_sent()


@pytest.mark.parametrize("function", [send_pages, a_copy_for_each])
def test_bytes_of_its_own_for_each_operation_are_right(capsys, function):
    assert answer(capsys, check_send_pages, function).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (one_buffer_for_all, "Until then it belongs to the operation"),
        (closes_at_once, "a send that is started is not sent"),
        (one_buffer_and_closes_at_once, "a send that is started is not sent"),
        (never_closes, "the connection stays open"),
        (lambda proactor, handler, pages: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_page_that_does_not_come_is_explained(capsys, function, why):
    said = answer(capsys, check_send_pages, function)
    assert said.startswith("Not right yet.")
    assert why in said


def test_no_send_is_unanswered(capsys):
    assert answer(capsys, check_send_pages, lambda *_: None).startswith("Not answered yet.")


def start(operation, handle, completions):
    def carry_out():
        try:
            result = operation()
        except OSError as error:
            result = error
        completions.put((handle, result))

    threading.Thread(target=carry_out).start()


def in_this_thread(operation, handle, completions):
    completions.put((handle, operation()))


def told_too_early(operation, handle, completions):
    threading.Thread(target=operation).start()
    completions.put((handle, None))


def calls_the_handler(operation, handle, completions):
    threading.Thread(target=lambda: handle(operation())).start()


def forgets_the_queue(operation, handle, completions):
    threading.Thread(target=operation).start()


def forgets_the_handler(operation, handle, completions):
    threading.Thread(target=lambda: completions.put(operation())).start()


def forgets_the_error_of_the_operation(operation, handle, completions):
    threading.Thread(target=lambda: completions.put((handle, operation()))).start()


def error_as_none(operation, handle, completions):
    def carry_out():
        result = None
        try:
            result = operation()
        finally:
            completions.put((handle, result))

    threading.Thread(target=carry_out).start()


def test_carried_out_elsewhere_and_told_by_the_queue_is_right(capsys):
    assert answer(capsys, check_start, start).startswith("Right.")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (in_this_thread, "start carried the operation out itself"),
        (told_too_early, "a completion says it IS over"),
        (calls_the_handler, "handle was called, by the thread"),
        (forgets_the_queue, "Nothing lies in the queue"),
        (forgets_the_handler, "expects the pair (handle, result)"),
        (forgets_the_error_of_the_operation, "An error is a result"),
        (error_as_none, "the pair is (handle, the error)"),
        (lambda operation, handle: None, "TypeError"),
    ],
)
def test_a_wrong_start_is_told_why(capsys, monkeypatch, function, why):
    monkeypatch.setattr(attempting, "LIMIT_S", 0.3 if function is in_this_thread else 20)
    said = answer(capsys, check_start, function)
    assert said.startswith("Not right yet.")
    assert why in said


def test_nothing_started_is_unanswered(capsys, monkeypatch):
    monkeypatch.setattr(completing, "PATIENCE_S", 0.2)
    assert answer(capsys, check_start, lambda *_: None).startswith("Not answered yet.")
