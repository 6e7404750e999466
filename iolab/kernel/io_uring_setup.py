"""io_uring_setup: one call makes both queues, and tells what this kernel can.

    asked   SINGLE_ISSUER DEFER_TASKRUN SUBMIT_ALL CLAMP NO_SQARRAY ──> EINVAL
            SINGLE_ISSUER DEFER_TASKRUN SUBMIT_ALL CLAMP ─────────────> descriptor, sizes, offsets, features

Two facts that surprise:
* A kernel that does not know a flag says EINVAL, and not which flag. So the newest wish is dropped, and asked again.
* That io_uring is there says nothing about its being allowed. Containers forbid it since 2023 (EPERM by a seccomp
  profile), and an administrator can switch it off: kernel.io_uring_disabled. Only the call itself knows.

io_uring_setup(2). Flags change who carries a completion out, and thereby who copies: hence the two kinds, what is
`required` and what is `wished` for.
"""

import ctypes
import errno
import os
import sys
from typing import NamedTuple

from iolab.kernel import io_uring_layout as layout
from iolab.kernel.libc import system_call

SWITCH = "/proc/sys/kernel/io_uring_disabled"  # Linux 6.6, proc_sys_kernel(5)
MAX_ENTRIES, MAX_CQ_ENTRIES = 32768, 65536
# Wishes, newest first: the order in which they are given up. Linux 6.6, 6.1, 6.0, 5.19, 5.18, 5.6.
LADDER = (
    layout.SETUP_NO_SQARRAY,
    layout.SETUP_DEFER_TASKRUN,
    layout.SETUP_SINGLE_ISSUER,
    layout.SETUP_COOP_TASKRUN,
    layout.SETUP_SUBMIT_ALL,
    layout.SETUP_CLAMP,
)
NEWEST = (
    layout.SETUP_SINGLE_ISSUER
    | layout.SETUP_DEFER_TASKRUN
    | layout.SETUP_SUBMIT_ALL
    | layout.SETUP_CLAMP
    | layout.SETUP_NO_SQARRAY
)
_NEEDED = layout.FEAT_SINGLE_MMAP | layout.FEAT_NODROP | layout.FEAT_SUBMIT_STABLE | layout.FEAT_EXT_ARG


class SetUp(NamedTuple):
    """What the kernel answered: `flags` are those obtained, the offsets are in bytes."""

    fd: int
    sq_entries: int
    cq_entries: int
    flags: int
    features: int
    sq_offsets: tuple[int, ...]  # head, tail, ring_mask, ring_entries, flags, dropped, array
    cq_offsets: tuple[int, ...]  # head, tail, ring_mask, ring_entries, overflow, cqes, flags


def io_uring_setup(
    entries: int, cq_entries: int | None = None, required: int = 0, wished: int = 0, sq_thread_idle_ms: int = 0
) -> SetUp:
    """Make a ring with the flags `required` and as many of those `wished` for as the kernel knows.

    ValueError when a number of entries is not a possible one; OSError as the kernel says.
    """
    if not 1 <= entries <= MAX_ENTRIES:
        raise ValueError(f"entries must be from 1 to {MAX_ENTRIES:,}, not {entries!r}")
    if cq_entries is not None and not entries <= cq_entries <= MAX_CQ_ENTRIES:
        raise ValueError(f"cq_entries must be from entries, {entries}, to {MAX_CQ_ENTRIES:,}, not {cq_entries!r}")
    if cq_entries is not None:
        required |= layout.SETUP_CQSIZE
    while True:
        params = bytearray(
            layout.PARAMS.pack(0, cq_entries or 0, required | wished, 0, sq_thread_idle_ms, 0, 0, b"", b"")
        )
        address = ctypes.addressof(ctypes.c_char.from_buffer(params))
        try:
            fd = system_call("io_uring_setup", layout.NR_IO_URING_SETUP, entries, address)
            break
        except OSError as error:
            newest = next((flag for flag in LADDER if flag & wished), 0)
            if error.errno != errno.EINVAL or not newest:
                raise
            wished &= ~newest
    sq_entries, cq_entries, flags, _, _, features, _, sq, cq = layout.PARAMS.unpack(params)
    if ~features & _NEEDED:
        os.close(fd)
        raise OSError(errno.EOPNOTSUPP, f"features {features:#x} of at least {_NEEDED:#x}", "io_uring_setup")
    # O_CLOEXEC is set by the kernel; the descriptor counts as any other.
    return SetUp(
        fd, sq_entries, cq_entries, flags, features, layout.SQ_OFFSETS.unpack(sq)[:7], layout.CQ_OFFSETS.unpack(cq)[:7]
    )


def _switched_off() -> str:
    try:
        with open(SWITCH, encoding="ascii") as file:
            value = file.read().strip()
    except OSError:
        value = "0"
    if value == "1":
        return "kernel.io_uring_disabled is 1: allowed with CAP_SYS_ADMIN and in kernel.io_uring_group alone"
    return f"kernel.io_uring_disabled is {value}" if value != "0" else "a container's seccomp profile may forbid it"


def unavailable(required: int = 0) -> str | None:
    """Why this machine has no io_uring with the flags `required`, in the kernel's words; None when it has."""
    if not sys.platform.startswith("linux"):  # there the number means another call
        return f"{sys.platform} has no io_uring: it is Linux's"
    try:
        os.close(io_uring_setup(2, required=required).fd)
    except OSError as error:
        words = f"io_uring_setup: {error.strerror}"
        if error.errno == errno.EPERM:
            words += f": {_switched_off()}"
        elif error.errno == errno.EINVAL and required & layout.SETUP_DEFER_TASKRUN:
            words += ": IORING_SETUP_DEFER_TASKRUN takes Linux 6.1"
        elif error.errno == errno.ENOMEM:
            words += ": `ulimit -l` may be too low, kernels before 5.12 count rings there"
        return words
    return None
