"""Switch records against the kernel's own counts of switches, and against the C header."""

import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from iolab.kernel import perf_event, perf_switches
from iolab.kernel.cpus import present_cpus
from iolab.kernel.perf_switches import SwitchRing, alternate
from tests.left_behind import nothing_left_behind

needs_perf = pytest.mark.skipif(bool(perf_switches.unavailable()), reason=str(perf_switches.unavailable()))
HEADER = "/usr/include/linux/perf_event.h"
SMALL = 1 << 12
IN_THE_SMALL = (1 << 12) // 24  # 24 bytes a record: header, process, thread, time


class Counted:
    """Switches as getrusage(2) counts them: `least` while a ring surely records, `most` while it perhaps does."""

    def __init__(self, ring):
        self._ring = ring

    def __enter__(self):
        self._outer = usage()
        self._ring.start()
        self._inner = usage()
        return self

    def __exit__(self, *_):
        inner = usage()
        self._ring.stop()
        outer = usage()
        self.least = [b - a for a, b in zip(self._inner, inner, strict=True)]
        self.most = [b - a for a, b in zip(self._outer, outer, strict=True)]


def usage():
    import resource

    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_nvcsw, used.ru_nivcsw


def maps() -> int:
    with open("/proc/self/maps") as file:
        return file.read().count("perf_event")


@needs_perf
def test_a_thread_that_sleeps_goes_out_and_comes_in_as_often_as_the_kernel_counts():
    with SwitchRing() as ring:
        with Counted(ring) as counted:
            for _ in range(20):
                time.sleep(1e-4)
        seen = ring.read()
    outs = [sum(switch.out and switch.preempted == kind for switch in seen) for kind in (False, True)]
    for least, out, most in zip(counted.least, outs, counted.most, strict=True):
        assert least <= out <= most
    assert outs[0] >= 20
    assert alternate(seen)
    assert seen[0].out
    assert {(switch.process_id, switch.thread_id) for switch in seen} == {(os.getpid(), threading.get_native_id())}


@needs_perf
def test_a_sleep_lies_between_the_clocks_stamps_and_is_as_long_as_asked():
    with SwitchRing() as ring:
        ring.start()
        before = time.monotonic_ns()
        time.sleep(0.01)
        after = time.monotonic_ns()
        ring.stop()
        switches = [switch for switch in ring.read() if before <= switch.ns <= after]
    asleep = sum(one.ns * (-1 if one.out else 1) for one in switches)
    assert 9_900_000 < asleep < after - before


@needs_perf
def test_a_thread_that_must_leave_its_cpu_is_told_from_one_that_wants_to():
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(affinity)})
    hog = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])  # inherits the CPU
    try:
        with SwitchRing() as ring:
            deadline = time.monotonic() + 30
            ring.start()
            first = usage()
            while usage()[1] < first[1] + 3 and time.monotonic() < deadline:
                pass
            ring.stop()
            seen = ring.read()
    finally:
        hog.kill()
        hog.wait()
        os.sched_setaffinity(0, affinity)
    assert sum(switch.preempted for switch in seen) >= 3
    assert all(switch.out for switch in seen if switch.preempted)
    assert alternate(seen)


