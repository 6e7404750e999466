"""Recordings of real runs, for what a reader's machine refuses: JSON files, and how they are found.

    obtain(io_uring, "one-read") ── unavailable()? ── no ──> run it here, now
                                          └─ "io_uring_setup: Operation not permitted" ──> io-uring.one-read.json

A recording is a run like any other, with machine, kernel and date in facts["recorded"]; figures and sentences say so.
`iolab record` makes them all anew.
"""

import json
from functools import cache
from importlib.resources import files


def path_of(name: str):
    """Where the recording called `name` is kept."""
    return files(__name__) / f"{name}.json"


@cache
def text_of(name: str) -> str:
    """The JSON of a recording; FileNotFoundError when there is none of that name."""
    return path_of(name).read_text(encoding="utf-8")


def value_of(name: str) -> dict:
    """A recording that is no Timeline: {"recorded": when and where, "value": ...}."""
    return json.loads(text_of(name))
