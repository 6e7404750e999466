"""mincore against what must be so: a file just written is in memory; dropping it is advice that tmpfs does not take."""

import os
import tempfile

import pytest

from iolab.kernel import page_cache
from iolab.kernel.page_cache import pages, resident_pages
from tests.left_behind import nothing_left_behind

pytestmark = pytest.mark.skipif(bool(page_cache.unavailable()), reason=str(page_cache.unavailable()))
PAGE = os.sysconf("SC_PAGESIZE")


@pytest.fixture
def written():
    with tempfile.TemporaryFile() as file:
        file.write(b"\xfa" * (10 * PAGE + 1))
        file.flush()
        yield file


def test_a_file_that_was_just_written_is_in_memory_whole(written):
    written.seek(0)
    written.read()  # should the file system keep written files elsewhere
    assert resident_pages(written.fileno(), 10 * PAGE + 1) == 11


def test_only_the_asked_part_is_counted(written):
    written.seek(0)
    written.read()
    assert resident_pages(written.fileno(), 1) == 1
    assert resident_pages(written.fileno(), 2 * PAGE) == 2


def test_a_hole_that_nobody_touched_is_not_in_memory_and_looking_does_not_fetch_it(written):
    written.truncate(0)
    written.truncate(4 * PAGE)
    assert resident_pages(written.fileno(), 4 * PAGE) == 0
    assert resident_pages(written.fileno(), 4 * PAGE) == 0


def test_a_descriptor_for_reading_alone_suffices(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(PAGE))
    with open(path, "rb") as file:
        file.read()
        assert resident_pages(file.fileno(), PAGE) == 1


@pytest.mark.parametrize("nbytes", [0, -1, 10 * PAGE + 2])
def test_a_wrong_length_is_named(written, nbytes):
    with pytest.raises(ValueError, match=f"not {nbytes}"):
        resident_pages(written.fileno(), nbytes)


def test_the_kernels_refusal_is_an_oserror():
    with pytest.raises(OSError, match="Bad file descriptor"):
        resident_pages(-1, PAGE)


def test_nothing_stays_open(written):
    with nothing_left_behind():
        for _ in range(100):
            resident_pages(written.fileno(), 1)


@pytest.mark.parametrize(("nbytes", "expected"), [(1, 1), (PAGE, 1), (PAGE + 1, 2)])
def test_pages_are_counted_up(nbytes, expected):
    assert pages(nbytes) == expected
