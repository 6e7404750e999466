"""Figures: nothing overlaps or is cut off, whatever the times and sizes; what they show is also said in words."""

import io
import sys
from dataclasses import replace
from subprocess import run as run_process

import pytest
from matplotlib.text import Text
from PIL import Image

from iolab.calls import Call
from iolab.drawing import (
    comparison_table,
    draw_comparison,
    draw_order,
    draw_timeline,
    duration,
    sentence,
    size,
    span_table,
)
from iolab.drawing.palette import ARROWS, LOOKS
from iolab.drawing.picture import Picture
from iolab.drawing.words import fetching, signature
from iolab.models import MODELS, blocking, multiplexing_epoll, nonblocking
from iolab.recorded import text_of
from iolab.recording.assembling import timeline_of
from iolab.recording.evidence.clock import Counters
from iolab.recording.experiment import run
from iolab.recording.observation import Observation
from iolab.recording.recordings import obtain
from iolab.recording.scenario import Delivery, Scenario, many_reads, one_read
from iolab.recording.senders import Sent
from iolab.recording.stamp import exact
from iolab.recording.stream import Stream
from iolab.recording.timeline import APPLICATION, LINKS, STATES, Span, Timeline
from tests.drawing.overlaps import overlapping

WAITS_MS = (1, 200, 2000)
SIZES = (1, 1 << 20, 1 << 24)
EAGAIN = 11


def synthetic(model: str, wait_ms: float, nbytes: int, wake_us: int = 60, copy_ns_per_kib: int = 100) -> Timeline:
    """A run with exactly these times, so that a figure can be tried at all scales without waiting for them."""
    ready = int(wait_ms * 1e6)
    sending = 30_000 + nbytes // 1024 * 400
    sends = [Sent(ready - sending - 20_000, ready - 20_000, nbytes - 1)] * (nbytes > 1) + [
        Sent(ready - 9_000, ready + 20_000, 1)
    ]
    woken, copying = ready + wake_us * 1000, 4_000 + nbytes // 1024 * copy_ns_per_kib
    if model == "blocking":
        calls = [Call("read", 5, 20_000, woken + copying, nbytes, 0, 1)]
    elif model == "epoll":
        calls = [Call("epoll_create1", -1, 10_000, 20_000, None, 0, 0), Call("epoll_ctl", 5, 30_000, 36_000, None, 0, 0),
                 Call("epoll_wait", -1, 60_000, woken, None, 0, 1),
                 Call("read", 5, woken + 30_000, woken + 30_000 + copying, nbytes, 0, 0)]  # fmt: skip
    else:
        every = max(5_000, ready // 1000)
        calls = [Call("read", 5, at, at + every // 2, None, EAGAIN, 0) for at in range(20_000, ready - every, every)]
        calls.append(Call("read", 5, ready + 1_000, ready + 1_000 + copying, nbytes, 0, 0))
    stream = Stream(("peer", "kernel"), nbytes, nbytes, sends)
    return timeline_of(Observation(
        model, Scenario((Delivery(wait_ms, nbytes),)), {5: stream}, calls, 1, 0, calls[-1].end_ns + 40_000,
        Counters(0, 0, 0), Counters(10**6, 1, 0), recorder_ns_per_call=500,
    ))  # fmt: skip


@pytest.mark.parametrize("model", ["blocking", "epoll", "nonblocking"])
@pytest.mark.parametrize("wait_ms", WAITS_MS)
def test_labels_of_a_timeline_never_overlap(model, wait_ms):
    for nbytes in SIZES:
        for wake_us in (5, 1500)[: 1 + (nbytes == 1 << 20)]:
            assert overlapping(draw_timeline(synthetic(model, wait_ms, nbytes, wake_us))) == [], (nbytes, wake_us)


@pytest.mark.parametrize("wait_ms", WAITS_MS)
def test_labels_of_a_comparison_never_overlap(wait_ms):
    for nbytes in SIZES:
        timelines = [
            synthetic(model, wait_ms, nbytes)
            for model in ("blocking", "nonblocking", "epoll", "epoll", "epoll", "blocking")
        ]
        assert overlapping(draw_comparison(timelines)) == [], nbytes


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"cpus": 1}, "1 CPU"),  # a recording from before the quota was noted
        ({"cpus": 2, "cpu_quota": None}, "2 CPUs"),
        ({"cpus": 64, "cpu_quota": 1.0}, "64 CPUs, a quota of 1"),
        ({"cpus": 64, "cpu_quota": 0.5}, "64 CPUs, a quota of 0.5"),
    ],
)
def test_the_signature_tells_how_many_cpus_a_control_group_leaves(facts, told):
    timeline = synthetic("blocking", 20, 1)
    other = {key: value for key, value in timeline.facts.items() if key not in ("cpus", "cpu_quota")}
    signed = replace(
        timeline, facts=other | facts | {"evidence": "clock + receive time stamp + looks into /proc + tracepoints"}
    )
    assert f" · {told} · one run" in signature(signed)[0]
    assert overlapping(draw_timeline(signed)) == []


