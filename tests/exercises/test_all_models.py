"""The checks of the chapter that compares all models: right is right, each mistake is explained, nothing is left."""

import pytest

from iolab.drawing.words import by_posix
from iolab.exercises import all_models, attempting
from iolab.exercises.all_models import MISTAKEN, SENTENCES, SETTLED, check_by_the_lecture, check_mistaken, examples
from iolab.exercises.choosing import check_choose
from iolab.models import (
    ASYNCHRONOUS,
    asynchronous_io_uring,
    asynchronous_linux_aio,
    asynchronous_posix_aio,
    asynchronous_threads,
    blocking,
    multiplexing_epoll,
    multiplexing_poll,
    multiplexing_select,
    nonblocking,
    signal_driven,
)
from tests.left_behind import nothing_left_behind


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch):
    monkeypatch.setattr(attempting, "LIMIT_S", 0.3)
    with nothing_left_behind():
        yield


def answer(capsys, check, given) -> str:
    check(given)
    return capsys.readouterr().out


def by_the_lecture(timeline):
    lanes = {span.lane for span in timeline.spans if span.nbytes and not span.lane.startswith(("peer", "kernel"))}
    return "synchronous" if "application" in lanes else "asynchronous"


def test_the_lane_of_the_bytes_is_right(capsys):
    assert answer(capsys, check_by_the_lecture, by_the_lecture).startswith("Right.")


def gap(timeline):
    return "synchronous" if ... else "asynchronous"


def by_sleeping(timeline):
    slept = any(span.state == "blocked" for span in timeline.lane("application"))
    return "synchronous" if slept else "asynchronous"


def by_interface(timeline):
    return "asynchronous" if timeline.facts["asynchronous"] else "synchronous"


def by_name(timeline):
    return "asynchronous" if timeline.model == "posix-aio" else "synchronous"


def reverse(timeline):
    return "asynchronous" if by_the_lecture(timeline) == "synchronous" else "synchronous"


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (gap, "Not answered yet. Who fetched"),
        (lambda timeline: None, "Not answered yet."),
        (by_sleeping, "nonblocking: you said 'asynchronous'. It was copied by the application's own thread."),
        (by_interface, "io-uring.one-read: you said 'asynchronous'. It was copied by the application's own thread."),
        (by_posix, "io-uring.one-read: you said 'asynchronous'"),
        (by_name, "io-uring.one-read.manner-sqpoll: you said 'synchronous'. It was copied by helper thread"),
        (reverse, "Each of your answers is the reverse"),
        (lambda timeline: "synchronous", "posix-aio.one-read: you said 'synchronous'"),
        (lambda timeline: "asynchronous", "blocking: you said 'asynchronous'"),
        (lambda timeline: True, "blocking: you said True"),
        (lambda: None, "TypeError"),
        (lambda timeline: timeline.nothing, "AttributeError"),
        ("synchronous", "the function itself"),
    ],
)
def test_each_other_way_to_judge_is_explained(capsys, function, why):
    said = answer(capsys, check_by_the_lecture, function)
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said


def test_the_examples_hold_what_the_explanations_say():
    found = examples()
    assert found.keys() == all_models.WHY.keys()
    assert by_posix(found["io-uring.one-read"]) == "asynchronous"
    assert by_posix(found["linux-aio.one-read"]) == by_posix(found["nonblocking"]) == "synchronous"


@pytest.mark.parametrize("letters", ["bdeg", "g, e, d, b", "BDEG"])
def test_the_four_mistaken_sentences_are_right(capsys, letters):
    assert answer(capsys, check_mistaken, letters).startswith("Right. b: it is the lecture's sentence")


@pytest.mark.parametrize(
    ("letters", "why"),
    [
        ("", "Not answered yet."),
        ("?", "Not answered yet."),
        ("bde", "1 more are mistaken. Of one of them: for a file that is not in memory"),
        ("b", "3 more are mistaken. Of one of them: its last read"),
        ("abdeg", "You accuse a; it is right"),
        ("c", "You accuse c; it is right"),
        ("bdefg", "You accuse f; it is right"),
        ("xyz", "no sentence x, y, z"),
        (["b"], "One string"),
        (None, "One string"),
    ],
)
def test_what_is_accused_or_overlooked_is_settled_by_evidence(capsys, letters, why):
    said = answer(capsys, check_mistaken, letters)
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said


