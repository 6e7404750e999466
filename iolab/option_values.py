"""What a value on the command line must be; a wrong one is told, with what is allowed, before anything is opened."""

import argparse
import os
from pathlib import Path

from iolab.models import MODELS
from iolab.recording.recordings import RECORDABLE


def number(low: float, high: float, kind=int):
    """A number of `kind` from `low` to `high`, both allowed."""

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a number from {low:,} to {high:,}, not {text!r}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low:,} to {high:,}, not {text}")
        return value

    return parse


def writable(text: str) -> Path:
    """A file that can be written, there already or not."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise argparse.ArgumentTypeError(f"cannot write {text}: {what}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write {text}: permission denied")
    return path


def new_file(text: str) -> Path:
    """A file that can be made, and is not there yet."""
    path = writable(text)
    if path.exists():
        raise argparse.ArgumentTypeError(f"cannot create {text}: it is there already")
    return path


def new_folder(text: str) -> Path:
    """A folder in which files can be made, there already or not."""
    path = Path(text)
    there = path if path.exists() else path.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "permission denied" if there.is_dir() else f"there is no folder {there}"
        raise argparse.ArgumentTypeError(f"cannot make files in {text}: {what}")
    return path


def notebooks(text: str) -> Path:
    """A folder that has notebooks in it."""
    path = Path(text)
    if not any(path.glob("*.ipynb")):
        raise argparse.ArgumentTypeError(f"must be a folder with notebooks (*.ipynb), not {text!r}")
    return path


def model(text: str):
    """One of the models, by its name."""
    if text not in (names := [each.NAME for each in MODELS]):
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(names)}, not {text!r}")
    return MODELS[names.index(text)]


def recordable(text: str) -> str:
    """A model of which there are recordings."""
    if text not in RECORDABLE:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(RECORDABLE)}, not {text!r}")
    return text


def folder(text: str) -> str:
    """A folder in which files can be made."""
    if not os.path.isdir(text) or not os.access(text, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"must be a folder in which files can be made, not {text!r}")
    return text
