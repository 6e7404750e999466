"""http_messages against h11, an independent reading of the same standard, on requests that are nearly right.

What both take as a request must be the same request: who differs here can be played against his neighbour (request
smuggling). h11 may refuse what we take only in the ways of UNDERSTOOD; we may refuse what h11 takes, but never wait for
more where h11 is done. And for any input: no exception, no difference between one piece and many, no missing end.

IOLAB_HEAVY=1 tries 200,000 inputs with a new seed; without it, a few thousand with the same ones each time.
"""

import os
import random
from itertools import pairwise

import h11
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iolab.servers.http_limits import Limits
from iolab.servers.http_messages import CLOSED, Continue, HttpConnection
from iolab.servers.http_refusal import Refusal
from iolab.servers.http_requests import Request

HEAVY = bool(os.environ.get("IOLAB_HEAVY"))
INPUTS = 200_000 if HEAVY else 4_000
SEED = random.SystemRandom().getrandbits(64) if HEAVY else 5
SMALL = Limits(request_line=40, head=90, fields=6, body=8, chunking=30, pipelined=100)
LIMIT_STATUSES = {413, 414, 431}

METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"PRI", b"get", b"M-SEARCH", b"X", b"")
TARGETS = (
    b"/",
    b"/a?b=c",
    b"*",
    b"http://h/p",
    b"HTTP://h",
    b"h:1",
    b"/a#b",
    b"/%00",
    b"//",
    b"?",
    b"",
    b'/"|^\\{}',
    b"/\xff",
)
VERSIONS = (
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"http/1.1",
    b"HTTP/1.1 ",
)
LINE_ENDS = (b"\r\n",) * 150 + (b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"")
NAMES = (
    b"Host", b"host", b"Content-Length", b"content-length", b"Transfer-Encoding", b"transfer-encoding", b"Connection",
    b"Expect", b"Upgrade", b"X", b"Trailer", b"TE", b"Cookie", b"Host ", b" X", b"X\0", b"", b"Content_Length", b"Keep-Alive",
)  # fmt: skip
VALUES = (
    b"h", b"h:80", b"[::1]:80", b"0", b"1", b"3", b"3", b"5", b"05", b"+3", b"-3", b"3,3", b"3, 3", b"0x3", b"3 3", b"", b" ",
    b"99999999999999999999", b"18446744073709551619", b"4294967299", b"chunked", b"chunked", b"Chunked", b"gzip, chunked",
    b"chunked, gzip", b"identity", b"chunked;q=1", b"\tchunked\t", b"\x0bchunked", b"close", b"keep-alive", b"upgrade",
    b"Upgrade, close", b"100-continue", b"100-Continue", b"h2c", b"a\xffb", b"a\rb", b"a\0b", b"\x7f", b"a\r\n b", b"a,b;c=\"d\"",
)  # fmt: skip
BODIES = (
    b"", b"abc", b"hello", b"\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n",
    b"0\r\n\r\n", b"3;e=f\r\nabc\r\n0;e\r\nX: y\r\n\r\n", b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"003\r\nabc\r\n000\r\n\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n", b"3\nabc\n0\n\n", b"3\r\nabc0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", b"ffffffffffffffff\r\nabc",
    b"10000000000000000\r\n", b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n", b"3\r\nabc\r\n", b"\n0\r\n\r\n",
)  # fmt: skip
FRAMINGS = (
    b"", b"Content-Length: 3\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: 3\r\nContent-Length: 3\r\n",
)  # fmt: skip
NOISE = (
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"1",
    b"/",
    b"\xff",
    b"\x7f",
    b"a",
    b"\r\n\r\n",
)


