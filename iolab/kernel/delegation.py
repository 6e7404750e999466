"""What root has to do so that one user may trace: an instance of tracefs of his own, and the way to it.

    mkdir /sys/kernel/tracing/instances/iolab-for-alice
    chown -R alice /sys/kernel/tracing/instances/iolab-for-alice          its switches, filters, buffers
    chmod o+x /sys/kernel/tracing /sys/kernel/tracing/instances           pass through, list nothing

Two facts that surprise:
* After that no process of the user needs a capability: the files of the instance are all that is asked for.
* Who may trace sees the whole machine: the calls and the addresses of every user's processes, not their data. So it is
  for one's own machine, and it is taken back with `undoing`; it also ends by itself when the machine is started anew.

Documentation/trace/ftrace.rst, "Instances"; chmod(2), mount(2).
"""

import errno
import os
import subprocess
from collections.abc import Callable
from typing import NamedTuple

from iolab.kernel.trace_instances import PLACES, delegated_name, lock, root

try:
    import pwd
except ImportError:  # not Unix: there is nobody to allow anything
    pwd = None

PASS, OTHERS = 0o001, 0o007  # bits of a folder's mode: others may pass through; all that others may do


class Step(NamedTuple):
    """One thing that root does: as a line for a shell, and as a function that does the same."""

    line: str
    apply: Callable[[], object]


def allowing(user: str) -> list[Step]:
    """The steps after which `user` may trace; those that are done already are left out. ValueError for no such user."""
    account = _account(user)
    place = _mounted() or PLACES[0]
    folder = _folder(place, user)
    mount = ["mount", "-t", "tracefs", "nodev", place]
    steps = [] if _mounted() else [Step(" ".join(mount), lambda: _run(mount))]
    if not os.path.isdir(folder):
        steps.append(Step(f"mkdir {folder}", lambda: os.mkdir(folder)))
    steps.append(Step(f"chown -R {user} {folder}", lambda: _give(folder, account.pw_uid)))
    return steps + [_mode(each, "o+x") for each in _way(place) if not _mode_of(each) & PASS]


def undoing(user: str) -> list[Step]:
    """The steps that take it back; none where nothing was allowed. OSError with EBUSY while the user is tracing.

    The way is closed with the last instance that was handed over, where others may pass and no more.
    """
    place = _mounted()
    if place is None:
        return []
    folder, steps = _folder(place, user), []
    if os.path.isdir(folder):
        os.close(lock(folder))
        steps.append(Step(f"rmdir {folder}", lambda: os.rmdir(folder)))
    handed_over = delegated_name("")
    others = [name for name in os.listdir(f"{place}/instances") if name.startswith(handed_over)]
    if set(others) <= {delegated_name(user)}:
        steps += [_mode(each, "o-x") for each in reversed(_way(place)) if _mode_of(each) & OTHERS == PASS]
    return steps


def carry_out(steps: list[Step]) -> None:
    """Do them one after the other. OSError, named after what was refused; then those after it are not done."""
    for step in steps:
        step.apply()


def _account(user: str):
    """The entry of /etc/passwd. A name that is there is also safe in a path and in a shell's line."""
    if pwd is None:
        raise OSError(errno.ENOSYS, "this system has no tracefs: it is Linux's", "tracefs")
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise ValueError(f"user must be one of this machine's users, not {user!r}") from None


def _mounted() -> str | None:
    try:
        return root()
    except FileNotFoundError:
        return None


def _folder(place: str, user: str) -> str:
    return f"{place}/instances/{delegated_name(user)}"


def _way(place: str) -> list[str]:
    return [place, f"{place}/instances"]


def _mode_of(folder: str) -> int:
    try:
        return os.stat(folder).st_mode
    except FileNotFoundError:  # it comes with the mount, closed to others
        return 0


def _mode(folder: str, change: str) -> Step:
    def apply() -> None:
        mode = os.stat(folder).st_mode & 0o7777
        os.chmod(folder, mode | PASS if change == "o+x" else mode & ~PASS)

    return Step(f"chmod {change} {folder}", apply)


def _give(folder: str, user_id: int) -> None:
    """chown -R: everything below belongs to the user. Some files come and go while the kernel lists them."""
    os.chown(folder, user_id, -1)
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            os.chown(f"{parent}/{name}", user_id, -1, follow_symlinks=False)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(errno.EPERM, done.stderr.strip() or os.strerror(errno.EPERM), command[0])
