"""The commands behind the command line: what they run, print and save."""

import json
import sys

from iolab.evidence_commands import allow_tracing, calibrate, who_copies
from iolab.models import MODELS, asynchronous_iocp
from iolab.options import command_line
from iolab.publishing_commands import record, site
from iolab.recording.experiment import run as run_model
from iolab.recording.experiment import typical
from iolab.recording.scenario import Delivery, Scenario

SLICE = 2_000  # numbers that one slice of other work adds up: some 50 µs


def run(arguments: list[str]) -> int:
    """Parse and carry out; the exit code."""
    try:
        options = command_line().parse_args(arguments)
        commands = {
            "doctor": _doctor, "timeline": _timeline, "compare": _compare, "aio-demo": _aio_demo, "record": record,
            "calibrate": calibrate, "who-copies": who_copies, "allow-tracing": allow_tracing, "site": site,
        }  # fmt: skip
        commands.get(options.command, getattr(options, "carry_out", None))(options)
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

    if options.model == asynchronous_iocp.NAME:
        _port_steps(options)
        return
    model = next(model for model in MODELS if options.model == model.NAME)
    timeline = run_model(model, _scenario(options), options.evidence)
    if timeline.facts["nbytes"] < timeline.facts["nbytes_asked"]:
        raise RuntimeError(f"{model.NAME}: {timeline.facts['ended']}")
    print(sentence(timeline), "", span_table(timeline), sep="\n")
    if options.json:
        options.json.write_text(timeline.to_json() + "\n", encoding="utf-8")
    if options.perfetto:
        _save_trace(timeline, options.perfetto)
    if options.png or options.svg:
        from iolab.drawing import draw_timeline

        _save(draw_timeline(timeline), options)


def _port_steps(options) -> None:
    """No kernel of ours has seen Windows': what it did is told by the steps of a read, not by a Timeline."""
    from iolab.drawing.table import Table
    from iolab.recording.under_wine import experiments

    if options.png or options.svg or options.perfetto:
        raise ValueError(
            "iocp has no figure and no trace: the evidence behind them is Linux', and this is Windows' kernel"
        )
    values, origin = experiments()
    print(f"iocp: {origin}", "", Table(("who", "call", "result"), values["one_read"]), sep="\n")
    if options.json:
        options.json.write_text(json.dumps({"origin": origin, **values}, indent=1) + "\n", encoding="utf-8")


def _compare(options) -> None:
    from tqdm import tqdm

    from iolab.drawing.table import comparison_table

    scenario, models = _scenario(options), [model for model in MODELS if not model.unavailable()]
    timelines, worked = [], []
    for model in tqdm(models, desc="models", unit="model", leave=False, disable=None):
        timelines.append(typical(model, scenario, options.evidence, options.runs))
        worked.append(run_model(model, scenario, options.evidence, work=lambda: sum(range(SLICE))))
    print(comparison_table(timelines, worked))
    for model in MODELS:
        if reason := model.unavailable():
            print(f"not here: {model.NAME}: {reason}")
    if options.json:
        options.json.write_text("[\n" + ",\n".join(each.to_json() for each in timelines) + "\n]\n", encoding="utf-8")
    if options.png or options.svg:
        from iolab.drawing import draw_comparison, draw_order

        _save(draw_comparison(timelines) if options.senders == 1 else draw_order(timelines), options)


def _aio_demo(options) -> None:
    from iolab.aio_demo import run as run_demo

    demo = run_demo(options.notify, options.path)
    print(demo)
    if options.json:
        options.json.write_text(demo.to_json() + "\n", encoding="utf-8")
    if not demo.same:
        raise RuntimeError("aio-demo: the bytes read are not those that were written")


def _save_trace(timeline, path) -> None:
    from iolab.recording.chrome_trace import chrome_trace
    from iolab.recording.perfetto_trace import perfetto_trace

    if path.suffix.lower() == ".json":
        path.write_text(chrome_trace(timeline) + "\n", encoding="utf-8")
    else:
        path.write_bytes(perfetto_trace(timeline))


def _save(picture, options) -> None:
    if options.png:
        options.png.write_bytes(picture._repr_png_())
    if options.svg:
        picture.save(str(options.svg))
