"""What the command line accepts; everything that can be wrong is found here, before anything is opened."""

import argparse

from iolab.aio_demo import WAYS
from iolab.bench_options import add_bench
from iolab.models import MODELS, asynchronous_iocp
from iolab.option_values import folder, model, new_file, new_folder, notebooks, number, recordable, writable
from iolab.recording.calibration import MOST_READS, SIZES
from iolab.recording.evidence import BEST, NAMES
from iolab.recording.recordings import RECORDABLE
from iolab.recording.scenario import MAX_BYTES, MAX_DELAY_MS, MAX_SENDERS, TRANSPORTS
from iolab.servers.serve_options import add_serve


class _Parser(argparse.ArgumentParser):
    """argparse with the whole complaint on one line."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message}\n")


def command_line() -> argparse.ArgumentParser:
    """The parser of `iolab COMMAND ...`; `command` is the name of the command, the rest its options."""
    parser = _Parser(prog="iolab", description="I/O models, measured on this machine by the kernel's own evidence.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    doctor = commands.add_parser(
        "doctor", help="what is live here, and why not", epilog="example: iolab doctor",
        description="What this machine offers: models and evidence, each with the kernel's own reason when missing.",
    )  # fmt: skip
    doctor.add_argument("--json", action="store_true", help="print JSON")
    timeline = commands.add_parser(
        "timeline", help="one model, one run",
        description="Run one model; print the sentence and the table; save what is asked for.",
        epilog="example: iolab timeline epoll --wait-ms 100 --png epoll.png",
    )  # fmt: skip
    timeline.add_argument("model", metavar="MODEL", choices=[each.NAME for each in (*MODELS, asynchronous_iocp)],
                          help=", ".join(each.NAME for each in (*MODELS, asynchronous_iocp)))  # fmt: skip
    timeline.add_argument(
        "--perfetto", type=writable, metavar="F",
        help="save a trace for ui.perfetto.dev: Chrome's JSON if F ends in .json, else Perfetto's own (.pftrace)",
    )  # fmt: skip
    compare = commands.add_parser(
        "compare", help="every model on one scenario",
        description="Every model that works here on one scenario: a table, and one figure.",
        epilog="example: iolab compare --wait-ms 100 --png compare.png",
    )  # fmt: skip
    compare.add_argument(
        "--runs", type=number(1, 99), default=3, help="runs of each model; the median one is shown (default 3)"
    )
    demo = commands.add_parser(
        "aio-demo", help="the lecture's program on POSIX AIO, and its better versions",
        description="Write 512 bytes and read them back by POSIX AIO; poll for the end, or be told of it; dump the file.",
        epilog="example: iolab aio-demo --notify suspend",
    )  # fmt: skip
    demo.add_argument("--notify", choices=WAYS, default=WAYS[0], help=f"how to learn of the end (default {WAYS[0]})")
    demo.add_argument(
        "--path",
        type=new_file,
        metavar="F",
        help="the file to create (default: a name with the process id); removed at the end",
    )
    demo.add_argument("--json", type=writable, metavar="F", help="save the data as JSON")
    record = commands.add_parser(
        "record", help="record runs for machines that refuse a model",
        description="Run what a container may refuse, and save it, labelled, where the notebooks look for it.",
        epilog="example: iolab record io-uring",
    )  # fmt: skip
    record.add_argument(
        "models", nargs="*", type=recordable, metavar="MODEL", help=f"only these of {', '.join(RECORDABLE)}"
    )
    calibrate = commands.add_parser(
        "calibrate", help="how good each rung of evidence is here",
        description="The error of each rung of evidence against the best one here, and what tracing costs: two tables.",
        epilog="example: iolab calibrate blocking epoll --reads 50 --png calibration.png",
    )  # fmt: skip
    calibrate.add_argument("models", nargs="*", type=model, metavar="MODEL", help="those that read (default: blocking)")
    calibrate.add_argument(
        "--reads", type=number(1, MOST_READS), default=200, help="of each model and size (default 200)"
    )
    calibrate.add_argument(
        "--bytes", nargs="+", type=number(1, MAX_BYTES), default=SIZES, metavar="N",
        help=f"the sizes (default {' and '.join(map(str, SIZES))})",
    )  # fmt: skip
    calibrate.add_argument("--json", type=writable, metavar="F", help="save every error of every read as JSON")
    calibrate.add_argument("--png", type=writable, metavar="F", help="save the figure as PNG")
    copies = commands.add_parser(
        "who-copies", help="whose thread copies, in every way to read",
        description="One read in every way, and who copies by each witness: page faults, trace points, a recording.",
        epilog="example: iolab who-copies --png copiers.png",
    )  # fmt: skip
    copies.add_argument(
        "--folder", type=folder, default=".", metavar="D", help="where its file is made (default: here)"
    )
    copies.add_argument("--json", type=writable, metavar="F", help="save page faults, CPU time and reasons as JSON")
    copies.add_argument("--png", type=writable, metavar="F", help="save the figure as PNG")
    allow = commands.add_parser(
        "allow-tracing", help="what root does so that a user may trace",
        description="Print the steps by which root lets one user trace; carry them out, or take them back, as root.",
        epilog="example: sudo iolab allow-tracing --user alice --apply",
    )  # fmt: skip
    allow.add_argument("--user", metavar="U", help="who may trace (default: you)")
    deed = allow.add_mutually_exclusive_group()
    deed.add_argument("--apply", action="store_true", help="carry the steps out; who may trace sees the whole machine")
    deed.add_argument("--undo", action="store_true", help="take it back")
    site = commands.add_parser(
        "site", help="the notebooks as pages to read without a kernel",
        description="Write the stored notebooks, and the files that they link to, as web pages that ask no network.",
        epilog="example: iolab site pages",
    )  # fmt: skip
    site.add_argument("folder", type=new_folder, metavar="FOLDER", help="where the pages go; it is made if missing")
    site.add_argument(
        "--notebooks", type=notebooks, default="notebooks", metavar="D", help="their folder (default notebooks)"
    )
    add_serve(commands, number, writable)
    add_bench(commands, number, writable)
    for command in (timeline, compare):
        command.add_argument(
            "--wait-ms",
            type=number(0, MAX_DELAY_MS, float),
            default=200.0,
            help="how long nothing comes (default 200)",
        )
        command.add_argument(
            "--bytes", type=number(1, MAX_BYTES), default=1 << 20, help="bytes from each sender (default 1048576)"
        )
        command.add_argument(
            "--senders", type=number(1, MAX_SENDERS), default=1, help="how many; the first comes last (default 1)"
        )
        command.add_argument("--transport", choices=TRANSPORTS, default="tcp", help="tcp (default), pipe or socketpair")
        command.add_argument("--evidence", choices=NAMES, default=BEST, help=f"how much to use (default {BEST})")
        command.add_argument("--png", type=writable, metavar="F", help="save the figure as PNG")
        command.add_argument("--svg", type=writable, metavar="F", help="save the figure as SVG")
        command.add_argument("--json", type=writable, metavar="F", help="save the data as JSON")
    return parser