def one_request(draw: random.Random) -> bytes:
    """Right as a rule; each part may be one of the wrong ones."""
    pick = draw.choice
    if draw.random() < 0.7:
        line = pick(METHODS[:6]) + b" " + pick(TARGETS[:2]) + b" HTTP/1.1\r\n"
    else:
        line = (
            pick(METHODS)
            + pick((b" ", b" ", b" ", b"  ", b"\t"))
            + pick(TARGETS)
            + b" "
            + pick(VERSIONS)
            + pick(LINE_ENDS)
        )
    fields = [b"Host: h\r\n"] if draw.random() < 0.97 else []
    body = pick(BODIES) if draw.random() < 0.7 else b""
    if draw.random() < 0.8:  # and its length or coding is right
        fields += [b"Transfer-Encoding: chunked\r\n" if b"0\r\n" in body else b"Content-Length: %d\r\n" % len(body)]
    else:
        fields += [pick(FRAMINGS)]
    fields += [
        pick(NAMES) + pick((b":", b": ")) + pick(VALUES) + pick(LINE_ENDS) for _ in range(draw.choice((0, 0, 0, 1, 2)))
    ]
    draw.shuffle(fields)
    return line + b"".join(fields) + pick(LINE_ENDS) + body


def one_input(seed: int) -> bytes:
    """Up to three requests, one behind the other, and some of their bytes changed."""
    draw = random.Random(seed)
    data = bytearray(b"".join(one_request(draw) for _ in range(draw.choice((1, 1, 2, 3)))))
    for _ in range(draw.choice((0, 0, 0, 0, 1, 2, 4))):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(4):
            case 0:
                data[at:at] = draw.choice(NOISE)
            case 1:
                del data[at : at + draw.choice((1, 1, 2, 8))]
            case 2:
                data[at : at + 1] = draw.choice(NOISE)
            case 3:
                data[at:at] = data[at : at + draw.randrange(1, 40)]
    return bytes(data)


def ours(data: bytes, cuts: list[int] = (), limits: Limits = Limits()) -> tuple[list[Request], Refusal | None, str]:  # noqa: B008
    """The requests, the refusal, and the phase before the end of the stream; `data` is cut at `cuts`."""
    connection = HttpConnection(limits)
    found = []
    for begin, end in pairwise((0, *sorted(cuts), len(data))):
        found += connection.receive(data[begin:end])
    phase = connection.phase
    found += connection.receive_end()
    found = [event for event in found if not isinstance(event, Continue)]
    refusals = [event for event in found if isinstance(event, Refusal)]
    assert found[len(found) - len(refusals) :] == refusals, "a refusal is the last event"
    assert len(refusals) <= 1
    assert connection.phase == CLOSED, "the stream has ended, and so has the connection"
    return found[: len(found) - len(refusals)], refusals[0] if refusals else None, phase


def theirs(data: bytes) -> tuple[list[tuple], str]:
    """What h11's server reads in `data`, and why it stops: its complaint, or "" where it has no more."""
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    server.receive_data(data)
    found = []
    try:
        while True:
            event = server.next_event()
            if isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                found.append(plainly(head, body))
                server.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
                server.send(h11.EndOfMessage())
                if server.our_state is not h11.DONE:
                    return found, "h11 closes"
                server.start_next_cycle()
            else:
                return found, "" if event is h11.NEED_DATA else f"h11 stops: {event}"
    except h11.RemoteProtocolError as error:
        return found, f"h11 refuses: {error}"


def plainly(head: h11.Request, body: bytes) -> tuple:
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in head.headers:
        name, value = name_bytes.decode(), value_bytes.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return head.method.decode(), head.target.decode(), head.http_version.decode(), headers, bytes(body)


# Where h11 refuses what we take; each because the standard allows or demands it.
UNDERSTOOD = {
    "no request line received": "empty lines before a request are skipped: RFC 9112, 2.2, a server SHOULD",
    "h11 closes": "h11 keeps no 1.0 connection open, even when asked to: RFC 9112, 9.3",
    "illegal chunk header": "more than 20 digits, of which the first are zeros: RFC 9112, 7.1 has 1*HEXDIG",
    "bad Content-Length": "more than 20 digits, of which the first are zeros: RFC 9110, 8.6 has 1*DIGIT",
}


