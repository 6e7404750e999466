"""What /proc says of a thread in another process that does what it is told."""

import os
import platform
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from iolab.kernel import thread_state as module
from iolab.kernel.thread_state import thread_state

pytestmark = pytest.mark.skipif(bool(module.unavailable()), reason=str(module.unavailable()))
READ = {"x86_64": 0, "aarch64": 63}  # __NR_read, asm/unistd_64.h and asm-generic/unistd.h
PATIENCE_S = 5


@contextmanager
def child(program: str):
    """A Python process that has written its first byte; its stdin stays open until the end."""
    start = [sys.executable, "-c", f"import os; os.write(1, b'x'); {program}"]
    with subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert os.read(process.stdout.fileno(), 1) == b"x"
            yield process.pid
        finally:
            process.kill()


def look_until(state: str, process_id: int):
    deadline = time.monotonic() + PATIENCE_S
    while (seen := thread_state(process_id, process_id)).state != state and time.monotonic() < deadline:
        time.sleep(0.001)
    return seen


def test_a_blocking_read_is_seen_as_sleep():
    with child("os.read(0, 1)") as process_id:
        assert look_until("S", process_id).state == "S"


def test_a_spinning_thread_is_seen_as_running():
    with child("exec('while True: pass')") as process_id:
        assert {look_until("R", process_id).state for _ in range(20)} == {"R"}


def test_the_number_of_the_system_call_is_seen_from_another_process():
    if platform.machine() not in READ:
        pytest.skip(f"the number of read is not in this test for {platform.machine()}")
    with child("os.read(0, 1)") as process_id:
        syscall = look_until("S", process_id).syscall
    if not syscall[:1].isdigit():
        pytest.skip(f"/proc/{process_id}/syscall: {syscall}")
    number, descriptor, *_ = syscall.split()
    assert (int(number), int(descriptor, 16)) == (READ[platform.machine()], 0)


def test_a_look_lies_between_its_two_times():
    before = time.monotonic_ns()
    seen = thread_state(os.getpid(), threading.get_native_id())
    assert before <= seen.before_ns <= seen.after_ns <= time.monotonic_ns()
    assert seen.state == "R"  # whoever looks at itself is running


def test_a_name_with_spaces_and_parentheses_does_not_deceive():
    program = "open('/proc/self/comm', 'w').write('a) S (b) Z '); exec('while True: pass')"
    with child(program) as process_id:
        assert look_until("R", process_id).state == "R"


def test_a_thread_that_is_gone_is_file_not_found():
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    deadline = time.monotonic() + PATIENCE_S
    while os.path.exists(f"/proc/self/task/{thread.native_id}") and time.monotonic() < deadline:
        time.sleep(0.001)  # join() returns a moment before the kernel has taken the thread away
    with pytest.raises(FileNotFoundError):
        thread_state(os.getpid(), thread.native_id)


@pytest.mark.parametrize("refused", ["wchan", "syscall"])
def test_what_is_refused_is_told_in_the_kernels_words(refused, monkeypatch):
    def guarded(path, *arguments, **options):
        if path.endswith(refused):
            raise PermissionError(1, "Operation not permitted", path)
        return open(path, *arguments, **options)

    monkeypatch.setattr(module, "open", guarded, raising=False)
    seen = thread_state(os.getpid(), threading.get_native_id())
    assert (seen.state, getattr(seen, refused)) == ("R", "Operation not permitted")
