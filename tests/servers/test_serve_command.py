"""`iolab serve` as a person meets it: one line, a server, and an end that answers what is under way and leaves nothing."""

import ctypes
import errno
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from iolab.kernel import io_uring_layout as layout
from iolab.kernel import io_uring_setup
from iolab.kernel.libc import system_call
from iolab.servers.serve import new_server
from tests.left_behind import children
from tests.servers.served import PATIENCE_S, VARIANTS, eventually, everything, get, response

ROOT = Path(__file__).parents[2]
ARGUMENTS = {
    "reactor": lambda mechanism: ["reactor", "--demultiplexer", mechanism],
    "proactor": lambda mechanism: ["proactor", "--completions", mechanism],
    "threads": lambda _: ["threads"],
}


def serving(wanted=lambda variant: True):
    """A test's `arguments` of `iolab serve`, for each variant that is wanted; skipped with the reason where it is not here."""
    parameters = [
        pytest.param(
            ARGUMENTS[each.kind](each.mechanism),
            id=each.name,
            marks=pytest.mark.skipif(bool(reason), reason=f"{each.mechanism}: {reason}"),
        )
        for each in VARIANTS
        if wanted(each)
        for reason in [each.unavailable()]
    ]
    return pytest.mark.parametrize("arguments", parameters)


every_server = serving()
# Where there is no io_uring, a proactor over something else: here it matters that it is one.
COMPLETIONS = next(each.mechanism for each in VARIANTS if each.kind == "proactor" and not each.unavailable())
PROACTOR = ("proactor", "--completions", COMPLETIONS)
SERVERS = (("reactor",), PROACTOR, ("threads",))
KINDS = pytest.mark.parametrize("kind", SERVERS, ids=lambda arguments: arguments[0])


