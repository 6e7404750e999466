"""Which port a socket belongs to: the first one, as long as it lives; so ports are kept, and lent to queue after queue.

    queue 1   borrow() ── port A ── join(A, socket) ── give_back(A)
    queue 2                                                          borrow() ── port A ── join(A, socket): it does

Two facts that surprise:
* Closing a port does not set its sockets free: they would belong to a port that nobody can reach, and every overlapped
  operation of theirs would be over without anybody being told.
* Windows does not say which port a socket belongs to, not even whether it is this one. The second attempt fails in
  either case, with ERROR_INVALID_PARAMETER. So who puts them there must write it down, as asyncio does, too.

So a queue that is closed gives its port back, and the next one takes that of its first socket; of two queues that live
at once only one can have a socket. A number is used again after close: whoever closes it here has the note forgotten.
Who closes it elsewhere, by sock.close(), leaves it: if the number comes back as a socket of asyncio's, a read of it here
waits for ever. asyncio leaves it at one event loop for each socket's whole life.
"""

import errno

from iolab.kernel.iocp import Port
from iolab.kernel.iocp_abi import ERROR_INVALID_PARAMETER

_idle: list[Port] = []  # nobody waits for them now
_ports: dict[int, Port] = {}  # of the sockets


def borrow() -> Port:
    """A port for one queue, which gives it back. OSError as Windows says."""
    try:
        return _idle.pop()
    except IndexError:
        return Port()


def give_back(port: Port) -> None:
    """For the next queue; what was abandoned is still in flight, and its packet is passed over."""
    _idle.append(port)


def exchanged(port: Port, sock: int) -> Port:
    """For a queue that has nothing in flight: the port of `sock`, unless another queue has it, instead of `port`."""
    own = _ports.get(sock)
    try:
        _idle.remove(own)
    except ValueError:  # it has none, or it is not idle: `port` itself is not, either
        return port
    _idle.append(port)
    return own


def forget(sock: int) -> None:
    """It is being closed: its number may be that of a socket under a port of somebody else's."""
    _ports.pop(sock, None)


def join(port: Port, sock: int) -> None:
    """Put the socket under `port`, if it is not there already. OSError (EINVAL) when another one has it."""
    try:
        port.associate(sock, sock)
        _ports[sock] = port
    except OSError as error:
        if error.winerror != ERROR_INVALID_PARAMETER:
            raise
        if _ports.get(sock) is not port:
            raise OSError(errno.EINVAL, f"socket {sock} belongs to another completion port, for ever") from None
