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
    "SQE": "arguments of WSARecv",
    "io_uring_enter": "GetQueuedCompletionStatusEx",
    "CQE": "packet",
    "user_data": "address of the OVERLAPPED",
    "ASYNC_CANCEL": "CancelIoEx",
    "MSG_RING, or an eventfd": "PostQueuedCompletionStatus",
}
WITHOUT_A_PARTNER = (
    "Without a partner: the key; many submissions by one call; and memory that must live until the end: for an operation "
    "of io_uring only its buffer, here its OVERLAPPED, too."
)
SOCKETS = (17, 18)


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
    port = PaperPort({"receive": 17, "over already": 17, "accept": 18}, over=("over already",))
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
    port = PaperPort()
    for sock in SOCKETS:
        if error := attempt(watch, port, sock)[1]:
            return _not_started(error)
    if not port.asked:
        return unanswered("Nothing was started: a port tells only of what has been started.")
    if nbytes := max(each for _, each, _ in port.asked):
        return wrong(f"A receive of {nbytes} bytes takes them out of the socket: whoever is told that he may read finds "
                     "less. One of 0 bytes is over as soon as something is there.")  # fmt: skip
    called, early = [], []

    def read(sock: int) -> None:
        called.append(sock)
        early.extend([sock] if sock in port.in_flight.values() else [])
        port.read_all(sock)
        if called.count(sock) == 3:  # the stream has ended: nobody wants to hear of it any more
            del callbacks[sock]

    callbacks = {sock: lambda sock=sock: read(sock) for sock in SOCKETS}
    for turn in (1, 2, 3):
        for sock in SOCKETS:
            port.arrive(sock, 5)
        for packet in port.wait():
            if error := attempt(on_packet, port, packet, callbacks)[1]:
                return _not_started(error)
        if early:
            return wrong("The next receive was started before the callback had read: it is over at once, by the bytes that "
                         "are being read just now.")  # fmt: skip
        if sorted(called) != sorted(SOCKETS * turn):
            return wrong(f"Something has come {turn} times for each of {SOCKETS}; the callbacks were called for {called}. "
                         "Again and again it has to tell: a receive tells once, so start the next one when the callback "
                         "has read.")  # fmt: skip
    for sock in SOCKETS:
        callbacks[sock] = lambda: None
        attempt(on_packet, port, PaperPacket(sock, f"cancelled {sock}", 0, 995), callbacks)
    if port.in_flight:
        return wrong("A callback that has taken itself out of `callbacks` wants no further news, and after an error none "
                     "comes: at the end of a stream the next receive would be over at once, for ever.")  # fmt: skip
    return right("Readiness, imitated by completions: the other way round than on Linux. libuv reads so, too.")


def _not_started(error: BaseException) -> None:
    if isinstance(error, ValueError) and "share" in str(error):
        return wrong(f"{error}. So its name has to differ from socket to socket.")
    return raised(error)


def check_pairs(pairs: dict[str, str]) -> None:
    """Are io_uring's words paired with those of the completion port?"""
    if not isinstance(pairs, dict) or all(pairs.get(name) in (None, "?") for name in PAIRS):
        return unanswered("Put a word of the right column in place of each question mark.")
    for name, expected in PAIRS.items():
        if pairs.get(name) != expected:
            return wrong(f"{name} is not {pairs.get(name)!r}. What does it do: make the queue, describe an operation, "
                         "wait, tell how it went, name the operation, end it, or wake somebody?")  # fmt: skip
    return right(f"The same parts in both. {WITHOUT_A_PARTNER}")
