"""Checks of the chapter on completion ports: a learner's functions on a port of paper, whose packets the check puts.

check   PaperPort ── packets: key, overlapped, bytes ──> learner's function
        which handler heard of which bytes? what was still in flight when memory was freed? was it asked again?
"""

from collections.abc import Callable

from iolab.exercises.attempting import attempt, is_open, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.exercises.paper_port import PaperPacket, PaperPort

PAIRS = {
    "io_uring_setup": "CreateIoCompletionPort",
    "SQE": "OVERLAPPED",
    "io_uring_enter": "GetQueuedCompletionStatusEx",
    "user_data": "address of the OVERLAPPED",
    "ASYNC_CANCEL": "CancelIoEx",
    "MSG_RING, or an eventfd": "PostQueuedCompletionStatus",
}


def check_dispatch(dispatch: Callable) -> None:
    """Does dispatch(packets, handlers) tell each operation's handler, by (nbytes, error)?"""
    if is_open(dispatch, "Two operations of one socket have the same key. What tells them apart?"):
        return None
    told: list = []
    handlers = {name: lambda nbytes, error, name=name: told.append((name, nbytes, error)) for name in ("a", "b", "c")}
    packets = [PaperPacket(17, "b", 3), PaperPacket(18, "c", 0), PaperPacket(17, "a", 0, 995)]
    _, error = attempt(dispatch, packets, handlers)
    if isinstance(error, KeyError):
        return wrong(f"There is no handler {error}: the key is the connection's, and a receive and a send of it share it. "
                     "The operation is named by its OVERLAPPED.")  # fmt: skip
    if error:
        return raised(error)
    if not told:
        return unanswered("No handler was called.")
    if told != [("b", 3, 0), ("c", 0, 0), ("a", 0, 995)]:
        return wrong(f"For the packets of b, c, a the handlers heard {told}: each once, in the packets' order, with bytes "
                     "and error. Zero bytes are the end of a stream, and an error is told, too.")  # fmt: skip
    return right("The address of the OVERLAPPED leads back to the operation; no packet is passed over.")


def check_close(close: Callable) -> None:
    """Does close(port, free) cancel all, wait for every packet, and only then call free(overlapped)?"""
    if is_open(close, "Until when may the kernel write to the buffer?"):
        return None
    port = PaperPort({"receive": 17, "over already": 17, "accept": 18})
    begun, freed = dict(port.in_flight), []

    def free(overlapped: str) -> None:
        freed.append((overlapped, overlapped in port.in_flight))

    _, error = attempt(close, port, free)
    early = [name for name, in_flight in freed if in_flight]
    if early:
        return wrong(f"The memory of {early[0]!r} was freed before its packet had come: the kernel still writes there. "
                     "Neither CancelIoEx's True nor its False says that it is over; the packet does.")  # fmt: skip
    if set(begun) - set(port.cancelled):
        return wrong(f"Nobody has cancelled {sorted(set(begun) - set(port.cancelled))}: a receive may wait for hours.")
    if error:
        return raised(error)
    if port.in_flight:
        return wrong(f"close came back with {sorted(port.in_flight)} in flight. A wait hands out what is there, not all "
                     "that will come: go on until nothing is in flight.")  # fmt: skip
    if sorted(name for name, _ in freed) != sorted(begun):
        return wrong(f"Freed: {sorted(name for name, _ in freed)}; started: {sorted(begun)}. Each once.")
    return right("Cancel, take packets until nothing is in flight, free. asyncio closes its proactor in the same way.")


def check_readable(watch: Callable, on_packet: Callable) -> None:
    """Do watch(port, sock) and on_packet(port, packet, callbacks) imitate add_reader by a receive of no bytes?"""
    task = "Which receive is over when something has come, and takes nothing of it?"
    if is_open(watch, task) or is_open(on_packet, task):
        return None
    port, called = PaperPort(), []
    _, error = attempt(watch, port, 17)
    if error:
        return raised(error)
    if not port.asked:
        return unanswered("Nothing was started: a port tells only of what has been started.")
    sock, nbytes, overlapped = port.asked[0]
    if nbytes:
        return wrong(f"A receive of {nbytes} bytes takes them out of the socket: whoever is told that he may read finds "
                     "less. One of 0 bytes is over as soon as something is there.")  # fmt: skip
    for turn in (1, 2):
        packet = PaperPacket(sock, port.asked[-1][2], 0)
        port.in_flight.pop(packet.overlapped, None)
        _, error = attempt(on_packet, port, packet, {17: lambda: called.append(len(port.in_flight))})
        if error:
            return raised(error)
        if len(called) != turn:
            return wrong(f"After {turn} packets the callback was called {len(called)} times.")
        if len(port.asked) != turn + 1 or port.asked[-1][1]:
            return wrong("add_reader tells again and again; this is told once: start the next receive of 0 bytes when the "
                         "callback has read.")  # fmt: skip
    if any(called):
        return wrong("The next receive was started before the callback had read: it is over at once, by the bytes that "
                     "are being read just now.")  # fmt: skip
    return right("Readiness, imitated by completions: the other way round than on Linux. libuv reads so, too.")


def check_pairs(pairs: dict[str, str]) -> None:
    """Are io_uring's words paired with those of the completion port?"""
    if not isinstance(pairs, dict) or all(pairs.get(name) in (None, "?") for name in PAIRS):
        return unanswered("Put a word of the right column in place of each question mark.")
    for name, expected in PAIRS.items():
        if pairs.get(name) != expected:
            return wrong(f"{name} is not {pairs.get(name)!r}. What does it do: make the queue, describe an operation, "
                         "wait, name the operation, end it, or wake somebody?")  # fmt: skip
    return right("The same parts in both. What has no partner: io_uring submits many by one call, a port none.")
