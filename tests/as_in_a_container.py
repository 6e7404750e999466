"""Run a command as in a container without privileges: `python tests/as_in_a_container.py COMMAND ...`.

io_uring, perf_event_open and mount are refused with EPERM by a seccomp filter, as Docker's default profile refuses them;
tracefs is out of sight; there is one CPU; and no program that is started gains rights by starting.
seccomp(2), prctl(2), sched_setaffinity(2), mount_namespaces(7).
It is no machine of CI's: what such a container lacks is skipped there, with the reason.
"""

import ctypes
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
BPF_LD_W_ABS, BPF_JEQ_K, BPF_RET_K = 0x20, 0x15, 0x06
EPERM, CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 1, 0x20000, 0x4000, 0x40000, 2
TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug")
IO_URING = (425, 426, 427)  # io_uring_setup, _enter, _register: the same numbers on every machine
PERF_AND_MOUNT = (241, 40) if platform.machine() == "aarch64" else (298, 165)
REFUSED = IO_URING + PERF_AND_MOUNT

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


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def hide_tracefs(libc) -> None:
    """In a mount namespace of its own, where this user may have one; who may not cannot trace either."""
    if os.geteuid() or libc.unshare(CLONE_NEWNS):
        return
    libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None)
    for place in TRACEFS:
        libc.umount2(place.encode(), MNT_DETACH)


def refuse(libc) -> None:
    """From now on, for this process and all that it starts."""
    program = Program(len(FILTER) // 8, FILTER)
    steps = (
        (PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0)),
        (PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(program)),
    )
    for step in steps:
        if libc.prctl(*step, ctypes.c_ulong(0), ctypes.c_ulong(0)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "prctl")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    libc = ctypes.CDLL(None, use_errno=True)
    hide_tracefs(libc)
    refuse(libc)
    os.environ.pop("CI", None)
    os.execvp(sys.argv[1], sys.argv[1:])
