"""What is remembered of one request's fields must not show in another one."""

import pytest

from iolab.servers import http_fields, http_requests
from iolab.servers.http_limits import STANDARD, Limits
from iolab.servers.http_messages import HttpConnection
from iolab.servers.http_refusal import Refusal

FIELDS = b"Host: a\r\nCookie: c=1\r\n\r\n"


@pytest.fixture(autouse=True)
def nothing_remembered():
    http_fields.judged_fields.cache_clear()
    http_requests._judged.clear()


def request(head: bytes, limits: Limits = STANDARD):
    (event,) = HttpConnection(limits).receive(head)
    return event


def remembered() -> int:
    return http_fields.judged_fields.cache_info().currsize


def test_the_same_fields_are_read_once_whatever_is_asked_for():
    assert request(b"GET /a HTTP/1.1\r\n" + FIELDS).headers == request(b"GET /b HTTP/1.1\r\n" + FIELDS).headers
    assert http_fields.judged_fields.cache_info().hits == 1


def test_nobody_can_write_into_headers_that_others_may_be_shown():
    for head in (b"GET /a HTTP/1.1\r\n" + FIELDS, b"GET http://b/a HTTP/1.1\r\n" + FIELDS):
        with pytest.raises(TypeError):
            request(head).headers["cookie"] = "mine"
    assert request(b"GET http://b/a HTTP/1.1\r\n" + FIELDS).headers == {"host": "b", "cookie": "c=1"}
    assert request(b"GET /a HTTP/1.1\r\n" + FIELDS).headers == {"host": "a", "cookie": "c=1"}


def test_method_and_version_count_as_well():
    assert request(b"GET / HTTP/1.1\r\n" + FIELDS).keep_alive
    assert not request(b"GET / HTTP/1.0\r\n" + FIELDS).keep_alive
    assert request(b"CONNECT / HTTP/1.1\r\n" + FIELDS).response.status == 501


def test_the_limits_of_each_connection_are_asked_each_time():
    head = b"GET / HTTP/1.1\r\n" + FIELDS
    assert not isinstance(request(head), Refusal)
    assert request(head, Limits(fields=1)).response.status == 431
    assert not isinstance(request(head), Refusal)


def test_each_request_has_a_body_of_its_own():
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    first, second = HttpConnection(), HttpConnection()
    assert first.receive(head + b"ab") == second.receive(head) == []
    assert [event.body for event in second.receive(b"xyz")] == [b"xyz"]
    assert [event.body for event in first.receive(b"c")] == [b"abc"]


def test_of_whole_heads_only_so_many_are_remembered_too():
    for number in range(2 * http_fields.REMEMBERED):
        assert request(b"GET /%d HTTP/1.1\r\n" % number + FIELDS).path == f"/{number}"
        assert len(http_requests._judged) <= http_fields.REMEMBERED
    assert http_fields.judged_fields.cache_info().currsize == 1


def test_a_head_that_is_known_is_judged_by_the_limits_of_its_connection_all_the_same():
    head = b"GET /known HTTP/1.1\r\n" + FIELDS
    assert request(head) == request(head)
    assert request(head, Limits(fields=1)).response.status == 431
    assert request(head, Limits(request_line=16)).response.status == 414
    assert request(head, Limits(request_line=22, head=24)).response.status == 431


def test_a_known_head_waits_while_too_many_are_unanswered_and_joins_what_has_begun():
    head = b"GET /known HTTP/1.1\r\n" + FIELDS
    connection = HttpConnection(Limits(pipelined=2))
    assert [event.path for _ in range(3) for event in connection.receive(head)] == ["/known"] * 2
    assert connection.phase == "full"
    assert [event.path for event in connection.answered()] == ["/known"]
    begun = HttpConnection()
    assert begun.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(head)) == []
    assert [event.body for event in begun.receive(head)] == [head]
    assert HttpConnection().receive(head[:9]) == []
    late = HttpConnection()
    assert late.receive(head[:9]) == []
    assert [event.path for event in late.receive(head[9:])] == ["/known"]


def test_what_ends_the_connection_ends_it_each_time():
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    for _ in range(2):
        connection = HttpConnection()
        assert [event.keep_alive for event in connection.receive(head)] == [False]
        assert connection.phase == "closed"


def test_only_so_much_is_remembered_and_nothing_that_was_refused():
    for number in range(2 * http_fields.REMEMBERED):
        assert request(b"GET / HTTP/1.1\r\nHost: a\r\nX: %d\r\n\r\n" % number).headers["x"] == str(number)
    assert remembered() == http_fields.REMEMBERED
    http_fields.judged_fields.cache_clear()
    for _ in range(2):
        assert request(b"GET / HTTP/1.1\r\nNo: host\r\n\r\n").response.status == 400
    assert remembered() == 0
