"""A listening socket: where connections are completed by the kernel, and wait for a program that accepts them.

    client   connect ── SYN ──>        <── SYN, ACK ── connected ── sends its request already
    kernel                    queue of the listener: [c1, c2, c3]
    server                                                        accept() ──> c1

Two facts that surprise:
* A client is connected before the server has called accept, or while the server is busy with something else. How many
  may wait is the backlog, cut to net.core.somaxconn without a word (listen(2)); a SYN beyond it is dropped, and the
  client tries again a second later, and again, by and by more rarely.
* With SO_REUSEPORT several sockets listen on one port, and the kernel deals connections out by a hash of the addresses:
  one process that is slow gets as many as its fellows. What it was dealt and has not accepted is lost with its socket.

TCP_NODELAY is set here once: accepted sockets inherit it on Linux. Without it a response in two parts may wait 40 ms
for an acknowledgement. socket(7), tcp(7), listen(2).
"""

import os
import socket

BACKLOG = 4096


def listen(host: str = "127.0.0.1", port: int = 0, backlog: int = BACKLOG, reuse_port: bool = False) -> socket.socket:
    """A listening socket, nonblocking; port 0 means any that is free. OSError (EADDRINUSE, ...); ValueError."""
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"port must be from 0 to 65,535, not {port!r}")
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name != "nt":  # a port in TIME_WAIT is no obstacle; on Windows a port that is in use would be none either
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def url(listener: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
