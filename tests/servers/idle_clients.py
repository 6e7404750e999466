"""Clients that ask once and then only stay: python -m tests.servers.idle_clients PORT COUNT

    stdout   10000     so many were answered 200; ends with an error where one was not
    stdin    end       ──> stdout 10000: so many are still connected, and have got nothing more; it ends

A process of its own, for it needs as many descriptors as the server. From one address a client has some 28,000 ports,
some of which still rest (TIME_WAIT) after the test before: so the addresses take turns.
"""

import resource
import socket
import sys

PER_ADDRESS = 5_000
SPARE_DESCRIPTORS = 64
PATIENCE_S = 20
ASK = b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n"


def connect(port: int, number: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), PATIENCE_S, (f"127.0.0.{2 + number // PER_ADDRESS}", 0))
    client.sendall(ASK)
    answer = b""
    while not answer.endswith(b"}\n"):  # the body is one line of JSON
        piece = client.recv(1 << 12)
        assert piece, f"connection {number} ends after {answer!r}"
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert b"\r\nConnection: close\r\n" not in answer, answer
    client.setblocking(False)
    return client


def stays(client: socket.socket) -> bool:
    try:
        client.recv(1)  # b"" is the end, a byte would be an answer that nobody asked for
    except BlockingIOError:
        return True
    except ConnectionError:
        pass
    return False


def main(port: int, count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + SPARE_DESCRIPTORS), hard))
    clients = [connect(port, number) for number in range(count)]
    print(len(clients), flush=True)
    sys.stdin.read()
    print(sum(map(stays, clients)), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
