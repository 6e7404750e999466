"""The commands that measure side by side: servers under load, and the price of a wait."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def servers(options) -> None:
    """Every server in turn under the same load."""
    from tqdm import tqdm

    from iolab.bench import wrk
    from iolab.bench.choices import OWN, WRK
    from iolab.bench.measuring import bench_servers, runs_ahead
    from iolab.drawing.servers_figure import draw_servers
    from iolab.drawing.servers_table import servers_table

    client = options.client or (OWN if wrk.unavailable() else WRK)
    levels = list(dict.fromkeys(options.connections))
    ahead = runs_ahead(levels, options.rounds, options.servers)
    with _cleared_up(), tqdm(total=ahead, desc="runs", unit="run", leave=False, disable=None) as bar:
        found = bench_servers(
            levels, options.rounds, options.seconds, options.requests, client, options.servers, bar.update
        )
    table = servers_table(found)
    print(table.caption, "", table, sep="\n")
    _finish(found, options, draw_servers)


def demultiplexers(options) -> None:
    """One wait by each mechanism, against the number of idle descriptors."""
    from tqdm import tqdm

    from iolab.bench.waits import bench_waits
    from iolab.drawing.waits_figure import draw_waits, waits_table

    counts = sorted(set(options.idle))
    with _cleared_up(), tqdm(total=len(counts), desc="idle", unit="number", leave=False, disable=None) as bar:
        found = bench_waits(counts, options.rounds, bar.update)
    table = waits_table(found)
    print(table.caption, "", table, sep="\n")
    _finish(found, options, draw_waits)


def _finish(found, options, draw) -> None:
    for name, reason in found.missing.items():
        print(f"not here: {name}: {reason}")
    if options.json:
        options.json.write_text(found.to_json() + "\n", encoding="utf-8")
    if options.png:
        options.png.write_bytes(draw(found)._repr_png_())


@contextmanager
def _cleared_up() -> Iterator[None]:
    """Ctrl-C unwinds the body, so that the processes it has started end before this one does; exit code 1."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        os.write(2, b"iolab: interrupted\n")
        raise SystemExit(1) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number, frame) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what clears up is not interrupted again; it is bounded
    raise KeyboardInterrupt
