"""The names of system calls, against the C headers of this machine."""

import platform
import re
import shutil
import subprocess

import pytest

from iolab.kernel import call_numbers
from iolab.kernel.call_numbers import call_name

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc here")


def numbers(header: str) -> dict[str, int]:
    """All __NR_NAME that a header defines; {} where it is not installed."""
    program = f"#define __ARCH_WANT_SYS_CLONE3\n#include <{header}>\n"  # arm64 defines it, too
    run = subprocess.run(["gcc", "-E", "-dM", "-x", "c", "-"], input=program, capture_output=True, text=True)
    found = re.findall(r"^#define __NR(?:3264)?_(\w+) (\d+)$", run.stdout, re.MULTILINE)
    return {name: int(number) for name, number in found}


@needs_gcc
@pytest.mark.parametrize(("machine", "header"), [("x86_64", "asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")])
def test_the_numbers_are_those_of_the_c_headers(machine, header):
    headers = numbers(header)
    if not headers:
        pytest.skip(f"no {header} here")
    ours = call_numbers._MACHINES[machine] | call_numbers._EVERYWHERE
    assert {name: headers.get(name) for name in ours.values()} == {name: number for number, name in ours.items()}


def test_a_number_without_a_name_here_is_given_as_a_number():
    assert call_name(100_000) == "system call 100000"
    assert call_name(45, "x86_64") == "recvfrom" == call_name(207, "aarch64")
    assert call_name(1, "no such machine") == "system call 1"


def test_what_reads_from_a_descriptor_has_a_number_on_this_machine():
    named = call_numbers._MACHINES.get(platform.machine(), call_numbers._X86_64).values()
    assert set(call_numbers.READING) <= set(named)
