"""CPU time of another process, its threads and its children, against what the kernel tells their parent when they end."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iolab.bench import cpu_time

pytestmark = pytest.mark.skipif(bool(cpu_time.unavailable()), reason=cpu_time.unavailable() or "")

# Burns CPU time in the main thread, in a thread that ends, in a child that ends, in one that lives; then says so.
BURNS = """
import subprocess, sys, threading, time
def burn(seconds, clock=time.thread_time):
    end = clock() + seconds
    while clock() < end:
        pass
child = "import sys, time\\nwhile time.process_time() < 0.2: pass\\nprint(flush=True)\\nsys.stdin.read()"
def start():
    started = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.stdout.readline()
    return started
burn(0.1)
thread = threading.Thread(target=burn, args=(0.15,)); thread.start(); thread.join()
if "ended" in sys.argv: start().communicate()
if "living" in sys.argv: living = start()
print(flush=True)
sys.stdin.read()
if "living" in sys.argv: living.communicate()
"""
TOLERANCE_S = 0.08  # ticks of 10 ms in four numbers of getrusage; what an interpreter needs to end


def children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(("what", "at_least_s"), [((), 0.25), (("ended",), 0.45), (("living",), 0.45), (("ended", "living"), 0.65)],
                         ids=["threads", "a child that ended", "a child that lives", "both"])  # fmt: skip
def test_the_time_of_a_process_and_all_that_came_of_it(what, at_least_s):
    before_s = children_s()
    with subprocess.Popen(
        [sys.executable, "-c", BURNS, *what], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as burning:
        burning.stdout.readline()
        told_s = cpu_time.tree_ns(burning.pid) / 1e9
        alone_s = cpu_time.process_ns(burning.pid) / 1e9
        burning.stdin.close()
        burning.wait(30)
    truth_s = children_s() - before_s
    assert at_least_s <= told_s <= truth_s + TOLERANCE_S
    assert truth_s - told_s <= TOLERANCE_S + 0.1 * truth_s
    assert alone_s <= told_s - 0.2 * len(what) + TOLERANCE_S


def test_who_sleeps_costs_nothing():
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        stat = Path(f"/proc/{sleeping.pid}/stat")
        while stat.read_text().rpartition(") ")[2][0] != "S":  # it has not begun to sleep
            time.sleep(0.001)
        first = cpu_time.tree_ns(sleeping.pid)
        time.sleep(0.05)
        assert cpu_time.tree_ns(sleeping.pid) == first
        sleeping.kill()


def test_children_are_those_whose_parent_it_is():
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        assert sleeping.pid in cpu_time.children(os.getpid())
        assert cpu_time.children(sleeping.pid) == []
        sleeping.kill()
    assert sleeping.pid not in cpu_time.children(os.getpid())


def test_a_process_that_is_gone_has_no_time():
    gone = subprocess.Popen(["true"])
    gone.wait(30)
    for ask in (cpu_time.process_ns, cpu_time.tree_ns):
        with pytest.raises(ProcessLookupError, match=str(gone.pid)):
            ask(gone.pid)
