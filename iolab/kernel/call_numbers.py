"""The names of system calls by their numbers, as far as an I/O model makes them: for traces, which have numbers only.

    raw_syscalls/sys_enter  NR 45 (5, ...)       45 is recvfrom on x86-64; on arm64 it is truncate, and recvfrom is 207

Two facts that surprise:
* Python's socket.recv_into() is recvfrom in the kernel, and select.epoll.poll() is epoll_wait or epoll_pwait: the C
  library chooses. The name in a trace may differ from that of the function called.
* arm64 has no call named epoll_wait, select or poll: newer machines got only the general ones (epoll_pwait, pselect6,
  ppoll).

asm/unistd_64.h, asm-generic/unistd.h; syscalls(2).
"""

import platform

_X86_64 = {
    0: "read", 1: "write", 3: "close", 7: "poll", 9: "mmap", 10: "mprotect", 11: "munmap", 13: "rt_sigaction",
    14: "rt_sigprocmask", 16: "ioctl", 17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev", 22: "pipe",
    23: "select", 28: "madvise", 35: "nanosleep", 39: "getpid", 44: "sendto", 45: "recvfrom", 46: "sendmsg",
    47: "recvmsg", 56: "clone", 60: "exit", 72: "fcntl", 98: "getrusage", 128: "rt_sigtimedwait", 202: "futex",
    206: "io_setup", 207: "io_destroy", 208: "io_getevents", 209: "io_submit", 210: "io_cancel",
    228: "clock_gettime", 230: "clock_nanosleep", 232: "epoll_wait", 233: "epoll_ctl", 257: "openat",
    270: "pselect6", 271: "ppoll", 273: "set_robust_list", 281: "epoll_pwait", 289: "signalfd4", 290: "eventfd2",
    291: "epoll_create1", 295: "preadv", 299: "recvmmsg", 327: "preadv2", 333: "io_pgetevents", 334: "rseq",
}  # fmt: skip
_GENERIC = {
    0: "io_setup", 1: "io_destroy", 2: "io_submit", 3: "io_cancel", 4: "io_getevents", 19: "eventfd2",
    20: "epoll_create1", 21: "epoll_ctl", 22: "epoll_pwait", 25: "fcntl", 29: "ioctl", 56: "openat", 57: "close",
    59: "pipe2", 63: "read", 64: "write", 65: "readv", 66: "writev", 67: "pread64", 68: "pwrite64", 69: "preadv",
    72: "pselect6", 73: "ppoll", 74: "signalfd4", 93: "exit", 98: "futex", 99: "set_robust_list", 101: "nanosleep",
    113: "clock_gettime", 115: "clock_nanosleep", 134: "rt_sigaction", 135: "rt_sigprocmask",
    137: "rt_sigtimedwait", 165: "getrusage", 172: "getpid", 206: "sendto", 207: "recvfrom", 211: "sendmsg",
    212: "recvmsg", 215: "munmap", 220: "clone", 222: "mmap", 226: "mprotect", 233: "madvise", 243: "recvmmsg",
    286: "preadv2", 292: "io_pgetevents", 293: "rseq",
}  # fmt: skip
_EVERYWHERE = {
    425: "io_uring_setup",
    426: "io_uring_enter",
    427: "io_uring_register",
    435: "clone3",
    441: "epoll_pwait2",
}
_MACHINES = {"x86_64": _X86_64, "AMD64": _X86_64, "aarch64": _GENERIC, "arm64": _GENERIC, "riscv64": _GENERIC}
# Calls that take from the descriptor that is their first argument.
READING = ("read", "readv", "pread64", "preadv", "preadv2", "recvfrom", "recvmsg", "recvmmsg")


def call_name(number: int, machine: str | None = None) -> str:
    """The call's name, on this machine if none is named; "system call 60" for one that is not listed here."""
    own = _MACHINES.get(machine or platform.machine(), {})
    return own.get(number) or _EVERYWHERE.get(number) or f"system call {number}"
