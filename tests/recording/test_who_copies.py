"""Who copies: by page faults that the kernel counted, against what the manual pages and tracepoints say of each way."""

import mmap
import os
import resource
import threading

import pytest

from iolab.kernel import posix_aio
from iolab.kernel.io_uring import unavailable
from iolab.recording import files, page_faults, traced_copiers, ways_to_read
from iolab.recording.evidence import trace_points
from iolab.recording.moment import Moment
from iolab.recording.page_faults import APPLICATION, Share
from iolab.recording.traced_copiers import DEVICE
from iolab.recording.way_to_read import DIRECT, HIT, MISS, SOCKET, Way
from iolab.recording.ways_to_read import WAYS
from iolab.recording.who_copies import Copier, judged, who_copies
from tests.left_behind import nothing_left_behind
from tests.tracing import instances, needs_data_ready

MIB = 1 << 20
NBYTES = 4 * MIB
PAGES = NBYTES // mmap.PAGESIZE
pytestmark = pytest.mark.skipif(not hasattr(resource, "RUSAGE_THREAD"), reason="this system counts no thread's faults")
needs_io_uring = pytest.mark.skipif(bool(unavailable()), reason=str(unavailable()))
needs_posix_aio = pytest.mark.skipif(bool(posix_aio.unavailable()), reason=str(posix_aio.unavailable()))
NAMED = {f"{way.name}, {way.source}": way for way in WAYS}


def row(name: str, folder: str = ".") -> Copier:
    with nothing_left_behind():
        (found,) = who_copies(NBYTES, folder, [NAMED[name]])
    assert (found.way, found.source, found.nbytes) == (NAMED[name].name, NAMED[name].source, NBYTES)
    return found


def in_folder(name: str, tmp_path, monkeypatch) -> Copier:
    """The row of a file; skips where the file system does not let go of pages."""
    monkeypatch.chdir(tmp_path)
    found = row(name)
    if found.evidence.startswith("not known: "):
        pytest.skip(found.evidence)
    return found


def pages_of(copier: Copier) -> dict[str, int]:
    return {share.thread: share.pages for share in copier.shares}


# What is known of each way (io_uring(7), aio(7); tracepoints of the copy)


def test_recv_copies_in_the_thread_that_called_it():
    found = row("recv, socket")
    assert found.thread == APPLICATION
    assert found.evidence.startswith("inside recv:")
    assert pages_of(found)[APPLICATION] >= PAGES


@needs_io_uring
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("io_uring, default flags, asleep, socket", "inside io_uring_enter, waiting"),
        ("io_uring, default flags, spinning, socket", "in its own code, interrupted"),
        ("io_uring, DEFER_TASKRUN, socket", "inside io_uring_enter, waiting"),
    ],
)
def test_a_rings_own_thread_copies_for_a_socket(name, place):
    found = row(name)
    assert found.thread == APPLICATION
    # A sender that was faster than the submission leaves nothing to wait for.
    assert found.evidence.startswith((f"{place}:", "inside io_uring_enter, submitting:"))


@needs_io_uring
@pytest.mark.parametrize(("manner", "comm"), [("IOSQE_ASYNC", "iou-wrk-"), ("SQPOLL", "iou-sqp-")])
def test_a_thread_of_the_kernel_copies_where_it_was_asked_to(manner, comm):
    found = row(f"io_uring, {manner}, socket")
    assert found.thread.startswith(f"{comm}{os.getpid()}")
    assert pages_of(found)[APPLICATION] < PAGES // 10


@needs_posix_aio
def test_with_posix_aio_a_helper_thread_copies():
    found = row("POSIX AIO, socket")
    assert found.thread.startswith("helper thread")
    assert pages_of(found)[APPLICATION] < PAGES // 10


@needs_io_uring
def test_a_file_in_the_page_cache_is_copied_by_the_submission_itself(tmp_path, monkeypatch):
    found = in_folder(f"io_uring, default flags, {HIT}", tmp_path, monkeypatch)
    assert found.thread == APPLICATION
    assert found.evidence.startswith("inside io_uring_enter, submitting:")


@needs_io_uring
def test_a_file_that_was_not_in_memory_is_copied_by_a_thread_of_this_process(tmp_path, monkeypatch):
    found = in_folder(f"io_uring, default flags, {MISS}", tmp_path, monkeypatch)
    assert found.thread == APPLICATION or found.thread.startswith("iou-wrk-")  # a worker, where files cannot be polled


@needs_io_uring
def test_of_a_direct_read_nothing_is_claimed_and_the_page_cache_stays_empty(tmp_path, monkeypatch):
    found = in_folder(f"io_uring, default flags, {DIRECT}", tmp_path, monkeypatch)
    assert found.thread is None
    assert found.evidence.startswith("not known by this evidence: 0 pages of the file are in memory afterwards")


# The kernel's own word on the same read

