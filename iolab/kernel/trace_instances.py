"""Finding a place to trace in: tracefs, an instance of one's own, or one that root has handed over; and who holds it.

    /sys/kernel/tracing/instances/iolab-4711-0        made by process 4711, gone when it closes it
                                  iolab-for-alice     made by root for alice, there until root takes it back

Two facts that surprise:
* An instance is made by mkdir and ended by rmdir, full as it is. It has buffers, filters and switches of its own, so
  that nobody else's tracing is disturbed.
* A process that is killed leaves its instance behind, and the trace points stay switched on: whoever comes next must
  take it away. That its maker is gone is told by the number in the name and by flock(2), which ends with its holder.

Documentation/trace/ftrace.rst, "Instances"; flock(2).
"""

import errno
import os
import re
from contextlib import suppress
from itertools import count

try:
    import fcntl
    import pwd
except ImportError:  # not Unix: there is no tracefs either
    fcntl = pwd = None

PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
QUIET = {"tracing_on": "0", "current_tracer": "nop", "set_event": "\n", "trace": "\n"}  # what each is told in the end
ALLOWING = "root allows it to a user with `iolab allow-tracing`"
_OWN = re.compile(r"iolab-(\d+)-\d+")
_numbers = count()


def root() -> str:
    """Where tracefs is mounted. OSError with ENOENT where it is not, EACCES where it cannot be looked into."""
    problem = FileNotFoundError(errno.ENOENT, f"no tracefs; {ALLOWING}", PLACES[0])
    for place in PLACES:
        try:
            os.stat(f"{place}/instances")
            return place
        except PermissionError as error:
            problem = error
        except OSError:
            continue
    raise problem


def delegated_name(user: str) -> str:
    """The name of the instance that root makes for `user`."""
    return f"iolab-for-{user}"


def lock(folder: str) -> int:
    """A descriptor that holds the instance. OSError with EBUSY where somebody else does, in this process or another."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise OSError(errno.EBUSY, "somebody is tracing in it at the moment", folder) from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def where() -> tuple[str, bool]:
    """Where this user may trace: the folder to make instances in and True, or the one that root has lent and False.

    OSError as the kernel says. Nothing is made, and whether somebody is tracing there already is not asked.
    """
    if fcntl is None:
        raise FileNotFoundError(errno.ENOENT, "this system has no tracefs: it is Linux's", PLACES[0])
    try:
        instances = f"{root()}/instances"
        if os.access(instances, os.W_OK):
            return instances, True
        lent = f"{instances}/{delegated_name(_user())}"
        os.close(os.open(f"{lent}/tracing_on", os.O_WRONLY))
        return lent, False
    except (PermissionError, FileNotFoundError) as error:
        if error.filename == PLACES[0]:  # not mounted at all
            raise
        raise PermissionError(errno.EACCES, f"{os.strerror(errno.EACCES)}; {ALLOWING}", error.filename) from None


def take() -> tuple[str, int, bool]:
    """A folder to trace in, the descriptor that holds it, and whether it is to be removed in the end.

    One's own where that is allowed, else the one that root has made for this user. OSError as the kernel says.
    """
    folder, own = where()
    if not own:
        return folder, lock(folder), False
    remove_left_behind()
    while True:
        name = f"{folder}/iolab-{os.getpid()}-{next(_numbers)}"
        try:
            os.mkdir(name)
            return name, lock(name), True
        except FileExistsError:  # a process with our number left it, in another namespace of processes
            continue


def remove_left_behind() -> list[str]:
    """Remove the instances whose makers are gone; their names. Needs the rights to remove."""
    removed, instances = [], f"{root()}/instances"
    for name in os.listdir(instances):
        made_by = _OWN.fullmatch(name)
        if made_by and (int(made_by[1]) == os.getpid() or not _alive(int(made_by[1]))):
            with suppress(OSError):  # somebody holds it, or was quicker
                fd = lock(f"{instances}/{name}")
                try:
                    os.rmdir(f"{instances}/{name}")
                    removed.append(name)
                finally:
                    os.close(fd)
    return removed


def leave_nothing() -> None:
    """Before a program ends at once: close all but its first three descriptors, which hold instances; trace no more."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    with suppress(OSError):
        folder, own = where()
        if own:
            remove_left_behind()
        else:
            lock(folder)  # refused where another program of this user is tracing in it; ends with this one
            for file, text in QUIET.items():
                with open(f"{folder}/{file}", "w") as opened_file:
                    opened_file.write(text)


def _alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container: a number without a name
        return str(os.geteuid())
