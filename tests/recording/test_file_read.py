"""Cold and warm: what the kernel counted for each, on a file system that lets go of pages and on one that does not."""

import os
import tempfile

import pytest

from iolab.kernel import page_cache
from iolab.recording import file_read
from iolab.recording.file_read import file_reads, filesystem_of
from tests.left_behind import nothing_left_behind

pytestmark = pytest.mark.skipif(bool(page_cache.unavailable()), reason=str(page_cache.unavailable()))


def check(reads, nbytes):
    assert (reads.nbytes, reads.pages, reads.same_bytes) == (nbytes, page_cache.pages(nbytes), True)
    assert reads.evicted == (reads.cold is not None)
    assert 0 <= reads.warm.cpu_ns <= reads.warm.wall_ns
    if reads.pages_before_warm == reads.pages:
        assert (reads.warm.switches, reads.warm.device_bytes) == (0, 0)
    if reads.cold:
        assert reads.pages_before_cold == 0 < reads.pages_before_warm
        assert reads.cold.wall_ns > reads.warm.wall_ns


@pytest.mark.parametrize("nbytes", [1, 5_000, 1 << 20])
def test_a_file_in_the_working_directory(nbytes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with nothing_left_behind():
        check(file_reads(".", nbytes), nbytes)
    assert os.listdir(tmp_path) == []


def test_on_tmpfs_there_is_no_cold_read():
    folder = next((each for each in ("/dev/shm", "/run", "/tmp") if filesystem_of(each) == "tmpfs" and os.access(each, os.W_OK)), None)  # fmt: skip
    if not folder:
        pytest.skip("no tmpfs to write to")
    reads = file_reads(folder, 1 << 20)
    assert (reads.cold, reads.evicted, reads.filesystem) == (None, False, "tmpfs")
    check(reads, 1 << 20)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_nothing_is_left_behind_by_an_error_or_an_interrupt(error, tmp_path, monkeypatch):
    def fails(*_):
        raise error

    monkeypatch.setattr(file_read, "_read", fails)
    with nothing_left_behind(), pytest.raises(error):
        file_reads(str(tmp_path), 4_096)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((".", 0), "not 0"), ((".", True), "not True"), ((".", 1.5), "not 1.5"), (("/nowhere", 1), "/nowhere")],
)
def test_a_wrong_argument_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        file_reads(*arguments)


def test_the_file_system_is_the_one_that_is_mounted_last():
    assert filesystem_of("/proc") == "proc"
    assert filesystem_of("/proc/self") == "proc"
    assert filesystem_of(tempfile.gettempdir()) not in ("", "proc")
