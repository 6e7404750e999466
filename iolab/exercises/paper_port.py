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
    """`in_flight`: OVERLAPPEDs whose packets are to come; `wait()` gives the next ones, `receive` and `cancel` ask."""

    def __init__(self, in_flight: dict[str, int] | None = None) -> None:
        self.in_flight, self._packets = dict(in_flight or {}), []
        self.cancelled, self.asked, self.empty_waits = [], [], 0

    def receive(self, sock: int, nbytes: int, overlapped: str) -> None:
        """WSARecv of at most `nbytes`: pending."""
        self.in_flight[overlapped] = sock
        self.asked.append((sock, nbytes, overlapped))

    def cancel(self, overlapped: str) -> bool:
        """CancelIoEx. False: it was over already. In either case its packet comes."""
        self.cancelled.append(overlapped)
        over = overlapped == "over already"
        self._packets.append(
            PaperPacket(self.in_flight.get(overlapped, 0), overlapped, 5 if over else 0, 0 if over else 995)
        )
        return not over

    def wait(self) -> list[PaperPacket]:
        """The next packets, two at most; [] when none comes. RuntimeError for whoever waits on and on for nothing."""
        found, self._packets = self._packets[:2], self._packets[2:]
        for packet in found:
            self.in_flight.pop(packet.overlapped, None)
        self.empty_waits += not found
        if self.empty_waits > 9:
            raise RuntimeError("on a real port this would wait for ever: nothing is in flight that could be over")
        return found
