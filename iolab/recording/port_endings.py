"""Experiments with a completion port: how what is in flight ends. Plain data.

    receives: in flight ── CancelIoEx, or the socket is closed ── packets, each with an error
    socket: under a port ── the port is closed ── under another one?

Two facts that surprise:
* To end an operation is no call but a request; its end comes as a packet. Closing its socket is no other way round that.
* Which error it ends with is not promised: after a close Windows has 64 or 995, and Wine 676.

Only Windows runs them, or Wine (under_wine).
"""

import errno

from iolab.kernel import iocp_operations as operations
from iolab.kernel.iocp import Port
from iolab.kernel.iocp_abi import errno_of
from iolab.recording.port_steps import KEY, LIMIT_S, port_and_pairs

IN_FLIGHT = 8


def cancelled() -> dict:
    """CancelIoEx of an idle receive: {"asked", "packets", "error": Windows', "errno": what the models call it}."""
    with port_and_pairs(1) as (port, [(ours, _)]):
        request = operations.receive(port, ours.fileno(), bytearray(8))
        asked = port.cancel(request)
        packets = port.wait(LIMIT_S)
        error = packets[0].winerror
        return {"asked": asked, "packets": len(packets), "error": error, "errno": errno.errorcode[errno_of(error)]}


def closed() -> dict:
    """The program closes a socket with receives in flight: {"in_flight", "packets", "errors"}."""
    with port_and_pairs(1) as (port, [(ours, _)]):
        for _ in range(IN_FLIGHT):
            operations.receive(port, ours.fileno(), bytearray(8))
        in_flight, packets = len(port.in_flight), []
        ours.close()
        while port.in_flight and (found := port.wait(LIMIT_S)):
            packets += found
        packets += port.wait(0)  # and no more
        return {"in_flight": in_flight, "packets": len(packets), "errors": sorted({each.winerror for each in packets})}


def one_port_for_ever() -> dict:
    """A second port asks for a socket, while the first lives and after it was closed: Windows' errors."""
    errors = []
    with port_and_pairs(1) as (port, [(ours, _)]):
        for _ in range(2):
            with Port() as other:
                try:
                    other.associate(ours.fileno(), KEY)
                    errors.append(0)
                except OSError as error:
                    errors.append(error.winerror)
            port.close()
    return {"while_it_lives": errors[0], "after_its_close": errors[1]}
