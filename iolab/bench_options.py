"""What `iolab bench servers` and `iolab bench demultiplexers` accept."""

import argparse
from collections.abc import Callable

from iolab.bench import choices


def add_bench(commands, number: Callable, writable: Callable) -> None:
    """Add the command to the parser of `iolab`; `number(low, high, kind)` and `writable` check what is typed."""
    bench = commands.add_parser(
        "bench", help="side by side in one run: servers, or ways to wait",
        description="Measure side by side, in turn, in one run: ratios are what counts.",
        epilog="example: iolab bench servers --connections 1 64 512 --png servers.png",
    )  # fmt: skip
    whats = bench.add_subparsers(dest="bench", required=True, metavar="WHAT", parser_class=type(bench))
    servers = whats.add_parser(
        "servers", help="our servers over every mechanism, and asyncio, uvloop, gevent, tornado where installed",
        description="Each server in turn under the same load on 127.0.0.1: rate, CPU time for a request, latency.",
        epilog="example: iolab bench servers --connections 1 64 512 --requests database --png servers.png",
    )  # fmt: skip
    servers.set_defaults(carry_out=_servers)
    servers.add_argument("--connections", type=number(1, choices.MOST_CONNECTIONS), nargs="+", default=[64], metavar="N",
                         help="how many at the same time; several numbers: one after the other (default 64)")  # fmt: skip
    servers.add_argument("--seconds", type=number(choices.LEAST_S, choices.MOST_S, float), default=0.75,
                         help="of load for each server in each round (default 0.75)")  # fmt: skip
    servers.add_argument("--requests", choices=choices.REQUESTS, default=choices.PLAIN,
                         help="plain: a small text; database: one book from SQLite (default plain)")  # fmt: skip
    servers.add_argument("--servers", nargs="+", choices=choices.SERVERS, default=list(choices.SERVERS), metavar="SERVER",
                         help=f"only these, beside reactor-epoll, of {', '.join(choices.SERVERS)}")  # fmt: skip
    servers.add_argument("--client", choices=choices.CLIENTS,
                         help="who makes the load (default: wrk where it is installed, else our own)")  # fmt: skip
    waits = whats.add_parser(
        "demultiplexers", help="what one wait costs, against the number of idle descriptors",
        description="One wait by select, poll, epoll, io_uring and Linux AIO, while nothing happens on most descriptors.",
        epilog="example: iolab bench demultiplexers --png waits.png",
    )  # fmt: skip
    waits.set_defaults(carry_out=_demultiplexers)
    waits.add_argument("--idle", type=number(1, choices.MOST_IDLE), nargs="+", default=list(choices.IDLE), metavar="N",
                       help=f"numbers of idle descriptors (default {' '.join(map(str, choices.IDLE))})")  # fmt: skip
    for command in (servers, waits):
        command.add_argument(
            "--rounds", type=number(1, choices.MOST_ROUNDS), default=5, help="each in turn (default 5)"
        )
        command.add_argument("--json", type=writable, metavar="F", help="save all that was measured as JSON")
        command.add_argument("--png", type=writable, metavar="F", help="save the figure as PNG")


def _servers(options: argparse.Namespace) -> None:
    from iolab.bench_commands import servers

    servers(options)


def _demultiplexers(options: argparse.Namespace) -> None:
    from iolab.bench_commands import demultiplexers

    demultiplexers(options)
