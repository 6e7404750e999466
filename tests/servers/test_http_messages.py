"""HTTP without sockets, held against the standard's own words (RFC 9110, 9112), h11 as a client, and curl's requests."""

import gc
import re
import time
import tracemalloc
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import h11
import pytest

from iolab.servers.http_limits import Limits
from iolab.servers.http_messages import BODY, CLOSED, FULL, HEADER, IDLE, Continue, HttpConnection
from iolab.servers.http_refusal import Refusal, refuse
from iolab.servers.http_requests import Request
from iolab.servers.http_responses import Response, encode, plain, stays_open

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
SMALL = Limits(request_line=100, head=300, fields=5, body=50, chunking=60, pipelined=3)


def events(data: bytes, limits: Limits = SMALL, end: bool = False) -> list:
    connection = HttpConnection(limits)
    return connection.receive(data) + (connection.receive_end() if end else [])


def request(data: bytes, limits: Limits = SMALL) -> Request:
    [found] = events(data, limits)
    assert isinstance(found, Request), found
    return found


def refused(data: bytes, limits: Limits = SMALL, end: bool = False) -> int:
    """The status of the refusal that `data` comes to, and nothing but it."""
    [found] = events(data, limits, end)
    assert isinstance(found, Refusal), found
    assert not found.keep_alive
    return found.response.status


# What a request says


def test_a_request_has_all_that_was_sent():
    sent = b"POST /orders?a=1&b=?x HTTP/1.1\r\nHost: a:80\r\nX-One:\t 1 \r\nx-one: 2\r\nContent-Length: 4\r\n\r\n\r\n\0\xff"
    headers = {"host": "a:80", "x-one": "1, 2", "content-length": "4"}
    expected = Request("POST", "/orders?a=1&b=?x", "/orders", "a=1&b=?x", "1.1", headers, b"\r\n\0\xff", True)
    assert request(sent) == expected


@pytest.mark.parametrize(
    ("line", "path", "query", "host"),
    [
        (b"GET /", "/", "", "a"),
        (b"GET /%2e/b%20c//?%3F", "/%2e/b%20c//", "%3F", "a"),
        (b"GET http://b:81/c?d", "/c", "d", "b:81"),
        (b"GET HTTPS://b", "/", "", "b"),
        (b"GET http://b?d", "/", "d", "b"),
        (b"GET http://[::1]:8080/", "/", "", "[::1]:8080"),
        (b"OPTIONS *", "*", "", "a"),
        (b"OPTIONS http://b", "*", "", "b"),
        (b"OPTIONS /c", "/c", "", "a"),
    ],
)
def test_a_target_is_a_path_or_an_address_whose_host_counts_more_than_the_field(line, path, query, host):
    """RFC 9112, 3.2.1, 3.2.2, 3.2.4."""
    found = request(line + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (found.path, found.query, found.headers["host"]) == (path, query, host)


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        ("1.1", None, True), ("1.1", "close", False), ("1.1", "CLOSE", False), ("1.1", "x , close", False),
        ("1.1", "keep-alive", True), ("1.1", "keep-alive, close", False), ("1.1", "closed", True),
        ("1.0", None, False), ("1.0", "Keep-Alive", True), ("1.0", "keep-alive, close", False), ("1.0", "x", False),
    ],
)  # fmt: skip
def test_whether_the_client_wants_the_connection_to_stay_open(version, connection, keep_alive):
    """RFC 9112, 9.3."""
    field = f"Connection: {connection}\r\n" if connection else ""
    sent = f"GET / HTTP/{version}\r\nHost: a\r\n{field}\r\n".encode()
    connection = HttpConnection()
    [found] = connection.receive(sent)
    assert found.keep_alive == keep_alive
    assert connection.phase == (IDLE if keep_alive else CLOSED)
    assert len(connection.receive(sent)) == keep_alive


