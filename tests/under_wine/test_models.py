"""The completion port under Wine: the contract of every completion queue, reads of sockets and files, endings."""

import json
import re
import signal
import subprocess
import time

import pytest

from tests.wine import Wine

CONTRACT = ("test_completion_contract", "test_completion_endings", "test_completion_streams")
LIMIT_S = 500
MUST_PASS = {"test_completion_contract": 60, "test_completion_endings": 20, "test_completion_streams": 25}


def run_tests(wine, *arguments: str) -> dict[str, int]:
    """What pytest under Wine counts: {"passed": 117, "skipped": 15}."""
    done = wine.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *arguments, limit_s=LIMIT_S)
    assert done.returncode == 0, done.stdout
    return {what: int(count) for count, what in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}


@pytest.mark.parametrize("name", CONTRACT)
def test_a_completion_port_keeps_the_contract_of_every_completion_queue(wine, name):
    counts = run_tests(wine, f"tests/models/{name}.py", "-k", "iocp")
    assert counts["passed"] >= MUST_PASS[name]


def test_what_windows_alone_can_try_goes_well(wine):
    assert run_tests(wine, "tests/under_wine/on_windows.py")["passed"] >= 24


def test_every_file_of_the_package_that_draws_nothing_imports_on_windows(wine):
    program = (
        "import pkgutil, importlib, iolab, iolab.models, iolab.kernel, iolab.servers, iolab.recording as recording\n"
        "for package in (iolab.models, iolab.kernel, iolab.servers, recording):\n"
        "    for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "print('all')\n"
    )
    done = wine.python("-c", program)
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stdout


def test_ctrl_c_ends_a_read_that_waits(wine):
    program = (
        "import socket\n"
        "from iolab.models import asynchronous_iocp as iocp\n"
        "ours, peer = socket.socketpair()\n"
        "print('reading', flush=True)\n"
        "try:\n"
        "    iocp.read_into(ours.fileno(), bytearray(1))\n"
        "except KeyboardInterrupt:\n"
        "    peer.send(b'x')\n"
        "    print('interrupted, and can be read again:', iocp.read_into(ours.fileno(), bytearray(1)))\n"
    )
    process = wine.start("-c", program)
    try:
        assert process.stdout.readline() == "reading\n"
        time.sleep(1)  # until it waits
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output) == (0, "interrupted, and can be read again: 1\n")


@pytest.mark.parametrize(("keeper", "said"), [("request.kept", ""), ("forgotten", "freed")])
def test_what_is_in_flight_is_not_freed_even_at_the_interpreters_end(wine, keeper, said):
    program = (
        "import os, socket\n"
        "from iolab.kernel.iocp import Port\n"
        "from iolab.kernel.iocp_operations import receive\n"
        "class Told:\n"
        "    def __del__(self, say=os.write):\n"
        "        say(1, b'freed')\n"
        "ours, peer = socket.socketpair()\n"
        "port, forgotten = Port(), ()\n"
        "port.associate(ours.fileno(), 1)\n"
        "request = receive(port, ours.fileno(), bytearray(4))\n"
        f"{keeper} += (Told(),)\n"
    )
    done = wine.python("-c", program)
    assert (done.returncode, done.stdout) == (0, said)


def test_doctor_calls_it_live_there(wine):
    done = wine.python("-m", "iolab", "doctor", "--json")
    findings = {each["name"]: each["state"] for each in json.loads(done.stdout)["findings"]}
    assert findings["iocp"] == "live"
    assert findings["epoll"] == "missing"


def test_a_program_that_takes_too_long_is_ended_and_wine_with_it(wine, tmp_path):
    other = Wine(wine.folder)
    with pytest.raises(subprocess.TimeoutExpired):
        other.python("-c", "import time; time.sleep(600)", limit_s=5)
    assert other.python("-c", "print('again')").stdout == "again\n"
