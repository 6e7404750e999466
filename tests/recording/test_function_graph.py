"""The function graph tells when the copying function ran, inside what the trace points tell, and says why it cannot."""

import os
import re
from pathlib import Path
from threading import get_native_id
from types import SimpleNamespace

import pytest

from iolab.kernel import delegation, tracefs
from iolab.kernel import function_graph as tracer
from iolab.kernel.trace_format import Event, EventFormat
from iolab.models import MODELS
from iolab.recording.evidence import NAMES, function_graph, rungs_up_to, trace_points
from iolab.recording.evidence.traced_moments import moments_of
from iolab.recording.evidence.traced_sockets import Sockets
from iolab.recording.experiment import observe, run
from iolab.recording.invariants import violations
from iolab.recording.moment import Moment
from iolab.recording.refining import best_of
from iolab.recording.scenario import one_read
from tests.left_behind import nothing_left_behind
from tests.tracing import NOBODY, as_nobody, instances, lent_folder, needs_root, needs_tracefs

MIB = 1 << 20
READER, FD, SOCKET, OTHER = 77, 5, 0xFF80, 0xFF81
COPY, COPIED = "skb/skb_copy_datagram_iovec", "tcp/tcp_rcv_space_adjust"
EXIT_FORMAT = """name: funcgraph_exit
ID: 10
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:unsigned long func;\toffset:8;\tsize:8;\tsigned:0;
\tfield:int depth;\toffset:16;\tsize:4;\tsigned:1;
\tfield:unsigned int overrun;\toffset:20;\tsize:4;\tsigned:0;
\tfield:unsigned long long calltime;\toffset:24;\tsize:8;\tsigned:0;
\tfield:unsigned long long rettime;\toffset:32;\tsize:8;\tsigned:0;

print fmt: "<-- %ps (%d) (start: %llx  end: %llx) over: %d", (void *)REC->func, REC->depth, REC->calltime, REC->rettime
"""  # as Linux 6.12 has it


def event(ns: int, name: str, thread_id: int = READER, **fields) -> Event:
    return Event(ns, 0, name, thread_id, {"common_flags": 0} | fields)


def piece(ns: int, *calls: tuple[int, int], socket: int = SOCKET, thread_id: int = READER) -> list[Event]:
    """What is recorded of a piece that is copied from `ns` on by `calls`, in the order that Linux 6.12 showed."""
    inside = [
        event(at, name, thread_id, func=1, depth=0)
        for call in calls
        for at, name in zip(call, (tracer.ENTRY, tracer.EXIT), strict=True)
    ]
    last_ns = inside[-1].ns if inside else ns
    return [
        event(ns, COPY, thread_id, len=100, skbaddr=1),
        *inside,
        event(last_ns + 1, COPIED, thread_id, skaddr=socket, sport=1, dport=2),
    ]


def copies_of(events: list[Event]) -> list[tuple[str, int, int]]:
    """By the function graph: kind, time, descriptor."""
    moments, _ = moments_of(events, [READER], Sockets({SOCKET: FD}, {}, 1), {}, [FD])
    return [(each.kind, each.ns, each.fd) for each in moments if each.source == function_graph.NAME]


def test_each_call_of_the_function_is_a_copy_from_the_socket_that_the_trace_points_name():
    found = copies_of(piece(100, (110, 120), (130, 150)) + piece(200, (210, 260)))
    starts, ends = [("copy-start", 110), ("copy-start", 130), ("copy-start", 210)], [120, 150, 260]
    assert sorted(found) == sorted([(*each, FD) for each in starts] + [("copy-end", ns, FD) for ns in ends])


def test_copies_from_another_socket_by_strangers_and_outside_of_a_piece_are_left_out():
    alone = [event(10, tracer.ENTRY, func=1, depth=0), event(20, tracer.EXIT, func=1, depth=0)]
    strangers = piece(30, (40, 50), thread_id=READER + 1)
    assert copies_of(alone + strangers + piece(100, (110, 120), socket=OTHER)) == []


