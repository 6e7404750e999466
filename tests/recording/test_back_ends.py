"""The mechanisms below a proactor: threads by /proc, calls by strace's names, the same completions from all."""

import pytest

from iolab.recording.back_ends import BACK_ENDS, MESSAGES, SILENT, back_end
from tests.left_behind import nothing_left_behind

every_back_end = pytest.mark.parametrize("name", BACK_ENDS)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    with nothing_left_behind():
        yield


@every_back_end
def test_one_receive_completes_for_each_message_and_a_silent_client_costs_what_it_costs(name):
    measured = back_end(name)
    if measured["refusal"]:
        assert measured == {"name": name, "refusal": BACK_ENDS[name][0].unavailable()}
        pytest.skip(measured["refusal"])
    assert measured["results"] == [f"message {number}" for number in range(MESSAGES)]
    assert measured["more"] == [True] * MESSAGES
    assert measured["threads"] == (SILENT if name in ("posix-aio", "threads") else 0)
    waits_in = {
        "io-uring": "io_uring_enter",
        "linux-aio": "io_getevents",
        "posix-aio": "aio_suspend",
        "threads": "futex",
    }
    assert waits_in[name] in measured["calls"]
    assert bool(measured["helper_calls"]) == (name == "threads")


def test_a_back_end_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="name must be one of"):
        back_end("iocp")
