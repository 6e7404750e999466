"""Clients that are connected and silent: none is turned away, the busy ones hardly notice them, each takes little memory.

The memory is the server's own (RssAnon), which the kernel's for a connection is not part of: that is printed, as the
growth of the machine's slab, and holds both ends of each connection here. IOLAB_HEAVY=1: 10,000 of them, and the times.
"""

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import pytest

from iolab.bench.application import Asked
from iolab.bench.circumstances import enough_descriptors
from iolab.bench.client import Client
from tests.servers.served import PATIENCE_S
from tests.servers.test_serve_command import ROOT, serve, serving

heavy = pytest.mark.skipif(os.environ.get("IOLAB_HEAVY") != "1", reason="20 s each: IOLAB_HEAVY=1 asks for it")
servers = serving(lambda variant: variant.mechanism in ("epoll", "io-uring"))

FEW_IDLE, FEW_BUSY = 300, 8
MANY_IDLE, MANY_BUSY = 10_000, 64
MOST_BYTES = 16 * 1024  # of the server's memory for one idle connection
MOST_TIMES = 3.0  # p99 of the busy ones beside them, and without
ROUNDS, ROUND_S = 7, 0.5
HEALTH = '{"status": "ok", "books": 42}\n'


def kilobytes(path: str, name: str) -> int:
    line = next(line for line in Path(path).read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


@contextmanager
def idle_clients(port: int, count: int):
    """They have been answered inside; at the end all of them are still connected."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.idle_clients", str(port), str(count)], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == f"{count}\n"
        yield
        still, _ = process.communicate(timeout=PATIENCE_S)
        assert (still, process.returncode) == (f"{count}\n", 0)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def busy(port: int, count: int) -> Client:
    """A connection that is closed, or an answer other than 200 and this one, raises WrongResponse."""
    return Client(port, Asked("/health", HEALTH.encode()), count)


def p99_ms(client: Client) -> float:
    latencies = sorted(client.run(ROUND_S).latencies_ns)
    return latencies[len(latencies) * 99 // 100] / 1e6


def memory_for_each(process_id: int, idle: int, connect) -> str:
    """What `connect` makes the server's memory grow by, for each; within bounds."""
    status = f"/proc/{process_id}/status"
    before, slab = kilobytes(status, "RssAnon"), kilobytes("/proc/meminfo", "Slab")
    connect()
    nbytes = (kilobytes(status, "RssAnon") - before) * 1024 / idle
    kernel = (kilobytes("/proc/meminfo", "Slab") - slab) * 1024 / idle
    assert nbytes <= MOST_BYTES
    return (
        f"{nbytes / 1024:.1f} KiB of the server and some {kernel / 1024:.1f} KiB of the kernel for each idle connection"
    )


@servers
def test_idle_connections_take_little_memory_and_keep_nobody_out(arguments, tmp_path):
    with ExitStack() as stack:
        server = stack.enter_context(serve(*arguments, folder=tmp_path))
        with busy(server.port, FEW_BUSY) as client:
            client.run(0.1)
            idle = idle_clients(server.port, FEW_IDLE)
            memory_for_each(server.process.pid, FEW_IDLE, lambda: stack.enter_context(idle))
            client.run(0.1)
        stack.pop_all().close()
        assert server.process.poll() is not None


@heavy
@servers
def test_ten_thousand_idle_connections_beside_64_busy_ones(arguments, tmp_path):
    with ExitStack() as stack:
        stack.enter_context(enough_descriptors(MANY_IDLE + MANY_BUSY))
        alone, beside = (stack.enter_context(serve(*arguments, folder=tmp_path)) for _ in range(2))
        clients = [stack.enter_context(busy(server.port, MANY_BUSY)) for server in (alone, beside)]
        for client in clients:
            client.run(ROUND_S)
        idle = idle_clients(beside.port, MANY_IDLE)
        memory = memory_for_each(beside.process.pid, MANY_IDLE, lambda: stack.enter_context(idle))
        without, with_idle = zip(*([p99_ms(client) for client in clients] for _ in range(ROUNDS)), strict=True)
        ratio = median(with_idle) / median(without)
        print(f"\n{' '.join(arguments)}: {memory}; p99 of {MANY_BUSY} busy ones {median(without):.2f} ms without,"
              f" {median(with_idle):.2f} ms beside {MANY_IDLE:,} idle ones: {ratio:.2f} times")  # fmt: skip
        assert ratio <= MOST_TIMES
