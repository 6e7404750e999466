"""How long io_submit takes: every row against what the kernel counted and what the case allows."""

import errno
import os

import pytest

from iolab.kernel import linux_aio, page_cache
from iolab.recording.files import filesystem_of
from iolab.recording.submit_times import submit_times
from tests.left_behind import nothing_left_behind

reason = linux_aio.unavailable() or page_cache.unavailable()
pytestmark = pytest.mark.skipif(bool(reason), reason=str(reason))
NBYTES = 1 << 20


def skip_if_missing(row):
    if row.missing:
        pytest.skip(row.missing)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    with nothing_left_behind():
        return submit_times(NBYTES, str(tmp_path_factory.mktemp("files")), wait_ms=20)


def test_there_is_a_row_for_each_case_in_this_order(rows):
    assert [row.what for row in rows] == [
        "file, in memory",
        "file, not in memory",
        "file, O_DIRECT",
        "blocking socket, data after 20 ms",
        "nonblocking socket, no data",
    ]


def test_a_file_in_memory_has_been_read_when_io_submit_returns_and_nobody_slept_for_it(rows):
    skip_if_missing(rows[0])
    assert (rows[0].there, rows[0].result, rows[0].slept) == (True, NBYTES, 0)


def test_a_file_that_is_not_in_memory_has_been_read_as_well_and_the_submitter_slept_for_it(rows):
    skip_if_missing(rows[1])
    assert (rows[1].there, rows[1].result) == (True, NBYTES)
    assert rows[1].slept >= 1


def test_a_direct_read_brings_all_bytes(rows):
    skip_if_missing(rows[2])
    assert rows[2].result == NBYTES


def test_a_blocking_socket_keeps_the_submitter_until_the_peer_sends(rows):
    assert rows[3].submit_ns >= 20e6
    assert rows[3].slept >= 1
    assert (rows[3].there, rows[3].result) == (True, 1000)


def test_a_nonblocking_socket_says_eagain_without_a_sleep(rows):
    assert (rows[4].there, rows[4].result, rows[4].slept) == (True, -errno.EAGAIN, 0)


def test_on_tmpfs_the_files_that_are_not_in_memory_are_missing_and_say_why():
    folder = next((each for each in ("/dev/shm", "/run") if filesystem_of(each) == "tmpfs" and os.access(each, os.W_OK)), None)  # fmt: skip
    if not folder:
        pytest.skip("no tmpfs to write to")
    rows = submit_times(NBYTES, folder, wait_ms=1)
    assert [bool(row.missing) for row in rows] == [False, True, True, False, False]
    assert all("tmpfs" in row.missing for row in rows[1:3])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0,), "nbytes .*not 0"),
        ((4097,), "multiple of 4,096"),
        ((4096, "/nowhere"), "folder .*/nowhere"),
        ((4096, ".", 0), "wait_ms .*not 0"),
        ((4096, ".", float("nan")), "wait_ms .*nan"),
        ((4096, ".", True), "wait_ms .*True"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        submit_times(*arguments)
