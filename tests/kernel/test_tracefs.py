"""The kernel's trace points: the binary buffer against ftrace's own text, losses against what was really done."""

import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from iolab.kernel import trace_buffer, trace_instances, tracefs
from iolab.kernel.trace_format import EventFormat
from tests.left_behind import nothing_left_behind
from tests.tracing import instances, needs_tracefs

SWITCH, WAKING, ENTER, EXIT = (
    "sched/sched_switch", "sched/sched_waking", "raw_syscalls/sys_enter", "raw_syscalls/sys_exit",
)  # fmt: skip
TEXT = re.compile(r"^ *(.+)-(\d+) +\[(\d+)\] \S+ +(\d+)\.(\d{6}): (\w+): (.*)$", re.MULTILINE)
PATIENCE_S = 20


@pytest.fixture(autouse=True)
def tracing():
    needs_tracefs()
    before = instances()
    with nothing_left_behind():
        yield
    assert instances() == before


def own(field: str = "common_pid") -> str:
    return f"{field}=={threading.get_native_id()}"


def as_text(event) -> str:
    """The event as ftrace prints it, after the colon."""
    fields = event.fields
    if event.name == ENTER:
        return f"NR {fields['id']} ({', '.join(f'{each:x}' for each in fields['args'])})"
    if event.name == EXIT:
        return f"NR {fields['id']} = {fields['ret']}"
    if event.name == WAKING:
        return "comm={comm} pid={pid} prio={prio} target_cpu={target_cpu:03d}".format(**fields)
    words = "prev_comm={prev_comm} prev_pid={prev_pid} prev_prio={prev_prio} prev_state=? ==> "
    return (words + "next_comm={next_comm} next_pid={next_pid} next_prio={next_prio}").format(**fields)


def without_state(text: str) -> str:
    return re.sub(r"prev_state=\S+", "prev_state=?", text)


# The binary buffer