EXPECTED = {  # io_uring(7), io_uring_setup(2), aio(7), open(2); and no manual says it of a miss: it depends on the file system
    "threads": ("helper thread",), "POSIX AIO": ("helper thread",), "io_uring, IOSQE_ASYNC": ("iou-wrk-",),
    "io_uring, SQPOLL": ("iou-sqp-",), MISS: (APPLICATION, "iou-wrk-"), DIRECT: (DEVICE,),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_trace_points_name_the_copier_of_which_the_manual_speaks_and_page_faults_do_not_contradict(name, tmp_path):
    needs_data_ready()
    way = NAMED[name]
    if reason := way.unavailable():
        pytest.skip(reason)
    before = instances()
    found = row(name, str(tmp_path))
    assert instances() == before
    if found.evidence.startswith("not known: "):  # a file system that keeps its pages, say
        pytest.skip(found.evidence)
    if found.traced is None and way.source != SOCKET:
        pytest.skip(f"this file system has other trace points: {found.trace}")
    assert found.traced.startswith(EXPECTED.get(way.source) or EXPECTED.get(way.name) or (APPLICATION,))
    assert found.thread in (None, found.traced)


def moment(kind: str, thread_id: int, nbytes: int, fd: int = 5) -> Moment:
    return Moment(kind, thread_id, 0, 0, 0, "trace point", fd, nbytes)


@pytest.mark.parametrize(
    ("moments", "who"),
    [
        ([moment("copy-start", 1, 60), moment("copy-start", 1, 40)], "application"),
        ([moment("copy-start", 1, 1), *[moment("copy-start", 2, 33)] * 10], "iou-wrk-7"),
        ([moment("copy-start", 1, 50), moment("copy-start", 2, 50)], None),
        ([moment("copy-start", 1, 50)], None),  # half of the bytes were copied by nobody knows whom
        ([moment("copy-start", 3, 100)], None),  # nobody knows this thread
        ([moment("copy-start", 1, 100, fd=9)], None),  # another descriptor
        ([moment("copy-start", 2, 0), moment("device-start", 2, 100)], "iou-wrk-7"),  # a file: it is not told how much
        ([moment("device-start", 1, 100)], "device"),
        ([moment("device-start", 1, 10)], None),
        ([], None),
    ],
)
def test_only_who_copied_nearly_all_pieces_is_named_by_trace_points(moments, who):
    found, said = traced_copiers.judged(moments, {1: "application", 2: "iou-wrk-7"}, 5, 100)
    assert found == who
    assert said.startswith("not known") == (who is None)


def test_where_nobody_may_trace_the_reason_stands_in_the_row(monkeypatch):
    monkeypatch.setattr(trace_points, "unavailable", lambda: "/sys/kernel/tracing: Permission denied")
    found = row("recv, socket")
    assert (found.traced, found.trace) == (None, "not known: /sys/kernel/tracing: Permission denied")
    assert found.thread == APPLICATION


# What is refused


def test_what_this_machine_refuses_is_a_row_with_the_reason():
    refused = Way("io_uring", SOCKET, lambda: None, lambda: "io_uring_setup: Operation not permitted")
    (found,) = who_copies(NBYTES, ways=[refused])
    assert (found.thread, found.evidence) == (None, "not known: io_uring_setup: Operation not permitted")
    assert found.shares == ()


def test_on_tmpfs_nothing_is_claimed_of_a_miss():
    folder = next((each for each in ("/dev/shm", "/run") if files.filesystem_of(each) == "tmpfs" and os.access(each, os.W_OK)), None)  # fmt: skip
    if not folder:
        pytest.skip("no tmpfs to write to")
    way = Way("read", MISS, ways_to_read._by_recv, lambda: None)
    (found,) = who_copies(NBYTES, folder, [way])
    assert found.thread is None
    assert found.evidence.startswith("not known: tmpfs does not let go of a file's pages")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"nbytes": 0}, "nbytes must be a multiple of"),
        ({"nbytes": MIB + 1}, "not 1048577"),
        ({"nbytes": True}, "not True"),
        ({"nbytes": 1 << 40}, "to 268,435,456"),
        ({"folder": "/no/such/folder"}, "folder must be a folder, not '/no/such/folder'"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        who_copies(**arguments)


# The judgement


@pytest.mark.parametrize(
    ("pages", "thread"),
    [
        ({APPLICATION: 100}, APPLICATION),
        ({APPLICATION: 9, "iou-wrk-1": 100}, "iou-wrk-1"),
        ({APPLICATION: 11, "iou-wrk-1": 100}, None),
        ({APPLICATION: 50, "iou-wrk-1": 50}, None),
        ({APPLICATION: 89}, None),
        ({APPLICATION: 0}, None),
        ({}, None),
    ],
)
def test_only_a_thread_that_had_nearly_all_pages_alone_is_named(pages, thread):
    shares = tuple(Share(name, count, 1) for name, count in pages.items())
    found, evidence = judged(shares, 100 * mmap.PAGESIZE, {"inside recv": 1})
    assert found == thread
    assert evidence.startswith("not known by this evidence") == (thread is None)


# The evidence


def test_the_thread_that_writes_first_has_the_page_faults_and_who_writes_again_has_none():
    data, faults = b"\xff" * NBYTES, []
    with page_faults.fresh(NBYTES) as buffer:

        def write():
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt, page_faults.own_faults()
            buffer[:] = data
            after = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt, page_faults.own_faults()
            faults.append((after[0] - before[0], after[1] - before[1]))

        for _ in range(2):
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
    (first, first_here), (again, again_here) = faults
    assert PAGES <= first_here <= PAGES + 50
    assert again_here <= 50
    assert abs(first - first_here) <= 10 >= abs(again - again_here)  # getrusage(2) says the same as proc_pid_stat(5)
