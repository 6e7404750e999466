"""The bookstore: what the scene says is what the Timeline says, for every recording and for fresh runs of every model."""

from dataclasses import replace
from math import inf

import pytest

from iolab.drawing import bookstore_stage as stage
from iolab.drawing.bookstore_acts import carries, people
from iolab.drawing.bookstore_cast import PLACES, ROLES, WAY, WORKER
from iolab.drawing.bookstore_score import LONGEST_S, Scene, score
from iolab.drawing.bookstore_strip import MOST, chosen, draw_strip, path_of
from iolab.drawing.bookstore_tableau import actors, props, shown
from iolab.drawing.words import copied_by
from iolab.models import MODELS, asynchronous_io_uring, blocking, nonblocking
from iolab.recorded import path_of as recording_path
from iolab.recorded import text_of
from iolab.recording.experiment import run
from iolab.recording.recordings import MANNERS, work
from iolab.recording.scenario import Delivery, Scenario, many_reads, one_read
from iolab.recording.timeline import STATES, Timeline
from tests.drawing.overlaps import overlapping


def recordings() -> list[str]:
    """The names of all recorded Timelines."""
    folder = recording_path("blocking.one-read").parent
    names = sorted(path.name.removesuffix(".json") for path in folder.glob("*.json"))
    return [name for name in names if '"spans"' in text_of(name)]


RECORDED = recordings()
FRESH = {"one read": one_read(20, 1 << 18), "one byte": one_read(5, 1), "three senders": many_reads((30, 20, 10))}
every_recording = pytest.mark.parametrize("name", RECORDED)
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.NAME)


def of_recording(name: str) -> Timeline:
    return Timeline.from_json(text_of(name))


def fresh(model, scenario: Scenario, **options) -> Timeline:
    if reason := model.unavailable():
        pytest.skip(reason)
    return run(model, scenario, **options)


def check(timeline: Timeline) -> list[Scene]:
    """What must hold of the scenes of any run."""
    scenes, facts = score(timeline), timeline.facts
    assert [scene.end_ns for scene in scenes[:-1]] == [scene.start_ns for scene in scenes[1:]]
    assert (scenes[0].start_ns, scenes[-1].end_ns) == (0, facts["wall_ns"])
    assert all(scene.seconds > 0 and scene.end_ns > scene.start_ns and scene.caption for scene in scenes)
    assert sum(scene.seconds for scene in scenes) <= LONGEST_S + 1
    assert all(min(*scene.shelf, *scene.home) >= 0 for scene in scenes)
    assert list(scenes[-1].home) == [each["nbytes"] for each in facts["deliveries"]]
    for before, after in zip(scenes, scenes[1:], strict=False):
        assert all(had <= has for had, has in zip(before.home, after.home, strict=True)), "a book left the buffer"
    for scene in scenes:
        for delivery, nbytes in zip(facts["deliveries"], scene.vans, strict=True):
            late = scene.start_ns + facts["begin_ns"] >= (delivery.get("ready") or {}).get("ns", inf)
            assert not (late and nbytes), "a van is under way, and all is ready"
    cast = [person for scene in scenes for person in scene.people]
    assert {person.state for person in cast} <= set(STATES)
    assert {person.place for person in cast} <= set(PLACES)
    assert {person.role for person in cast} <= set(ROLES)
    carriers = {person.lane for person in cast if person.nbytes}
    assert carriers == set(copied_by(timeline).split(", ")) - {"?", "nobody"}
    assert all((person.place == WAY) == bool(person.nbytes) for person in cast)
    for scene in scenes:
        assert "application" in {person.lane for person in scene.people}
        assert all(0 <= actor.x <= stage.WIDTH for actor in actors(timeline, scene))
        assert max(shown(timeline, scene)["home"]) <= stage.BOOKS
    return scenes


@every_recording
def test_the_scenes_of_a_recording_say_what_its_timeline_says(name):
    check(of_recording(name))


@every_model
@pytest.mark.parametrize("scenario", FRESH)
def test_the_scenes_of_a_fresh_run_say_what_its_timeline_says(model, scenario):
    check(fresh(model, FRESH[scenario]))


@every_model
def test_the_scenes_of_a_run_with_other_work(model):
    timeline = fresh(model, one_read(20, 1 << 16), work=work)
    words = " ".join(scene.caption for scene in check(timeline))
    assert ("does other work" in words) == (timeline.facts["work_slices"] > 0)


@pytest.mark.parametrize("options", MANNERS, ids=lambda options: options.get("manner", "default"))
def test_the_scenes_of_every_manner_of_io_uring(options):
    check(fresh(asynchronous_io_uring, many_reads((20, 10)), **options))


@pytest.mark.parametrize("ending", ["close", "die", "reset"])
def test_the_scenes_of_a_stream_that_ends_early(ending):
    timeline = fresh(blocking, Scenario((Delivery(delay_ms=10, nbytes=1 << 16, ending=ending, sent=1000),)))
    assert check(timeline)[-1].home == (timeline.facts["nbytes"],)


