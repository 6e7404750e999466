"""The lecture's second question, measured: five ways to learn that an aio_read is over, beside asking in a loop.

    aio_read ─┬─ polling     aio_error, aio_error, aio_error ...             on a CPU all the time
              ├─ suspend     aio_suspend ............ asleep ┐
              ├─ signal      sigtimedwait ........... asleep ┤               the helper sends a signal
              ├─ signalfd    select ................. asleep ├─ over          the same, as a readable descriptor
              ├─ thread      queue.get .............. asleep ┤               the helper starts a thread: the callback
              └─ list        lio_listio(LIO_WAIT) ... asleep ┘               begins and waits, in one call

Two facts that surprise:
* Whichever way, some thread of this process sleeps in read(2) meanwhile: a helper. They differ in who else sleeps,
  and in which call.
* Polling does not make the data come sooner; on one CPU it takes time away from the thread that is to copy them.

All are measured in a new process with one thread: a signal of SIGEV_SIGNAL is sent to the process, and would end it if
any thread had not blocked it. aio_suspend(3), sigevent(3type), signalfd(2), lio_listio(3).
"""

import json
import os
import platform
import select
import signal
import sys
from errno import EINPROGRESS
from queue import SimpleQueue
from threading import get_native_id
from time import monotonic_ns

from iolab.aio_demo_process import run_alone
from iolab.kernel.posix_aio import aio_error, aio_read, aio_return, aio_suspend
from iolab.kernel.posix_aio_block import ControlBlock
from iolab.kernel.posix_aio_layout import LIO_READ
from iolab.kernel.posix_aio_list import lio_listio
from iolab.kernel.posix_aio_notification import BySignal, ByThread
from iolab.kernel.signal_descriptor import open_signals, read_signals
from iolab.kernel.tasks import descriptor_read, tasks
from iolab.recording.channel import Channel
from iolab.recording.evidence.clock import counters
from iolab.recording.scenario import Delivery
from iolab.recording.sender import payload
from iolab.recording.senders import Senders

SIGNAL = getattr(signal, "SIGRTMIN", 34) + 5
NBYTES, LIMIT_S = 4096, 20


# Each way: read into `buffer`; the byte count, and how often aio_error was asked meanwhile.


def by_polling(fd: int, buffer) -> tuple[int, int]:
    block, asked = ControlBlock(fd, buffer), 1
    aio_read(block)
    while aio_error(block) == EINPROGRESS:
        asked += 1
    return aio_return(block), asked


def by_suspend(fd: int, buffer) -> tuple[int, int]:
    block = ControlBlock(fd, buffer)
    aio_read(block)
    aio_suspend([block], LIMIT_S)  # a time-out is aio_suspend's errno EAGAIN; here: False
    return aio_return(block), 0


def by_signal(fd: int, buffer) -> tuple[int, int]:
    block = ControlBlock(fd, buffer, notify=BySignal(SIGNAL))
    aio_read(block)
    signal.sigtimedwait({SIGNAL}, LIMIT_S)
    return aio_return(block), 0


def by_signalfd(fd: int, buffer) -> tuple[int, int]:
    blocks = {7: ControlBlock(fd, buffer, notify=BySignal(SIGNAL, value=7))}
    signals = open_signals({SIGNAL})
    try:
        aio_read(blocks[7])
        select.select([signals], [], [], LIMIT_S)  # an event loop's: beside its sockets
        [value] = [each.value for each in read_signals(signals)]
    finally:
        os.close(signals)
    return aio_return(blocks[value]), 0


def by_thread(fd: int, buffer) -> tuple[int, int]:
    queue = SimpleQueue()
    block = ControlBlock(fd, buffer, notify=ByThread(lambda: queue.put("it is over")))
    aio_read(block)
    queue.get(timeout=LIMIT_S)
    return aio_return(block), 0


def by_list(fd: int, buffer) -> tuple[int, int]:
    block = ControlBlock(fd, buffer)
    lio_listio([(LIO_READ, block)], wait=True)
    return aio_return(block), 0


WAYS = {
    "polling": by_polling, "suspend": by_suspend, "signal": by_signal,
    "signalfd": by_signalfd, "thread": by_thread, "list": by_list,
}  # fmt: skip


def ways_to_wait(ways=tuple(WAYS), wait_ms: float = 100) -> list[dict]:
    """Each of `ways` reads what a sender sends after `wait_ms`: one row a way, plain data, times in nanoseconds.

    "asked": how often aio_error was asked; "wall_ns", "cpu_ns", "switches": from before the request to the result, by the
    clock and by the kernel's counters of the thread that waited; "asleep_in": the kernel function in which it was
    seen from outside, "0" when awake; "reader_asleep": whether another thread was seen asleep in read(2) of the
    descriptor (Yama's ptrace_scope forbids some to see it); "others": threads of the process beside the one that waited;
    "same": the bytes are those that were sent. ValueError for a wrong argument, OSError as the kernel says.
    """
    if unknown := set(ways) - WAYS.keys():
        raise ValueError(f"ways must be of {', '.join(WAYS)}, not {', '.join(sorted(unknown))}")
    Delivery(wait_ms)  # checks the value
    return json.loads(run_alone(__name__, {"ways": list(ways), "wait_ms": wait_ms}))["rows"]


def _measured(name: str, wait_ms: float) -> dict:
    buffer = bytearray(NBYTES)
    with Channel("socketpair", NBYTES) as channel, Senders((Delivery(wait_ms, NBYTES),), [channel], LIMIT_S) as senders:
        senders.start((os.getpid(), get_native_id()), 0)
        senders.go(monotonic_ns())
        before, begin_ns = counters(), monotonic_ns()
        nbytes, asked = WAYS[name](channel.read_fd, memoryview(buffer))
        end_ns, after = monotonic_ns(), counters()
        others = len(tasks(os.getpid())) - 1
        while nbytes < NBYTES:  # the last byte travels alone
            nbytes += os.readv(channel.read_fd, [memoryview(buffer)[nbytes:]])
        sent, seen, helpers = senders.stop()
        reads = {descriptor_read(look.seen.syscall, platform.machine()) for look in helpers if look.seen.state == "S"}
        wchans = [look.wchan.partition(".")[0] for look in seen]  # without what the compiler adds to a name
    return {
        "way": name, "asked": asked, "wall_ns": end_ns - begin_ns, "cpu_ns": after.cpu_ns - before.cpu_ns,
        "switches": after.voluntary_switches - before.voluntary_switches,
        "asleep_in": max(wchans, key=wchans.count, default=""), "reader_asleep": channel.read_fd in reads, "others": others,
        "same": bytes(buffer) == payload(NBYTES) and end_ns >= sent[0][0].before_ns,
    }  # fmt: skip


if __name__ == "__main__":
    asked_for = json.loads(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})  # before any other thread is there: all inherit it
    print(json.dumps({"rows": [_measured(name, asked_for["wait_ms"]) for name in asked_for["ways"]]}))
