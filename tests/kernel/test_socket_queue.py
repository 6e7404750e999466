"""FIONREAD: what lies unread is what was sent and not yet received."""

import os
import socket

from iolab.kernel.socket_queue import unread


def test_unread_is_what_was_sent_and_not_yet_received():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert unread(ours) == 0
        theirs.send(bytes(100))
        assert unread(ours) == unread(ours.fileno()) == 100
        ours.recv(30)
        assert unread(ours) == 70
    assert unread(ours) == 0


def test_unread_counts_a_pipe_as_well():
    read_fd, write_fd = os.pipe()
    with open(read_fd, "rb", 0) as reader, open(write_fd, "wb", 0) as writer:
        writer.write(b"abc")
        assert unread(reader) == 3