@pytest.mark.parametrize("evidence", ["clock", "kernel-stamp"])
def test_the_scenes_by_weak_evidence_claim_no_more_than_it(evidence):
    scenes = check(fresh(blocking, one_read(20, 1 << 18), evidence=evidence))
    states = {person.state for scene in scenes for person in scene.people}
    assert "copy" not in states or "handover" not in states
    if "handover" in states:
        assert any("cannot tell the two apart" in scene.caption for scene in scenes)


@every_recording
def test_nobody_is_at_two_places_and_every_state_takes_its_own_time(name):
    timeline = of_recording(name)
    for lane in people(timeline):
        stays = [
            (scene.end_ns - scene.start_ns, person)
            for scene in score(timeline)
            for person in scene.people
            if person.lane == lane
        ]
        copies = sum(span.duration_ns for span in timeline.lane(lane) if span.state == "copy")
        assert sum(took for took, person in stays if person.state == "copy") == copies
        whole = sum(span.duration_ns for span in timeline.lane(lane))
        assert sum(took for took, _ in stays) == whole


def test_polls_are_one_stay_that_says_how_many():
    timeline = of_recording("nonblocking.one-read")
    scenes = score(timeline)
    assert len(scenes) < 15
    assert f"{timeline.facts['refused']:,} times" in scenes[0].caption


def test_a_carrying_that_took_no_time_by_the_evidence_is_seen_all_the_same():
    timeline = of_recording("blocking.one-read")
    (copy,) = [span for span in timeline.spans if span.state == "copy"]
    at = copy.end
    spans = [replace(span, start=at) if span is copy else span for span in timeline.spans]
    spans = [
        replace(span, end=at) if span.end.ns == copy.start.ns and span.lane == copy.lane else span for span in spans
    ]
    check(Timeline(timeline.model, timeline.facts, tuple(spans), timeline.links))


def test_one_copy_may_carry_what_several_senders_have_sent():
    timeline = of_recording("io-uring.three-senders")
    copies = [span for span in timeline.spans if span.nbytes and span.lane == "application"]
    whole = sum(span.nbytes for span in copies)
    spans = [
        replace(span, nbytes=whole if span is copies[-1] else None) if span in copies else span
        for span in timeline.spans
    ]
    timeline = Timeline(timeline.model, timeline.facts, tuple(spans), timeline.links)
    check(timeline)
    assert sorted((each.sender, each.nbytes) for each in carries(timeline)) == [(n, whole // 3) for n in range(3)]


def test_what_is_no_rhythm_is_not_drawn_together():
    calls = [person.call for scene in score(of_recording("signal-driven.one-read")) for person in scene.people]
    assert "fcntl" in calls
    assert calls.index("fcntl") < calls.index("sigtimedwait")


@pytest.mark.parametrize(
    ("name", "things", "role"),
    [
        ("blocking.one-read", set(), "customer"),
        ("epoll.one-read", {"telephone"}, "customer"),
        ("signal-driven.one-read", {"door"}, "customer"),
        ("posix-aio.one-read", {"trays"}, "helper"),
        ("io-uring.one-read", {"trays"}, "customer"),
        ("io-uring.one-read.manner-async", {"trays"}, "worker"),
        ("io-uring.one-read.manner-sqpoll", {"trays"}, "worker"),
    ],
)
def test_who_carries_and_what_stands_on_the_stage(name, things, role):
    timeline = of_recording(name)
    assert set(props(timeline)) - {"home"} == things
    carriers = {person.role for scene in score(timeline) for person in scene.people if person.nbytes}
    assert carriers == {role}


def test_a_worker_of_the_kernel_never_leaves_the_shop_but_to_carry():
    for name in RECORDED:
        for scene in score(of_recording(name)):
            assert {person.place for person in scene.people if person.role == WORKER} <= {"bench", WAY}


def test_where_nobody_knows_who_copied_the_scene_says_so():
    timeline = of_recording("posix-aio.one-read")
    spans = tuple(span for span in timeline.spans if not span.lane.startswith("helper"))
    unknown = Timeline(timeline.model, timeline.facts | {"copiers_known": False, "helpers": []}, spans, timeline.links)
    scenes = check(unknown)
    assert any("who carries them is not known" in scene.caption for scene in scenes)
    assert [each.lane for each in carries(unknown)] == [""]


@every_recording
def test_a_strip_has_at_most_six_frames_and_nothing_in_it_overlaps(name):
    timeline = of_recording(name)
    frames = chosen(score(timeline))
    assert 3 <= len(frames) <= MOST
    assert any(person.nbytes for scene in frames for person in scene.people), "no frame shows the carrying"
    picture = draw_strip(timeline)
    assert overlapping(picture) == []
    assert len(picture._repr_png_()) < 60_000
    assert all(scene.caption in repr(picture) for scene in frames)


def test_the_strip_of_a_fresh_run_of_a_model_that_polls():
    assert overlapping(draw_strip(fresh(nonblocking, one_read(20, 1 << 18)))) == []


def test_every_shape_of_the_stage_is_a_path_that_both_drawers_know():
    things = [stage.SET, stage.COUNTER_TOP, stage.VAN_SHAPES]
    for group in (stage.POSTURES, stage.ROLES, stage.PROPS, stage.RINGING):
        things += group.values()
    for shape in (shape for shapes in things for shape in shapes):
        assert set(shape.path) <= set("MLQCZ0123456789.- "), shape
        assert len(path_of(shape.path).vertices) > 1
