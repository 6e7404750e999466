"""Whoever writes to a buffer too late writes to memory of somebody else: the contracts again, where that shows.

PYTHONMALLOC=debug fills what Python has freed and looks at the bytes around each block; MALLOC_PERTURB_ fills what the C
library has freed. With IOLAB_HEAVY=1, where valgrind is installed, each load and store is looked at.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.completion_back_ends import parameters

ROOT = Path(__file__).parents[2]
READS = ["tests/models/test_model_contract.py"]
OPERATIONS = [f"tests/models/test_completion_{part}.py" for part in ("contract", "streams", "endings")]
FILLED = {"PYTHONMALLOC": "debug", "MALLOC_PERTURB_": "165"}
# Loads and stores of memory that is not there. What has no value yet is not looked at: CPython's own garbage collector
# is reported for that, because of the bits that it hides in pointers.
SUPPRESSIONS = Path(__file__).with_name("valgrind.supp")
VALGRIND = ("--tool=memcheck", "--undef-value-errors=no", "--error-exitcode=99", f"--suppressions={SUPPRESSIONS}")

heavy = pytest.mark.skipif(
    os.environ.get("IOLAB_HEAVY") != "1" or shutil.which("valgrind") is None,
    reason="minutes under valgrind, where that is installed: IOLAB_HEAVY=1 asks for it",
)


def contracts(chosen: str, files: list[str], environment: dict, *before: str, timeout_s: float = 300) -> str:
    """What pytest says of the tests so chosen, in a process of its own; AssertionError unless they pass."""
    options = ["-q", "-x", "-p", "no:cacheprovider", "-k", chosen]
    run = subprocess.run(
        [*before, sys.executable, "-X", "faulthandler", "-m", "pytest", *options, *files],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=timeout_s,
    )  # fmt: skip
    assert run.returncode == 0, f"{run.stdout[-8000:]}\n{run.stderr[-8000:]}"
    return run.stdout


def model_of(back_end) -> str:
    """The reads of io_uring's default manner have the model's own name."""
    return "io-uring and not io-uring-" if back_end.name == "io-uring-default" else back_end.name


@pytest.mark.parametrize("back_end", parameters())
def test_the_reads_of_a_model_touch_no_memory_that_was_freed(back_end):
    assert " passed" in contracts(model_of(back_end), READS, FILLED)


@pytest.mark.parametrize("back_end", parameters())
def test_the_operations_of_a_queue_touch_no_memory_that_was_freed(back_end):
    # How much memory ten thousand reads take is asked without the fillings, which keep more.
    assert " passed" in contracts(f"{back_end.name} and not ten_thousand", OPERATIONS, FILLED)


# Valgrind 3.19 lets no other thread run while one sleeps in io_uring_enter: a peer in a thread would never send.
@heavy
@pytest.mark.parametrize("back_end", parameters("threads", "posix-aio", "linux-aio"))
def test_valgrind_sees_no_load_or_store_that_reads_should_not_make(back_end):
    options = (shutil.which("valgrind"), *VALGRIND)
    assert " passed" in contracts(model_of(back_end), READS, {"PYTHONMALLOC": "malloc"}, *options, timeout_s=1800)


def test_one_byte_behind_a_buffer_would_not_go_unnoticed():
    program = "import ctypes; b = bytearray(100); c = (ctypes.c_char * 100).from_buffer(b)\n"
    program += "ctypes.memset(ctypes.addressof(c) + 101, 1, 1); del c, b"
    run = subprocess.run([sys.executable, "-c", program], env={**os.environ, **FILLED}, capture_output=True, text=True)
    assert run.returncode != 0
    assert "bad trailing pad byte" in run.stderr
