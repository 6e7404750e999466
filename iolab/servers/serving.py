"""A server in a thread of its own, for as long as a with statement: for notebooks and for measuring.

    with serving(lambda: reactor_http_server(listener, bookstore, EpollDemultiplexer())) as server:
        ...                                     the other thread runs it
                                                stop(): the last answers; the thread has ended

Two facts that surprise:
* A completion queue belongs to the thread that made it, a ring of io_uring by the kernel's word (EEXIST for others).
  So the server is made in its thread, not here.
* What goes wrong while it is made would be shown there and missed here: it is carried over, and raised.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue


@contextmanager
def serving(new_server: Callable, limit_s: float = 30.0) -> Iterator:
    """Yields the server that `new_server` makes; RuntimeError when it has not stopped within `limit_s`."""
    made: SimpleQueue = SimpleQueue()

    def run() -> None:
        try:
            server = new_server()
        except BaseException as error:
            made.put((None, error))
            return
        made.put((server, None))
        server.run()

    thread = threading.Thread(target=run, name="server")
    thread.start()
    server, error = made.get()
    if error is not None:
        thread.join()
        raise error
    try:
        yield server
    finally:
        server.stop()
        thread.join(limit_s)
        if thread.is_alive():
            server.stop()  # the second time: at once
            thread.join(limit_s)
            raise RuntimeError(f"the server has not stopped within {limit_s} s")
