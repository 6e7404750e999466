"""What select, poll and epoll promise alike as Demultiplexer, and what sets each of them apart."""

import os
import resource
import select
import time
from functools import partial

import pytest

from iolab.models.multiplexing_epoll import EpollDemultiplexer
from iolab.models.multiplexing_poll import PollDemultiplexer
from iolab.models.multiplexing_select import SelectDemultiplexer
from iolab.models.readiness import READ, WRITE
from iolab.recorder import Recorder
from tests.streams import KINDS, meanwhile, open_descriptors, open_stream, open_streams

TRIGGERS = ("level", "edge", "one-shot")
MEMBERS = {
    "select": SelectDemultiplexer,
    "poll": PollDemultiplexer,
    **{f"epoll-{trigger}": partial(EpollDemultiplexer, trigger=trigger) for trigger in TRIGGERS},
}
needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this Python has no select.epoll")
every_kind = pytest.mark.parametrize("kind", KINDS)
PATIENCE_S = 5  # how late a loaded machine may be


@pytest.fixture(params=[pytest.param(name, marks=needs_epoll if "epoll" in name else ()) for name in MEMBERS])
def demultiplexer(request):
    member = MEMBERS[request.param]()
    yield member
    member.close()


@pytest.fixture
def epoll(request):
    member = EpollDemultiplexer(trigger=request.param)
    yield member
    member.close()


def epoll_with(trigger):
    return pytest.mark.parametrize("epoll", [pytest.param(trigger, marks=needs_epoll)], indirect=True)


# What all promise


@every_kind
def test_wait_sleeps_until_data_comes(demultiplexer, kind):
    with open_stream(kind) as stream:
        demultiplexer.watch(stream.fd, READ)
        assert demultiplexer.wait(0) == []
        with meanwhile(lambda: stream.send(b"data")):
            assert demultiplexer.wait() == [(stream.fd, READ)]


def test_wait_returns_a_list_of_all_that_are_ready_and_of_no_others(demultiplexer):
    with open_streams(*KINDS) as streams:
        for stream in streams:
            demultiplexer.watch(stream.fd, READ)
        streams[0].send(b"1")
        streams[2].send(b"2")
        ready = demultiplexer.wait(PATIENCE_S)
        assert type(ready) is list
        assert sorted(ready) == sorted([(streams[0].fd, READ), (streams[2].fd, READ)])


@pytest.mark.parametrize("timeout", [0, 0.0004, 0.03])
def test_wait_returns_an_empty_list_when_the_time_is_over_and_not_before(demultiplexer, timeout):
    with open_stream("socketpair") as stream:
        demultiplexer.watch(stream.fd, READ)
        start = time.monotonic()
        assert demultiplexer.wait(timeout) == []
        assert timeout <= time.monotonic() - start < timeout + PATIENCE_S


def test_wait_with_nothing_to_watch_returns_an_empty_list(demultiplexer):
    assert demultiplexer.wait(0) == []


def test_room_to_send_is_told_as_write(demultiplexer):
    with open_stream("socketpair") as stream:
        demultiplexer.watch(stream.fd, WRITE)
        assert demultiplexer.wait(PATIENCE_S) == [(stream.fd, WRITE)]


def test_a_full_pipe_is_not_ready_to_write_until_somebody_reads(demultiplexer):
    with open_stream("pipe") as stream:
        os.set_blocking(stream.peer, False)
        sent = os.write(stream.peer, bytes(10_000_000))
        demultiplexer.watch(stream.peer, WRITE)
        assert demultiplexer.wait(0) == []
        os.read(stream.fd, sent)
        assert demultiplexer.wait(PATIENCE_S) == [(stream.peer, WRITE)]


def test_read_and_write_are_told_together(demultiplexer):
    with open_stream("tcp") as stream:
        stream.send(b"data")
        select.select([stream.fd], [], [], PATIENCE_S)
        demultiplexer.watch(stream.fd, READ | WRITE)
        assert demultiplexer.wait(PATIENCE_S) == [(stream.fd, READ | WRITE)]


def test_what_was_not_asked_for_is_not_told(demultiplexer):
    with open_stream("socketpair") as stream:
        stream.send(b"data")
        demultiplexer.watch(stream.fd, WRITE)
        assert demultiplexer.wait(PATIENCE_S) == [(stream.fd, WRITE)]


@every_kind
def test_a_hang_up_is_told_as_read(demultiplexer, kind):
    with open_stream(kind) as stream:
        demultiplexer.watch(stream.fd, READ)
        stream.end()
        assert demultiplexer.wait(PATIENCE_S) == [(stream.fd, READ)]
        assert os.read(stream.fd, 1) == b""


def test_an_error_is_told_as_read(demultiplexer):
    with open_stream("tcp") as stream:
        demultiplexer.watch(stream.fd, READ)
        stream.reset()
        assert demultiplexer.wait(PATIENCE_S) == [(stream.fd, READ)]
        with pytest.raises(ConnectionResetError):
            os.read(stream.fd, 1)


def test_watching_again_changes_the_events(demultiplexer):
    with open_stream("socketpair") as stream:
        demultiplexer.watch(stream.fd, WRITE)
        assert demultiplexer.wait(PATIENCE_S) == [(stream.fd, WRITE)]
        demultiplexer.watch(stream.fd, READ)
        assert demultiplexer.wait(0) == []
        stream.send(b"data")
        assert demultiplexer.wait(PATIENCE_S) == [(stream.fd, READ)]


