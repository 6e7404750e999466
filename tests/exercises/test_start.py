"""The check of the first notebook: each wrong reading of the facts has its own explanation."""

import pytest

from iolab.exercises.start import check_facts
from iolab.recording.stamp import exact
from iolab.recording.timeline import APPLICATION, PEER, Span, Timeline

FACTS = {
    "voluntary_switches": 2, "involuntary_switches": 1, "refused": 7, "cpu_ns": 500, "wall_ns": 90_000,
    "calls": {"epoll_wait": 1, "read": 8},
}  # fmt: skip
SPANS = (
    Span(APPLICATION, "blocked", exact(0), exact(10), 1, "epoll_wait"),
    Span(APPLICATION, "copy", exact(10), exact(20), 1, "read", 64),
    Span(PEER, "peer", exact(5), exact(9), 2, "send", 64),
)
TIMELINE = Timeline("epoll", FACTS, SPANS)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ((2, "read", 500), "Right."),
        ((..., "read", 500), "Not answered yet."),
        ((2, ..., ...), "Not answered yet."),
        ((1, "read", 500), "took the CPU away"),
        ((7, "read", 500), "EAGAIN"),
        ((8, "read", 500), "voluntary context switch"),
        (("2", "read", 500), "voluntary context switch"),
        ((True, "read", 500), "not what the kernel counted"),
        ((2, "epoll_wait", 500), "returned no bytes"),
        ((2, "send", 500), "not its own"),
        ((2, ["read"], 500), "must be the name"),
        ((2, None, 500), "must be the name"),
        ((2, "read", 90_000), "wall clock"),
        ((2, "read", 5.0), "nanoseconds"),
    ],
)
def test_each_answer_has_its_explanation(answers, said, capsys):
    check_facts(TIMELINE, *answers)
    printed = capsys.readouterr().out
    assert said in printed
    assert printed.startswith(("Right.", "Not answered yet.", "Not right yet."))


def test_true_is_no_count(capsys):
    once = Timeline("blocking", FACTS | {"voluntary_switches": 1}, SPANS)
    check_facts(once, True, "read", 500)
    assert "Not right yet." in capsys.readouterr().out
