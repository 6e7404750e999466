"""The lecture's program: write 512 bytes, read them back, by POSIX AIO; and four ways to learn that it is over.

    aio_write ──┬─ poll      aio_error, aio_error, aio_error ...            burns a CPU, as in the lecture
                ├─ suspend   aio_suspend sleeps                             with a time-out, if one likes
                ├─ signal    SIGEV_SIGNAL: the helper thread sends one      sigtimedwait sleeps
                └─ thread    SIGEV_THREAD: a new thread calls a function    an Event sleeps
Two facts that surprise:
* The loop is the same four times; only what stands in front of the question differs. Without anything in front, the
  program asks some ten thousand times while another thread of its own process works.
* SIGEV_SIGNAL is sent to the process. Where it has other threads, as in a notebook, one that has not blocked the signal
  would take it, and the process would end: so this way gets a process of its own there.

So that there is something to wait for, `ahead` bytes go to the device (O_DSYNC) first, on the same descriptor, whose
requests are carried out one after the other. With 0 it is the lecture's program, its defects mended.
"""

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from errno import EINPROGRESS, ENOSYS

from iolab.aio_demo_file import new_file
from iolab.aio_demo_process import run_alone
from iolab.aio_demo_result import AioDemo, hex_dump
from iolab.kernel import posix_aio as aio
from iolab.kernel.posix_aio_block import ControlBlock
from iolab.kernel.posix_aio_notification import BySignal, ByThread
from iolab.kernel.tasks import tasks
from iolab.models.posix_aio_preparing import provide_threads

WAYS = ("poll", "suspend", "signal", "thread")
BYTE, NBYTES, AHEAD_NBYTES = 0xFA, 512, 16 << 20
LOOK_AGAIN_S = 10  # a notification can be lost (RLIMIT_SIGPENDING): then it is asked so much later


def run(notify: str = "poll", path=None, nbytes: int = NBYTES, ahead: int = AHEAD_NBYTES) -> AioDemo:
    """Write, read back, compare; in `path`, a new file (by default in the current folder), removed at the end.

    FileExistsError if it is there, OSError as the kernel says (ENOSYS: no POSIX AIO), ValueError for a wrong argument.
    """
    if notify not in WAYS:
        raise ValueError(f"notify must be one of {', '.join(WAYS)}, not {notify!r}")
    if nbytes < 1 or ahead < 0:
        raise ValueError(f"nbytes must be at least 1 and ahead at least 0, not {nbytes} and {ahead}")
    if reason := aio.unavailable():
        raise OSError(ENOSYS, reason)
    if notify == "signal" and len(os.listdir("/proc/self/task")) > 1:
        where = None if path is None else os.fspath(path)
        options = {"notify": notify, "path": where, "nbytes": nbytes, "ahead": ahead}
        return replace(AioDemo.from_json(run_alone("iolab.aio_demo", options)), own_process=True)
    return _run_here(notify, path, nbytes, ahead)


def _run_here(notify: str, path, nbytes: int, ahead: int) -> AioDemo:
    path = os.fspath(path or f"iolab-aio-demo-{os.getpid()}.tmp")
    with new_file(path) as fd:
        return _Demo(notify, fd, path).run(nbytes, ahead)


class _Demo:
    def __init__(self, notify: str, fd: int, path: str) -> None:
        self.notify, self.fd, self.path = notify, fd, path
        self.begun: list[ControlBlock] = []
        self.lines: list[str] = []
        self.polls = self.cpu_ns = self.wait_ns = 0
        self.signal, self.called = getattr(signal, "SIGRTMIN", None), threading.Event()

    def run(self, nbytes: int, ahead: int) -> AioDemo:
        provide_threads()
        threads, start, cpu_start = tasks(os.getpid()), time.monotonic_ns(), time.process_time_ns()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {self.signal} if self.notify == "signal" else ())
        try:
            data, back = bytes([BYTE]) * nbytes, bytearray(nbytes)
            before = ControlBlock(self.fd, bytes(ahead), nbytes)
            if ahead:
                self.begun.append(before)
                aio.aio_write(before)
            written = self.carry_out(aio.aio_write, data, "writing...")
            if ahead:  # it was in front, so it is over
                aio.aio_return(before)
                os.ftruncate(self.fd, nbytes)
            read = self.carry_out(aio.aio_read, back, "Reading...")
        finally:
            self.end_what_is_begun()
            while self.notify == "signal" and signal.sigtimedwait([self.signal], 0):
                pass
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        wall_ns, process_cpu_ns = time.monotonic_ns() - start, time.process_time_ns() - cpu_start
        ours, after = {thread.native_id for thread in threading.enumerate()}, tasks(os.getpid())
        grown = {each: task.run_ns - (threads[each].run_ns if each in threads else -1) for each, task in after.items()}
        same = back[:read] == data[:written] and written == nbytes
        return AioDemo(
            notify=self.notify, path=self.path, nbytes=nbytes, ahead_nbytes=ahead, polls=self.polls,
            cpu_ns=self.cpu_ns, wait_ns=self.wait_ns, process_cpu_ns=process_cpu_ns, wall_ns=wall_ns,
            written=written, read=read, same=same, thread_id=threading.get_native_id(),
            helpers=tuple((thread_id, ns) for thread_id, ns in sorted(grown.items()) if ns > 0 and thread_id not in ours),
            lines=(*self.lines, "Success." if same else "Error."),
            hex_dump=hex_dump(os.pread(self.fd, nbytes + 1, 0)), process_id=os.getpid(), own_process=False,
        )  # fmt: skip

    def carry_out(self, begin, buffer, line: str) -> int:
        ways = {"signal": BySignal(self.signal), "thread": ByThread(self.called.set)}
        self.called.clear()
        block = ControlBlock(self.fd, buffer, 0, ways.get(self.notify))
        self.begun.append(block)
        begin(block)
        polls, start, cpu_start = self.polls, time.monotonic_ns(), time.thread_time_ns()
        while self.asked_after_sleep(block) == EINPROGRESS:
            pass
        self.wait_ns += time.monotonic_ns() - start
        self.cpu_ns += time.thread_time_ns() - cpu_start
        self.lines.append(f"{line} (times asked: {self.polls - polls:,})")
        return aio.aio_return(block)

    def asked_after_sleep(self, block: ControlBlock) -> int:
        if self.notify == "suspend":
            aio.aio_suspend([block], LOOK_AGAIN_S)
        elif self.notify == "signal":
            signal.sigtimedwait([self.signal], LOOK_AGAIN_S)
        elif self.notify == "thread":
            self.called.wait(LOOK_AGAIN_S)
        self.polls += 1
        return aio.aio_error(block)

    def end_what_is_begun(self) -> None:
        """After an error or Ctrl-C: close(2) ends no request, and the next owner of the number would wait behind it."""
        for block in self.begun:
            while block.begun and aio.aio_error(block) == EINPROGRESS:
                aio.aio_cancel(self.fd)
                aio.aio_suspend([block])


def main() -> None:
    """`python -m iolab.aio_demo JSON`: run the demo in this process, as aio_demo_process asks for it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        answer = _run_here(**json.loads(sys.argv[1])).to_json()
    except OSError as error:
        answer = json.dumps({"error": [error.errno, error.strerror, error.filename]})
    sys.stdout.write(answer)


if __name__ == "__main__":
    main()
