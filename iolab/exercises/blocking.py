"""Checks of the chapter on blocking: read until all is there, cut lines out of a stream, serve several streams.

    sender    "Dear" ┄┄ taken ┄┄ " rea" ┄┄ taken ┄┄ ...      a piece comes when the one before it was taken
    answer    read ──┘  read ────┘                           runs in this thread, on a real pipe, under a limit

Two facts that surprise:
* FIONREAD tells how many bytes lie unread in a pipe: so a check knows what was not fetched. ioctl_pipe(2)
* A check of "one after the other or all at once" needs no clock: here stream 1 gets nothing before 2 was read.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from iolab.exercises.attempting import TooLong, attempt, is_open, pipe, raised
from iolab.exercises.checking import right, wrong
from iolab.kernel.socket_queue import unread

MESSAGE, REST = b"Dear reader", b", and the next message"


@contextmanager
def fed_pipe(*pieces: bytes, close: bool = True) -> Iterator[int]:
    """The reading end of a pipe into which the pieces come, each when the one before it was taken."""
    stop = threading.Event()
    with pipe() as (fd, sender):

        def feed() -> None:
            for piece in pieces:
                sender.write(piece)
                while unread(sender.fileno()) and not stop.wait(0.0005):
                    pass
            if close:
                sender.close()

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            yield fd
        finally:
            stop.set()
            feeder.join()


def check_read_exactly(read_exactly: Callable) -> None:
    """`read_exactly(fd, nbytes)` returns so many bytes, fewer only when the stream ends; and takes no byte more."""
    if is_open(read_exactly, "Fill the gaps: how much to ask for, how the end of the stream shows, what to subtract."):
        return
    with fed_pipe(MESSAGE[:4], MESSAGE[4:8], MESSAGE[8:] + REST, close=False) as fd:
        got, error = attempt(read_exactly, fd, len(MESSAGE))
        left = unread(fd) if got == MESSAGE else 0
    with fed_pipe(MESSAGE[:4]) as fd:
        ended, late = attempt(read_exactly, fd, len(MESSAGE)) if left == len(REST) else (None, None)
    if isinstance(error, TooLong):
        wrong("All bytes had come, and your function still asked for more: subtract what each read returned.")
    elif isinstance(late, TooLong):
        wrong("The stream ended after 4 bytes, and your function asked on for ever. At the end of a stream read no longer "
              "waits: it returns no bytes, every time. That is the sign to stop.")  # fmt: skip
    elif error or late:
        raised(error or late)
    elif not isinstance(got, bytes | bytearray):
        wrong(f"Your function returned {type(got).__name__}, not the bytes that it read.")
    elif len(got) > len(MESSAGE) or (got == MESSAGE and left != len(REST)):
        wrong("Your function took bytes of the next message as well. read gives all that is there, up to the number that "
              "you ask for: ask for what is missing, not for the whole length again.")  # fmt: skip
    elif got != MESSAGE:
        wrong(f"Asked for {len(MESSAGE)} bytes, your function returned {bytes(got)!r}. A blocking read returns as soon as "
              "something is there; the rest was still on its way. Ask again until nothing is missing.")  # fmt: skip
    elif ended != MESSAGE[:4]:
        wrong(f"The stream ended after {MESSAGE[:4]!r}; your function returned {ended!r}, not what had come.")
    else:
        right("Three reads for 11 bytes, and the bytes of the next message stayed in the kernel for the next call.")


def check_read_lines(read_lines: Callable) -> None:
    """`read_lines(fd)` returns the lines of a stream without their line ends, wherever the reads cut it."""
    if is_open(read_lines, "Write the function."):
        return
    with fed_pipe(b"one\ntwo\n", b"th", b"ree\n", b"four") as fd:
        got, error = attempt(read_lines, fd)
    if isinstance(error, TooLong):
        wrong("The stream had ended, and your function read on. At the end read returns no bytes: stop there.")
    elif error:
        raised(error)
    elif got == [b"one", b"two", b"three", b"four"]:
        right("Lines are cut at the line ends, not where a read happened to stop.")
    elif not isinstance(got, list) or not all(isinstance(line, bytes | bytearray) for line in got):
        wrong(f"Your function returned {got!r}, not a list of lines, each of them bytes.")
    elif any(b"\n" in line for line in got):
        wrong("A line of your list has a line end inside. The sender wrote two lines, and one read returned both: the "
              "kernel keeps bytes in order, and forgets where one send stopped and the next began.")  # fmt: skip
    elif b"th" in got:
        wrong("The line three came out as b'th' and b'ree'. It came in two pieces, and the first read returned with what "
              "was there: half a line. Keep what has no line end yet, and put the next read behind it.")  # fmt: skip
    elif b"four" not in got:
        wrong("The last line has no line end; the stream ended behind it. What you had kept is a line, too.")
    else:
        wrong(f"The lines were one, two, three and four; your function returned {got!r}.")


def check_read_all(read_all: Callable) -> None:
    """`read_all(fds, done)` reads each stream to its end and calls done(number, data) as soon as that one has ended."""
    if is_open(read_all, "Write the function; one thread for each stream is one way."):
        return
    sent, ended, errors = [b"zero", b"one", b"two"], {}, []
    before, hook = threading.enumerate(), threading.excepthook
    with ExitStack() as stack:
        fds, senders = zip(*[stack.enter_context(pipe()) for _ in sent], strict=True)

        def send(number: int) -> None:
            senders[number].write(sent[number])
            senders[number].close()

        def done(number: int, data: bytes) -> None:
            next_one = number - 1 if number not in ended and number == 2 - len(ended) else -1
            ended[number] = bytes(data)
            if next_one >= 0 and not senders[next_one].closed:  # closed: the answer has returned already
                send(next_one)

        threading.excepthook = lambda failed: errors.append(failed.exc_value)
        send(2)
        _, error = attempt(read_all, list(fds), done)
        early = dict(ended)
        left = unread(fds[2]) if isinstance(error, TooLong) else 0
        for sender in senders:  # whoever still sleeps in a read wakes up now, at the end of the stream
            sender.close()
        for thread in set(threading.enumerate()) - set(before):
            thread.join(2)
        threading.excepthook = hook
    error = errors[0] if errors else error
    if isinstance(error, TooLong) and left:
        wrong(f"Your thread sleeps in a read of a stream on which nothing will come, while {left} bytes of stream 2 lie ready in "
              "the kernel. One thread stands at one counter: let a thread of its own wait for each stream.")  # fmt: skip
    elif isinstance(error, TooLong) and not early:
        wrong(
            "The bytes of stream 2 were fetched and it has ended, but done was not called: call it at once, not at the very end."
        )
    elif error:
        raised(error)
    elif len(early) < len(sent):
        wrong(
            f"Your function returned when {len(early)} of 3 streams had ended. Wait for your threads: join, or a with statement."
        )
    elif ended != dict(enumerate(sent)):
        wrong(f"The streams carried {dict(enumerate(sent))}; done was called with {ended}.")
    else:
        right("Stream 2 was done first, though it comes last in the list: each thread slept in a read of its own.")