def test_two_connection_fields_count_as_one():
    assert not request(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n").keep_alive


def test_a_1_0_request_needs_no_host():
    assert request(b"GET / HTTP/1.0\r\n\r\n").headers == {}


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_an_offer_to_upgrade_may_be_ignored(body):
    """RFC 9110, 7.8; it is what `curl --http2` sends."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    head = b"POST / HTTP/1.1\r\n" + HOST + upgrade
    sized = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"3\r\nabc\r\n" if body else b"") + b"0\r\n\r\n"
    for sent in (sized, chunked):
        assert [each.body for each in events(sent + GET)] == [body, b""]


def test_empty_lines_before_a_request_are_skipped():
    """RFC 9112, 2.2."""
    assert [each.method for each in events(b"\r\n" + GET + b"\r\n\r\n\r\n" + GET)] == ["GET", "GET"]


# Where a body ends


def test_a_body_of_a_length_leaves_the_next_request_alone():
    sent = b"PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 03\r\n\r\nGETGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
    assert [(each.path, each.body) for each in events(sent)] == [("/1", b"GET"), ("/2", b"")]


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
        (b"0\r\n\r\n", b""),
        (b'3;a\r\nabc\r\n2;b=c;d="e;f"\r\nde\r\n0;g\r\n\r\n', b"abcde"),
        (b"6\r\n\n\r\n\r\n\n\r\n000\r\nX: y\r\nZ:\r\n\r\n", b"\n\r\n\r\n\n"),
        (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    ],
)
def test_a_chunked_body_is_joined_and_leaves_the_next_request_alone(chunks, body):
    """RFC 9112, 7.1; extensions (7.1.1) and trailers (7.1.2) are read over."""
    first, second = events(CHUNKED + chunks + GET)
    assert (first.body, second.method) == (body, "GET")


@pytest.mark.parametrize(
    "chunks",
    [
        b"g\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b" 1\r\n", b"1_0\r\n", b"\r\n", b"3\nabc\r\n", b"3\r\nabcd\r\n",
        b"3\r\nab\r\n0\r\n\r\n", b"3\r\nabc0\r\n", b"3\r\nabc\n0\r\n\r\n", b"3;\0\r\n", b"3;a\nabc\r\n",
        b"1" * 17 + b"\r\n", b"0\r\nX : y\r\n\r\n", b"0\r\nX: y\n\r\n", b"0\r\n X: y\r\n\r\n", b"0\r\nX: \0\r\n\r\n",
        b"0\r\nContent-Length: 0\r\n\r\n", b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\n",
    ],
)  # fmt: skip
def test_wrong_chunks_are_refused(chunks):
    assert refused(CHUNKED + chunks + GET) == 400


# What is refused


@pytest.mark.parametrize(
    ("status", "head"),
    [
        # the request line: RFC 9112, 3
        (400, b"GET /\r\n" + HOST), (400, b"GET  / HTTP/1.1\r\n" + HOST), (400, b"GET / HTTP/1.1 \r\n" + HOST),
        (400, b"GET /  HTTP/1.1\r\n" + HOST), (400, b"GET\t/ HTTP/1.1\r\n" + HOST), (400, b"GET HTTP/1.1\r\n" + HOST),
        (400, b" GET / HTTP/1.1\r\n" + HOST), (400, b"G(T / HTTP/1.1\r\n" + HOST), (400, b"GET / http/1.1\r\n" + HOST),
        (400, b"GET / HTTP/1.1\n" + HOST), (400, b"\nGET / HTTP/1.1\r\n" + HOST), (400, b"\r\rGET / HTTP/1.1\r\n" + HOST),
        (400, b"GET / HTTP/1.10\r\n" + HOST), (400, b"GET / HTTP/11\r\n" + HOST), (400, b"GET / RTSP/1.0\r\n" + HOST),
        (400, b"HTTP/1.1 200 OK\r\n" + HOST),
        (505, b"GET / HTTP/0.9\r\n" + HOST), (505, b"GET / HTTP/2.0\r\n" + HOST), (505, b"PRI * HTTP/2.0\r\n"),
        (501, b"FOO / HTTP/1.1\r\n" + HOST), (501, b"get / HTTP/1.1\r\n" + HOST), (501, b"CONNECT a:1 HTTP/1.1\r\n" + HOST),
        # the target: RFC 9112, 3.2
        (400, b"GET a HTTP/1.1\r\n" + HOST), (400, b"GET * HTTP/1.1\r\n" + HOST), (400, b"OPTIONS *x HTTP/1.1\r\n" + HOST),
        (400, b"GET /a#b HTTP/1.1\r\n" + HOST), (400, b"GET /\xff HTTP/1.1\r\n" + HOST), (400, b"GET /\0 HTTP/1.1\r\n" + HOST),
        (400, b"GET ftp://a/ HTTP/1.1\r\n" + HOST), (400, b"GET http:///a HTTP/1.1\r\n" + HOST),
        (400, b"GET http://u:p@b/ HTTP/1.1\r\n" + HOST), (400, b"GET http://b#c HTTP/1.1\r\n" + HOST),
        (400, b"OPTIONS *?a HTTP/1.1\r\n" + HOST), (400, b"GET ?a HTTP/1.1\r\n" + HOST),
        # Host: RFC 9112, 3.2
        (400, b"GET / HTTP/1.1\r\n"), (400, b"GET / HTTP/1.1\r\n" + HOST + HOST), (400, b"GET / HTTP/1.0\r\n" + HOST + HOST),
        (400, b"GET / HTTP/1.1\r\nHost: a b\r\n"), (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a:b\r\n"), (400, b"GET / HTTP/1.1\r\nHost: u@a\r\n"),
        # fields: RFC 9112, 5 and 2.2
        (400, b"GET / HTTP/1.1\r\nHost : a\r\n"), (400, b"GET / HTTP/1.1\r\n Host: a\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n"), (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n\tb\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\n"), (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n"), (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: \x01\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + HOST + b"X: \x7f\r\n"), (400, b"GET / HTTP/1.1\r\n" + HOST + b"X\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + HOST + b": a\r\n"), (400, b"GET / HTTP/1.1\r\n" + HOST + b"\xff: a\r\n"),
        # lengths: RFC 9112, 6.3; RFC 9110, 8.6
        *((400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %s\r\n" % length)
          for length in (b"-1", b"+1", b"0x1", b"1.0", b"1 1", b"1,1", b"1_0", b"", b"a", b"9" * 30, b"\xb2")),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n"),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\ncontent-length: 1\r\n"),
        # codings: RFC 9112, 6.1
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        (400, b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"),
        (501, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n"),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n"),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, gzip\r\n"),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n"),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: \x0bchunked\r\n"),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n"),
        (400, b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n"),
        # expectations: RFC 9110, 10.1.1
        (417, b"POST / HTTP/1.1\r\n" + HOST + b"Expect: a miracle\r\nContent-Length: 5\r\n"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_whole_or_byte_by_byte(status, head):
    sent = head + b"\r\n0\r\n\r\n"
    assert refused(sent) == status
    connection = HttpConnection(SMALL)
    found = [event for byte in sent for event in connection.receive(bytes([byte]))]
    assert [event.response.status for event in found] == [status]
    assert connection.phase == CLOSED
    assert connection.receive(GET) == connection.receive_end() == connection.timed_out() == []


def test_a_bare_lf_is_refused_when_the_head_is_over_and_not_waited_for():
    assert refused(b"GET / HTTP/1.1\nHost: a\n\n") == 400


@pytest.mark.parametrize("first", [b"\x16", b" ", b"\n", b"\0", b"\x7f", b"\xff"])
def test_a_first_byte_that_no_method_has_is_refused_at_once(first):
    """0x16 is that of TLS, whose client would wait for an answer."""
    assert refused(first) == 400


def test_what_was_complete_before_the_fault_is_a_request():
    first, second = events(GET + b"no\r\n\r\n")
    assert (type(first), type(second), second.response.status) == (Request, Refusal, 400)


@pytest.mark.parametrize(
    ("sent", "head_only"),
    [
        (b"HEAD / HTTP/1.1\r\n\r\n", True), (b"HEAD /" + b"a" * 100, True), (b"HEADER / HTTP/1.1\r\n\r\n", False),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n", True),
        (GET + b"HEAD / HTTP/1.1\r\n\r\n", True), (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nno\r\n\r\n", False),
    ],
)  # fmt: skip
def test_a_refused_head_request_gets_no_body(sent, head_only):
    refusal = events(sent)[-1]
    assert encode(refusal.response, refusal).endswith(b"\r\n\r\n") == head_only


# Limits


def test_each_limit_is_exact_and_has_its_status():
    line = b"GET /%s HTTP/1.1\r\n"
    longest = line % (b"a" * (SMALL.request_line - len(line) + 2))
    assert len(longest) == SMALL.request_line
    assert request(longest + HOST + b"\r\n").method == "GET"
    assert refused(longest.replace(b"/", b"/a", 1) + HOST + b"\r\n") == 414

    field = b"X: %s\r\n"
    head = b"GET / HTTP/1.1\r\n" + HOST
    longest = head + field % (b"a" * (SMALL.head - len(head + field + b"\r\n") + 2)) + b"\r\n"
    assert len(longest) == SMALL.head
    assert request(longest).method == "GET"
    assert refused(longest.replace(b"X: ", b"X: a")) == 431

    most = head + b"X: a\r\n" * (SMALL.fields - 1) + b"\r\n"
    assert request(most).method == "GET"
    assert refused(most.replace(HOST, HOST + b"Y: b\r\n")) == 431


@pytest.mark.parametrize(
    ("begin", "unit", "status", "limit"),
    [
        (b"GET /", b"a", 414, SMALL.request_line), (b"", b"a", 414, SMALL.request_line),
        (b"GET /a HTTP/1.1\r\nX: ", b"a", 431, SMALL.head), (b"GET /a HTTP/1.1\r\n", b"a: b\r\n", 431, SMALL.head),
    ],
)  # fmt: skip
def test_a_head_without_end_is_refused_at_its_limit(begin, unit, status, limit):
    connection, nbytes = HttpConnection(SMALL), 0
    for byte in begin + unit * 300:
        nbytes += 1
        if found := connection.receive(bytes([byte])):
            break
    assert ([each.response.status for each in found], nbytes) == ([status], limit)


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes():
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n"
    assert refused(head % (SMALL.body + 1)) == 413
    assert refused((head % (SMALL.body + 1)).replace(HOST, HOST + b"Expect: 100-continue\r\n")) == 413
    assert len(request(head % SMALL.body + b"a" * SMALL.body).body) == SMALL.body


def test_a_chunked_body_is_refused_when_it_has_become_too_large():
    chunks = b"%x\r\n%s\r\n0\r\n\r\n"
    assert len(request(CHUNKED + chunks % (SMALL.body, b"a" * SMALL.body)).body) == SMALL.body
    assert refused(CHUNKED + chunks % (SMALL.body + 1, b"a" * (SMALL.body + 1))) == 413
    assert refused(CHUNKED + b"%x\r\n%s" % (1 << 40, b"a" * (SMALL.body + 1))) == 413


@pytest.mark.parametrize("waste", [b"3;%s\r\nabc\r\n0\r\n\r\n", b"0\r\nX: %s\r\n\r\n", b"%s3\r\nabc\r\n0\r\n\r\n"])
def test_extensions_trailers_and_zeros_have_a_limit_together(waste):
    around = len(waste % b"") - (3 if b"abc" in waste else 0)
    assert request(CHUNKED + waste % (b"0" * (SMALL.chunking - around))).method == "POST"
    assert refused(CHUNKED + waste % (b"0" * (SMALL.chunking - around + 1))) == 413


def test_of_a_limit_and_an_error_behind_it_the_limit_comes_first_in_whatever_pieces():
    sent = CHUNKED + b"1;" + b"a" * (SMALL.chunking - 1) + b"\0"
    assert refused(sent) == 413
    connection = HttpConnection(SMALL)
    assert [each.response.status for byte in sent for each in connection.receive(bytes([byte]))] == [413]


def test_many_small_chunks_have_a_limit_too():
    one = b"1\r\na\r\n"
    fitting = (SMALL.chunking - len(b"0\r\n\r\n")) // (len(one) - 1)
    assert request(CHUNKED + one * fitting + b"0\r\n\r\n").body == b"a" * fitting
    assert refused(CHUNKED + one * (fitting + 2) + b"0\r\n\r\n") == 413


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "9", None, True])
@pytest.mark.parametrize("name", ["request_line", "head", "fields", "body", "chunking", "pipelined"])
def test_a_limit_is_an_integer_from_1_on(name, wrong):
    with pytest.raises(ValueError, match=f"{name} must be an integer from 1 on, not {wrong!r}"):
        Limits(**{name: wrong})


def test_a_request_line_is_part_of_the_head():
    with pytest.raises(ValueError, match="request_line must be at most head"):
        Limits(request_line=11, head=10)


# Phases, the end of the stream, time-outs, pipelining


def test_the_phases_of_a_request():
    connection = HttpConnection()
    phases = [connection.phase]
    for piece in (b"P", b"OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r", b"\n", b"a", b"b", b"\r\n"):
        connection.receive(piece)
        phases.append(connection.phase)
    assert phases == [IDLE, HEADER, HEADER, BODY, BODY, IDLE, IDLE]


@pytest.mark.parametrize(
    "begun",
    [GET[:1], GET[:-1], b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na", CHUNKED, CHUNKED + b"0\r\n\r"],
)
def test_a_request_that_has_begun_is_refused_at_the_end_of_the_stream_and_when_time_is_over(begun):
    assert refused(begun, end=True) == 400
    connection = HttpConnection()
    connection.receive(begun)
    [refusal] = connection.timed_out()
    assert refusal.response.status == 408
    assert (connection.phase, connection.timed_out(), connection.receive(GET)) == (CLOSED, [], [])


@pytest.mark.parametrize("done", [b"", GET, b"\r\n"])
def test_where_none_has_begun_the_connection_ends_without_a_word(done):
    for end in (HttpConnection.receive_end, HttpConnection.timed_out):
        connection = HttpConnection()
        connection.receive(done)
        assert (end(connection), connection.phase) == ([], CLOSED)


def test_a_client_that_never_reads_is_held_back_and_gets_all_of_its_answers_later():
    connection = HttpConnection(SMALL)
    found = connection.receive(b"".join(GET.replace(b"/ ", b"/%d " % number) for number in range(10)))
    assert (len(found), connection.phase) == (SMALL.pipelined, FULL)
    assert connection.receive(GET.replace(b"/ ", b"/10 ")) == connection.receive_end() == []
    assert connection.phase == FULL
    for number in range(11):
        assert found[number].path == f"/{number}"
        found += connection.answered()
        assert len(found) == min(SMALL.pipelined + number + 1, 11)
    assert connection.phase == CLOSED


def test_what_is_held_back_may_be_wrong_or_incomplete():
    for rest, end in ((b"no\r\n\r\n", False), (b"GET /", True)):
        connection = HttpConnection(SMALL)
        assert len(connection.receive(GET * SMALL.pipelined + rest) + (connection.receive_end() if end else [])) == 3
        [refusal] = connection.answered()
        assert (refusal.response.status, connection.phase) == (400, CLOSED)
        assert connection.answered() == connection.answered() == []


def test_an_answer_that_is_not_due_is_a_mistake():
    connection = HttpConnection()
    with pytest.raises(ValueError, match="none unanswered"):
        connection.answered()


# Expect: 100-continue


EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n"


def test_leave_to_continue_comes_before_the_body_and_only_then():
    connection = HttpConnection()
    assert connection.receive(EXPECTING) == [Continue()]
    assert [each.body for each in connection.receive(b"ab")] == [b"ab"]
    assert [each.body for each in events(EXPECTING + b"ab")] == [b"ab"]
    assert events(EXPECTING + b"a") == []  # RFC 9110, 10.1.1: it may be left out where the body has begun to come


@pytest.mark.parametrize(
    "head",
    [EXPECTING.replace(b"1.1", b"1.0"), EXPECTING.replace(b"Length: 2", b"Length: 0"), EXPECTING.replace(b"Length: 2", b"Type: a")],
    ids=["of 1.0", "of no bytes", "without length"],
)  # fmt: skip
def test_nobody_waits_for_leave_to_send_nothing_or_in_1_0(head):
    assert Continue() not in events(head)


def test_leave_to_continue_is_what_h11_waits_for():
    client = h11.Connection(h11.CLIENT)
    head = client.send(h11.Request(method="POST", target="/", headers=[("Host", "a"), ("Expect", "100-continue"), ("Content-Length", "2")]))  # fmt: skip
    assert client.they_are_waiting_for_100_continue is False
    [leave] = HttpConnection().receive(head)
    client.receive_data(leave.data)
    event = client.next_event()
    assert (type(event), event.status_code, event.reason) == (h11.InformationalResponse, 100, b"Continue")


# Responses, read by h11


def sent_by_client(method: str = "GET", version: str = "1.1", keep_alive: bool = True) -> Request:
    return Request(method, "/", "/", "", version, {}, b"", keep_alive)


def read_by_h11(data: bytes, method: str = "GET") -> tuple:
    """The response, its body, and whether h11 would use the connection again."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    response, body = client.next_event(), b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage), "the response is not complete without the end of the connection"
    assert client.trailing_data == (b"", False), "there are bytes behind the response"
    return response, body, client.our_state is h11.DONE


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [200, 201, 204, 304, 400, 404, 405, 409, 500, 503])
def test_h11_reads_each_response_as_it_was_meant(status, method, keep_alive):
    meant = Response(status, b"a body", "text/html", (("Location", "/orders/1"), ("Allow", "GET, HEAD")))
    response, body, reusable = read_by_h11(encode(meant, sent_by_client(method, "1.1", keep_alive)), method)
    headers = dict(response.headers)
    assert response.status_code == status
    assert (headers[b"location"], headers[b"allow"], headers[b"content-type"]) == (
        b"/orders/1",
        b"GET, HEAD",
        b"text/html",
    )
    assert body == (b"" if method == "HEAD" or status in (204, 304) else b"a body")
    assert headers.get(b"content-length") == (None if status in (204, 304) else b"6")
    assert reusable == stays_open(meant, sent_by_client(method, "1.1", keep_alive)) == (keep_alive and status != 503)
    assert abs((parsedate_to_datetime(headers[b"date"].decode()) - datetime.now(UTC)).total_seconds()) < 60


