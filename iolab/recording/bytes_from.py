"""Where many bytes come from, for recording.who_copies: a peer's process, or a file in a known state.

    peer      sends when it is told, 20 ms later: by then the read has begun, and nothing is in the queue
    file      hit, miss or direct (recording.files)

Two facts that surprise:
* A low-water mark also holds back the last bytes, if they are fewer. The end of the stream tells of them: the peer
  shuts its sending side down.
* A thread of this process would do as a sender, and spoil everything: its work is this process' CPU time, too.
"""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from iolab.recording import files
from iolab.recording.way_to_read import DIRECT, HIT, MISS, SOCKET

FILES = {HIT: files.HIT, MISS: files.MISS, DIRECT: files.DIRECT}
START_LIMIT_S, QUIET_S = 30, 0.02
BYTE = b"\xff"
SENDER = """
import socket, sys, time
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as peer:
    data = bytes([255]) * int(sys.argv[2])
    peer.sendall(b"r")  # ready
    peer.recv(1)
    time.sleep(float(sys.argv[3]))
    peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
    peer.recv(1)
"""
Source = tuple[int, Callable[[], object]]  # a descriptor, and what is to be called right before it is read


@contextmanager
def bytes_from(source: str, nbytes: int, folder: str) -> Iterator[Source]:
    """So many times BYTE. RuntimeError or OSError where that source cannot be had."""
    with _peer(nbytes) if source == SOCKET else _file(nbytes, folder, FILES[source]) as opened:
        yield opened


@contextmanager
def _peer(nbytes: int) -> Iterator[Source]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-S", "-c", SENDER, str(listener.getsockname()[1]), str(nbytes), str(QUIET_S)]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as sender:
            try:
                listener.settimeout(START_LIMIT_S)
                with listener.accept()[0] as ours:
                    ours.settimeout(None)
                    ours.recv(1)
                    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, nbytes)
                    yield ours.fileno(), lambda: ours.send(b"g")
            finally:
                sender.kill()


@contextmanager
def _file(nbytes: int, folder: str, state: str) -> Iterator[Source]:
    with files.file_with(BYTE * nbytes, folder) as fd:
        files.bring_to(state, fd, nbytes, folder)
        yield fd, lambda: None
