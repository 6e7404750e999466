"""Run a command as in a container that switches io_uring off: `python tests/as_in_a_container.py COMMAND ...`.

The three calls of io_uring are refused with EPERM by a seccomp filter, as Docker's default profile refuses them; there
is one CPU; and no program that is started gains rights by starting. seccomp(2), prctl(2), sched_setaffinity(2).
It is no machine of CI's: what such a container lacks is skipped there, with the reason.
"""

import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
BPF_LD_W_ABS, BPF_JEQ_K, BPF_JGE_K, BPF_RET_K = 0x20, 0x15, 0x35, 0x06
EPERM, FIRST, LAST = 1, 425, 427  # io_uring_setup, _enter, _register: the same numbers on every machine

# struct sock_filter: code, jump if true, jump if false, operand. Offset 0 of struct seccomp_data is the call's number.
FILTER = b"".join(
    struct.pack("=HBBI", *line)
    for line in (
        (BPF_LD_W_ABS, 0, 0, 0),
        (BPF_JGE_K, 0, 2, FIRST),
        (BPF_JGE_K, 1, 0, LAST + 1),
        (BPF_RET_K, 0, 0, SECCOMP_RET_ERRNO | EPERM),
        (BPF_RET_K, 0, 0, SECCOMP_RET_ALLOW),
    )
)


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def refuse_io_uring() -> None:
    """From now on, for this process and all that it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
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
    refuse_io_uring()
    os.environ.pop("CI", None)
    os.execvp(sys.argv[1], sys.argv[1:])
