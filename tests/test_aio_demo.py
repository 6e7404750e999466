"""The lecture's program: what it writes, whom it asks, what it costs, what it leaves."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from iolab import aio_demo
from iolab.aio_demo import WAYS, run
from iolab.aio_demo_result import AioDemo, hex_dump
from iolab.kernel import posix_aio
from tests.left_behind import nothing_left_behind
from tests.posix_aio import until

pytestmark = pytest.mark.skipif(bool(posix_aio.unavailable()), reason=str(posix_aio.unavailable()))
every_way = pytest.mark.parametrize("notify", WAYS)
DUMP = "00000000  fa fa fa fa fa fa fa fa  fa fa fa fa fa fa fa fa  |................|\n*\n00000200"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    """The demo's file is made in the current folder; in the end there is nothing in it."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


@every_way
@pytest.mark.parametrize("ahead", [0, 1 << 20])
def test_what_is_written_is_read_back_and_the_dump_shows_the_lectures_bytes(notify, ahead):
    with nothing_left_behind():
        demo = run(notify, ahead=ahead)
    assert (demo.written, demo.read, demo.same, demo.lines[-1]) == (512, 512, True, "Success.")
    assert demo.hex_dump == DUMP
    assert [line.split()[0] for line in demo.lines] == ["writing...", "Reading...", "Success."]
    assert str(demo.process_id) in demo.path


@pytest.mark.parametrize("notify", ["suspend", "signal", "thread"])
def test_who_is_told_asks_once_for_each_request(notify):
    assert run(notify).polls == 2


def test_suspending_costs_at_most_a_tenth_of_the_cpu_of_polling():
    polling, suspended = run("poll"), run("suspend")
    assert polling.polls > 100
    assert suspended.polls == 2
    assert suspended.cpu_ns * 10 <= polling.cpu_ns
    assert 0 < suspended.cpu_ns <= suspended.wait_ns <= suspended.wall_ns


@every_way
def test_the_work_was_done_by_threads_that_python_did_not_start(notify):
    demo = run(notify)
    helpers = dict(demo.helpers)
    assert helpers
    assert demo.thread_id not in helpers
    assert not helpers.keys() & {thread.native_id for thread in threading.enumerate()}
    # To copy 16 MiB takes a CPU more than a tenth of a millisecond; the clock is the scheduler's.
    assert max(helpers.values()) > 100_000


def test_beside_other_threads_the_signal_way_has_a_process_of_its_own():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        demo = run("signal", ahead=0)
    finally:
        stop.set()
        thread.join()
    assert demo.own_process
    assert demo.process_id != os.getpid()
    assert "process" in str(demo)


def test_without_other_threads_the_signal_way_stays_here_and_leaves_the_mask_as_it_was():
    program = """
import os, signal
from iolab.aio_demo import run
demo = run("signal", ahead=0)
assert (demo.process_id, demo.own_process) == (os.getpid(), False), demo
assert signal.SIGRTMIN not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
assert signal.SIGRTMIN not in signal.sigpending()
"""
    environment = os.environ | {"PYTHONPATH": str(Path(aio_demo.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=environment)


@pytest.mark.parametrize("notify", ["poll", "signal"])
def test_a_file_that_is_there_already_is_left_alone(notify, in_an_empty_folder):
    path = in_an_empty_folder / "mine"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="mine"):
        run(notify, path)
    assert path.read_text() == "mine"
    path.unlink()


@pytest.mark.parametrize("notify", ["poll", "signal"])
def test_a_folder_that_is_not_there_is_the_kernels_error(notify):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(notify, "nowhere/file")


@every_way
def test_a_path_is_used_and_the_file_is_gone_afterwards(notify, in_an_empty_folder):
    path = in_an_empty_folder / "here"
    assert run(notify, path, nbytes=100, ahead=0).path == str(path)


def test_a_write_that_is_cut_short_is_no_success_and_no_file_is_left(in_an_empty_folder):
    resource = pytest.importorskip("resource", reason="no limits here")
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
        demo = run("suspend", ahead=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert (demo.written, demo.same, demo.lines[-1]) == (300, False, "Error.")


@pytest.mark.parametrize("arguments", [{"notify": "pigeon"}, {"nbytes": 0}, {"ahead": -1}])
def test_wrong_arguments_are_refused_by_name_and_value(arguments):
    [(name, value)] = arguments.items()
    with pytest.raises(ValueError, match=rf"(?s){name}.*{value}"):
        run(**arguments)


@every_way
def test_ctrl_c_ends_the_demo_and_its_file_goes(notify, in_an_empty_folder):
    program = f"""
import signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
threading.Thread(target=threading.Event().wait, daemon=True).start()
from iolab.aio_demo import run
run({notify!r}, ahead=256 << 20)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(aio_demo.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, env=environment)
    until(lambda: list(in_an_empty_folder.iterdir()))
    process.send_signal(signal.SIGINT)  # to it alone, as a notebook's interrupt
    complaint = process.communicate(timeout=60)[1]
    assert process.returncode == -signal.SIGINT, complaint
    assert b"KeyboardInterrupt" in complaint


@every_way
def test_a_demo_goes_through_json_and_back(notify):
    demo = run(notify, ahead=0)
    assert AioDemo.from_json(demo.to_json()) == demo
    assert json.loads(demo.to_json())["notify"] == notify


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"helpers": [], "lines": []}'])
def test_what_is_no_demo_is_refused(text):
    with pytest.raises(ValueError, match="AioDemo"):
        AioDemo.from_json(text)


def test_text_and_html_show_who_waited_who_worked_and_the_file():
    demo = run("suspend", ahead=1 << 20)
    for shown in (str(demo), demo._repr_html_()):
        for part in ("suspend", "2 times", str(demo.thread_id), "1,048,576", demo.path, "fa fa", "Success."):
            assert part in shown


@pytest.mark.parametrize("data", [b"", b"a", bytes(range(40)), b"\xfa" * 512, b"x" * 33, bytes(64) + b"end"])
def test_the_hex_dump_is_that_of_hexdump(data, in_an_empty_folder):
    try:
        run = subprocess.run(["hexdump", "-C"], input=data, capture_output=True, check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no hexdump to compare with")
    assert hex_dump(data).splitlines() == (run.stdout.decode().splitlines() or ["00000000"])
