"""The commands about evidence: how good it is here, who copies by each kind of it, and how to be allowed more."""

import getpass
import os


def calibrate(options) -> None:
    """The error of each rung against the best one here."""
    from tqdm import tqdm

    from iolab.drawing.calibration_figure import draw_calibration
    from iolab.drawing.calibration_table import report
    from iolab.models import blocking
    from iolab.recording import calibration

    models = options.models or [blocking]
    total = options.reads * len(models) * len(options.bytes)
    with tqdm(total=total, desc="reads", unit="read", leave=False, disable=None) as bar:
        found = calibration.calibrate(models, options.bytes, options.reads, bar.update)
    print(report(found))
    if options.json:
        options.json.write_text(found.to_json() + "\n", encoding="utf-8")
    if options.png:
        options.png.write_bytes(draw_calibration(found)._repr_png_())


def who_copies(options) -> None:
    """Every way to read, and who copies in it by each witness."""
    import json
    from dataclasses import asdict

    from tqdm import tqdm

    from iolab.drawing.copiers_figure import copiers_table, draw_copiers
    from iolab.recorded import value_of
    from iolab.recording.recordable_values import COPIERS
    from iolab.recording.ways_to_read import WAYS
    from iolab.recording.who_copies import NBYTES, who_copies

    ways = tqdm(WAYS, desc="ways to read", unit="way", leave=False, disable=None)
    rows = [asdict(row) for row in who_copies(NBYTES, options.folder, ways)]
    truth = value_of(COPIERS)
    print(copiers_table(rows, truth["value"]))
    for row in rows:
        if not row["shares"]:
            print(f"not here: {row['way']}, {row['source']}: {row['evidence'].removeprefix('not known: ')}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.png:
        options.png.write_bytes(draw_copiers(rows, truth["value"], truth["recorded"])._repr_png_())


def allow_tracing(options) -> None:
    """What root does so that a user may trace; carried out where root asks for it."""
    from iolab.kernel.delegation import allowing, carry_out, undoing

    user = options.user or os.environ.get("SUDO_USER") or getpass.getuser()
    carry = "--undo" * options.undo or "--apply" * options.apply
    if carry and hasattr(os, "geteuid") and os.geteuid() != 0:
        raise PermissionError(f"only root may do this: sudo iolab allow-tracing --user {user} {carry}")
    steps = undoing(user) if options.undo else allowing(user)
    carry_out(steps if carry else [])
    print("\n".join(step.line for step in steps) or f"nothing to do: {user} was not allowed to trace")
