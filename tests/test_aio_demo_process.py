"""A module that runs in a process of its own: what it tells, how it fails, and that it is not waited for for ever."""

import time

import pytest

from iolab import aio_demo_process
from iolab.aio_demo_process import run_alone
from tests.left_behind import nothing_left_behind


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Gives a module with the text of a program, which can be imported by the name that is returned."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(program: str) -> str:
        (tmp_path / "told_alone.py").write_text(program)
        return "told_alone"

    return write


def test_it_is_given_options_and_its_answer_comes_back(module):
    assert run_alone(module("import sys; print(sys.argv[1])"), {"waits": [1, 2]}) == '{"waits": [1, 2]}\n'


def test_an_error_of_the_kernel_stays_one(module):
    with pytest.raises(PermissionError, match="Operation not permitted"):
        run_alone(module('print(\'{"error": [1, "Operation not permitted"]}\')'), {})


def test_one_that_dies_is_told_by_its_last_words(module):
    with pytest.raises(RuntimeError, match="^told_alone ended with 1: ValueError: too much$"):
        run_alone(module("raise ValueError('too much')"), {})


def test_one_that_does_not_end_is_ended(module, monkeypatch):
    monkeypatch.setattr(aio_demo_process, "LIMIT_S", 0.5)
    begin = time.monotonic()
    with nothing_left_behind(), pytest.raises(RuntimeError, match=r"^told_alone was not done within 0\.5 s$"):
        run_alone(module("import time; time.sleep(60)"), {})
    assert time.monotonic() - begin < 30
