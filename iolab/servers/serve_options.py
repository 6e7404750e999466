"""What `iolab serve` accepts: `iolab serve reactor|proactor|threads`, each with the options that mean something to it."""

import argparse
import os
from collections.abc import Callable

MOST_WORKERS = 64
_KINDS = {
    "reactor": ("a loop that is told what can be done", "demultiplexer", ("select", "poll", "epoll"), "epoll"),
    "proactor": ("a loop that is told what has been done", "completions",
                 ("io-uring", "linux-aio", "posix-aio", "threads", "iocp"), "iocp" if os.name == "nt" else "io-uring"),
    "threads": ("a blocking thread for each client", None, (), None),
}  # fmt: skip


def add_serve(commands, number: Callable, writable: Callable) -> None:
    """Add the command to the parser of `iolab`; `number(low, high)` and `writable` check what is typed."""
    serve = commands.add_parser(
        "serve", help="the bookstore over HTTP, until Ctrl-C",
        description="Serve the bookstore over HTTP until SIGINT or SIGTERM, which finish the requests in flight.",
        epilog="example: iolab serve proactor --port 8080 --completions io-uring --steps",
    )  # fmt: skip
    kinds = serve.add_subparsers(dest="kind", required=True, metavar="SERVER", parser_class=type(serve))
    for kind, (what, option, choices, usual) in _KINDS.items():
        parser = kinds.add_parser(kind, help=what, description=f"Serve the bookstore by {what}.",
                                  epilog=f"example: iolab serve {kind} --port 8080")  # fmt: skip
        parser.set_defaults(carry_out=_carry_out, mechanism=usual)
        if option:
            parser.add_argument(f"--{option}", dest="mechanism", choices=choices, default=usual,
                                help=f"how it waits (default {usual})")  # fmt: skip
        parser.add_argument("--port", type=number(0, 65535), default=0, help="0, the default: any that is free")
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1)")
        parser.add_argument("--workers", type=number(1, MOST_WORKERS), default=1, help="processes (default 1)")
        parser.add_argument("--database", type=writable, metavar="F",
                            help="the bookstore's file, kept (default: a new one, removed at the end)")  # fmt: skip
        parser.add_argument("--steps", action="store_true", help="print each request's steps as they happen")


def _carry_out(options: argparse.Namespace) -> None:
    from iolab.servers.serve import serve

    serve(options)
