"""What the tests of POSIX AIO share: a deadline instead of sleep, threads by /proc, and processes of their own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from iolab.kernel.posix_aio import aio_error
from iolab.kernel.thread_state import thread_state

PATIENCE_S = 20
PRELUDE = """
import ctypes, errno, gc, json, os, resource, signal, socket, sys, threading, time
from iolab.kernel.posix_aio import (aio_init, aio_read, aio_write, aio_fsync, aio_error, aio_return, aio_suspend,
    aio_cancel)
from iolab.kernel.posix_aio_block import ControlBlock, in_progress
from iolab.kernel.posix_aio_layout import AIO_NOTCANCELED, LIO_READ
from iolab.kernel.posix_aio_list import lio_listio
from iolab.kernel.posix_aio_notification import BySignal, ByThread, callback_errors, wait_for_callbacks
from tests.posix_aio import asleep_in_read, other_threads, until, is_over
def tell(value):
    print(json.dumps(value), flush=True)
"""
ROOT = Path(__file__).parents[1]


def until(condition, limit_s: float = PATIENCE_S) -> None:
    """Look again and again until `condition()` is true; AssertionError after `limit_s` seconds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not so after {limit_s} s: {condition}"
        time.sleep(0.001)


def is_over(block) -> bool:
    return aio_error(block) != 115  # EINPROGRESS


def other_threads() -> set[int]:
    """Threads of this process, by /proc, but for the one that asks."""
    return {int(name) for name in os.listdir("/proc/self/task")} - {int(os.readlink("/proc/thread-self").split("/")[2])}


def asleep_in_read(wanted: int) -> bool:
    """Whether so many other threads sleep in the kernel, and none is on its way."""
    try:
        states = [thread_state(os.getpid(), thread_id) for thread_id in other_threads()]
    except OSError:  # one ended
        return False
    return len(states) == wanted and all(each.state == "S" for each in states)


def sleeps_in_read(fd: int) -> bool:
    """Whether some thread of this process sleeps in read(2) of `fd`, by /proc."""
    for thread_id in other_threads():
        try:
            seen = thread_state(os.getpid(), thread_id)
        except OSError:  # it ended
            continue
        words = seen.syscall.split()
        if seen.state == "S" and words[0] in ("0", "63") and int(words[1], 16) == fd:  # x86-64, arm64
            return True
    return False


def in_a_process(program: str, returncode: int = 0):
    """What a new Python process tells last, which runs `program` after the imports of PRELUDE."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            PRELUDE + program,
        ],  # 3.12: of fork(2) beside threads
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert run.returncode == returncode, run.stderr
    assert returncode or not run.stderr, run.stderr
    return json.loads(run.stdout.splitlines()[-1])