@pytest.mark.parametrize("recorded", [(), ("io-uring",), [model.NAME for model in MODELS]], ids=len)
def test_labels_of_all_models_with_their_helpers_do_not_overlap(recorded):
    for wait_ms, nbytes in ((1, 1), (60, 1 << 20)):
        timelines = [as_if_recorded(obtained(model, one_read(wait_ms, nbytes)), recorded) for model in MODELS]
        picture = draw_comparison(timelines)
        assert overlapping(picture) == []
        assert len(picture._repr_png_()) < 60_000
        named = [text for text in _texts(picture) if text.endswith("\nRECORDED")]
        assert len(set(named)) >= len(recorded)
        assert any("RECORDING of a day on another machine" in text for text in _texts(picture)) == bool(recorded)


def obtained(model, scenario) -> Timeline:
    """A run of this machine, or its recording of one read."""
    return obtain(model) if model.unavailable() else run(model, scenario)


def as_if_recorded(timeline: Timeline, models) -> Timeline:
    if timeline.model not in models:
        return timeline
    facts = timeline.facts | {"recorded": "a day on another machine"}
    return Timeline(timeline.model, facts, timeline.spans, timeline.links)


def test_a_column_that_took_much_longer_is_cut_off_and_says_so():
    quick = [synthetic("epoll", 20, 1 << 20) for _ in range(3)]
    slow = synthetic("blocking", 20, 1 << 20, wake_us=9000)
    picture = draw_comparison([*quick, slow])
    assert overlapping(picture) == []
    assert any(text.startswith("goes on to\n9.09 ms") for text in _texts(picture))
    low, high = picture.axes[0].get_ylim()
    assert max(low, high) < 3000
    assert not any("goes on" in text for text in _texts(draw_comparison(quick)))


def test_a_column_ends_when_the_last_bytes_are_known_to_be_there():
    timeline = Timeline.from_json(text_of("linux-aio.one-read"))
    assert "io_destroy" in {span.call for span in timeline.lane("application")}
    assert not any("io_destroy" in text for text in _texts(draw_comparison([timeline])))


def test_a_column_names_the_options_that_its_model_ran_with():
    names = ["io-uring.one-read", "io-uring.one-read.manner-sqpoll"]
    picture = draw_comparison([Timeline.from_json(text_of(name)) for name in names])
    assert overlapping(picture) == []
    assert {"io-uring\nRECORDED", "io-uring\nsqpoll\nRECORDED"} <= set(_texts(picture))


def test_a_helper_is_not_drawn_with_the_sends_of_a_sender_of_the_same_number():
    timeline = Timeline.from_json(text_of("posix-aio.three-senders"))
    helpers = [lane for lane in timeline.lanes if lane.startswith("helper")]
    picture = draw_order([timeline])
    assert overlapping(picture) == []
    sends = sum(bool(span.nbytes) for lane in timeline.lanes if lane.startswith("peer") for span in timeline.lane(lane))
    assert len(helpers) == 3
    assert len(picture.axes[0].lines) == sends


def test_the_table_counts_what_each_model_asked_while_it_worked():
    scenario = Scenario((Delivery(30, 1),), transport="socketpair")
    models = [model for model in MODELS if not model.unavailable()]
    worked = [run(model, scenario, work=lambda: sum(range(500))) for model in models]
    table = comparison_table([run(model, scenario) for model in models], worked)
    asked = {row[0]: int(row[-1].split()[0].replace(",", "")) for row in table.rows}
    slices = {row[0]: int(row[-2].split()[0].replace(",", "")) for row in table.rows}
    for name in {"nonblocking", "select", "poll", "epoll"}:
        assert asked[name] == slices[name] > 0
    assert asked["signal-driven"] <= 1
    assert slices["blocking"] == asked["blocking"] == asked["threads"] == 0 < slices["threads"]


@pytest.mark.parametrize(
    "scenario",
    [one_read(1, 1), one_read(30, 1 << 24), one_read(30, transport="pipe")],
    ids=["1 byte", "16 MiB", "pipe"],
)
def test_labels_of_real_runs_do_not_overlap(scenario):
    for model in (blocking, nonblocking, multiplexing_epoll):
        assert overlapping(draw_timeline(run(model, scenario))) == []


@pytest.mark.parametrize("senders", [2, 3, 8])
def test_labels_of_several_descriptors_do_not_overlap(senders):
    waits = [20 * (senders - number) for number in range(senders)]
    timelines = [run(model, many_reads(waits, 1000)) for model in (blocking, nonblocking, multiplexing_epoll)]
    assert overlapping(draw_order(timelines)) == []
    assert overlapping(draw_timeline(timelines[0])) == []


