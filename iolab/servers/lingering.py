"""The end of a connection, in the order in which nothing gets lost: first we stop sending, then we wait for the client.

    server   last answer ── shutdown(SHUT_WR): FIN ── recv, dropped ── recv: 0 ── close
    client                   reads all, then the end ── close: FIN ─┘

Two facts that surprise:
* close(2) with bytes unread in the receive buffer, or before more of them come, sends a reset (RFC 2525, 2.17). What
  our kernel has not sent by then is thrown away, and a client that is still sending gets ECONNRESET from its next call,
  often before it has looked for an answer. Other systems than Linux drop what it has received and not read, too.
* shutdown(2) concerns the connection, close(2) the descriptor: a process that was forked meanwhile and has the
  descriptor, too, keeps a closed connection open, but not one that was shut down.

RFC 9112, 9.6; shutdown(2); UNP 6.6 and 7.5.
"""

import socket
from contextlib import suppress

from iolab.models.borrowed import borrowed_socket


def shut_down_sending(fd: int) -> None:
    """Tell the client that nothing more will come; what it sends can still be read."""
    with borrowed_socket(fd) as sock, suppress(OSError):  # ENOTCONN: reset meanwhile
        sock.shutdown(socket.SHUT_WR)
