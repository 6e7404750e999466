"""Checks of the chapter on nonblocking I/O.

    answer   read ─ EAGAIN ─ work() ─ read ─ EAGAIN ─ work() ─ read ─ 4 bytes ...
    check                      └ nothing yet            └ sends 4 bytes

If the world goes on only inside work(), the check needs no clock: who asks without working waits for ever.
"""

import os
import socket
from collections.abc import Callable

from iolab.exercises.attempting import TooLong, attempt, is_open, pipe, raised
from iolab.exercises.checking import right, wrong
from iolab.kernel.socket_queue import unread

try:
    import fcntl
except ImportError:  # Windows: the file still imports
    fcntl = None


def check_ask_and_work(ask_and_work: Callable) -> None:
    """`ask_and_work(fd, nbytes, work)` reads so many bytes, fewer at the end, and works whenever nothing is there."""
    if is_open(ask_and_work, "Fill the gaps: how much to ask for, what to do at “not yet”, how the end shows."):
        return
    for acts, expected in (([b"", b"", b"Dear", b"", b" reader"], b"Dear reader"), ([b"", b"Dear", None], b"Dear")):
        worked, todo = [], list(acts)
        with pipe() as (fd, sender):

            def work(todo=todo, worked=worked, sender=sender) -> None:
                worked.append(1)
                act = todo.pop(0) if todo else b""
                sender.close() if act is None else act and sender.write(act)

            os.set_blocking(fd, False)
            got, error = attempt(ask_and_work, fd, 11, work)
        if got == expected:
            continue
        if isinstance(error, TooLong) and not worked:
            wrong("Your function never worked. Here the sender sends only while you work: after EAGAIN, call work.")
        elif isinstance(error, TooLong) and expected == b"Dear":
            wrong(
                "The sender closed, and you went on for ever. EAGAIN is “not yet”, and passes; b'' is the end, and stays."
            )
        elif isinstance(error, TooLong):
            wrong("All 11 bytes were sent, and you did not return: count what each read brought.")
        elif isinstance(error, BlockingIOError):
            wrong(
                "You let BlockingIOError out. EAGAIN is no failure: so the kernel says “not yet”. Catch it, work, ask again."
            )
        elif error:
            raised(error)
        else:
            wrong(f"The sender sent {expected!r} in pieces; your function returned {got!r}.")
        return
    right("Five times EAGAIN, five slices of work, two reads with bytes. The end of a stream is another answer.")


def check_two_flags(set_two_flags: Callable) -> None:
    """`set_two_flags(fd)` adds O_NONBLOCK and O_ASYNC to the flags of a descriptor, and takes none away."""
    if is_open(set_two_flags, "Write the function."):
        return
    with pipe() as (fd, _):
        witness = os.dup(fd)  # of the same open file description, so of the same flags
        fcntl.fcntl(witness, fcntl.F_SETFL, os.O_APPEND)
        _, error = attempt(set_two_flags, fd)
        flags = fcntl.fcntl(witness, fcntl.F_GETFL)
        fcntl.fcntl(witness, fcntl.F_SETFL, 0)  # the end of the stream would be an arrival, and send SIGIO
        os.close(witness)
    lost = [name for name in ("O_NONBLOCK", "O_ASYNC", "O_APPEND") if not flags & getattr(os, name)]
    if error:
        raised(error)
    elif lost:
        wrong(f"Missing afterwards: {' and '.join(lost)}. F_SETFL writes all flags at once: those that you do not name are "
              "taken away. Ask for the present ones with F_GETFL, and write them back with yours added.")  # fmt: skip
    else:
        right("Both flags are set, and O_APPEND, which was set before, still is: read, add, write back.")


def check_send_all(send_all: Callable) -> None:
    """`send_all(sock, data, work)` sends all of data on a nonblocking socket, and works whenever the kernel is full."""
    if is_open(send_all, "Write the function."):
        return
    data, worked, received = bytes(range(251)) * 4200, [], bytearray()
    ours, peer = socket.socketpair()

    def work(nbytes: int = 50_000) -> None:
        worked.append(1)
        received.extend(peer.recv(nbytes) if unread(peer.fileno()) else b"")

    with ours, peer:
        ours.setblocking(False)

        _, error = attempt(send_all, ours, data, work)
        while error is None and unread(peer.fileno()):
            work(1 << 20)
    if isinstance(error, BlockingIOError):
        wrong("You let BlockingIOError out. The kernel's queue is full, and EAGAIN says “not now”. Work, then send the rest. "
              "(sendall will not do: it gives up in the middle, and does not say where.)")  # fmt: skip
    elif isinstance(error, TooLong) and not worked:
        wrong("Your function never worked. Here the peer reads only while you work: the queue stays full for ever.")
    elif error:
        raised(error)
    elif received == data:
        right("Each send said how much the kernel took, and the rest went out when the peer had made room.")
    elif data.startswith(received):
        wrong(f"The peer received {len(received):,} of {len(data):,} bytes. send takes what fits into the kernel's queue and "
              "returns that number; nobody sends the rest for you.")  # fmt: skip
    else:
        wrong("The peer received bytes twice or out of order. After a send that took a part, go on behind that part.")