def test_an_empty_body_has_a_length_and_no_type():
    response, body, reusable = read_by_h11(encode(Response(200), sent_by_client()))
    headers = dict(response.headers)
    assert (headers[b"content-length"], body, reusable, b"content-type" in headers) == (b"0", b"", True, False)


def test_a_1_0_client_is_told_when_the_connection_stays_open_and_a_1_1_client_when_it_does_not():
    def connection(version: str, keep_alive: bool) -> list[bytes]:
        return re.findall(
            rb"\r\nConnection: (.*)\r\n", encode(plain(200, "a"), sent_by_client("GET", version, keep_alive))
        )

    assert connection("1.0", True) == [b"keep-alive"]
    assert connection("1.1", False) == connection("1.0", False) == [b"close"]
    assert connection("1.1", True) == []


def test_the_date_is_written_in_the_form_of_the_standard():
    date = "Sun, 06 Nov 1994 08:49:37 GMT"  # RFC 9110, 5.6.7
    assert f"\r\nDate: {date}\r\n".encode() in encode(Response(200), sent_by_client(), date)
    written = re.search(rb"\r\nDate: (.*?)\r\n", encode(Response(200), sent_by_client()))[1]
    datetime.strptime(written.decode(), "%a, %d %b %Y %H:%M:%S GMT")