def test_what_is_forgotten_is_told_no_more(demultiplexer):
    with open_stream("socketpair") as stream:
        demultiplexer.watch(stream.fd, READ)
        stream.send(b"data")
        assert demultiplexer.wait(PATIENCE_S) == [(stream.fd, READ)]
        demultiplexer.forget(stream.fd)
        assert demultiplexer.wait(0) == []
        demultiplexer.watch(stream.fd, READ)
        assert demultiplexer.wait(PATIENCE_S) == [(stream.fd, READ)]


def test_forgetting_what_nobody_watches_is_harmless(demultiplexer):
    with open_stream("socketpair") as stream:
        demultiplexer.forget(stream.fd)
        demultiplexer.watch(stream.fd, READ)
        demultiplexer.forget(stream.fd)
        demultiplexer.forget(stream.fd)
        assert demultiplexer.wait(0) == []


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_epoll if "epoll" in name else ()) for name in MEMBERS])
def test_close_gives_back_every_descriptor_and_may_come_twice(name):
    with open_stream("socketpair") as stream:
        before = open_descriptors()
        demultiplexer = MEMBERS[name]()
        demultiplexer.watch(stream.fd, READ)
        demultiplexer.wait(0)
        demultiplexer.close()
        demultiplexer.close()
        assert open_descriptors() == before


# What sets them apart


def told_half_read_then_one_byte_more(demultiplexer):
    """2 KB come, 1 KB is read, one byte more comes: the answers of three waits."""
    with open_stream("socketpair") as stream:
        demultiplexer.watch(stream.fd, READ)
        stream.send(bytes(2048))
        answers = [demultiplexer.wait(PATIENCE_S)]
        os.read(stream.fd, 1024)
        answers.append(demultiplexer.wait(0))
        stream.send(b"1")
        answers.append(demultiplexer.wait(0))
        return [bool(answer) for answer in answers]


@epoll_with("edge")
def test_edge_tells_of_an_arrival_once(epoll):
    assert told_half_read_then_one_byte_more(epoll) == [True, False, True]


@epoll_with("level")
def test_level_tells_as_long_as_data_lies_there(epoll):
    assert told_half_read_then_one_byte_more(epoll) == [True, True, True]


@epoll_with("one-shot")
def test_one_shot_is_armed_again_by_the_next_wait(epoll):
    assert told_half_read_then_one_byte_more(epoll) == [True, True, True]


@needs_epoll
def test_one_shot_pays_for_each_telling_with_one_epoll_ctl():
    recorder = Recorder()
    epoll = EpollDemultiplexer(recorder, trigger="one-shot")
    try:
        with open_stream("socketpair") as stream:
            epoll.watch(stream.fd, READ)
            stream.send(b"data")
            epoll.wait(PATIENCE_S)
            epoll.wait(PATIENCE_S)
            os.read(stream.fd, 4)
            assert epoll.wait(0) == epoll.wait(0) == []
    finally:
        epoll.close()
    ctl, wait = "epoll_ctl", "epoll_wait"
    assert [call.name for call in recorder.calls()] == ["epoll_create1", ctl, wait, ctl, wait, ctl, wait, wait]


@needs_epoll
def test_one_shot_forgets_what_it_had_told_of():
    epoll = EpollDemultiplexer(trigger="one-shot")
    try:
        with open_stream("socketpair") as stream:
            epoll.watch(stream.fd, READ)
            stream.send(b"data")
            assert epoll.wait(PATIENCE_S) == [(stream.fd, READ)]
            epoll.forget(stream.fd)
            assert epoll.wait(0) == []
    finally:
        epoll.close()


@pytest.fixture
def stream_at_1100():
    """A stream whose reading end is descriptor 1100."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard <= 1100:
        pytest.skip(f"RLIMIT_NOFILE: hard limit {hard}, no descriptor 1100")
    if soft != resource.RLIM_INFINITY and soft <= 1100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1101, hard))
    with open_stream("socketpair") as stream:
        os.dup2(stream.fd, 1100)
        try:
            yield stream
        finally:
            os.close(1100)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_only_select_refuses_descriptor_1100(demultiplexer, stream_at_1100):
    if isinstance(demultiplexer, SelectDemultiplexer):
        with pytest.raises(ValueError, match="1023"):
            demultiplexer.watch(1100, READ)
        assert demultiplexer.wait(0) == []
    else:
        demultiplexer.watch(1100, READ)
        stream_at_1100.send(b"data")
        assert demultiplexer.wait(PATIENCE_S) == [(1100, READ)]


def test_only_epoll_refuses_a_regular_file(demultiplexer, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"data")
    with open(path, "rb") as file:
        if isinstance(demultiplexer, EpollDemultiplexer):
            with pytest.raises(PermissionError):
                demultiplexer.watch(file.fileno(), READ)
            assert demultiplexer.wait(0) == []
        else:
            demultiplexer.watch(file.fileno(), READ)
            assert demultiplexer.wait(PATIENCE_S) == [(file.fileno(), READ)]


@needs_epoll
def test_a_wrong_trigger_is_named_and_nothing_is_opened():
    before = open_descriptors()
    with pytest.raises(ValueError, match="trigger"):
        EpollDemultiplexer(trigger="both")
    assert open_descriptors() == before
