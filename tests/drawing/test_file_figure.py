"""The figure and the table of files: nothing overlaps, and a bar says no more than is known of its call."""

import pytest

from iolab.drawing.file_figure import MEANINGS, draw_files, file_table, finding, look_of, who
from iolab.models import MODELS
from iolab.recorded import value_of
from tests.drawing.overlaps import overlapping

ROWS = value_of("files")["value"]


def row(model: str, state: str) -> dict:
    return next(each for each in ROWS if (each["model"], each["state"]) == (model, state))


@pytest.mark.parametrize("label", [None, "2026-11-24, Linux 6.18.44, x86_64"])
def test_labels_of_the_figure_do_not_overlap(label):
    for rows in (ROWS, ROWS[:10], ROWS[:1], ROWS[10:25]):
        picture = draw_files([each | {"recorded": label} for each in rows])
        assert overlapping(picture) == []
        assert len(picture._repr_png_()) < 60_000


def test_one_slow_read_does_not_flatten_the_others():
    slow = row("blocking", "miss") | {"done_ns": 10**9}
    slow["calls"] = [slow["calls"][0] | {"end_ns": 10**9}]
    picture = draw_files([*(each for each in ROWS if each["state"] == "miss" and each["model"] != "blocking"), slow])
    assert overlapping(picture) == []
    assert picture.axes[0].get_xlim()[1] < 10**5
    assert any(text.get_text().startswith("1 s: ") for text in picture.axes[0].texts)


def test_a_bar_is_a_copy_only_where_the_call_brought_the_bytes_and_never_slept():
    for each in ROWS:
        for call in each["calls"]:
            look = look_of(call, each)
            assert look in MEANINGS
            assert (look == "blocked") == bool(call["slept"])
            assert look != "copy" or call["brought"] or each["model"] == "linux-aio"
            assert look != "copy" or not each["helpers"]
    submits = [call for call in row("linux-aio", "hit")["calls"] if call["name"] == "io_submit"]
    assert [look_of(call, row("linux-aio", "hit")) for call in submits if call["of_the_file"]] == ["copy"]
    assert [look_of(call, row("linux-aio", "direct")) for call in submits if not call["of_the_file"]] == ["call"]


def test_the_words_name_the_refusal_the_helper_and_the_thread():
    assert who(row("epoll", "hit")) == "epoll_ctl: Operation not permitted"
    assert who(row("threads", "miss")) == who(row("posix-aio", "direct")) == "a helper thread"
    assert who(row("blocking", "hit")) == "this thread"
    assert who(row("linux-aio", "direct")) == "this thread asked the device"
    assert finding(ROWS) == "10 models read a file: 2 have it read by a helper thread, 1 cannot (epoll)"
    assert "The file is in memory: nobody slept in the call that asks." in draw_files(ROWS).alternative_text


def test_the_table_has_a_line_for_each_row_and_names_recordings():
    rows = [each | {"recorded": "elsewhere" if each["model"] == "io-uring" else None} for each in ROWS]
    table = file_table(rows)
    assert [line[0] for line in table.rows] == [each["state"] for each in ROWS]
    assert [line[1] for line in table.rows[:10]] == [
        model.NAME + " (recorded)" * (model.NAME == "io-uring") for model in MODELS
    ]


def test_nothing_to_draw_is_refused_in_words():
    with pytest.raises(ValueError, match="at least one"):
        draw_files([])
