"""A stream of bytes from a sender to a reader, with both ends open: loopback TCP, a pipe, a pair of sockets."""

import os
import socket
from contextlib import suppress

from iolab.kernel.socket_timestamps import ask_for_timestamps

try:
    import fcntl
except ImportError:  # no experiments there; the file still imports
    fcntl = None


class Channel:
    """`read_fd` for the model, `write_fd` for the sender until `close_write`; a context manager."""

    def __init__(self, transport: str, nbytes: int, one_wait: bool = False, timestamps: bool = False) -> None:
        self.socket: socket.socket | None = None  # the reading end, where it is one
        self.low_water = 1  # bytes that must be queued before the kernel wakes a sleeping reader
        self._ends: list = []
        try:
            if transport == "tcp":
                self._open_tcp(nbytes if one_wait else None, timestamps)
            elif transport == "socketpair":
                self.socket, self._write = socket.socketpair()
                self._ends = [self.socket, self._write]
            else:
                self._open_pipe(nbytes)
        except BaseException:
            self.close()
            raise
        self.read_fd, self.write_fd = (end.fileno() for end in self._ends)

    def _open_tcp(self, low_water: int | None, timestamps: bool) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            if low_water is not None:
                # Inherited by the accepted socket, so that its window is large enough from the first segment on.
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low_water)
            self._write = socket.create_connection(server.getsockname())
            self._ends = [self._write]
            self.socket, peer = server.accept()
            self._ends = [self.socket, self._write]
            if peer != self._write.getsockname():
                raise ConnectionError(f"a stranger at {peer} connected first")
        # Nagle's algorithm would keep the last byte back until all before it are acknowledged.
        self._write.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if low_water is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low_water)
            self.low_water = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)
        if timestamps:
            ask_for_timestamps(self.socket)

    def _open_pipe(self, nbytes: int) -> None:
        read_fd, write_fd = os.pipe()
        self._ends = [open(read_fd, "rb", 0), open(write_fd, "wb", 0)]  # noqa: SIM115
        with suppress(PermissionError):  # above /proc/sys/fs/pipe-max-size: more than one wait, which is honest
            fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, nbytes)

    def close_write(self) -> None:
        """The sender has it now; as long as this process held it too, the stream could not end."""
        self._ends[-1].close()

    def close(self) -> None:
        for end in self._ends:
            end.close()

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.close()
