"""perf_event_open(2): an event that counts nothing, and so may be had without privilege; its side band is what is wanted.

    struct perf_event_attr ── perf_event_open(thread, cpu) ──> descriptor ── mmap ──> ring of records

Two facts that surprise:
* The kernel knows by `size` how old a struct the caller speaks of. Every member it does not know must be zero: so
  an old, short struct is the portable one.
* Of one's own threads anything may be asked, but with exclude_kernel. What may forbid it is perf_event_paranoid above
  2, as some distributions patch it, or a container's seccomp profile.
"""

import ctypes
import errno
import time

from iolab.kernel.libc import number_on_this_machine, system_call

ANY_CPU = -1
ENABLE, DISABLE = 0x2400, 0x2401  # PERF_EVENT_IOC_ENABLE, _DISABLE
_NUMBER = number_on_this_machine(298, 241)
_SOFTWARE, _DUMMY = 1, 9  # PERF_TYPE_SOFTWARE, PERF_COUNT_SW_DUMMY
_TID_AND_TIME = 1 << 1 | 1 << 2  # PERF_SAMPLE_TID, PERF_SAMPLE_TIME: with SAMPLE_ID_ALL at the end of every record
_DISABLED, _INHERIT, _EXCLUDE_KERNEL, _EXCLUDE_HV = 1 << 0, 1 << 1, 1 << 5, 1 << 6
_SAMPLE_ID_ALL, _USE_CLOCKID, _CONTEXT_SWITCH = 1 << 18, 1 << 25, 1 << 26
_FLAGS = _DISABLED | _EXCLUDE_KERNEL | _EXCLUDE_HV | _SAMPLE_ID_ALL | _USE_CLOCKID | _CONTEXT_SWITCH
_FORMAT_LOST = 1 << 4  # PERF_FORMAT_LOST
_FD_CLOEXEC = 1 << 3
_MINUS_ONE = (1 << 64) - 1  # any CPU; no group
_LEVEL_THAT_DOES = 2


class Attr(ctypes.Structure):
    """struct perf_event_attr as of Linux 4.1 (PERF_ATTR_SIZE_VER5), the first with `clockid` and `context_switch`."""

    _fields_ = [
        ("type", ctypes.c_uint32), ("size", ctypes.c_uint32), ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64), ("sample_type", ctypes.c_uint64), ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64), ("wakeup_events", ctypes.c_uint32), ("bp_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64), ("config2", ctypes.c_uint64), ("branch_sample_type", ctypes.c_uint64),
        ("sample_regs_user", ctypes.c_uint64), ("sample_stack_user", ctypes.c_uint32), ("clockid", ctypes.c_int32),
        ("sample_regs_intr", ctypes.c_uint64), ("aux_watermark", ctypes.c_uint32),
        ("sample_max_stack", ctypes.c_uint16), ("reserved", ctypes.c_uint16),
    ]  # fmt: skip


def switch_event(thread_id: int, cpu: int) -> tuple[int, bool]:
    """An event, not yet started, whose ring gets a record of each switch of a thread (0: the calling one), with its
    time by CLOCK_MONOTONIC; and whether read(2) on it tells how many records were lost (since Linux 6.0).

    With a `cpu` it is inherited by whatever the thread starts. The descriptor is the caller's to close.
    """
    attr = Attr(_SOFTWARE, ctypes.sizeof(Attr), _DUMMY, sample_type=_TID_AND_TIME, clockid=time.CLOCK_MONOTONIC)
    attr.flags = _FLAGS | (0 if cpu == ANY_CPU else _INHERIT)
    try:
        return _open(attr, thread_id, cpu, _FORMAT_LOST), True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return _open(attr, thread_id, cpu, 0), False


def _open(attr: Attr, thread_id: int, cpu: int, read_format: int) -> int:
    attr.read_format = read_format
    on = _MINUS_ONE if cpu == ANY_CPU else cpu
    return system_call(
        "perf_event_open", _NUMBER, ctypes.addressof(attr), thread_id, on, _MINUS_ONE, _FD_CLOEXEC
    )  # fmt: skip


def refusal(error: OSError) -> str:
    """The kernel's words for a refused event, and who it was that forbade it, as far as that can be told."""
    words = f"{error.filename}: {error.strerror}"
    if error.errno not in (errno.EPERM, errno.EACCES):
        return words
    try:
        with open("/proc/sys/kernel/perf_event_paranoid") as file:
            level = int(file.read())
    except (OSError, ValueError):
        return f"{words}: this kernel shows no perf_event_paranoid"
    if level > _LEVEL_THAT_DOES:
        return f"{words}: perf_event_paranoid is {level}; {_LEVEL_THAT_DOES} would do"
    return f"{words}: a container's seccomp profile may forbid it (perf_event_paranoid is {level}, which would do)"
