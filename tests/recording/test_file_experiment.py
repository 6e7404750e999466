"""One read of a file by each model: against mincore, the kernel's books, strace, and the file's content."""

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from iolab.kernel import page_cache
from iolab.models import blocking, multiplexing_epoll, multiplexing_poll, nonblocking, signal_driven
from iolab.recording.file_experiment import read_file
from iolab.recording.files import DIRECT, HIT, MISS, STATES, filesystem_of
from tests.left_behind import nothing_left_behind

pytestmark = pytest.mark.skipif(bool(page_cache.unavailable()), reason=str(page_cache.unavailable()))
NBYTES = 1 << 20
NAMES = ("threads", "posix_aio", "linux_aio", "io_uring")
ASYNCHRONOUS = {
    name: importlib.import_module(f"iolab.models.asynchronous_{name}")
    for name in NAMES
    if importlib.util.find_spec(f"iolab.models.asynchronous_{name}")
}
READING = (blocking, nonblocking, multiplexing_poll, signal_driven, *ASYNCHRONOUS.values())
every_state = pytest.mark.parametrize("state", STATES)


def as_parameter(model):
    reason = model.unavailable()
    return pytest.param(model, id=model.NAME, marks=pytest.mark.skipif(bool(reason), reason=str(reason)))


every_model = pytest.mark.parametrize("model", [as_parameter(model) for model in READING])


def asynchronous(name):
    if name not in ASYNCHRONOUS:
        pytest.skip(f"iolab.models.asynchronous_{name} is not part of this package yet")
    if reason := ASYNCHRONOUS[name].unavailable():
        pytest.skip(reason)
    return ASYNCHRONOUS[name]


def seen(model, state, folder, nbytes=NBYTES, **options):
    try:
        return read_file(model, state, nbytes, str(folder), **options)
    except RuntimeError as error:
        if filesystem_of(folder) in str(error):  # a folder on which there is no such read
            pytest.skip(str(error))
        raise


@every_state
@every_model
def test_every_model_reads_the_bytes_of_the_file_and_the_books_agree(model, state, tmp_path):
    one = seen(model, state, tmp_path)
    assert (one.error, one.read_bytes, one.same_bytes, one.nbytes) == (None, NBYTES, True, NBYTES)
    assert one.pages == page_cache.pages(NBYTES)
    assert one.pages_before == (one.pages if state == HIT else 0)
    assert 0 < one.done_ns <= one.wall_ns
    assert 0 <= one.cpu_ns <= one.wall_ns
    assert one.submit_ns + one.wait_ns + one.ring_ns <= one.wall_ns
    assert all(one.begin_ns <= call.start_ns <= call.end_ns <= one.begin_ns + one.wall_ns for call in one.calls)
    assert os.listdir(tmp_path) == []


@every_model
def test_a_hit_asks_the_device_for_nothing(model, tmp_path):
    one = seen(model, HIT, tmp_path)
    assert one.device_bytes == 0
    assert one.pages_after == one.pages


@pytest.mark.parametrize("model", [as_parameter(model) for model in (blocking, nonblocking, multiplexing_poll)])
def test_a_miss_makes_the_reading_thread_sleep_whatever_the_descriptor_is_set_to(model, tmp_path):
    one = seen(model, MISS, tmp_path)
    assert one.switches >= 1
    assert one.pages_after > 0
    assert one.device_bytes >= NBYTES or one.filesystem != "ext4"


@every_model
def test_a_direct_read_leaves_the_page_cache_as_it_was(model, tmp_path):
    one = seen(model, DIRECT, tmp_path)
    assert (one.pages_before, one.pages_after) == (0, 0)


@every_state
def test_epoll_refuses_a_regular_file_and_the_error_is_the_kernels(state, tmp_path):
    if reason := multiplexing_epoll.unavailable():
        pytest.skip(reason)
    with nothing_left_behind():
        one = seen(multiplexing_epoll, state, tmp_path)
    assert one.error == "epoll_ctl: Operation not permitted"
    assert (one.read_bytes, one.done_ns, one.completed_in_submit, one.helpers) == (0, None, False, ())


def test_native_aio_reads_from_memory_inside_io_submit(tmp_path):
    one = seen(asynchronous("linux_aio"), HIT, tmp_path)
    assert one.completed_in_submit
    assert one.slept_in_submit == 0
    assert one.helpers == ()


def test_native_aio_waits_for_the_device_inside_io_submit(tmp_path):
    one = seen(asynchronous("linux_aio"), MISS, tmp_path)
    assert one.completed_in_submit
    assert one.slept_in_submit >= 1
    assert one.device_bytes_of_others == 0