def test_a_run_without_any_data_can_be_drawn():
    for ending in ("close", "reset"):
        timeline = run(blocking, Scenario((Delivery(5, 100, ending=ending, sent=0),)))
        assert overlapping(draw_timeline(timeline)) == []
        assert timeline.facts["ended"] in sentence(timeline)


def test_a_timeline_shows_itself_as_a_small_png_without_pyplot():
    code = (
        "import sys; from iolab.models import blocking; from iolab.recording.experiment import run;"
        "from iolab.recording.scenario import one_read; png = run(blocking, one_read(5))._repr_png_();"
        "assert 'matplotlib.pyplot' not in sys.modules; sys.stdout.buffer.write(png)"
    )
    done = run_process([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    image = Image.open(io.BytesIO(done.stdout))
    assert image.format == "PNG"
    assert image.size[0] >= 900
    assert len(done.stdout) < 60_000


def test_colours_of_the_png_are_exactly_those_of_the_palette():
    image = Image.open(io.BytesIO(draw_timeline(synthetic("epoll", 200, 1 << 20))._repr_png_())).convert("RGB")
    there = {colour for _, colour in image.getcolors(1 << 24)}
    for state in ("peer", "queued", "user", "copy"):
        wanted = tuple(int(LOOKS[state].colour[at : at + 2], 16) for at in (1, 3, 5))
        assert wanted in there, state
    assert (255, 255, 255) in there


def test_every_state_and_link_has_a_look_and_no_two_states_look_alike():
    assert set(LOOKS) == set(STATES)
    assert set(ARROWS) == set(LINKS)
    assert len({(look.colour, look.hatch) for look in LOOKS.values()}) == len(LOOKS)
    assert ARROWS["ready"][:3] != ARROWS["complete"][:3]


def test_words_say_what_was_measured():
    timeline = synthetic("epoll", 200, 1 << 20, wake_us=60)
    text = sentence(timeline)
    assert all(part in text for part in ("epoll", "slept 200 ms in epoll_wait", "1 MiB", "wake-up 40 µs", "1 × read"))
    assert draw_timeline(timeline).alternative_text == text
    assert repr(draw_timeline(timeline)) == text
    assert "median of 3" in "".join(
        str(each) for each in _texts(draw_timeline(Timeline("x", timeline.facts | {"runs": 3}, timeline.spans)))
    )


def _texts(picture):
    return [text.get_text() for text in picture.findobj(Text)]


def test_the_nonblocking_figure_states_what_recording_cost():
    texts = _texts(draw_timeline(synthetic("nonblocking", 200, 1000)))
    assert any("recording cost about 500 ns a call" in text for text in texts)


def test_tables_hold_the_data_of_the_figures():
    models = [model for model in MODELS if not model.unavailable()]
    timelines = [run(model, one_read(10, 1000)) for model in models]
    table = comparison_table(timelines)
    assert [row[0] for row in table.rows] == [model.NAME for model in models]
    assert "<th scope" in table._repr_html_()
    spans = span_table(timelines[0])
    assert {(row[0], row[1]) for row in spans.rows} == {(span.lane, span.state) for span in timelines[0].spans}
    assert str(spans).count("\n") == len(spans.rows) + 1


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1 µs"),
        (97_340, "97.3 µs"),
        (99_960, "100 µs"),
        (200_400_000, "200 ms"),
        (1.5e9, "1.5 s"),
    ],
)
def test_durations_have_three_figures_and_a_unit(ns, text):
    assert duration(ns) == text


@pytest.mark.parametrize(
    ("nbytes", "text"), [(1, "1 byte"), (1000, "1,000 bytes"), (65536, "64 KiB"), (1 << 24, "16 MiB")]
)
def test_sizes_are_exact(nbytes, text):
    assert size(nbytes) == text


def test_nothing_to_draw_is_refused_in_words():
    for draw in (draw_comparison, draw_order):
        with pytest.raises(ValueError, match="at least one"):
            draw([])


@pytest.mark.parametrize("words", ["short", "a finding of many words, " * 6 + "which is far too long for this figure"])
def test_a_headline_fits_into_its_picture(words):
    picture = Picture(9.6, 3, words)
    picture.headline(0.9, words)
    assert overlapping(picture) == []
    assert picture.texts[0].get_text() == words


def test_what_the_thread_does_after_its_read_is_not_said_of_the_read():
    timeline = run(blocking, one_read(5, 1000))
    late = Span(APPLICATION, "runnable", exact(timeline.done_ns + 10), exact(timeline.done_ns + 5_000_000))
    assert fetching(replace(timeline, spans=(*timeline.spans, late))) == fetching(timeline)
