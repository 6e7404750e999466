"""The runs of both loops, step by step: what is noted is what the kernel says, and nothing is left behind."""

import json
import os
import socket
import threading
from itertools import pairwise

import pytest

from iolab.kernel import descriptor_info as info
from iolab.kernel.socket_queue import not_accepted, unread, unsent
from iolab.recorded import value_of
from iolab.recording import loop_run, proactor_turns, reactor_turns
from iolab.recording.loop_clients import LONG_NBYTES
from iolab.recording.recordings import obtain_value
from tests.streams import open_descriptors

MODULES = (reactor_turns, proactor_turns)
LISTEN, STATE, QUEUES = "0A", 3, 4  # of a line of /proc/net/tcp


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    before, threads = open_descriptors(), threading.active_count()
    yield
    assert (open_descriptors(), threading.active_count()) == (before, threads)


def live(module) -> list[dict]:
    """The steps of a run that is made now."""
    if reason := module.unavailable():
        pytest.skip(reason)
    return module.turns()["steps"]


def recorded(module) -> list[dict]:
    return value_of(module.NAME)["value"]["steps"]


every_loop = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.NAME)
every_source = pytest.mark.parametrize("source", [live, recorded])


def titles(steps: list[dict]) -> list[str]:
    return [step["title"] for step in steps]


@every_loop
@every_source
def test_a_run_is_plain_data_and_each_step_shows_both_sides(module, source):
    steps = source(module)
    assert json.loads(json.dumps(steps)) == steps
    for step in steps:
        assert {"turn", "who", "title", "says", "running", "program", "kernel"} <= step.keys()
        assert step["says"].endswith(".")
    turns = [step["turn"] for step in steps]
    assert turns == sorted(turns)
    assert turns[-1] >= 5
    for title in ("a connects", "b sends half a request", "b closes", "a: parsed", "b: parsed", "the turn is over"):
        assert title in titles(steps)
    assert titles(steps).count("a: parsed") == 1, "half a request was parsed"


@every_loop
def test_the_recording_tells_the_same_story_as_a_run_now(module):
    def story(steps: list[dict]) -> list[str]:
        return [
            title
            for title in titles(steps)
            if title.startswith(("a", "b")) and "reads" not in title and "output" not in title
        ]

    now, then = story(live(module)), story(recorded(module))
    assert list(dict.fromkeys(now)) == list(dict.fromkeys(then))


@every_source
def test_what_the_program_watches_is_what_the_kernel_says_it_watches(source):
    for step in source(reactor_turns):
        books = [[fd, name, events] for fd, name, _, events in step["program"]["handlers"]]
        assert books == step["kernel"]["interests"], step["title"]


@every_source
def test_being_told_moves_no_byte_and_the_handler_fetches_them(source):
    for before, after in pairwise(source(reactor_turns)):
        if after["title"] in ("epoll_wait returns", "a: handle_input"):
            assert before["kernel"] == after["kernel"], after["title"]
        if after["title"] == "a: parsed":
            assert before["kernel"]["sockets"][0][2] > after["kernel"]["sockets"][0][2] == 0
        if after["title"] == "epoll_wait returns":
            assert after["program"]["told"] == before["kernel"]["ready"]


@every_source
def test_write_is_asked_for_only_while_the_page_does_not_fit(source):
    steps = source(reactor_turns)
    asked = [any(name == "b" and "OUT" in events for _, name, events in step["kernel"]["interests"]) for step in steps]
    assert any(asked)
    first, last = asked.index(True), len(asked) - 1 - asked[::-1].index(True)
    assert titles(steps[:first])[-1] == "b: encoded"
    assert all(asked[first : last + 1])
    assert "b: handle_output" in titles(steps[first : last + 1])
    assert not asked[-1]


@every_source
def test_bytes_are_in_the_programs_memory_before_the_proactor_is_told(source):
    steps = source(proactor_turns)
    asks = next(step for step in steps if step["title"] == "a asks for a page")
    assert [cqe[1:3] for cqe in asks["kernel"]["cqes"]] == [["receive", "a"]]
    assert asks["kernel"]["cqes"][0][4] is not None, "no buffer was chosen"
    assert all(unread_bytes == 0 for _, _, unread_bytes, _ in asks["kernel"]["sockets"])
    assert asks["program"]["told"] != asks["kernel"]["cqes"]
    free, count = asks["kernel"]["buffers"]
    assert free in (None, count - 1)


