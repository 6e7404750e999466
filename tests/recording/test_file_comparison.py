"""Every model and one file: rows of this machine where it can, labelled rows of another one where it cannot."""

import pytest

from iolab.kernel import page_cache
from iolab.models import MODELS, asynchronous_threads, blocking, multiplexing_epoll
from iolab.recording import file_comparison
from iolab.recording.file_comparison import measured, origins, read_files
from tests.left_behind import nothing_left_behind

pytestmark = pytest.mark.skipif(bool(page_cache.unavailable()), reason=str(page_cache.unavailable()))


def test_each_state_and_model_has_one_row_with_the_same_keys(tmp_path):
    with nothing_left_behind():
        rows = read_files(folder=tmp_path)
    assert [(row["state"], row["model"]) for row in rows] == [
        (state, model.NAME) for state in ("hit", "miss", "direct") for model in MODELS
    ]
    assert len({tuple(row) for row in rows}) == 1
    assert all(row["same_bytes"] and row["read_bytes"] == row["nbytes"] for row in rows if not row["error"])
    assert {row["model"] for row in rows if row["error"]} == {"epoll"}


def test_a_row_of_this_machine_says_which_calls_were_on_the_file(tmp_path):
    row = measured(blocking, "hit", tmp_path)
    assert [(call["name"], call["of_the_file"], call["brought"]) for call in row["calls"]] == [("read", True, True)]
    assert row["helpers"] == []
    assert measured(asynchronous_threads, "hit", tmp_path)["helpers"] != []
    assert measured(multiplexing_epoll, "hit", tmp_path)["error"].startswith("epoll_ctl: ")
    assert origins([row]) == "measured now, on this machine"


def test_what_this_machine_refuses_comes_from_the_recording_and_says_why(tmp_path, monkeypatch):
    def refused(model, state, nbytes, folder):
        raise RuntimeError("tmpfs does not let go of a file's pages")

    monkeypatch.setattr(file_comparison, "read_file", refused)
    (row,) = read_files([blocking], ["miss"], tmp_path)
    assert (row["model"], row["state"], row["error"]) == ("blocking", "miss", None)
    assert row["recorded"]
    assert origins([row]).startswith(f"a RECORDING of {row['recorded']}, because here: tmpfs does not let go")


def test_a_wrong_argument_is_refused_and_not_replaced_by_a_recording(tmp_path):
    with pytest.raises(ValueError, match="state must be one of"):
        read_files([blocking], ["warm"], tmp_path)
    with pytest.raises(ValueError, match="folder must be a folder"):
        read_files([blocking], ["hit"], tmp_path / "none")