def test_an_exit_whose_entry_was_not_recorded_is_no_copy():
    [copy, _, left, copied] = piece(100, (110, 120))
    assert copies_of([copy, left, copied]) == []


def test_the_functions_word_counts_before_that_of_the_trace_points_which_is_kept():
    traced = Moment("copy-start", READER, 100, 100, 100, f"trace point {COPY}", FD)
    called = traced._replace(ns=110, source=function_graph.NAME)
    assert best_of([traced, called], ("copy-start",)) == [called]
    assert best_of([traced], ("copy-start",)) == [traced]


def test_the_kernels_own_description_of_an_exit_is_understood():
    known = EventFormat(tracer.EXIT, EXIT_FORMAT)
    record = b"".join(
        number.to_bytes(nbytes, "little")
        for number, nbytes in (
            (10, 2),
            (1, 1),
            (0, 1),
            (READER, 4),
            (0xFFFFFFFF81000000, 8),
            (2, 4),
            (0, 4),
            (7, 8),
            (9, 8),
        )
    )
    read = known.event(1, 0, record)
    assert (read.thread_id, read.fields["func"], read.fields["depth"]) == (READER, 0xFFFFFFFF81000000, 2)


@pytest.mark.parametrize(
    ("here", "everywhere", "said"),
    [
        ("function_graph function nop\n", "", None),
        ("function nop\n", "function_graph function nop\n", "for the whole machine only"),
        ("function nop\n", "blk function nop\n", "blk function nop: no function_graph (CONFIG_FUNCTION_GRAPH_TRACER)"),
    ],
    ids=["in the instance", "before Linux 6.11", "nowhere"],
)
def test_what_is_lacking_is_told_by_the_kernels_list_of_tracers(tmp_path, monkeypatch, here, everywhere, said):
    (tmp_path / "available_tracers").write_text(everywhere)
    monkeypatch.setattr(tracer, "root", lambda: tmp_path)
    reason = tracer.lacking(SimpleNamespace(read=lambda file: here))
    assert reason is said is None or said in reason


def test_the_users_own_list_is_told_where_the_machines_may_not_be_read(tmp_path, monkeypatch):
    def refused(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tracer, "open", refused, raising=False)
    monkeypatch.setattr(tracer, "root", lambda: tmp_path)
    said = tracer.lacking(SimpleNamespace(read=lambda file: "function nop\n"))
    assert said == "available_tracers: function nop: no function_graph (CONFIG_FUNCTION_GRAPH_TRACER)"


def test_a_kernel_before_6_3_is_told_what_it_lacks_and_of_the_function_graph_the_same(monkeypatch):
    needs_tracefs()
    has, ready = tracefs.Instance.has, "sock/sk_data_ready"
    monkeypatch.setattr(trace_points, "_passed", set())
    monkeypatch.setattr(tracefs.Instance, "has", lambda self, event: event != ready and has(self, event))
    said = f"this kernel lacks the trace points {ready}; it is there since Linux 6.3"
    assert trace_points.unavailable() == function_graph.unavailable() == said


def test_it_is_a_rung_of_its_own_by_name_and_never_taken_by_itself(monkeypatch):
    monkeypatch.setattr(function_graph, "unavailable", lambda: None)
    assert function_graph.NAME in NAMES
    assert function_graph in rungs_up_to(function_graph.NAME)[0]
    assert function_graph in rungs_up_to("all")[0]
    assert function_graph not in rungs_up_to("best")[0]


# On a kernel that has it: tests/in_a_virtual_machine.py


def needs_the_function_graph() -> None:
    needs_tracefs()
    if reason := function_graph.unavailable():
        pytest.skip(reason)