class Command:
    """A running `iolab serve`."""

    def __init__(self, arguments, folder) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "iolab", "serve", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert eventually(lambda: self.lines or self.process.poll() is not None)
        assert self.lines, self.process.stderr.read()
        self.port = int(re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", self.lines[0]).group(1))

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def ask(self, path: str, method: str = "GET", body: dict | None = None) -> tuple[int, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        fields = {"Content-Type": "application/json", "Connection": "close"}
        connection.request(method, path, json.dumps(body) if body else None, fields)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal, wait for the end: exit code, and what stands on stderr."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self._reader.join()
        return code, self.process.stderr.read()

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        self.process.stderr.close()


@contextmanager
def serve(*arguments, folder):
    before = children()
    command = Command(arguments, folder)
    try:
        yield command
    finally:
        command.kill()
    assert children() == before


@every_server
def test_it_says_where_it_listens_serves_and_ends_with_what_is_in_flight_answered(arguments, tmp_path):
    with serve(*arguments, "--port", 0, folder=tmp_path) as command:
        status, shelf = command.ask("/books")
        isbn = shelf[0]["isbn"]
        assert (status, command.ask("/health")[0]) == (200, 200)
        assert command.ask("/orders", "POST", {"isbn": isbn, "quantity": 1})[0] == 201
        with command.connect() as idle, command.connect() as asking:
            idle.sendall(get("/health"))
            assert response(idle)[0] == 200
            before_s = cpu_s(command.process.pid)
            asking.sendall(get("/recommendations?cents=9000&books=5"))
            assert eventually(lambda: cpu_s(command.process.pid) > before_s + 0.05)
            assert select.select([asking], (), (), 0)[0] == [], "too fast to be in flight"
            start = time.monotonic()
            command.process.send_signal(signal.SIGTERM)
            answer = everything(asking)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert everything(idle) == b""
            asking.close()
            idle.close()
            assert command.process.wait(PATIENCE_S) == 0
            assert time.monotonic() - start < 5
        assert command.end() == (0, "")
        assert command.lines == [f"listening on http://127.0.0.1:{command.port}\n"]
        assert list(tmp_path.iterdir()) == [], "the bookstore's file was a temporary one"


def cpu_s(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@KINDS
def test_curl_orders_a_book_and_a_browser_gets_a_page(kind, tmp_path):
    def curl(*arguments):
        command = ["curl", "-sS", "--max-time", str(PATIENCE_S), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    with serve(*kind, folder=tmp_path) as command:
        address = f"http://127.0.0.1:{command.port}"
        isbn = json.loads(curl(f"{address}/books"))[0]["isbn"]
        order = json.dumps({"isbn": isbn, "quantity": 2})
        placed = curl("-H", "Content-Type: application/json", "-d", order, "-w", "\n%{http_code}", f"{address}/orders")
        assert placed.endswith("\n201")
        assert "<html" in curl("-H", "Accept: text/html", f"{address}/").lower()


@KINDS
def test_ctrl_c_ends_it_as_well(kind, tmp_path):
    with serve(*kind, folder=tmp_path) as command:
        assert command.ask("/health")[0] == 200
        assert command.end(signal.SIGINT) == (0, "")


def test_a_signal_as_soon_as_it_listens_ends_it_well(tmp_path):
    for kind in SERVERS * 3:
        with serve(*kind, folder=tmp_path) as command:
            assert command.end() == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_the_database_that_is_named_is_kept(tmp_path):
    path = tmp_path / "shop.sqlite"
    for _ in range(2):
        with serve("reactor", "--database", path, folder=tmp_path) as command:
            isbn = command.ask("/books")[1][0]["isbn"]
            status, order = command.ask("/orders", "POST", {"isbn": isbn, "quantity": 1})
            assert status == 201
            assert command.end() == (0, "")
    assert order["id"] == 2


@KINDS
def test_steps_are_shown_in_order_with_times_and_threads(kind, tmp_path):
    seen = [2, 3, 4, 5, 6] if kind == ("reactor",) else [2, 3, 4, 5, 6, 7, 8]
    with serve(*kind, "--steps", folder=tmp_path) as command, command.connect() as client:
        since, before = time.monotonic(), len(command.lines)
        client.sendall(get("/recommendations?cents=3000&books=2"))
        assert response(client)[0] == 200
        took_ms = (time.monotonic() - since) * 1000
        assert eventually(lambda: len(command.lines) >= before + len(seen))
        found = [
            re.fullmatch(r" *([\d.]+) ms  thread (\d+)  connection (\d+) +(\d) .+\n", line).groups()
            for line in command.lines[before : before + len(seen)]
        ]
        assert [int(step) for *_, step in found] == seen
        times = [float(at_ms) for at_ms, *_ in found]
        assert times == sorted(times)
        assert times[-1] - times[0] <= took_ms + 1000
        threads = {int(step): thread for _, thread, _, step in found}
        assert len({connection for _, _, connection, _ in found}) == 1
        assert threads[2] == threads[6]
        assert (threads[5] != threads[2]) == (kind != ("threads",)), "slow work runs in a worker"


# Several processes


@KINDS
def test_workers_share_the_port_one_that_dies_is_replaced_and_all_end_together(kind, tmp_path):
    with serve(*kind, "--workers", 3, folder=tmp_path) as command:
        assert eventually(lambda: len(children(command.process.pid)) == 3)
        for _ in range(20):
            assert command.ask("/health")[0] == 200
        for _ in range(2):
            before = children(command.process.pid)
            victim = min(before)
            os.kill(victim, signal.SIGKILL)
            assert eventually(lambda before=before: len(children(command.process.pid) - before) == 1)
            for _ in range(20):  # nobody is lost who waits in the dead one's queue
                assert command.ask("/health")[0] == 200
        workers = children(command.process.pid)
        assert len(workers) == 3
        assert command.end() == (0, "")
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_a_terminal_reaches_all_processes_and_ends_them_once(tmp_path):
    with serve("reactor", "--workers", 2, folder=tmp_path) as command, command.connect() as client:
        client.sendall(get("/health"))
        assert response(client)[0] == 200
        os.killpg(command.process.pid, signal.SIGINT)
        assert command.process.wait(PATIENCE_S) == 0
    assert list(tmp_path.iterdir()) == []


def test_workers_end_when_their_parent_is_killed(tmp_path):
    with serve("reactor", "--workers", 2, folder=tmp_path) as command:
        assert eventually(lambda: len(children(command.process.pid)) == 2)
        assert command.ask("/health")[0] == 200
        workers = children(command.process.pid)
        command.process.kill()
        command.process.wait()
        assert eventually(lambda: not any(running(worker) for worker in workers))


def test_what_a_killed_one_has_left_behind_is_removed_by_the_next_one_and_nobody_elses(tmp_path):
    with serve("reactor", "--workers", 2, folder=tmp_path) as alive:
        (inhabited,) = tmp_path.iterdir()
        with serve("reactor", folder=tmp_path) as killed:
            (abandoned,) = set(tmp_path.iterdir()) - {inhabited}
            killed.end(signal.SIGKILL)
        assert abandoned.exists()
        with serve("reactor", folder=tmp_path) as another:
            assert not abandoned.exists()
            assert inhabited.exists()
            assert another.ask("/health")[0] == alive.ask("/health")[0] == 200
            assert another.end() == (0, "")
        assert list(tmp_path.iterdir()) == [inhabited]
        assert alive.end() == (0, "")
    assert list(tmp_path.iterdir()) == []


def running(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_a_worker_that_dies_at_once_is_not_started_again_and_again(tmp_path):
    with serve("reactor", "--workers", 2, folder=tmp_path) as command:
        assert eventually(lambda: len(children(command.process.pid)) == 2)
        seen, start = set(), time.monotonic()
        while time.monotonic() - start < 1.5:
            for worker in children(command.process.pid):
                seen.add(worker)
                with suppress(ProcessLookupError):  # it has been waited for
                    os.kill(worker, signal.SIGKILL)
            time.sleep(0.01)
        assert 2 < len(seen) <= 2 * 6, "pauses of 0.1, 0.2, 0.4, 0.8 s"
        assert command.end()[0] == 0


# Wrong use


def iolab(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "iolab", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "SERVER"),
        (["forker"], "'forker'"),
        (["reactor", "--port", "65536"], "must be from 0 to 65,535, not 65536"),
        (["reactor", "--workers", "0"], "must be from 1 to 64, not 0"),
        (["reactor", "--completions", "io-uring"], "--completions"),
        (["reactor", "--demultiplexer", "kqueue"], "'kqueue'"),
        (["proactor", "--completions", "kqueue"], "'kqueue'"),
        (["threads", "--database", "/nowhere/shop"], "there is no folder /nowhere"),
    ],
    ids=str,
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments, words):
    run = iolab("serve", *arguments)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert words in run.stderr


@pytest.mark.parametrize("command", [["serve"], *(["serve", kind] for kind, *_ in SERVERS)], ids=" ".join)
def test_help_has_an_example(command):
    run = iolab(*command, "--help")
    assert run.returncode == 0
    assert f"example: iolab {' '.join(command)}" in run.stdout


def test_what_the_machine_refuses_is_one_line_with_the_kernels_reason_and_exit_code_1():
    program = "import sys; from iolab.command_line import main; from tests.as_in_a_container import refuse; refuse(); sys.exit(main())"
    run = subprocess.run(
        [sys.executable, "-c", program, "serve", "proactor", "--completions", "io-uring"],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)
    assert run.stderr.startswith("iolab: io-uring: io_uring_setup: Operation not permitted")


def test_a_kernel_that_is_too_old_for_the_servers_ring_is_told_what_it_takes(monkeypatch):
    def linux_6_0(name, number, entries, address):
        if layout.PARAMS.unpack(ctypes.string_at(address, layout.PARAMS.size))[2] & layout.SETUP_DEFER_TASKRUN:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
        return system_call(name, number, entries, address)

    if reason := io_uring_setup.unavailable():
        pytest.skip(reason)
    monkeypatch.setattr(io_uring_setup, "system_call", linux_6_0)
    assert io_uring_setup.unavailable() is None
    listener = socket.create_server(("127.0.0.1", 0))
    with pytest.raises(RuntimeError, match="io-uring: io_uring_setup: Invalid argument: .* takes Linux 6.1"):
        new_server("proactor", "io-uring", listener, None)


def test_a_port_that_is_taken_is_one_line_and_exit_code_1():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = iolab("serve", "reactor", "--port", taken.getsockname()[1])
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)
    assert "Address already in use" in run.stderr


def test_a_host_that_is_not_this_machine_is_one_line_and_exit_code_1():
    run = iolab("serve", "reactor", "--host", "192.0.2.1")
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)


def test_it_listens_on_this_machine_only_unless_told_otherwise(tmp_path):
    for more, address in (((), "0100007F"), (("--host", "0.0.0.0"), "00000000")):
        with subprocess.Popen(
            [sys.executable, "-m", "iolab", "serve", "reactor", *more], stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        ) as process:  # fmt: skip
            port = int(process.stdout.readline().rpartition(":")[2])
            lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            assert [local for _, local, _, state, *_ in lines if local.endswith(f":{port:04X}") and state == "0A"] == [
                f"{address}:{port:04X}"
            ]
            process.terminate()
