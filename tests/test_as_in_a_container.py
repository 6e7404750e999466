"""What a command finds that is run as in a container; it is asked of the kernel by the command itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parent / "as_in_a_container.py"
LOOK = """
import ctypes, json, os, pathlib, socket
libc = ctypes.CDLL(None, use_errno=True)
def errno_of(number, *arguments):
    return ctypes.get_errno() if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) < 0 else 0
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    loopback = True
status = pathlib.Path("/proc/self/status").read_text()
tracing = pathlib.Path("/sys/kernel/tracing")
print(json.dumps({
    "cpus": len(os.sched_getaffinity(0)), "user": os.getuid(), "loopback": loopback,
    "interfaces": [name for _, name in socket.if_nameindex()], "rights": int(status.split("CapEff:")[1].split()[0], 16),
    "no_new_privileges": status.split("NoNewPrivs:")[1].split()[0], "io_uring": errno_of(425, 1, 0),
    "io_uring_enter": errno_of(426, 0, 0, 0, 0), "tracing": os.listdir(tracing) if tracing.is_dir() else [],
    "home": os.listdir(os.path.expanduser("~")),
}))
"""


def contained(*command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, TOOL, *command], capture_output=True, text=True, timeout=120, **options)


def a_user_namespace_is_refused() -> bool:
    return "with this user's own number" in contained("true").stderr


needs_namespaces = pytest.mark.skipif(
    not sys.platform.startswith("linux") or a_user_namespace_is_refused(), reason="no user namespace here: unshare(2)"
)


@needs_namespaces
def test_there_is_one_cpu_no_root_no_network_no_ring_and_no_tracing():
    run = contained(sys.executable, "-c", LOOK)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "cpus": 1, "user": 1000, "loopback": True, "interfaces": ["lo"], "rights": 0, "no_new_privileges": "1",
        "io_uring": 1, "io_uring_enter": 1, "tracing": [], "home": [],
    }  # fmt: skip


@needs_namespaces
@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_is_the_commands(code):
    assert contained("sh", "-c", f"exit {code}").returncode == code


@needs_namespaces
def test_who_takes_more_memory_than_there_is_is_killed():
    program = "import time; block = bytearray(400 << 20); time.sleep(60)"
    run = contained("--memory-mib", "200", sys.executable, "-c", program)
    assert run.returncode == 128 + 9
    assert "above 200 MiB" in run.stderr


@needs_namespaces
def test_a_process_that_outlives_the_command_is_named_and_ended():
    run = contained("sh", "-c", "setsid sleep 300 > /dev/null 2>&1 & echo $!")
    assert run.returncode == 70
    assert "left behind" in run.stderr
    assert "sleep 300" in run.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(run.stdout), 0)
