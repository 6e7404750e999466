"""Checks of the chapter on Linux native AIO: a learner's code on a real context, real sockets and real files.

    answer   submit([POLL]) ── wait() ── event: read now ── submit([POLL]) again ...
    check    what was asked, what lies unread, which buffer is full? Each mistake has its explanation

The world that an answer meets is linux_aio_world.py. io_submit(2), io_getevents(2).
"""

import errno
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack

from iolab.exercises.attempting import TooLong, attempt
from iolab.exercises.checking import right, unanswered, wrong
from iolab.exercises.linux_aio_world import World
from iolab.kernel.linux_aio import POLL, PREAD, Context, Request, unavailable
from iolab.kernel.socket_queue import unread


def check_messages(messages: Callable) -> None:
    """Does messages(context, sock, count) return the next `count` messages? Its `sock` is nonblocking."""
    if reason := unavailable():
        return unanswered(f"There is no native AIO on this machine: {reason}.")
    sent = [b"the first", b"the second", b"the third"]
    ours, peer = socket.socketpair(type=socket.SOCK_SEQPACKET)  # one recv, one message
    with ours, peer, Context(4) as kernel:
        context = World(kernel, [lambda each=each: peer.send(each) for each in sent])
        ours.setblocking(False)
        got, error = attempt(messages, context, ours, len(sent))
        left = ours.recv(100) if unread(ours) else b""
    if not context.asked[POLL] and not got:
        return unanswered("No POLL was submitted, so no event will ever come.")
    if isinstance(error, TooLong):
        if left == sent[0]:
            return wrong("You were told, and read nothing. The result of a POLL may have more bits than you asked for: not "
                         "result == POLLIN but result & POLLIN.")  # fmt: skip
        return wrong("One event came, then your thread slept for ever: a POLL is over with its event. Submit another.")
    if isinstance(error, BlockingIOError):
        return wrong("You let EAGAIN out: nothing had come yet. First POLL, then wait, and recv only after the event.")
    if error:
        return wrong(f"Your function did not come to its end: {error!r}.")
    if got != sent:
        return wrong(f"The peer sent {sent}; you returned {got!r}.")
    return right(f"{context.asked[POLL]} POLLs for {len(sent)} messages: each is for one event.")


def check_read_all(read_all: Callable) -> None:
    """Does read_all(context, requests) return each result in order, also when one of them is refused?"""
    if reason := unavailable():
        return unanswered(f"There is no native AIO on this machine: {reason}.")
    books = [b"Emma", b"Ulysses", b"Moby-Dick"]
    for bad in (None, 1, 0, 2):
        buffers = [bytearray(len(book)) for book in books]
        with tempfile.TemporaryFile() as file, Context(4) as kernel:
            context = World(kernel, [])
            file.write(b"".join(books))
            file.flush()
            offsets = [sum(map(len, books[:number])) for number in range(len(books))]
            fds = [-1 if number == bad else file.fileno() for number in range(len(books))]
            requests = [Request(PREAD, *each) for each in zip(fds, buffers, offsets, strict=True)]
            got, error = attempt(read_all, context, requests)
        where = "none is bad" if bad is None else f"number {bad + 1} has a bad descriptor"
        if got is None and error is None:
            return unanswered("Your function returned None.")
        if isinstance(error, TooLong):
            return wrong(f"Of three requests, {where}. io_submit stopped there: it took {context.asked[PREAD]}, and said so by what it "
                         "returned. You wait for events of requests that were never submitted.")  # fmt: skip
        if isinstance(error, OSError):
            return wrong(f"You let {errno.errorcode.get(error.errno, error.errno)} out. Of three requests, {where}: it is "
                         "the first of those submitted. Note -errno for it, and submit the rest.")  # fmt: skip
        if error:
            return wrong(f"Your function did not come to its end: {error!r}.")
        should = [-errno.EBADF if number == bad else len(book) for number, book in enumerate(books)]
        if got != should:
            never = [n + 1 for n in range(len(books)) if n != bad and bytes(buffers[n]) != books[n]]
            why = f" Request {never[0]} was never carried out: submit the rest again." if never else ""
            return wrong(f"Of three requests, {where}. The results are {should}, and you returned {got!r}.{why}")
    return right("Whichever is refused, the others are read, and each result is in its place.")


def check_read_each(read_each: Callable) -> None:
    """Does read_each(context, socks, buffers) fill each by POLL and PREAD, and return the order in which they were full?"""
    if reason := unavailable():
        return unanswered(f"There is no native AIO on this machine: {reason}.")
    texts, order = [b"an atlas", b"poems", b"a novel"], [2, 0, 1]
    pieces = ((0, texts[0][:3]), (2, texts[2]), (0, texts[0][3:]), (1, texts[1]))
    buffers = [bytearray(len(text)) for text in texts]
    with ExitStack() as stack:
        pairs = [tuple(map(stack.enter_context, socket.socketpair())) for _ in texts]
        for ours, _ in pairs:
            ours.setblocking(False)
        acts = [lambda number=number, piece=piece: pairs[number][1].send(piece) for number, piece in pieces]
        context = World(stack.enter_context(Context(8)), acts)
        got, error = attempt(read_each, context, [ours for ours, _ in pairs], buffers)
        lying = [number for number, (ours, _) in enumerate(pairs) if unread(ours)]
    if error is None and not any(context.asked.values()) and not any(map(any, buffers)):
        return unanswered("Your function submitted nothing.")
    if context.in_vain:
        return wrong(f"{context.in_vain} reads ended with EAGAIN: nothing had come. PREAD does not wait; POLL does. "
                     "On a blocking socket the thread would have slept inside io_submit.")  # fmt: skip
    if isinstance(error, TooLong) or (error is None and lying):
        how = "Your thread slept for ever, and" if error else "You returned, and"
        return wrong(f"{how} unread lies what came for {lying}. A POLL is for one event, and a PREAD brings what is there: "
                     "as long as the buffer is not full, POLL again.")  # fmt: skip
    if error:
        return wrong(f"Your function did not come to its end: {error!r}.")
    if list(map(bytes, buffers)) != texts:
        return wrong(f"The buffers hold {list(map(bytes, buffers))}; sent was {texts}, the first in two pieces. The second "
                     "piece belongs behind the first: memoryview(buffer)[count:].")  # fmt: skip
    if not context.asked[PREAD]:
        return wrong("The bytes are right, but no PREAD was submitted: you fetched them yourself. Let io_submit do it.")
    if got != order:
        return wrong(f"They were full in the order {order}; you returned {got!r}.")
    return right(f"{context.asked[POLL]} POLLs, {context.asked[PREAD]} PREADs, no recv, and nobody waited for anybody.")