def test_with_threads_a_helper_reads_and_the_device_is_asked_on_its_behalf(tmp_path):
    one = seen(asynchronous("threads"), MISS, tmp_path)
    assert any(helper.new and helper.run_ns > 0 for helper in one.helpers)
    assert one.device_bytes == 0
    assert one.device_bytes_of_others >= NBYTES or one.filesystem != "ext4"
    assert [call.nbytes for call in one.helper_calls if call.name == "read"] == [NBYTES]


def test_with_posix_aio_a_thread_that_python_does_not_know_has_read(tmp_path):
    one = seen(asynchronous("posix_aio"), MISS, tmp_path)
    assert any(helper.run_ns > 0 for helper in one.helpers)


def test_a_blocking_read_has_no_helper(tmp_path):
    assert seen(blocking, HIT, tmp_path).helpers == ()


def test_a_thread_of_the_program_that_happens_to_be_busy_is_no_helper(tmp_path):
    over = threading.Event()
    thread = threading.Thread(target=lambda: [None for _ in iter(lambda: over.wait(0.0001), True)])
    thread.start()
    try:
        assert seen(blocking, HIT, tmp_path).helpers == ()
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("name", NAMES)
def test_an_observation_is_plain_data_and_nothing_is_left_behind(name, tmp_path):
    model = asynchronous(name)
    with nothing_left_behind():
        one = seen(model, HIT, tmp_path)
    plain = json.loads(json.dumps(one.as_json()))
    assert plain["model"] == model.NAME
    assert {"submit_ns", "wait_ns", "ring_ns", "calls", "helpers", "filesystem"} <= plain.keys()
    assert len(plain["calls"]) == len(one.calls)
    assert sum(nbytes for call in plain["calls"] for _, nbytes in call["completed"]) == NBYTES


def test_strace_sees_the_calls_that_the_observation_names(tmp_path):
    if not shutil.which("strace"):
        pytest.skip("no strace")
    asynchronous("linux_aio")
    program = (
        "from iolab.models import asynchronous_linux_aio as model\n"
        "from iolab.recording.file_experiment import read_file\n"
        f"print(*(call.name for call in read_file(model, 'hit', 4096, {str(tmp_path)!r}).calls))"
    )
    names = ("io_setup", "io_submit", "io_getevents", "io_destroy")
    command = [
        "strace",
        "-f",
        "-o",
        tmp_path / "trace",
        "-e",
        f"trace={','.join(names)}",
        sys.executable,
        "-c",
        program,
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=os.getcwd())
    if run.returncode and "ptrace" in run.stderr:
        pytest.skip(run.stderr.splitlines()[0])
    assert run.returncode == 0, run.stderr
    lines = [line.split(maxsplit=1)[1] for line in (tmp_path / "trace").read_text().splitlines()]
    traced = [line.split("(")[0] for line in lines if line.startswith(names)]
    # available? observed, observed once more for the helpers
    named = run.stdout.split()
    assert set(named) == set(names)
    assert any(traced[at : at + len(named)] == named for at in range(len(traced)))


def test_on_tmpfs_there_is_no_miss_and_no_direct_read_and_the_error_names_it():
    folder = next((each for each in ("/dev/shm", "/run") if filesystem_of(each) == "tmpfs" and os.access(each, os.W_OK)), None)  # fmt: skip
    if not folder:
        pytest.skip("no tmpfs to write to")
    assert read_file(blocking, HIT, 4096, folder).same_bytes
    for state in (MISS, DIRECT):
        with nothing_left_behind(), pytest.raises(RuntimeError, match="tmpfs"):
            read_file(blocking, state, 4096, folder)


def test_a_model_that_this_machine_lacks_is_refused_in_its_own_words():
    model = SimpleNamespace(NAME="missing", unavailable=lambda: "io_setup: Function not implemented")
    with pytest.raises(RuntimeError, match="no model missing .*io_setup: Function not implemented"):
        read_file(model)


def test_bytes_that_are_not_the_files_are_noticed(tmp_path):
    model = SimpleNamespace(NAME="liar", unavailable=lambda: None, read_into=lambda fd, buffer, call: len(buffer))
    assert seen(model, HIT, tmp_path).same_bytes is False


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("warm",), "state .*'warm'"),
        ((HIT, 0), "nbytes .*not 0"),
        ((HIT, True), "nbytes .*True"),
        ((HIT, 1.5), "nbytes .*1.5"),
        ((DIRECT, 5000), "multiple of 4,096"),
        ((HIT, 4096, "/nowhere"), "folder .*/nowhere"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        read_file(blocking, *arguments)
