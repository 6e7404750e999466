"""The difference of two pieces of source: without the signs of the other each is whole."""

import pytest

from iolab.exercises.difference import Difference
from iolab.exercises.sources import Source
from iolab.servers import proactor_http_server, reactor_http_server


def left(number):
    """Doubles."""
    return number * 2


def right(number):
    """Doubles."""
    return number + number


def test_what_is_alone_has_a_sign_and_what_is_shared_has_none():
    lines = Difference(left, right).text.splitlines()
    assert '     """Doubles."""' in lines
    assert "-    return number * 2" in lines
    assert "+    return number + number" in lines
    assert Difference(left, right)._repr_markdown_() == f"```diff\n{Difference(left, right)!r}\n```"


@pytest.mark.parametrize("method", ["go_on", "handle_answer", "close"])
def test_without_what_is_only_in_one_each_source_is_whole(method):
    one, other = (getattr(module.HttpHandler, method) for module in (reactor_http_server, proactor_http_server))
    lines = Difference(one, other).text.splitlines()
    if not lines:  # word for word the same
        assert Source(one).text == Source(other).text
        return
    for function, sign, drop in ((one, "-", "+"), (other, "+", "-")):
        kept = [line[1:] for line in lines[2:] if not line.startswith(drop)]
        assert [line.strip() for line in kept] == [line.strip() for line in Source(function).text.splitlines()], sign


def test_equal_sources_have_no_difference():
    assert Difference(left, left).text == ""
