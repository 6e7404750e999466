"""Run a command as in a container without privileges: `python tests/as_in_a_container.py [--memory-mib N] COMMAND ...`.

What a container on Binder has is had here, too, without one:

    one CPU              sched_setaffinity(2)
    no root, no rights   a user namespace in which this user is number 1000; user_namespaces(7), PR_SET_NO_NEW_PRIVS
    no network           a network namespace that has 127.0.0.1 only; network_namespaces(7)
    no tracing           an empty file system lies over tracefs; mount_namespaces(7)
    refused with EPERM   io_uring, perf_event_open, mount, bpf ...: a filter, as Docker's default profile is; seccomp(2)
    2 GiB of memory      above it the largest process is killed, as the kernel would in a cgroup
    nothing left         processes that outlive the command are named, killed, and the exit code is 70

Where the kernel gives no user namespace, it says so and does the rest. It is no machine of CI's: what such a container
lacks is skipped there, with the reason.
"""

import argparse
import contextlib
import ctypes
import fcntl
import os
import platform
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 1, 22, 36, 38, 2
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
BPF_LD_W_ABS, BPF_JEQ_K, BPF_RET_K = 0x20, 0x15, 0x06
EPERM, MS_REC, MS_PRIVATE = 1, 0x4000, 0x40000
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x8000000, 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug")
USER, LEFT_BEHIND, LOOK_EVERY_S, PATIENCE_S, PAGE = 1000, 70, 0.2, 2.0, os.sysconf("SC_PAGESIZE")

# io_uring_setup, _enter, _register, pidfd_getfd: the same numbers on every machine.
EVERYWHERE = (425, 426, 427, 438)
# perf_event_open, mount, umount2, unshare, setns, bpf, userfaultfd, open_by_handle_at, kcmp, keyctl
ON_ARM, ON_X86 = (241, 40, 39, 97, 268, 280, 282, 265, 272, 219), (298, 165, 166, 272, 308, 321, 323, 304, 312, 250)
REFUSED = EVERYWHERE + (ON_ARM if platform.machine() == "aarch64" else ON_X86)

# struct sock_filter: code, jump if true, jump if false, operand. Offset 0 of struct seccomp_data is the call's number.
FILTER = b"".join(
    struct.pack("=HBBI", *line)
    for line in (
        (BPF_LD_W_ABS, 0, 0, 0),
        *((BPF_JEQ_K, len(REFUSED) - place, 0, number) for place, number in enumerate(REFUSED)),
        (BPF_RET_K, 0, 0, SECCOMP_RET_ALLOW),
        (BPF_RET_K, 0, 0, SECCOMP_RET_ERRNO | EPERM),
    )
)
libc = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def asked(what: str, result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)


def prctl(option: int, value: int, more=None) -> None:
    asked("prctl", libc.prctl(option, ctypes.c_ulong(value), more, ctypes.c_ulong(0), ctypes.c_ulong(0)))


def leave_the_machine() -> None:
    """Into namespaces of one's own: user 1000, no rights over the machine, no network but 127.0.0.1, no tracefs."""
    user, group = os.geteuid(), os.getegid()
    asked("unshare", libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS))
    for file, text in (("setgroups", "deny"), ("uid_map", f"{USER} {user} 1"), ("gid_map", f"{USER} {group} 1")):
        Path("/proc/self", file).write_text(text)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))
    asked("mount", libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))
    for place in filter(os.path.isdir, TRACEFS):
        asked(f"mount {place}", libc.mount(b"none", place.encode(), b"tmpfs", ctypes.c_ulong(0), None))


def refuse() -> None:
    """From here on this process and its children are refused the calls in REFUSED."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    program = Program(len(FILTER) // 8, FILTER)
    asked("prctl", libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(program)))


def contain(command: list[str], home: str) -> None:
    """In the child: give up all of it, then become the command."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    try:
        leave_the_machine()
    except OSError as refusal:
        print(f"as in a container, but with this user's own number and network: {refusal}", file=sys.stderr)
    refuse()
    os.environ.pop("CI", None)
    os.environ |= {"HOME": home, "IN_A_CONTAINER": "1"}
    os.execvp(command[0], command)


def descendants() -> list[int]:
    """All processes below this one."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [os.getpid()]
    for process in found:
        found += children.get(process, [])
    return found[1:]


def own_bytes(process: int) -> int:
    """Resident memory that no file stands behind; 0 for a process that has ended."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * PAGE


def watch(child: int, limit: int) -> int:
    """Wait for the command, and keep all that it starts under the limit; its exit code."""
    status, peak = None, 0
    while status is None:
        time.sleep(LOOK_EVERY_S)
        sizes = {process: own_bytes(process) for process in descendants()}
        peak = max(peak, sum(sizes.values()))
        if sum(sizes.values()) > limit:
            largest = max(sizes, key=sizes.get)
            print(f"above {limit >> 20} MiB: process {largest} is killed", file=sys.stderr)
            with contextlib.suppress(ProcessLookupError):
                os.kill(largest, signal.SIGKILL)
        while status is None:  # orphans come here, too
            ended, how = os.waitpid(-1, os.WNOHANG)
            if not ended:
                break
            status = os.waitstatus_to_exitcode(how) if ended == child else None
    print(f"as in a container: at most {peak >> 20} MiB", file=sys.stderr)
    return status if status >= 0 else 128 - status


def command_lines() -> dict[int, str]:
    """Of all living processes below this one: a zombie has none."""
    found = {}
    for process in descendants():
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ")
            found |= {process: line.decode(errors="replace").strip()} if line else {}
    return found


def kill_what_is_left() -> bool:
    """Whether anything was, after a while: who was told to end by the end of the command needs a moment for it."""
    deadline = time.monotonic() + PATIENCE_S
    while (left := command_lines()) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
    for process, line in left.items():
        print(f"left behind: {process} {line}", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    return bool(left)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory-mib", type=int, default=2048, metavar="N", help="default 2048, as on mybinder.org")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("which command?")
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    home = tempfile.mkdtemp(prefix="container-home-")
    child = os.fork()
    if child == 0:
        try:
            contain(options.command, home)
        except BaseException as error:
            print(f"{options.command[0]}: {error}", file=sys.stderr)
        os._exit(125)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os.kill(child, number))
    try:
        code = watch(child, options.memory_mib << 20)
        return LEFT_BEHIND if kill_what_is_left() and code == 0 else code
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