def test_a_refusal_closes_and_503_says_when_to_come_again():
    refusal = refuse(503, "too many connections")
    response, body, reusable = read_by_h11(encode(refusal.response, refusal))
    assert (response.status_code, body, reusable) == (503, b"too many connections\n", False)
    assert int(dict(response.headers)[b"retry-after"]) > 0
    assert b"retry-after" not in dict(read_by_h11(encode(plain(404, "no"), sent_by_client()))[0].headers)


@pytest.mark.parametrize(
    "pair", [("A", "b\r\nC: d"), ("A", "b\nc"), ("A", "\0"), ("A b", "c"), ("", "c"), ("A", "€"), ("A:", "b")]
)
def test_a_header_that_would_break_the_message_is_a_mistake(pair):
    with pytest.raises(ValueError, match="a header must be"):
        encode(Response(200, headers=(pair,)), sent_by_client())
    if pair[0] == "A":
        with pytest.raises(ValueError, match="a header must be"):
            encode(Response(200, b"a", pair[1]), sent_by_client())


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (200, "OK"), (201, "Created"), (204, "No Content"), (400, "Bad Request"), (404, "Not Found"),
        (405, "Method Not Allowed"), (408, "Request Timeout"), (409, "Conflict"), (411, "Length Required"),
        (413, "Content Too Large"), (414, "URI Too Long"), (415, "Unsupported Media Type"), (417, "Expectation Failed"),
        (431, "Request Header Fields Too Large"), (500, "Internal Server Error"), (501, "Not Implemented"),
        (503, "Service Unavailable"), (505, "HTTP Version Not Supported"),
    ],
)  # fmt: skip
def test_a_status_has_the_name_that_the_standard_gives_it(status, phrase):
    """RFC 9110, 15; RFC 6585, 5."""
    assert encode(Response(status), sent_by_client()).startswith(f"HTTP/1.1 {status} {phrase}\r\n".encode())


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 299, 600])
def test_a_status_that_is_no_answer_is_a_mistake(status):
    with pytest.raises(ValueError, match=str(status)):
        encode(Response(status), sent_by_client())


