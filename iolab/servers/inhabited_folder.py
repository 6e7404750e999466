"""A temporary folder that is removed at its end, and if that end is kill -9, by the next one who comes along.

    iolab serve    mkdir ── flock ── ... books ... ── rmtree
    kill -9        mkdir ── flock ── ... ✗          the kernel closes the descriptor: the lock is gone, the folder is not
    iolab serve    flock of each such folder: refused ── somebody lives there
                                              granted ── rmtree

Two facts that surprise:
* No program can clean up after its own SIGKILL. But the kernel closes its descriptors, whatever it died of, and with
  the last one of an open file description the lock of flock(2) goes: so a lock says "alive" better than a number in a
  file, which another process may have by now.
* Children made by fork(2) share the description, and with it the lock. The folder is inhabited until the last worker of
  a dead parent has ended.

Who makes a folder has not locked it yet: in between another one may take it for abandoned. So it looks afterwards
whether the folder is still there, and else makes another. flock(2); Windows has none, there nothing is looked for.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def inhabited_folder(prefix: str) -> Iterator[Path]:
    """A new folder of this name and a few random letters; those that were left behind are removed. OSError."""
    remove_abandoned(prefix)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        lock = _locked(folder)
        if fcntl is None or (lock is not None and folder.exists()):
            break
        _give_back(lock)  # taken for abandoned, and removed, before it was locked
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _give_back(lock)


def remove_abandoned(prefix: str) -> None:
    """Remove this user's folders in which nobody lives."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):  # removed meanwhile
            if fcntl is not None and folder.lstat().st_uid == os.getuid():
                lock = _locked(folder)
                if lock is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                _give_back(lock)


def _locked(folder: Path) -> int | None:
    """A descriptor of the folder that holds its lock; None where another one has it, or there is no folder."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # EWOULDBLOCK
        os.close(descriptor)
        return None
    return descriptor


def _give_back(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
