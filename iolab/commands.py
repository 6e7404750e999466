"""The commands behind the command line: their options, what they print, what they save."""

import argparse
import os
import sys
from pathlib import Path

from iolab.models import MODELS
from iolab.recording.evidence import BEST, NAMES
from iolab.recording.experiment import run as run_model
from iolab.recording.experiment import typical
from iolab.recording.scenario import MAX_BYTES, MAX_DELAY_MS, MAX_SENDERS, TRANSPORTS, Delivery, Scenario

SLICE = 2_000  # numbers that one slice of other work adds up: some 50 µs


class _Parser(argparse.ArgumentParser):
    """argparse with the whole complaint on one line."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message}\n")


def _number(low: float, high: float, kind=int):
    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a number from {low:,} to {high:,}, not {text!r}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low:,} to {high:,}, not {text}")
        return value

    return parse


def _writable(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise argparse.ArgumentTypeError(f"cannot write {text}: {what}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write {text}: permission denied")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="iolab", description="I/O models, measured on this machine by the kernel's own evidence.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    doctor = commands.add_parser(
        "doctor", help="what is live here, and why not", epilog="example: iolab doctor",
        description="What this machine offers: models and evidence, each with the kernel's own reason when missing.",
    )  # fmt: skip
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)
    timeline = commands.add_parser(
        "timeline", help="one model, one run",
        description="Run one model; print the sentence and the table; save what is asked for.",
        epilog="example: iolab timeline epoll --wait-ms 100 --png epoll.png",
    )  # fmt: skip
    timeline.add_argument("model", metavar="MODEL", choices=[model.NAME for model in MODELS],
                          help=", ".join(model.NAME for model in MODELS))  # fmt: skip
    timeline.set_defaults(run=_timeline)
    compare = commands.add_parser(
        "compare", help="every model on one scenario",
        description="Every model that works here on one scenario: a table, and one figure.",
        epilog="example: iolab compare --wait-ms 100 --png compare.png",
    )  # fmt: skip
    compare.add_argument("--runs", type=_number(1, 99), default=3, help="runs of each model; the median one is shown (default 3)")
    compare.set_defaults(run=_compare)
    for command in (timeline, compare):
        command.add_argument("--wait-ms", type=_number(0, MAX_DELAY_MS, float), default=200.0, help="how long nothing comes (default 200)")
        command.add_argument("--bytes", type=_number(1, MAX_BYTES), default=1 << 20, help="bytes from each sender (default 1048576)")
        command.add_argument("--senders", type=_number(1, MAX_SENDERS), default=1, help="how many; the first comes last (default 1)")
        command.add_argument("--transport", choices=TRANSPORTS, default="tcp", help="tcp (default), pipe or socketpair")
        command.add_argument("--evidence", choices=NAMES, default=BEST, help=f"how much to use (default {BEST})")
        command.add_argument("--png", type=_writable, metavar="F", help="save the figure as PNG")
        command.add_argument("--svg", type=_writable, metavar="F", help="save the figure as SVG")
        command.add_argument("--json", type=_writable, metavar="F", help="save the data as JSON")
    return parser


def run(arguments: list[str]) -> int:
    """Parse and carry out; the exit code."""
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except SystemExit as leaving:
        return leaving.code or 0
    except BrokenPipeError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        print(f"iolab: {error}", file=sys.stderr)
        return 1
    return 0


def _scenario(options) -> Scenario:
    waits = [options.wait_ms * (options.senders - number) / options.senders for number in range(options.senders)]
    return Scenario(tuple(Delivery(wait, options.bytes) for wait in waits), options.transport)


def _doctor(options) -> None:
    from iolab.doctor import examine

    report = examine()
    print(report.to_json() if options.json else report)


def _timeline(options) -> None:
    from iolab.drawing.table import span_table
    from iolab.drawing.words import sentence

    model = next(model for model in MODELS if options.model == model.NAME)
    timeline = run_model(model, _scenario(options), options.evidence)
    if timeline.facts["nbytes"] < timeline.facts["nbytes_asked"]:
        raise RuntimeError(f"{model.NAME}: {timeline.facts['ended']}")
    print(sentence(timeline), "", span_table(timeline), sep="\n")
    if options.json:
        options.json.write_text(timeline.to_json() + "\n", encoding="utf-8")
    if options.png or options.svg:
        from iolab.drawing import draw_timeline

        _save(draw_timeline(timeline), options)


def _compare(options) -> None:
    from tqdm import tqdm

    from iolab.drawing.table import comparison_table

    scenario, models = _scenario(options), [model for model in MODELS if not model.unavailable()]
    timelines, worked = [], []
    for model in tqdm(models, desc="models", unit="model", leave=False, disable=None):
        timelines.append(typical(model, scenario, options.evidence, options.runs))
        worked.append(run_model(model, scenario, options.evidence, work=lambda: sum(range(SLICE))))
    print(comparison_table(timelines, worked))
    if options.json:
        options.json.write_text("[\n" + ",\n".join(each.to_json() for each in timelines) + "\n]\n", encoding="utf-8")
    if options.png or options.svg:
        from iolab.drawing import draw_comparison, draw_order

        _save(draw_comparison(timelines) if options.senders == 1 else draw_order(timelines), options)


def _save(picture, options) -> None:
    if options.png:
        options.png.write_bytes(picture._repr_png_())
    if options.svg:
        picture.save(str(options.svg))