@needs_perf
def test_a_ring_for_each_cpu_follows_the_threads_that_are_started_from_now_on():
    counts = {}

    def sleep():
        for _ in range(5):
            time.sleep(1e-4)
        with open("/proc/thread-self/status") as file:  # what the kernel has counted for this thread
            lines = dict(line.split(":") for line in file)
        counts[threading.get_native_id()] = int(lines["voluntary_ctxt_switches"]) + int(
            lines["nonvoluntary_ctxt_switches"]
        )

    with nothing_left_behind():
        rings = [SwitchRing(0, cpu) for cpu in present_cpus()]
        for ring in rings:
            ring.start()
        threads = [threading.Thread(target=sleep) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for ring in rings:
            ring.stop()
        seen = sorted(switch for ring in rings for switch in ring.read())
        for ring in rings:
            ring.close()
    assert len(counts) == 3
    for thread_id, count in counts.items():
        own = [switch for switch in seen if switch.thread_id == thread_id]
        assert not own[0].out  # its life begins with getting a CPU
        assert alternate(own)
        assert 5 <= count <= sum(switch.out for switch in own)


@needs_perf
def test_a_full_ring_counts_what_it_lost():
    with SwitchRing(nbytes=SMALL) as ring:
        with Counted(ring) as counted:
            for _ in range(3 * IN_THE_SMALL):
                time.sleep(1e-9)
        kept = len(ring.read())
        assert 0 < kept <= IN_THE_SMALL
        # an out and an in for each that was counted
        assert 2 * sum(counted.least) <= kept + ring.lost <= 2 * sum(counted.most)


@needs_perf
def test_a_ring_that_cannot_count_says_at_least_that_it_was_full():
    with SwitchRing(nbytes=SMALL) as ring:
        ring._counts_lost = False  # as before Linux 6.0
        for sleeps, lost in ((10, 0), (3 * IN_THE_SMALL, 1)):
            ring.start()
            for _ in range(sleeps):
                time.sleep(1e-9)
            ring.stop()
            ring.read()
            assert ring.lost == lost


@needs_perf
def test_records_that_pass_the_rings_end_are_read_whole():
    with SwitchRing(nbytes=SMALL) as ring:
        for _ in range(12):
            with Counted(ring) as counted:
                for _ in range(IN_THE_SMALL // 5):
                    time.sleep(1e-9)
            seen = ring.read()
            assert 2 * sum(counted.least) <= len(seen) + ring.lost <= 2 * sum(counted.most)
            assert {switch.thread_id for switch in seen} == {threading.get_native_id()}
            assert ring.read() == []


@needs_perf
def test_a_ring_leaves_neither_descriptor_nor_memory():
    with nothing_left_behind():
        for _ in range(50):
            with SwitchRing() as ring:
                assert maps() == 1
            ring.close()
            assert maps() == 0


def test_a_missing_switch_shows():
    def record(*outs):
        return [perf_switches.Switch(number, 1, 1, out, False) for number, out in enumerate(outs)]

    assert alternate(record())
    assert alternate(record(True, False, True))
    assert alternate(record(False, True))
    assert not alternate(record(True, True))
    assert not alternate(record(True, False, False, True))


@needs_perf
def test_a_thread_that_has_ended_is_the_kernels_error():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    deadline = time.monotonic() + 30
    while os.path.exists(f"/proc/self/task/{thread.native_id}") and time.monotonic() < deadline:
        pass
    with pytest.raises(ProcessLookupError, match="perf_event_open"):
        SwitchRing(thread.native_id)


def python(program: str) -> str:
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return run.stdout.strip()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="seccomp is Linux's")
def test_a_refusal_by_seccomp_is_told_in_the_kernels_words():
    refused = python(
        "from iolab.kernel import perf_switches\n"
        "from tests.as_in_a_container import refuse\n"
        "refuse()\n"
        "print(perf_switches.unavailable())\n"
    )
    assert refused.startswith("perf_event_open: Operation not permitted: ")
    assert "seccomp" in refused or "perf_event_paranoid is " in refused


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become nobody")
def test_an_ordinary_user_has_it_where_the_level_allows_it():
    told = python(
        "import os\nfrom iolab.kernel import perf_switches\nos.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "print(perf_switches.unavailable())"
    )
    with open("/proc/sys/kernel/perf_event_paranoid") as file:
        level = int(file.read())
    if level <= 2:
        assert told == "None" or "seccomp" in told
    else:
        assert told == "None" or f"perf_event_paranoid is {level}" in told


@pytest.mark.skipif(not shutil.which("gcc") or not os.path.exists(HEADER), reason="no gcc, or no linux/perf_event.h")
def test_struct_and_numbers_are_those_of_the_c_header(tmp_path):
    attr = perf_event.Attr
    expressions = {f"offsetof(struct perf_event_attr, {name})": getattr(attr, name).offset for name in (
        "type", "size", "config", "sample_period", "sample_type", "read_format", "wakeup_events", "bp_type",
        "branch_sample_type", "sample_stack_user", "clockid", "sample_regs_intr", "aux_watermark", "sample_max_stack",
    )}  # fmt: skip
    expressions |= {
        "PERF_ATTR_SIZE_VER5": perf_event.ctypes.sizeof(attr),
        "flags()": perf_event._FLAGS | perf_event._INHERIT,
        "PERF_TYPE_SOFTWARE": perf_event._SOFTWARE,
        "PERF_COUNT_SW_DUMMY": perf_event._DUMMY,
        "PERF_SAMPLE_TID | PERF_SAMPLE_TIME": perf_event._TID_AND_TIME,
        "PERF_FLAG_FD_CLOEXEC": perf_event._FD_CLOEXEC,
        "PERF_EVENT_IOC_ENABLE": perf_event.ENABLE,
        "PERF_EVENT_IOC_DISABLE": perf_event.DISABLE,
        "PERF_RECORD_SWITCH": perf_switches._SWITCH,
        "PERF_RECORD_MISC_SWITCH_OUT": perf_switches._OUT,
        "PERF_RECORD_MISC_SWITCH_OUT_PREEMPT": perf_switches._PREEMPTED,
        "offsetof(struct perf_event_mmap_page, data_head)": perf_switches._DATA_HEAD,
        "offsetof(struct perf_event_mmap_page, data_tail)": perf_switches._DATA_TAIL,
        "SYS_perf_event_open": perf_event._NUMBER,
    }
    source = tmp_path / "numbers.c"
    lines = "\n".join(f'printf("%lld\\n", (long long)({expression}));' for expression in expressions)
    source.write_text(
        "#include <linux/perf_event.h>\n#include <stddef.h>\n#include <stdio.h>\n#include <string.h>\n#include <sys/syscall.h>\n"
        "static unsigned long long flags(void) { struct perf_event_attr a; unsigned long long bits; memset(&a, 0, sizeof a);\n"
        "a.disabled = a.inherit = a.exclude_kernel = a.exclude_hv = a.sample_id_all = a.use_clockid = a.context_switch = 1;\n"
        "memcpy(&bits, (char *)&a + offsetof(struct perf_event_attr, read_format) + 8, 8); return bits; }\n"
        f"int main(void) {{ {lines} return 0; }}\n"
    )
    subprocess.run(["gcc", "-o", tmp_path / "numbers", source], check=True)
    told = subprocess.run([tmp_path / "numbers"], capture_output=True, text=True, check=True).stdout.split()
    assert dict(zip(expressions, map(int, told), strict=True)) == expressions
