"""A run of the proactor on io_uring, step by step: what the program sees, beside what lies in the rings.

    step                    the program                       the rings
    the acceptor starts     accept under way                  SQ: 1 entry; nobody has told the kernel
    io_uring_enter          the same                          SQ: empty; a poll is armed
    a asks                  the same, it has made no call     CQ: receive, 39 B, in buffer 0; unread: 0 B
    completions taken       told: a, 39 bytes, here they are  CQ: empty

Two facts that surprise:
* When the loop hears of a request its bytes are in user space already: the kernel has taken a buffer of those on loan
  and has made the copy, at the end of whatever call this thread made last.
* The long page is one send. The kernel goes on with it each time b makes room, and completes once, when all is taken.

As reactor_turns, with the same clients and the same server on its other loop. What is noted changes nothing.
"""

from contextlib import closing, suppress

from iolab.calls import unrecorded
from iolab.kernel import descriptor_info as info
from iolab.kernel import io_uring_layout as layout
from iolab.kernel.io_uring import unavailable as unavailable
from iolab.kernel.socket_queue import unread, unsent
from iolab.models.asynchronous_io_uring import IoUringProcessor
from iolab.models.completion import Completion
from iolab.models.completion_queue import CompletionQueue
from iolab.recording.loop_clients import TwoPages, small_listener
from iolab.recording.loop_run import LOOP, LoopRun
from iolab.recording.ring_steps import named
from iolab.servers.proactor_http_server import proactor_http_server

NAME = "io-uring.turns"
WORDS = {
    3: ("handle_receive", "The proactor calls {who}'s handle_receive: the bytes, or the end, are in its hands already."),
    4: ("parsed", "{who}'s handler has parsed a whole request."),
    6: ("encoded", "The response to {who} is encoded. The handler is about to start a send: one more entry in the SQ."),
    8: ("handle_send", "The proactor calls {who}'s handle_send: all of the response has been taken."),
}  # fmt: skip
POOL = (4, 1 << 12)  # buffers, and bytes of each
OPCODES = {layout.OP_ACCEPT: "accept", layout.OP_RECV: "receive", layout.OP_SEND: "send", layout.OP_READ: "read"}


class NotedCalls:
    """A calls.CallNamer: each io_uring_enter is two steps."""

    def __init__(self, run: LoopRun) -> None:
        self._run = run

    def __call__(self, name: str, fd: int = -1):
        return self if name == "io_uring_enter" else unrecorded

    def __enter__(self) -> None:
        self._run.note(
            LOOP, "io_uring_enter is called", "The loop calls io_uring_enter: what lies in the SQ is handed in."
        )

    def __exit__(self, kind, error, traceback) -> None:
        self._run.note(
            LOOP, "io_uring_enter returns", "io_uring_enter is back. What was handed in is the kernel's now."
        )

    def completed(self, fd: int, nbytes: int) -> None:
        """The queue says it as well."""


class NotedProcessor(IoUringProcessor):
    """io_uring that can be looked into."""

    def rings(self, run: LoopRun) -> dict:
        """What lies in both queues, and what the kernel itself says of the ring."""
        queues = self._ring.queues
        sq_head, sq_tail, cq_head, cq_tail = queues.positions
        kernel, last = info.ring_info(self._ring.fd), self._ring._serial
        put = range(last - queues.unsubmitted + 1, last + 1)
        # The buffers are lent with the first receive. How many are left only a kernel from 6.8 on says.
        received = self._requests.received
        buffers = [received.free(), POOL[0]] if received else None
        return {
            "sq": [sq_head, sq_tail, queues.sq_entries], "cq": [cq_head, cq_tail, queues.cq_entries],
            "sqes": [self.described(run, user_data) for user_data in put],
            "cqes": [[*self.described(run, user_data), named(res), _buffer(flags), bool(flags & layout.CQE_F_MORE)]
                     for user_data, res, flags in queues.peek()],
            "polls": sorted(OPCODES.get(opcode, str(opcode)) for opcode in kernel.polls) if kernel else None,
            "buffers": buffers,
        }  # fmt: skip

    def described(self, run: LoopRun, user_data: int) -> list:
        """[user_data, what it is, on whose connection] of an operation."""
        operation, sqe = self._operations.get(user_data), self._ring.in_flight.get(user_data)
        if operation is not None:
            return [user_data, operation.kind, run.name(operation.fd)]
        return [user_data, OPCODES.get(sqe.opcode, "cancel") if sqe else "over", "wake-up" if sqe else ""]

    def under_way(self, run: LoopRun) -> list[list]:
        """The operations that have not had their last completion."""
        return [self.described(run, user_data) for user_data in sorted(self._ring.in_flight)]

    @property
    def not_handed_in(self) -> bool:
        """Whether something lies in the SQ."""
        return bool(self._ring.queues.unsubmitted)


class NotedQueue(CompletionQueue):
    """A queue that notes what the loop is told."""

    def __init__(self, processor: NotedProcessor, run: LoopRun) -> None:
        super().__init__(processor)
        self._run, self.told = run, []

    def wait(self, timeout: float | None = None) -> list[Completion]:
        self.told = []
        completions = super().wait(timeout)
        self.told = [[*_whose(self._run, each), named(each.result), each.more] for each in completions]
        names = " and ".join(f"{method} for {name}" for method, name, *_ in self.told)
        says = f"The loop takes the completions out of the CQ, without any call: {names}."
        self._run.note(LOOP, "completions are taken", says if names else "Nothing has been completed.")
        return completions


def _whose(run: LoopRun, completion: Completion) -> list[str]:
    handle, handler = completion.token
    method = getattr(handle, "__name__", "posted")
    return [method, "listener" if method == "handle_accept" else run.name(getattr(handler, "fd", -1))]


def _buffer(flags: int) -> int | None:
    return flags >> layout.CQE_BUFFER_SHIFT if flags & layout.CQE_F_BUFFER else None


def turns() -> dict:
    """The run, as reactor_turns.turns gives it, with the keys of a ring."""
    with closing(LoopRun(WORDS)) as run:
        listener, processor = small_listener(), NotedProcessor(NotedCalls(run), entries=8, pool=POOL)
        queue = NotedQueue(processor, run)
        run.names[listener.fileno()] = "listener"
        run.server = proactor_http_server(listener, TwoPages(), queue, step=run.stepped)

        def seen() -> dict:
            sockets = []
            for handler in run.server.handlers:
                with suppress(OSError):  # EBADF: closed already, and its handler does not know it yet
                    sockets.append([handler.fd, run.name(handler.fd), unread(handler.fd), unsent(handler.fd)])
            program = {"operations": processor.under_way(run), "told": queue.told}
            return {"program": program, "kernel": processor.rings(run) | {"sockets": sorted(sockets)}}

        run.seen = seen
        run.arrived = lambda: processor.rings(run)["cqes"]
        run.play(lambda: processor.not_handed_in)
        return {"kind": "proactor", "mechanism": "io-uring", "steps": list(run.steps)}