def test_the_binary_buffer_says_what_ftraces_own_text_says():
    filters = {SWITCH: f"{own('prev_pid')} || {own('next_pid')}", WAKING: own("pid"), ENTER: own(), EXIT: own()}
    with tracefs.opened() as instance:
        for event, only in filters.items():
            instance.enable(event, only)
        instance.start()
        for pause_s in (0, 0.001, 0.15, 0.002, 0.3):  # of more than 134 ms: time extends
            time.sleep(pause_s)
            os.listdir("/proc/self/fd")
        instance.stop()
        told = TEXT.findall(instance.read("trace"))
        events = instance.events()
        losses = instance.losses()
    assert (losses.overrun, losses.dropped) == (0, 0)
    assert len(told) == len(events) > 50
    text = [
        (int(cpu), round(int(s) * 1_000_000 + int(us)), int(pid), name, without_state(rest))
        for _, pid, cpu, s, us, name, rest in told
    ]
    binary = [(e.cpu, (e.ns + 500) // 1000, e.thread_id, e.name.partition("/")[2], as_text(e)) for e in events]
    for cpu in {each[0] for each in text}:
        assert [each for each in binary if each[0] == cpu] == [each for each in text if each[0] == cpu]


def test_events_come_in_the_order_of_time_and_by_the_clock_of_time_monotonic_ns():
    with tracefs.opened() as instance:
        instance.enable(ENTER, own())
        stamps = []
        instance.start()
        for _ in range(20):
            before_ns = time.monotonic_ns()
            os.getppid()
            stamps.append((before_ns, time.monotonic_ns()))
            time.sleep(0.01)
        instance.stop()
        events = instance.events()
    times = [event.ns for event in events]
    assert times == sorted(times)
    for before_ns, after_ns in stamps:
        assert sum(before_ns <= ns <= after_ns for ns in times) == 1


def test_an_event_longer_than_28_words_comes_whole():
    marker = bytes(range(1, 251)).replace(b"\n", b"") * 4
    with tracefs.opened() as instance:
        layout = trace_buffer.page_layout(instance.read("events/header_page"))
        instance.start()
        Path(instance.folder, "trace_marker").write_bytes(marker)
        instance.stop()
        found = [
            record
            for cpu in sorted(os.listdir(f"{instance.folder}/per_cpu"))
            for page in trace_buffer.pages(f"{instance.folder}/per_cpu/{cpu}/trace_pipe_raw", layout)
            for _, record in trace_buffer.records(page, layout)
        ]
    assert len(found) == 1
    assert marker in found[0]


def page_of(first_ns: int, *words: bytes) -> bytes:
    data = b"".join(words)
    return struct.pack("=QQ", first_ns, len(data)) + data + bytes(4096 - 16 - len(data))


def head(kind: int, delta: int, *more: int) -> bytes:
    return struct.pack(f"={1 + len(more)}I", kind | delta << 5, *more)


def test_a_page_is_read_as_events_header_event_describes_it():
    layout = trace_buffer.PageLayout(8, 8, 16, 4096)
    base = (3 << 59) + 1000
    page = page_of(
        base,
        head(2, 5) + b"datadata",  # two words, 5 ns after the page's time
        head(30, 7, 2),  # time extend: 7 + (2 << 27) ns
        head(1, 1) + b"next",
        head(29, 4, 8) + b"gone",  # thrown away: 8 bytes with the length itself; its time counts
        head(0, 3, 8) + b"long",  # the length in a word of its own, with itself
        head(31, 11, 9),  # absolute: 11 + (9 << 27), the highest five bits from the page
        head(1, 0) + b"last",
        head(29, 0),  # padding without a length: the end
        head(1, 1) + b"past",
    )
    second = base + 5 + 7 + (2 << 27) + 1
    assert list(trace_buffer.records(page, layout)) == [
        (base + 5, b"datadata"), (second, b"next"), (second + 4 + 3, b"long"), ((3 << 59) + 11 + (9 << 27), b"last"),
    ]  # fmt: skip


def test_every_format_of_this_kernel_is_understood_up_to_its_last_byte():
    with tracefs.opened() as instance:
        files = sorted(Path(instance.folder, "events").glob("*/*/format"))
        assert len(files) > 100
        for file in files:
            text = file.read_text()
            known = EventFormat(f"{file.parts[-3]}/{file.parts[-2]}", text)
            named = re.findall(r"^\tfield:.*?(\w+)(?:\[\w*\])?;\s*offset:(\d+);\s*size:(\d+);", text, re.MULTILINE)
            sized = [name for name, _, nbytes in named if int(nbytes)]
            assert set(known.fields) <= {name for name, _, _ in named}
            assert set(sized) - set(known.fields) <= {name for name in sized if sized.count(name) > 1}, file


def test_a_field_that_is_a_structure_is_its_bytes_and_those_after_it_are_read_too():
    text = (  # ras/extlog_mem_event of Linux 6.1, without some of its fields
        "name: extlog_mem_event\nID: 1228\nformat:\n"
        "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n"
        "\tfield:guid_t fru_id;\toffset:25;\tsize:16;\tsigned:0;\n"
        "\tfield:__data_loc char[] fru_text;\toffset:44;\tsize:4;\tsigned:1;\n"
        "\tfield:struct cper_mem_err_compact data;\toffset:48;\tsize:55;\tsigned:0;\n"
    )
    name, data = b"DIMM 3\0", bytes(range(100, 155))
    head = struct.pack("=HBBi17x", 1228, 0, 0, 77) + bytes(range(16))
    record = head + bytes(3) + struct.pack("=I", len(name) << 16 | 103) + data + name
    known = EventFormat("ras/extlog_mem_event", text).event(5, 0, record)
    assert known.fields == {"common_pid": 77, "fru_id": bytes(range(16)), "fru_text": "DIMM 3", "data": data}


def test_a_text_that_is_no_format_or_no_page_is_refused():
    with pytest.raises(ValueError, match="no format of"):
        EventFormat("a/b", "nothing")
    with pytest.raises(ValueError, match="header_page"):
        trace_buffer.page_layout("nothing")


# What is missing is counted

ROUNDS = 20_000


def traced_rounds(overwrite: bool):
    with tracefs.opened() as instance:
        Path(instance.folder, "buffer_size_kb").write_text("64")
        Path(instance.folder, "options/overwrite").write_text(str(int(overwrite)))
        instance.enable(ENTER, own())
        instance.start()
        begin_ns = time.monotonic_ns()
        for _ in range(ROUNDS):
            os.getppid()
        end_ns = time.monotonic_ns()
        instance.stop()
        return instance.events(), instance.losses(), begin_ns, end_ns


def test_overwritten_events_are_counted_and_the_rest_is_complete_from_a_known_moment_on():
    events, losses, begin_ns, end_ns = traced_rounds(overwrite=True)
    assert losses.overrun > 0
    assert losses.dropped == 0
    assert ROUNDS <= len(events) + losses.overrun <= ROUNDS + 50
    assert begin_ns < losses.complete_from_ns < end_ns
    assert losses.complete_from_ns in {event.ns for event in events}


def test_dropped_events_are_counted():
    events, losses, _, _ = traced_rounds(overwrite=False)
    assert losses.dropped > 0
    assert losses.overrun == losses.complete_from_ns == 0
    assert ROUNDS <= len(events) + losses.dropped <= ROUNDS + 50


def test_nothing_is_lost_where_nothing_is():
    with tracefs.opened() as instance:
        assert instance.events() == []
        assert instance.losses() == (0, 0, 0)


# Instances: nobody's is left, nobody's is taken away

PROGRAM = """
import signal, sys, time
from iolab.kernel import tracefs
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
try:
    with tracefs.opened() as instance:
        instance.enable("raw_syscalls/sys_enter", "common_pid==1")
        instance.start()
        print(instance.folder, flush=True)
        {then}
except KeyboardInterrupt:
    sys.exit(3)
"""


def another(then: str) -> tuple[subprocess.Popen, str]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(then=then)], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


@pytest.mark.parametrize("then", ["pass", "raise SystemExit", "1 / 0"])
def test_a_program_that_ends_leaves_no_instance(then):
    process, folder = another(then)
    with process:
        process.wait(PATIENCE_S)
    assert folder
    assert not os.path.exists(folder)


def test_ctrl_c_leaves_no_instance():
    process, folder = another("time.sleep(60)")
    with process:
        assert os.path.isdir(folder)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 3
    assert not os.path.exists(folder)


def test_what_a_killed_program_left_is_removed_at_the_next_start_and_not_earlier():
    process, folder = another("time.sleep(60)")
    with process:
        with tracefs.opened():
            assert os.path.isdir(folder)  # it lives
        process.kill()
        process.wait(PATIENCE_S)
    with tracefs.opened():
        assert not os.path.exists(folder)


def test_two_instances_of_one_program_know_nothing_of_each_other():
    with tracefs.opened() as one, tracefs.opened() as other:
        one.enable(ENTER, own())
        one.start()
        other.start()
        os.getppid()
        assert one.events()
        assert other.events() == []


def test_an_instance_can_be_closed_twice_and_survives_that_it_is_gone():
    instance = tracefs.opened()
    os.rmdir(instance.folder)
    instance.close()
    instance.close()


def test_an_instance_of_our_own_number_that_nobody_holds_is_taken_away():
    folder = f"{trace_instances.root()}/instances/iolab-{os.getpid()}-999999"
    os.mkdir(folder)
    assert Path(folder).name in trace_instances.remove_left_behind()
    assert not os.path.exists(folder)


def test_what_the_kernel_refuses_is_said_with_the_file_that_it_refused():
    with tracefs.opened() as instance:
        assert not instance.has("sched/no_such_event")
        with pytest.raises(FileNotFoundError, match="events/sched/no_such_event"):
            instance.enable("sched/no_such_event")
        with pytest.raises(OSError, match="Invalid argument: .*sys_enter/filter"):
            instance.enable(ENTER, "no_such_field==1")
