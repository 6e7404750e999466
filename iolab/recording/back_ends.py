"""The mechanisms below a proactor, side by side: what a silent client costs, and which calls five messages take.

    12 receives started, nobody sends     threads of the process before and after
    1 receive, 5 messages                 5 completions; the calls of this thread, and of helper threads

Two facts that surprise:
* All four give the same completions for the same program. A silent client costs two of them a thread; the others
  an entry in a list of the kernel's.
* POSIX AIO's helpers make their calls inside the C library: no recorder of ours sees them. That they are there, /proc
  says.

Measured in a new process: helpers of the C library live on for a while, and would serve the next one. aio(7).
"""

import json
import os
import socket
import sys
from collections import Counter
from contextlib import ExitStack, closing

from iolab.aio_demo_process import run_alone
from iolab.kernel.tasks import tasks
from iolab.models import asynchronous_io_uring, asynchronous_linux_aio, asynchronous_posix_aio, asynchronous_threads
from iolab.models.completion_queue import CompletionQueue
from iolab.recorder import Recorder

BACK_ENDS = {
    "io-uring": (asynchronous_io_uring, asynchronous_io_uring.IoUringProcessor),
    "linux-aio": (asynchronous_linux_aio, asynchronous_linux_aio.LinuxAioProcessor),
    "posix-aio": (asynchronous_posix_aio, asynchronous_posix_aio.PosixAioProcessor),
    "threads": (asynchronous_threads, asynchronous_threads.ThreadsProcessor),
}
SILENT, MESSAGES, LIMIT_S = 12, 5, 60


def back_end(name: str) -> dict:
    """One of BACK_ENDS, measured in a process of its own: plain data.

    {"name", "refusal": None or the kernel's reason, and then nothing else; "threads": how many more with SILENT clients,
    "results", "more": of each completion of one receive, "calls", "helper_calls": {name: times}}. ValueError for a name
    that is none.
    """
    if name not in BACK_ENDS:
        raise ValueError(f"name must be one of {', '.join(BACK_ENDS)}, not {name!r}")
    if refusal := BACK_ENDS[name][0].unavailable():
        return {"name": name, "refusal": refusal}
    return json.loads(run_alone(__name__, {"name": name}))


def _silent_clients(new_processor) -> int:
    with ExitStack() as stack:
        pairs = [[stack.enter_context(each) for each in socket.socketpair()] for _ in range(SILENT)]
        queue = stack.enter_context(CompletionQueue(new_processor()))
        queue.wait(0)  # posix-aio has one helper already: it waits for a post()
        before = len(tasks(os.getpid()))
        for ours, _ in pairs:
            queue.receive(ours.fileno(), "receive")
        queue.wait(0)
        return len(tasks(os.getpid())) - before


def _one_receive(new_processor) -> dict:
    ours, peer = socket.socketpair()
    recorder, results, more = Recorder(), [], []
    with ours, peer, closing(CompletionQueue(new_processor(recorder))) as queue:
        queue.receive(ours.fileno(), "receive")
        queue.wait(0)
        set_up = len(recorder.calls())
        for number in range(MESSAGES):
            peer.send(b"message %d" % number)
            for completion in queue.wait(LIMIT_S):
                results.append(bytes(completion.data or b"").decode())
                more.append(completion.more)
        own = Counter(call.name for call in recorder.calls()[set_up:] if call.name)
        helpers = Counter(call.name for helper in recorder.helpers for call in helper.calls() if call.name)
    return {"results": results, "more": more, "calls": own, "helper_calls": helpers}


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])["name"]
    made = BACK_ENDS[asked][1]
    print(json.dumps({"name": asked, "refusal": None, "threads": _silent_clients(made), **_one_receive(made)}))
