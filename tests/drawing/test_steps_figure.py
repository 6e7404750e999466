"""The figure of the eight steps: a step stands where its clock says, in its thread's lane; texts are legible; it says it all."""

import io

import pytest
from matplotlib.text import Text
from PIL import Image

from iolab.drawing.spreading import spread
from iolab.drawing.steps_figure import draw_steps, finding
from tests.drawing.overlaps import overlapping

LOOP, WORKER, NOW = 4_194_301, 4_194_302, 7_000_000_000_000


def request(sent, answered, *steps, target="/books/9799000000011"):
    return {
        "target": target,
        "sent_ns": NOW + sent,
        "answered_ns": NOW + answered,
        "steps": [[number, NOW + at, thread] for number, at, thread in steps],
    }


def trace(kind, mechanism, *requests):
    return {"kind": kind, "mechanism": mechanism, "loop": LOOP, "requests": list(requests)}


QUICK = [(2, 47_000, LOOP), (3, 47_200, LOOP), (4, 61_000, LOOP), (5, 61_300, LOOP), (6, 90_000, LOOP)]
SLOW = [
    (2, 53_000, LOOP), (3, 53_100, LOOP), (4, 70_000, LOOP), (5, 220_000, WORKER), (6, 165_850_000, LOOP),
]  # fmt: skip
SENT = [(7, 260_000, LOOP), (8, 261_000, LOOP)]
REACTOR = trace("reactor", "epoll", request(0, 142_000, *QUICK))
PROACTOR = trace("proactor", "linux-aio", request(0, 142_000, *QUICK, *SENT))
SEVERAL = trace(
    "reactor", "epoll",
    request(0, 166_000_000, *SLOW, target="/recommendations"), request(9_000, 254_000, *QUICK), request(12_000, 154_000, *QUICK),
)  # fmt: skip
every_choice = pytest.mark.parametrize(
    "traces", [[REACTOR], [REACTOR, PROACTOR], [SEVERAL], [SEVERAL, SEVERAL]], ids=["one", "both", "several", "twice"]
)


def labels(axes) -> dict[str, float]:
    return {text.get_text(): text.get_position()[1] for text in axes.findobj(Text) if text in axes.texts}


@every_choice
def test_no_text_overlaps_another_or_leaves_the_picture(traces):
    assert overlapping(draw_steps(traces)) == []


@every_choice
def test_the_figure_is_a_small_png_and_says_every_step_and_moment(traces):
    picture = draw_steps(traces)
    data = picture._repr_png_()
    assert len(data) < 60_000
    assert Image.open(io.BytesIO(data)).format == "PNG"
    for each in traces:
        assert f"loop in thread {each['loop']}" in str(picture)
    assert str(picture).count("answered after") == sum(len(each["requests"]) for each in traces)
    assert "answered after 142 µs" in str(picture)


def test_each_step_stands_at_its_moment():
    assert "step 2 after 47 µs, 3 after 47.2 µs" in str(draw_steps([REACTOR]))
    [axes] = draw_steps([REACTOR]).axes
    places = [line.get_xdata()[0] for line in axes.lines[2:]]  # behind the path of the request and its bar
    assert sorted(places) == pytest.approx([0, 47, 47.2, 61, 61.3, 90, 142])


def test_each_step_stands_in_the_lane_of_its_thread():
    near, whole = draw_steps([SEVERAL]).axes
    found = {text: round(height + 0.27) for text, height in labels(near).items()}
    assert (found["a1"], found["a2"], found["a3"], found["a5"], found["b5"]) == (0, 1, 2, 3, 2)
    assert labels(whole).keys() == {"a1", "b1", "c1", "a6", "a✓"}
    assert [tick.get_text() for tick in near.get_yticklabels()] == [
        "clients", "the loop's wait ends", f"loop, thread {LOOP}", f"worker, thread {WORKER}",
    ]  # fmt: skip


def test_the_title_is_the_finding():
    assert finding([REACTOR]) == "reactor (epoll): no steps 7 and 8, answered in 142 µs"
    both = trace("reactor", "epoll", *REACTOR["requests"] * 2)
    assert finding([both]) == "reactor (epoll): no steps 7 and 8, a answered in 142 µs"
    assert finding([REACTOR, PROACTOR]) == "reactor (epoll): no steps 7 and 8; proactor (linux-aio): all 8 steps"
    assert finding([SEVERAL]) == "reactor (epoll): b and c answered before a, which a worker had"


def test_what_cannot_be_drawn_is_refused():
    for wrong in ([], [trace("reactor", "epoll")], [trace("reactor", "epoll", *REACTOR["requests"] * 5)]):
        with pytest.raises(ValueError, match="1 to 4 requests"):
            draw_steps(wrong)


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([0, 5, 9], [0, 5, 9]),
        ([5, 5, 5], [4, 5, 6]),
        ([0, 0, 0], [0, 1, 2]),
        ([10, 10], [9, 10]),
        ([2, 2, 8, 8], [1.5, 2.5, 7.5, 8.5]),
        ([], []),
    ],
)
def test_labels_keep_their_distance_near_where_they_are_wanted(wanted, places):
    assert spread(wanted, 1, 0, 10) == pytest.approx(places)


def test_too_many_labels_are_refused():
    with pytest.raises(ValueError, match="12 labels"):
        spread([0] * 12, 1, 0, 10)