def test_every_sentence_is_settled():
    assert SENTENCES.keys() == SETTLED.keys() > MISTAKEN
    assert {
        letter for letter, words in SETTLED.items() if words.startswith("it is right")
    } == SENTENCES.keys() - MISTAKEN


def chooses(file=blocking, sockets=multiplexing_epoll, works=signal_driven, elsewhere=asynchronous_threads):
    def choose(case):
        if case.file:
            return file
        return sockets if case.senders > 1 else works if case.works else elsewhere

    return choose


GOOD = [
    {},
    {"file": nonblocking, "sockets": multiplexing_select},
    {"sockets": multiplexing_poll, "works": asynchronous_threads, "elsewhere": asynchronous_posix_aio},
    {"sockets": signal_driven, "works": asynchronous_linux_aio},
    {"sockets": asynchronous_io_uring, "works": asynchronous_io_uring},
    {"sockets": asynchronous_linux_aio},
]


@pytest.mark.parametrize("models", GOOD, ids=lambda models: "-".join(models) or "all")
def test_a_model_that_meets_the_need_is_right(capsys, models):
    for model in models.values():
        if reason := model.unavailable():
            pytest.skip(reason)
    assert answer(capsys, check_choose, chooses(**models)).startswith("Right.")


BAD = [
    ("file", multiplexing_epoll, "epoll_ctl: Operation not permitted. A regular file has no readiness."),
    ("file", multiplexing_select, "2 calls, select, read, where one would do"),
    ("file", asynchronous_threads, "A helper thread was woken for bytes that lay in memory"),
    ("file", asynchronous_io_uring, "calls, io_uring_setup"),
    ("sockets", blocking, "behind one that had not come yet"),
    ("sockets", nonblocking, "times in vain, and never slept"),
    ("sockets", asynchronous_threads, "Other threads sleep for it"),
    ("sockets", asynchronous_posix_aio, "Other threads sleep for it"),
    ("works", blocking, "Not one slice of work"),
    ("works", nonblocking, "times between the slices"),
    ("works", multiplexing_epoll, "times between the slices"),
    ("works", asynchronous_posix_aio, "times between the slices"),
    ("elsewhere", blocking, "inside read"),
    ("elsewhere", asynchronous_linux_aio, "inside io_submit"),
    ("elsewhere", asynchronous_io_uring, "inside io_uring_enter"),
]


@pytest.mark.parametrize(("need", "model", "why"), BAD, ids=[f"{need}-{model.NAME}" for need, model, _ in BAD])
def test_a_model_that_does_not_is_judged_by_its_run(capsys, need, model, why):
    if model in ASYNCHRONOUS and (reason := model.unavailable()):
        why = f"is not to be had here ({reason})"
    said = answer(capsys, check_choose, chooses(**{need: model}))
    assert said.startswith("Not right yet.")
    assert why in said


@pytest.mark.parametrize(
    ("choose", "why"),
    [
        (lambda case: None, "Not answered yet."),
        (lambda case: "epoll", "you chose 'epoll', which is none of MODELS"),
        (lambda: blocking, "TypeError"),
        (lambda case: case.nothing, "AttributeError"),
    ],
)
def test_what_is_no_choice_is_said(capsys, choose, why):
    said = answer(capsys, check_choose, choose)
    assert said.startswith(("Not right yet.", "Not answered yet."))
    assert why in said


def test_a_model_that_is_refused_here_is_no_choice(capsys, monkeypatch):
    monkeypatch.setattr(multiplexing_epoll, "unavailable", lambda: "epoll_create1: Function not implemented")
    said = answer(capsys, check_choose, chooses())
    assert "epoll is not to be had here (epoll_create1: Function not implemented)" in said
