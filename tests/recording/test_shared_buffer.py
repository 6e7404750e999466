"""The shared buffer, against the kernel's own view of its memory: the file behind it, /proc/self/maps, page faults."""

import mmap
import os

import pytest

from iolab.recording.shared_buffer import NEVER_SENT, SharedBuffer
from tests.left_behind import nothing_left_behind

needs_memfd = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memfd_create here")


def mapped() -> int:
    with open("/proc/self/maps") as file:
        return file.read().count("iolab-buffer")


@needs_memfd
@pytest.mark.parametrize("nbytes", [1, 4095, 4096, 100_001])
def test_what_is_written_is_in_the_file_that_another_process_gets(nbytes):
    with SharedBuffer(nbytes) as buffer:
        assert len(buffer) == nbytes
        assert os.fstat(buffer.fd).st_size == nbytes
        assert os.pread(buffer.fd, nbytes + 1, 0) == bytes([NEVER_SENT]) * nbytes
        memoryview(buffer)[nbytes - 1 :] = b"!"
        assert os.pread(buffer.fd, 1, nbytes - 1) == b"!" == buffer[nbytes - 1 :]
        assert buffer.count(b"\xff") == nbytes - 1


def test_its_pages_are_there_before_anybody_writes():
    resource = pytest.importorskip("resource", reason="no getrusage here")
    pages = 2000
    with SharedBuffer(pages * mmap.PAGESIZE) as buffer:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        for page in range(pages):
            buffer[page * mmap.PAGESIZE] = 0
        assert resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before < pages // 10


@needs_memfd
def test_nothing_is_left_of_it_also_after_an_error():
    with nothing_left_behind():
        try:
            with SharedBuffer(10) as buffer:
                assert mapped() == 1
                raise KeyError
        except KeyError:
            pass
        assert (mapped(), buffer.fd) == (0, -1)
        buffer.close()


@needs_memfd
def test_it_cannot_be_taken_away_from_whoever_may_still_write():
    buffer = SharedBuffer(10)
    view = memoryview(buffer)
    with pytest.raises(BufferError):
        buffer.close()
    view[0] = 7
    assert os.pread(buffer.fd, 1, 0) == b"\x07"
    view.release()
    buffer.close()
    assert mapped() == 0


@pytest.mark.parametrize("nbytes", [0, -1])
def test_a_buffer_of_nothing_is_refused(nbytes):
    with pytest.raises(ValueError, match=f"nbytes must be at least 1, not {nbytes}"):
        SharedBuffer(nbytes)