# What a client can make us do


ENDLESS = {
    "request line": (b"", b"a" * 4096),
    "field": (b"GET / HTTP/1.1\r\nX: ", b"a" * 4096),
    "fields": (b"GET / HTTP/1.1\r\n", b"X: a\r\n" * 1000),
    "empty lines": (b"", b"\r\n" * 2048),
    "chunk extension": (CHUNKED + b"1;", b"a" * 4096),
    "trailers": (CHUNKED + b"0\r\n", b"X: a\r\n" * 1000),
    "trailer": (CHUNKED + b"0\r\nX: ", b"a" * 4096),
    "zeros": (CHUNKED, b"0" * 4096),
    "chunk": (CHUNKED + b"%x\r\n" % (1 << 40), b"a" * 4096),
    "chunks": (CHUNKED, b"1\r\na\r\n" * 1000),
    "requests": (b"", GET * 100),
    "what follows a refusal": (b"no\r\n\r\n", b"a" * 4096),
    "bodies": (b"", (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + b"a" * 60000) * 2),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_no_client_can_make_us_hold_more_than_the_limits(kind):
    """10 MB of it, to a server that stops reading when told to; Python's own count of what is allocated."""
    limits = Limits()
    first, more = ENDLESS[kind]
    held = []
    tracemalloc.start()
    try:
        connection = HttpConnection(limits)
        held += connection.receive(first)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10_000_000 // len(more)):
            if connection.phase == FULL:
                break
            held += connection.receive(more)
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    allowed = limits.head + limits.pipelined * (limits.body + 4096) + 8 * len(more)
    assert most < (
        allowed if kind == "bodies" else limits.head + limits.body + limits.chunking + 8 * len(more) + 200_000
    )
    assert connection.phase == IDLE if kind == "empty lines" else connection.phase in (FULL, CLOSED)


def test_what_follows_a_refusal_in_the_same_piece_is_not_kept():
    tracemalloc.start()
    try:
        connection = HttpConnection()
        connection.receive(b"no\r\n\r\n" + b"a" * 10_000_000)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("sent", [GET, CHUNKED + b"1\r\na\r\n0\r\n\r\n", CHUNKED + b"no\r\n", CHUNKED], ids=repr)
def test_what_a_request_took_is_given_back_without_a_garbage_collection(sent):
    gc.collect()
    gc.disable()
    try:
        events(sent)
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("begin", "unit", "end"),
    [
        (b"GET /", b"a", b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a", b"\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: a\r\n", b"\r\n"),
        (b"", b"\r\n", GET),
        (CHUNKED + b"1;", b"a", b"\r\na\r\n0\r\n\r\n"),
        (CHUNKED, b"1\r\na\r\n", b"0\r\n\r\n"),
        (CHUNKED + b"40000\r\n" + b"\n" * 0x40000 + b"\r\n0\r\nX: ", b"a", b"\r\n\r\n"),
        (CHUNKED + b"0\r\n", b"X: a\r\n", b"\r\n"),
    ],
    ids=["target", "field", "fields", "empty lines", "extension", "chunks", "trailer", "trailers"],
)  # fmt: skip
def test_the_time_grows_like_the_number_of_bytes_even_byte_by_byte(begin, unit, end):
    """Sixteen times the bytes cost about sixteen times the CPU; were it n², it would be 256 times."""
    huge = 1 << 30
    limits = Limits(huge, huge, huge, huge, huge, 1)

    def cpu_seconds(nbytes: int) -> float:
        connection = HttpConnection(limits)
        connection.receive(begin)
        rest = unit * (nbytes // len(unit)) + end
        pieces = [rest[at : at + 1] for at in range(len(rest))]
        started = time.thread_time()
        found = [event for piece in pieces for event in connection.receive(piece)]
        spent = time.thread_time() - started
        assert [type(event) for event in found] == [Request]
        return spent

    small, large = min(cpu_seconds(8_000) for _ in range(3)), min(cpu_seconds(128_000) for _ in range(2))
    assert large / small < 64