def disagreement(data: bytes) -> str | None:
    """In which way we and h11 read `data` differently, if that is not understood."""
    (requests, _, phase), (others, stopped) = ours(data), theirs(data)
    for request, other in zip(requests, others, strict=False):
        headers = dict(request.headers)
        if request.target.lower().startswith("http"):
            assert headers["host"] in request.target  # which counts more than the field: RFC 9112, 3.2.2
            headers["host"] = other[3].pop("host", None) or headers["host"]
            other[3]["host"] = headers["host"]
        if "transfer-encoding" in headers:
            headers["transfer-encoding"] = headers["transfer-encoding"].lower()  # as h11 writes it
        if (request.method, request.target, request.version, headers, request.body) != other:
            return f"we read {request}, h11 reads {other}"
    if len(requests) > len(others) and not any(known in stopped for known in UNDERSTOOD):
        return f"we take {requests[len(others)]}; {stopped or 'h11 waits for more'}"
    if len(requests) < len(others) and phase != CLOSED:
        return f"h11 takes {others[len(requests)]}; we wait in phase {phase}"
    return None


def test_we_and_h11_read_the_same_requests():
    counts = {"taken by both": 0, "refused by both": 0, "with a body": 0, "in more than one request": 0}
    for number in range(INPUTS):
        data = one_input(SEED + number)
        assert disagreement(data) is None, f"seed {SEED + number}: {data!r}"
        (requests, refusal, _), (others, stopped) = ours(data), theirs(data)
        counts["taken by both"] += bool(requests and others)
        counts["refused by both"] += bool(
            refusal and stopped.startswith("h11 refuses") and len(requests) == len(others)
        )
        counts["with a body"] += any(request.body for request in requests)
        counts["in more than one request"] += len(requests) > 1
    assert min(counts.values()) > INPUTS / 50, counts  # the inputs are nearly right: neither all good nor all bad


def test_each_difference_that_is_understood_is_one():
    head = b"POST / HTTP/1.1\r\nHost: h\r\n"
    examples = {
        "no request line received": b"\r\n" + head + b"\r\n",
        "h11 closes": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + head + b"\r\n",
        "illegal chunk header": head + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 25 + b"\r\n\r\n",
        "bad Content-Length": head + b"Content-Length: " + b"0" * 25 + b"\r\n\r\n",
    }
    assert examples.keys() == UNDERSTOOD.keys()
    for complaint, data in examples.items():
        requests, refusal, _ = ours(data)
        others, stopped = theirs(data)
        assert complaint in stopped
        assert (len(requests), refusal) == (len(others) + 1, None)


def same(first: tuple, second: tuple) -> bool:
    """Two outcomes, but for the sentence in a refusal, which may count what has come so far."""
    (requests, refusal, phase), (others, other, other_phase) = first, second
    status = refusal and (refusal.response.status, refusal.method)
    return (requests, status, phase) == (others, other and (other.response.status, other.method), other_phase)


def test_in_whatever_pieces_the_bytes_come_the_requests_are_the_same():
    statuses = set()
    for number in range(INPUTS // 4):
        draw = random.Random(SEED + number)
        data = one_input(SEED + number)
        cuts = list(range(1, len(data))) if number % 2 else [draw.randrange(len(data) + 1) for _ in range(4)]
        for limits in (SMALL, Limits()):
            whole = ours(data, (), limits)
            assert same(whole, ours(data, cuts, limits)), f"seed {SEED + number}, cut at {cuts}: {data!r}"
            statuses.add(whole[1] and whole[1].response.status)
    assert statuses >= LIMIT_STATUSES | {400, 417, 501, 505, None}


PIECES = (*METHODS, *TARGETS, *VERSIONS, *NAMES, *VALUES, *BODIES, *FRAMINGS, *NOISE, b"GET / HTTP/1.1\r\nHost: h\r\n")
WHOLE = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


@settings(max_examples=20_000 if HEAVY else 300, deadline=None)
@example(WHOLE + b"6;a\r\n\n\r\n\r\n\n\r\n0\r\nX: y\r\n\r\n", list(range(1, 100)))
@given(
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=30).map(b"".join), st.lists(st.integers(0, 400))
)
def test_hypothesis_finds_no_pieces_and_no_cuts_that_make_a_difference(data, cuts):
    cuts = [cut for cut in cuts if cut <= len(data)]
    assert disagreement(data) is None
    for limits in (SMALL, Limits()):
        assert same(ours(data, (), limits), ours(data, cuts, limits))
