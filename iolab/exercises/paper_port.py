"""A completion port of paper, for exercises: most readers have no Windows. It keeps the real one's rules (kernel/iocp.py).

answer   port.cancel("receive") ── True or False        port.wait() ── [PaperPacket, PaperPacket], or fewer
check    in_flight = {"receive": 17, ...} ── puts packets ── looks what was freed while it was in flight
"""

from typing import NamedTuple


class PaperPacket(NamedTuple):
    """What a port hands out: the connection's key, the operation's OVERLAPPED, and how it went; `error` 0 is well."""

    key: int
    overlapped: str
    nbytes: int
    error: int = 0


class PaperPort:
    """`in_flight`: OVERLAPPEDs whose packets have not been taken, with the socket's number, which is the key, too.

    Those of `over` are over, and their packets in the port. `wait()` gives the next packets, `receive` and `cancel` ask.
    """

    def __init__(self, in_flight: dict[str, int] | None = None, over: tuple[str, ...] = ()) -> None:
        self.in_flight, self.cancelled, self.asked, self.empty_waits = dict(in_flight or {}), [], [], 0
        self._packets = [PaperPacket(self.in_flight[each], each, 5) for each in over]
        self._receives: dict[str, tuple[int, int]] = {}  # in the order of their start: socket, most bytes
        self._arrived: dict[int, int] = {}  # bytes that nobody has received yet, by the socket

    def receive(self, sock: int, nbytes: int, overlapped: str) -> None:
        """WSARecv of at most `nbytes`. ValueError for an OVERLAPPED that is in flight."""
        if overlapped in self.in_flight:
            raise ValueError(f"the OVERLAPPED {overlapped!r} is in flight: two operations cannot share one")
        self.in_flight[overlapped] = sock
        self.asked.append((sock, nbytes, overlapped))
        self._receives.pop(overlapped, None)
        self._receives[overlapped] = sock, nbytes
        self._deliver(sock)

    def arrive(self, sock: int, nbytes: int) -> None:
        """The peer of `sock` has sent."""
        self._arrived[sock] = self._arrived.get(sock, 0) + nbytes
        self._deliver(sock)

    def read_all(self, sock: int) -> None:
        """What a program does that has been told that it may read: recv(2), until nothing is left."""
        self._arrived.pop(sock, None)

    def cancel(self, overlapped: str) -> bool:
        """CancelIoEx. False: there was nothing to end, it was over already. In either case one packet comes."""
        self.cancelled.append(overlapped)
        return self._over(overlapped, 0, 995)

    def wait(self) -> list[PaperPacket]:
        """The next packets, two at most; [] when none comes. RuntimeError for whoever waits on and on for nothing."""
        found, self._packets = self._packets[:2], self._packets[2:]
        for packet in found:
            self.in_flight.pop(packet.overlapped, None)
        self.empty_waits += not found
        if self.empty_waits > 9:
            raise RuntimeError("on a real port this would wait for ever: nothing is in flight that could be over")
        return found

    def _deliver(self, sock: int) -> None:
        """To the receives of this socket, in the order in which they were started."""
        for overlapped, (its, most) in self._receives.items():
            arrived = self._arrived.get(its, 0)
            if its == sock and arrived and self._over(overlapped, min(most, arrived), 0):
                self._arrived[its] = arrived - min(most, arrived)

    def _over(self, overlapped: str, nbytes: int, error: int) -> bool:
        """Put its packet in; False when it is there, or taken, already."""
        if overlapped not in self.in_flight or any(each.overlapped == overlapped for each in self._packets):
            return False
        self._packets.append(PaperPacket(self.in_flight[overlapped], overlapped, nbytes, error))
        return True