def test_the_function_ran_as_often_as_the_kernels_own_text_says_and_within_the_trace_points(monkeypatch):
    needs_the_function_graph()
    texts, take = [], function_graph.Observer._take

    def with_the_text(self, instance: tracefs.Instance) -> None:
        instance.stop()
        instance.write("options/funcgraph-proc", "1")  # each line with its thread
        texts.append(instance.read("trace"))  # takes nothing away
        take(self, instance)

    monkeypatch.setattr(function_graph.Observer, "_take", with_the_text)
    read, _ = trace_points.of_a_read(function_graph.Observer)
    copies = [each for each in read if each.kind.startswith("copy")]
    called = [each for each in copies if each.source == function_graph.NAME]
    own = re.findall(rf"-{get_native_id()} .*simple_copy_to_iter\(\);", texts[0])
    assert len(called) == 2 * len(own) > 0
    assert [each.kind for each in called] == ["copy-start", "copy-end"] * (len(called) // 2)
    assert copies[0].ns <= called[0].ns < called[-1].ns <= copies[-1].ns
    assert {copies[0].source, copies[-1].source} == {f"trace point {COPY}", f"trace point {COPIED}"}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.NAME)
def test_each_model_copies_by_the_function_and_the_trace_points_stamps_are_kept_beside(model):
    needs_the_function_graph()
    if reason := model.unavailable():
        pytest.skip(reason)
    before = instances()
    with nothing_left_behind():
        timeline = run(model, one_read(60, MIB), evidence=function_graph.NAME)
    assert instances() == before
    assert violations(timeline) == []
    copies = [span for span in timeline.spans if span.state == "copy"]
    assert sum(span.nbytes or 0 for span in copies) == MIB
    assert {span.start.source for span in copies} == {function_graph.NAME}


def test_all_rungs_together_trace_once_and_keep_both_words():
    needs_the_function_graph()
    seen = observe(MODELS[0], one_read(20, MIB), "all")
    starts = [each for each in seen.moments if each.kind == "copy-start" and each.fd in seen.streams]
    traced = [each for each in starts if each.source == f"trace point {COPY}"]
    called = [each for each in starts if each.source == function_graph.NAME]
    assert len(called) >= len(traced) > 0
    assert sum(each.nbytes for each in traced) == MIB
    assert seen.lost[trace_points.NAME] == 0


def test_a_user_to_whom_root_has_lent_an_instance_has_it_too_and_gives_it_back_empty():
    needs_root()
    needs_the_function_graph()
    delegation.carry_out(delegation.allowing(NOBODY))
    try:
        assert as_nobody(function_graph.unavailable) == "None"
        assert Path(lent_folder(), "current_tracer").read_text() == "nop\n"
        assert "simple_copy_to_iter" not in Path(lent_folder(), "set_ftrace_filter").read_text()
    finally:
        delegation.carry_out(delegation.undoing(NOBODY))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_when_the_run_fails(error):
    needs_the_function_graph()
    before = instances()
    with nothing_left_behind(), pytest.raises(error), function_graph.Observer((os.getpid(), get_native_id()), [], []):
        raise error
    assert instances() == before


def test_a_function_that_cannot_be_traced_is_refused_and_leaves_nothing(monkeypatch):
    needs_the_function_graph()
    before = instances()
    monkeypatch.setattr(function_graph, "COPYING", ("_copy_to_iter",))  # it is in lib/
    with nothing_left_behind(), pytest.raises(OSError, match="Invalid argument"):
        function_graph.Observer((os.getpid(), get_native_id()), [], [])
    assert instances() == before


def test_a_copy_of_which_no_call_is_seen_fails_the_self_test(monkeypatch):
    needs_the_function_graph()
    monkeypatch.setattr(function_graph, "_passed", set())  # the place is known; the test is made anew
    monkeypatch.setattr(function_graph, "COPYING", ("skb_copy_datagram_from_iter",))  # the other direction
    assert function_graph.unavailable().startswith("self-test: of a copy that was traced no call of ")
