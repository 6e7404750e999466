"""A server in its own process, traced and measured: steps by the books of the kernel and of another clock, nothing left behind."""

import http.client
import os
import select
import subprocess
import sys
from pathlib import Path
from time import monotonic_ns

import pytest

from iolab.recording import slow_handler, sub_reactors
from iolab.recording.http_client import Client
from iolab.recording.server_process import server_processes
from iolab.recording.server_steps import BOOK, ORDERED, _second_requests, traced
from iolab.recording.small_shops import COMMAND_S, PAGE_NBYTES
from iolab.servers.processors import PROCESSORS
from iolab.servers.steps import Step
from tests.left_behind import nothing_left_behind

LOOPS = [("reactor", name) for name in ("select", "poll", "epoll")] + [("proactor", name) for name in PROCESSORS]
every_loop = pytest.mark.parametrize(("kind", "mechanism"), LOOPS, ids=[f"{kind}-{name}" for kind, name in LOOPS])


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    with nothing_left_behind():
        yield


def skip_where_refused(kind, mechanism):
    if kind == "proactor" and (reason := PROCESSORS[mechanism].unavailable()):
        pytest.skip(reason)


@every_loop
def test_the_steps_of_a_request_come_in_order_between_the_clients_own_moments(kind, mechanism):
    skip_where_refused(kind, mechanism)
    before = monotonic_ns()
    trace = traced(kind, mechanism)
    after = monotonic_ns()
    [request] = trace["requests"]
    numbers = [number for number, *_ in request["steps"]]
    assert numbers == ([2, 3, 4, 5, 6, 7, 8] if kind == "proactor" else [2, 3, 4, 5, 6])
    moments = [at_ns for _, at_ns, _ in request["steps"]]
    assert moments == sorted(moments)
    assert before < request["sent_ns"] < moments[0]
    assert moments[4] < request["answered_ns"] < after
    assert {thread for *_, thread in request["steps"]} == {trace["loop"]}


@every_loop
def test_of_several_requests_the_slow_one_is_a_workers_and_the_quick_ones_come_first(kind, mechanism):
    skip_where_refused(kind, mechanism)
    trace = traced(kind, mechanism, (ORDERED, BOOK, BOOK))
    assert [request["target"] for request in trace["requests"]] == [ORDERED, BOOK, BOOK]
    fifth = [[thread for number, _, thread in each["steps"] if number == 5] for each in trace["requests"]]
    assert fifth[1:] == [[trace["loop"]]] * 2
    assert fifth[0] != [trace["loop"]]
    sixth = [next(at for number, at, _ in each["steps"] if number == 6) for each in trace["requests"]]
    assert max(sixth[1:]) < sixth[0]


def test_the_late_end_of_the_first_answer_is_not_the_second_requests():
    numbers = [2, 3, 4, 5, 6, 2, 3, 4, 5, 7, 8, 6, 7, 8, 2, 3]
    steps = [Step(number, 9, at_ns, 1) for at_ns, number in enumerate(numbers)] + [Step(2, 10, 99, 1)]
    assert [[number for number, *_ in each] for each in _second_requests(steps)] == [[2, 3, 4, 5, 6, 7, 8]]


@pytest.mark.parametrize("targets", [(), "/books"])
def test_targets_are_a_list_with_something_in_it(targets):
    with pytest.raises(ValueError, match="targets"):
        traced("reactor", "epoll", targets)


def test_an_answer_that_is_none_is_told_and_the_server_ends():
    with pytest.raises(RuntimeError, match="404"):
        traced("reactor", "epoll", ("/nothing",))


def test_a_mechanism_that_does_not_exist_is_told_by_the_server():
    served = server_processes("proactor", "telepathy", "in the loop")
    with served as ((child,), _), pytest.raises(RuntimeError, match="telepathy"):
        child.finish()


def test_a_server_that_nobody_finishes_is_ended():
    with server_processes("reactor", "epoll", "in the loop") as ((child,), _):
        process_id = child.process_id
    assert not Path(f"/proc/{process_id}").exists()


def test_a_server_ends_when_the_process_that_measures_is_killed():
    program = """
from iolab.recording.server_process import server_processes
with server_processes("reactor", "epoll", "in the loop") as ((child,), address):
    print(child.process_id, flush=True)
    input()
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as measuring:
        process_id = int(measuring.stdout.readline())
        server = os.pidfd_open(process_id)
        try:
            measuring.kill()
            assert select.select([server], [], [], 60)[0] == [server]  # pidfd_open(2): readable when it has ended
        finally:
            os.close(server)


def test_an_unknown_application_is_refused_before_anything_is_started():
    with pytest.raises(ValueError, match="application"), server_processes("reactor", "epoll", "a bakery"):
        pass


def test_another_client_hears_the_same_of_the_server_process():
    with server_processes("reactor", "epoll", "in a worker") as ((child,), address):
        connection = http.client.HTTPConnection(*address[:2], timeout=60)
        connection.request("GET", "/page")
        assert len(connection.getresponse().read()) == PAGE_NBYTES
        connection.close()
        assert str(child.process_id) in os.listdir("/proc")
        report = child.finish()
    assert not Path(f"/proc/{child.process_id}").exists()
    assert report["cpu_ns"] > 0


def test_the_moments_of_a_client_hold_an_answer_between_them():
    with server_processes("reactor", "epoll", "in the loop") as ((child,), address), Client(address) as client:
        begin = monotonic_ns()
        client.answer("/command")
        end = monotonic_ns()
    assert begin <= client.sent_ns < client.answered_ns <= end
    assert client.answered_ns - client.sent_ns >= COMMAND_S * 1e9


def test_a_client_tells_of_a_server_that_ends_early():
    with server_processes("reactor", "epoll", "in the loop") as ((child,), address), Client(address) as client:
        client.answer("/")
        child.kill()
        with pytest.raises((RuntimeError, OSError), match="closed|reset|Broken"):
            client.answer("/")


def test_in_the_loop_nobody_is_answered_while_a_handler_is_slow_and_with_a_worker_others_are():
    blocked = slow_handler.slow_handler("command, in the loop")
    begin, end = blocked["slow"]
    assert end - begin >= COMMAND_S * 1e9
    assert slow_handler.answered_meanwhile(blocked) == 0
    assert len(blocked["answers"]) >= slow_handler.BEFORE + slow_handler.AFTER
    assert max(blocked["waits_ns"]) > (end - begin) / 2
    assert slow_handler.answered_meanwhile(slow_handler.slow_handler("command, in a worker")) > 10
    assert slow_handler.answered_meanwhile(slow_handler.slow_handler("Python, in a worker")) > 10


def test_the_cases_are_named():
    with pytest.raises(ValueError, match="case"):
        slow_handler.slow_handler("on the moon")
    with pytest.raises(ValueError, match="case"):
        sub_reactors.sub_reactors("three")


@pytest.mark.parametrize("case", sub_reactors.CASES)
def test_the_loops_share_the_connections_and_below_one_lock_one_cpu(case):
    measured = sub_reactors.sub_reactors(case)
    processes, loops = sub_reactors.CASES[case]
    assert len(measured["shares"]) == processes * loops
    assert sum(measured["shares"]) == sub_reactors.CLIENTS
    assert all(measured["shares"])
    if processes == 1 and sub_reactors.one_lock():
        assert measured["cpu_ns"] < 1.2 * measured["wall_ns"]