@every_source
def test_the_heads_never_pass_the_tails_and_only_grow(source):
    for before, after in pairwise(source(proactor_turns)):
        for queue in ("sq", "cq"):
            head, tail, room = after["kernel"][queue]
            assert 0 <= tail - head <= room
            assert before["kernel"][queue][0] <= head
            assert before["kernel"][queue][1] <= tail
        assert after["kernel"]["sq"][1] - after["kernel"]["sq"][0] == len(after["kernel"]["sqes"])
        assert after["kernel"]["cq"][1] - after["kernel"]["cq"][0] == len(after["kernel"]["cqes"])


@every_source
def test_the_long_page_is_one_send_and_completes_once(source):
    steps = source(proactor_turns)
    told = [told for step in steps if step["title"] == "completions are taken" for told in step["program"]["told"]]
    sends = [each for each in told if each[:2] == ["handle_send", "b"]]
    assert len(sends) == 1
    assert int(sends[0][2].replace(",", "")) > LONG_NBYTES


def test_the_rings_positions_are_those_that_the_kernel_prints(monkeypatch):
    compared = []

    class Compared(proactor_turns.NotedProcessor):
        def rings(self, run):
            found = super().rings(run)
            if kernel := info.ring_info(self._ring.fd):
                assert (*found["sq"][:2], *found["cq"][:2]) == kernel[:4]
                compared.append(kernel)
            return found

    monkeypatch.setattr(proactor_turns, "NotedProcessor", Compared)
    live(proactor_turns)
    assert len(compared) > 20 or not compared


def test_a_run_that_fails_in_the_middle_leaves_nothing(monkeypatch):
    for module in MODULES:
        if not module.unavailable():
            monkeypatch.setattr(loop_run, "read_all", lambda client: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                module.turns()


def test_where_the_loop_is_refused_its_recording_says_so():
    for module in MODULES:
        value, where = obtain_value(module.NAME, "it was refused", module.turns)
        assert value["steps"] == recorded(module)
        assert where.startswith("a RECORDING of ")


# What the kernel is asked


def test_connections_that_nobody_has_accepted_are_counted_as_proc_counts_them():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients = [socket.create_connection(listener.getsockname(), 30) for _ in range(3)]
        loop_run.until(lambda: not_accepted(listener) == 3, "three connections")
        port = f"{listener.getsockname()[1]:04X}"
        with open("/proc/net/tcp", encoding="ascii") as file:
            lines = [line.split() for line in file.readlines()[1:]]
        queues = [line[QUEUES] for line in lines if line[1].endswith(f":{port}") and line[STATE] == LISTEN]
        assert [int(each.partition(":")[2], 16) for each in queues] == [3]
        for client in clients:
            client.close()


def test_unsent_is_what_the_other_end_has_no_room_for():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with socket.create_connection(listener.getsockname(), 30) as client, listener.accept()[0] as server:
            client.setblocking(False)
            sent = 0
            try:
                while True:
                    sent += client.send(bytes(4096))
            except BlockingIOError:
                pass
            loop_run.until(lambda: unsent(client) + unread(server) == sent, "the acknowledgements")
            assert unsent(client) > 0
            while unsent(client):
                server.recv(1 << 16)
        assert unsent(client) == 0


def test_the_interest_list_is_what_was_registered():
    import select

    with select.epoll() as epoll:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            epoll.register(ours, select.EPOLLIN | select.EPOLLOUT)
            epoll.register(theirs, select.EPOLLIN)
            asked = {ours.fileno(): select.EPOLLIN | select.EPOLLOUT, theirs.fileno(): select.EPOLLIN}
            interests = info.interest_list(epoll.fileno())
            assert dict(interests) == asked
            assert info.ready_by_poll(interests) == [(ours.fileno(), select.EPOLLOUT)]
            assert [info.words(events) for _, events in interests] == [info.words(asked[fd]) for fd, _ in interests]
    assert info.words(0) == "-"


def test_a_one_shot_that_has_fired_is_not_ready_whatever_happens():
    import select

    with select.epoll() as epoll:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            epoll.register(ours, select.EPOLLIN | select.EPOLLET | select.EPOLLONESHOT)
            theirs.send(b"x")
            assert info.ready_by_poll(info.interest_list(epoll.fileno())) == [(ours.fileno(), select.EPOLLIN)]
            assert epoll.poll(0) == [(ours.fileno(), select.EPOLLIN)]
            theirs.close()
            assert info.ready_by_poll(info.interest_list(epoll.fileno())) == epoll.poll(0) == []
            epoll.modify(ours, select.EPOLLIN | select.EPOLLONESHOT)
            assert info.ready_by_poll(info.interest_list(epoll.fileno())) == epoll.poll(0) != []


def test_a_descriptor_that_is_no_ring_tells_nothing_of_one():
    with open(os.devnull, encoding="ascii") as file:
        assert info.ring_info(file.fileno()) is None
        assert info.interest_list(file.fileno()) == []
