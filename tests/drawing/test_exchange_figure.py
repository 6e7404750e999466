"""The figure of an exchange: whose arrow points where, what is in flight from when to when; texts are legible; it says it all."""

import io

import pytest
from matplotlib.text import Annotation
from PIL import Image

from iolab.drawing.exchange_figure import KERNEL, PLACES, draw_exchange, finding
from iolab.recorded import value_of
from iolab.recording.under_wine import NAME
from tests.drawing.overlaps import overlapping

STEPS = [
    ["program", "WSARecv(socket, buffer, OVERLAPPED)", "pending; in flight: 1"],
    ["peer", "send('a book')", "6 bytes"],
    ["program", "GetQueuedCompletionStatusEx(port)", "a packet: key 17, its OVERLAPPED, 6 bytes"],
    ["program", "looks into the buffer", "a book"],
]
ORIGIN = "a RECORDING (2026-11-25, Wine 8.0 on Linux, Windows CPython 3.11.9; not Windows). Not run here: I/O completion ports are Windows', and this is linux"


def recorded_steps():
    return value_of(NAME)["value"]["one_read"]


def arrows(picture) -> list[tuple[float, float]]:
    """Of each arrow where it begins and where it ends."""
    found = [each for each in picture.axes[0].texts if isinstance(each, Annotation)]
    return [(round(each.xyann[0], 2), round(each.xy[0], 2)) for each in found]


@pytest.mark.parametrize("steps", [STEPS, STEPS[:2], STEPS[1:], STEPS * 3, recorded_steps()], ids=len)
def test_no_text_overlaps_another_or_leaves_the_picture(steps):
    assert overlapping(draw_exchange(steps, ORIGIN)) == []


def test_each_call_goes_to_the_kernel_and_its_answer_comes_back_and_a_look_goes_nowhere():
    program, kernel, peer = round(PLACES["program"], 2), round(PLACES[KERNEL], 2), round(PLACES["peer"], 2)
    near, far = round(kernel - 0.008, 2), round(kernel + 0.008, 2)
    assert arrows(draw_exchange(STEPS, ORIGIN)) == [
        (program, near), (near, program), (peer, far), (far, peer), (program, near), (near, program),
    ]  # fmt: skip


def test_what_is_pending_is_in_flight_until_its_packet():
    (bar,) = draw_exchange(STEPS, ORIGIN).axes[0].collections
    (low, high) = bar.get_paths()[0].get_extents().intervaly
    assert 0 < low < 1 < high < 2.1
    assert draw_exchange(STEPS[1:], ORIGIN).axes[0].collections[:] == []
    (longer,) = draw_exchange(STEPS[:2], ORIGIN).axes[0].collections
    assert longer.get_paths()[0].get_extents().y1 > 1.5


def test_the_title_says_who_asked_and_what_was_brought():
    assert finding(STEPS) == "WSARecv asked before there was a byte; the packet says: 6 bytes are in the buffer"
    assert finding(STEPS[1:]) == "Nothing was pending"
    assert finding(STEPS[:2]) == "An operation is in flight"


def test_it_is_a_small_png_and_says_every_step_and_where_it_is_from():
    picture = draw_exchange(STEPS, ORIGIN)
    data = picture._repr_png_()
    assert len(data) < 60_000
    assert Image.open(io.BytesIO(data)).format == "PNG"
    for words in (ORIGIN, *(word for step in STEPS for word in step)):
        assert words in picture.alternative_text


@pytest.mark.parametrize("steps", [[], [["kernel", "read()", "1"]]])
def test_somebody_else_is_told_in_words(steps):
    with pytest.raises(ValueError, match="steps must hold steps of the program and of the peer"):
        draw_exchange(steps, ORIGIN)
