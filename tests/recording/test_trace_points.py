"""The trace points of a read, against other clocks: the sender's, the reader's own, the kernel's counters."""

import mmap
import os
import socket
import threading
import time
from pathlib import Path
from statistics import median

import pytest

from iolab.kernel import tracefs
from iolab.kernel.tasks import tasks
from iolab.models import asynchronous_io_uring, blocking, multiplexing_epoll, nonblocking, signal_driven
from iolab.recording import experiment, files
from iolab.recording.evidence import trace_points, traced_moments
from iolab.recording.evidence.trace_points import Observer
from iolab.recording.evidence.traced_sockets import Sockets
from iolab.recording.scenario import many_reads, one_read
from tests.left_behind import nothing_left_behind
from tests.recording.traced import Traced, traced_experiments
from tests.streams import every_variant
from tests.tracing import NOBODY, as_nobody, instances, lent_folder, needs_data_ready, needs_root

MIB = 1 << 20
HEAVY = bool(os.environ.get("IOLAB_HEAVY"))
READS = 200 if HEAVY else 12
CHAIN = ("call-enter", "switched-out", "data-ready", "waking", "switched-in", "copy-start", "copy-end", "call-exit")


@pytest.fixture(autouse=True)
def tracing():
    needs_data_ready()
    before = instances()
    yield
    assert instances() == before


@pytest.fixture
def traced():
    with nothing_left_behind(), traced_experiments() as run:
        yield run


def observer(*fds: int) -> Observer:
    return Observer((os.getpid(), threading.get_native_id()), [], list(fds))


def chain(run: Traced) -> dict[str, list]:
    """The moments of the one read that waited and copied, by kind, from its call to its return."""
    (fd,), reader = run.fds, run.seen.thread_id
    (enter,) = run.of("call-enter", reader, fd)
    (leave,) = run.of("call-exit", reader, fd)
    within = [each for each in run.moments if enter.ns <= each.ns <= leave.ns]
    return {
        kind: [each for each in within if each.kind == kind and (kind == "data-ready" or each.thread_id == reader)]
        for kind in CHAIN
    }


# One read


def test_the_chain_of_a_blocking_read_is_complete_and_in_the_order_of_the_kernels_code(traced, capsys):
    took, runnable, copies, bracketed, waited = {"traced": [], "off": [], "never": []}, [], [], 0, 0
    lost = 0
    for number in range(READS):
        runs = {}
        for how in list(took) if number % 2 else reversed(took):
            if how == "never":
                seen = experiment.observe(blocking, one_read(20, MIB))
            else:
                runs[how] = traced(blocking, one_read(20, MIB), off=how == "off")
                seen = runs[how].seen
            (call,) = [each for each in seen.calls if each.name == "read"]
            took[how].append(call.end_ns - last_send(seen).before_ns)
        assert runs["off"].moments == []  # so what it takes longer than "never" is not the tracing's
        run = runs["traced"]
        if run.observer.losses.overrun or run.observer.losses.dropped:  # by events of others, on a busy machine
            lost += 1
            continue
        if not call_waited(run):  # the reader was kept off its CPU until all had come
            continue
        waited += 1
        found = chain(run)
        assert all(found.values()), {kind: len(each) for kind, each in found.items()}
        first = [found[kind][0].ns for kind in CHAIN[:3]]
        woken = found["waking"][-1]
        before = [each for each in found["data-ready"] if each.ns < woken.ns]  # more may come until it runs
        last = [(before or [None])[-1].ns, woken.ns, found["switched-in"][-1].ns]
        pieces = list(zip(found["copy-start"], found["copy-end"], strict=True))
        assert first == sorted(first)
        assert last == sorted(last)
        assert woken.ns < pieces[0][0].ns
        times = [each.ns for pair in pieces for each in pair]
        assert times == sorted(times)
        assert found["call-enter"][0].ns < times[0] <= times[-1] < found["call-exit"][0].ns
        assert sum(start.nbytes for start, _ in pieces) == MIB == found["call-exit"][0].nbytes
        (call,) = [each for each in run.seen.calls if each.name == "read"]
        assert call.start_ns < found["call-enter"][0].ns
        assert found["call-exit"][0].ns < call.end_ns
        sent = last_send(run.seen)
        bracketed += sent.before_ns <= found["data-ready"][-1].ns <= sent.after_ns
        runnable.append(found["switched-in"][-1].ns - found["waking"][-1].ns)
        copies.append(times[-1] - times[0])
    assert lost <= READS / 4
    assert waited >= READS / 2
    with capsys.disabled():
        print(
            f"\n  {waited} reads of 1 MiB that waited, all chains complete; in the sender's bracket: {bracketed}; median µs: "
            f"runnable {median(runnable) / 1e3:.1f}, copy {median(copies) / 1e3:.1f}, "
            f"last send to return {median(took['traced']) / 1e3:.1f} traced, {median(took['off']) / 1e3:.1f} switched off "
            f"again before, {median(took['never']) / 1e3:.1f} never on"
        )


def last_send(seen):
    """The send of the last byte of the only stream; a close may come after it."""
    (stream,) = seen.streams.values()
    return [each for each in stream.sends if each.nbytes][-1]


def call_waited(run: Traced) -> bool:
    return any(call.name == "read" and call.slept for call in run.seen.calls)


def test_each_sleep_that_the_kernel_counted_was_seen(traced):
    for model in (blocking, multiplexing_epoll):
        run = traced(model, one_read(20, MIB))
        asleep = [each for each in run.of("switched-out", run.seen.thread_id) if each.detail != "R"]
        before, after = run.seen.before, run.seen.after
        assert len(asleep) == after.voluntary_switches - before.voluntary_switches


def test_who_was_seen_switched_out_was_seen_switched_in_or_proved_that_it_ran(traced):
    run = traced(blocking, one_read(20, MIB))
    state = [each for each in run.of("switched-out") + run.of("switched-in") if each.thread_id == run.seen.thread_id]
    kinds = [each.kind for each in sorted(state, key=lambda each: each.ns)]
    assert kinds == ["switched-out", "switched-in"] * (len(kinds) // 2)
    assert run.observer.switches["out", run.seen.thread_id] >= len(kinds) // 2


def without(run: Traced, unwanted) -> list:
    """The moments of the same events, without those that `unwanted` tells."""
    one = run.observer
    events = [each for each in one._events if not unwanted(each)]
    return traced_moments.moments_of(events, one._thread_ids, one._sockets, one._files, one._fds)[0]


def test_a_switch_in_that_was_not_recorded_becomes_an_interval_that_holds_it(traced):
    run = traced(blocking, one_read(20, MIB))
    reader = run.seen.thread_id
    truth = [each.ns for each in run.of("switched-in", reader) if each.latest_ns == each.earliest_ns]
    poorer = without(run, lambda each: each.fields.get("next_pid") == reader)
    for ns in truth:
        (found,) = [each for each in poorer if each.kind == "switched-in" and each.earliest_ns <= ns <= each.latest_ns]
        assert found.earliest_ns < found.latest_ns
        assert "not recorded" in found.source


def test_without_an_event_for_the_end_of_a_copy_the_interval_holds_it(traced):
    run = traced(blocking, one_read(20, MIB))
    truth = [each for each in run.observer.moments() if each.kind == "copy-end" and each.fd == run.fds[0]]
    poorer = [each for each in without(run, lambda each: "rcv_space" in each.name) if each.kind == "copy-end"]
    assert len(truth) == len(poorer)
    for exact, found in zip(truth, poorer, strict=True):
        assert found.earliest_ns < exact.ns <= found.latest_ns
        assert found.fd == exact.fd


def test_on_a_kernel_before_6_3_data_is_ready_between_two_other_trace_points(traced, monkeypatch):
    known = tracefs.Instance.has
    newer = ("sock/sk_data_ready", "sock/sock_recv_length")
    monkeypatch.setattr(tracefs.Instance, "has", lambda self, event: event not in newer and known(self, event))
    run = traced(blocking, one_read(20, MIB))
    assert set(newer) <= set(run.observer.missing)
    if not call_waited(run):
        pytest.skip("the reader did not wait: it was kept off its CPU")
    ready = run.of("data-ready", fd=run.fds[0])[-1]
    sent = last_send(run.seen)
    assert sent.before_ns < ready.earliest_ns < ready.latest_ns < run.of("copy-start", fd=run.fds[0])[0].ns
    assert run.copiers == {run.seen.thread_id}
    assert sum(each.nbytes for each in run.of("copy-start", fd=run.fds[0])) == MIB


# Who copies (facts of the kernel: io_uring(7), aio(7))


def expected_copier(variant, run: Traced) -> set[int]:
    if variant.name == "threads":
        return {thread_id for thread_id, _ in run.seen.helper_calls}
    if variant.name == "posix-aio":
        python = {thread.native_id for thread in threading.enumerate()}
        return {thread_id for thread_id in tasks(os.getpid()) if thread_id not in python} & run.copiers
    own = {"io-uring-async": "iou-wrk-", "io-uring-sqpoll": "iou-sqp-"}.get(variant.name)
    if own:
        return {each.thread_id for each in run.of("worker") if each.detail.startswith(f"{own}{os.getpid()}")}
    return {run.seen.thread_id}


@every_variant
def test_the_thread_that_copies_is_the_one_of_which_the_manual_speaks(variant, traced):
    run = traced(variant.model, one_read(20, MIB), **variant.options)
    assert run.copiers == expected_copier(variant, run)
    assert len(run.copiers) == 1
    assert sum(each.nbytes for each in run.of("copy-start") if each.fd in run.fds) == MIB
    assert run.observer.losses.dropped == 0


@pytest.mark.parametrize("left", [1, 2, 5])
@pytest.mark.skipif(bool(asynchronous_io_uring.unavailable()), reason=str(asynchronous_io_uring.unavailable()))
def test_a_worker_is_followed_when_the_numbers_of_threads_begin_anew_meanwhile(traced, monkeypatch, left):
    switch_on = trace_points.switch_on

    def nearly_at_the_end(*arguments):
        """The kernel gives `left` more numbers, and then begins with the small ones."""
        most = int(Path("/proc/sys/kernel/pid_max").read_text())
        try:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(most - 1 - left))
        except OSError as error:
            pytest.skip(f"{error.filename}: {error.strerror}")
        return switch_on(*arguments)

    monkeypatch.setattr(trace_points, "switch_on", nearly_at_the_end)
    run = traced(asynchronous_io_uring, one_read(20, MIB), manner="async")
    workers = {each.thread_id for each in run.of("worker") if each.detail == f"iou-wrk-{os.getpid()}"}
    assert run.copiers
    assert run.copiers <= workers
    (copier,) = run.copiers
    assert run.of("switched-in", copier) or run.of("switched-out", copier)


def test_three_streams_have_their_copies_under_their_own_descriptors(traced):
    run = traced(multiplexing_epoll, many_reads((30, 20, 10), 1 << 16))
    for fd, stream in run.seen.streams.items():
        starts = run.of("copy-start", fd=fd)
        assert sum(each.nbytes for each in starts) == stream.wanted
        sent = [each for each in stream.sends if each.nbytes]
        assert sent[0].before_ns < run.of("data-ready", fd=fd)[0].ns < starts[-1].ns


def test_other_sockets_of_the_same_program_are_not_reported():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as peer:
        left, right = socket.socketpair()
        with server.accept()[0] as ours, left, right:
            with observer(ours.fileno()) as seen:
                left.sendall(b"foreign")
                right.recv(100)
                peer.sendall(b"own bytes")
                ours.recv(100)
            copies = [each for each in seen.moments() if each.kind == "copy-start"]
            assert [(each.fd, each.nbytes) for each in copies] == [(ours.fileno(), 9)]
            assert {each.fd for each in seen.moments() if each.kind == "data-ready"} == {ours.fileno()}


def test_of_a_pipe_no_copy_of_the_programs_other_sockets_is_reported():
    left, right = socket.socketpair()
    reading, writing = os.pipe()
    with left, right, open(reading, "rb", 0) as ours, open(writing, "wb", 0) as peer:
        with observer(ours.fileno()) as seen:
            left.sendall(b"foreign")
            right.recv(100)
            peer.write(b"own")
            assert ours.read(100) == b"own"
        assert [each for each in seen.moments() if each.kind.startswith("copy")] == []
        assert [each.nbytes for each in seen.moments() if each.kind == "call-exit" and each.fd == ours.fileno()] == [3]


def test_the_look_for_a_sockets_address_takes_no_byte_and_no_error():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as peer:
        ours, _ = server.accept()
        with ours:
            peer.sendall(b"already there")
            ours.setblocking(False)
            with observer(ours.fileno()) as seen:
                assert ours.recv(100) == b"already there"
            assert not ours.getblocking()
            assert list(seen._sockets.addresses.values()) == [ours.fileno()]


# Other transports, files, signals, rings


def test_a_pair_of_local_sockets_has_its_copy_and_a_pipe_has_none(traced):
    run = traced(blocking, one_read(20, 1 << 12, transport="socketpair"))
    starts, ends = run.of("copy-start", run.seen.thread_id), run.of("copy-end", run.seen.thread_id)
    assert {each.fd for each in starts} == set(run.fds)
    assert sum(each.nbytes for each in starts) == 1 << 12
    assert all(a.ns < b.ns for a, b in zip(starts, ends, strict=True))
    piped = traced(blocking, one_read(20, 1 << 12, transport="pipe"))
    assert piped.of("copy-start") == piped.of("data-ready") == []
    assert sum(each.nbytes for each in piped.of("call-exit", fd=piped.fds[0])) == 1 << 12


def test_of_a_model_that_polls_each_refusal_is_a_call_that_returned_eagain(traced):
    run = traced(nonblocking, one_read(10, MIB))
    since_ns = max(run.observer.losses.complete_from_ns, run.seen.begin_ns)
    refused = [each for each in run.of("call-exit", run.seen.thread_id, run.fds[0]) if each.nbytes == -11]
    counted = [call for call in run.seen.calls if call.errno == 11 and call.start_ns > since_ns]
    assert len(counted) <= len(refused) <= len(counted) + 1


def test_a_signal_is_seen_generated_between_ready_and_the_read(traced):
    run = traced(signal_driven, one_read(20, MIB))
    signals = [each for each in run.of("signal", run.seen.thread_id) if each.detail.startswith("generated")]
    assert signals
    assert run.of("data-ready", fd=run.fds[0])[0].ns < signals[-1].ns < run.of("copy-end", fd=run.fds[0])[-1].ns


@pytest.mark.skipif(bool(asynchronous_io_uring.unavailable()), reason=str(asynchronous_io_uring.unavailable()))
def test_ring_work_is_seen_added_in_the_senders_time_and_run_in_the_readers(traced):
    run = traced(asynchronous_io_uring, one_read(20, MIB))
    if not any(call.slept for call in run.seen.calls if call.name == "io_uring_enter"):
        pytest.skip("the reader did not wait: it was kept off its CPU")
    copy = run.of("copy-start")[0].ns
    added = [each for each in run.of("task-work") if each.detail == "added" and each.ns < copy]
    done = [each for each in run.of("task-work") if each.detail == "completed" and each.nbytes == MIB]
    assert [each.thread_id for each in done] == [run.seen.thread_id]
    assert added
    assert run.of("data-ready")[-1].ns < added[-1].ns < copy < done[0].ns


def read_file(path, nbytes: int):
    with open(path, "rb", buffering=0) as file, observer(file.fileno()) as seen:
        begin_ns = time.monotonic_ns()
        assert len(file.read(nbytes)) == nbytes
        end_ns = time.monotonic_ns()
    return [each for each in seen.moments() if begin_ns <= each.ns <= end_ns]


def test_a_files_copy_lies_within_the_read_and_its_end_within_its_interval(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(MIB))
    moments = read_file(path, MIB)
    starts = [each for each in moments if each.kind == "copy-start"]
    ends = [each for each in moments if each.kind == "copy-end"]
    if not starts:
        with tracefs.opened() as instance:
            known = instance.has("filemap/mm_filemap_get_pages")
        pytest.skip(f"this file system copies by another way; the kernel knows mm_filemap_get_pages: {known}")
    enter = [each for each in moments if each.kind == "call-enter" and each.detail == "read"][0]
    leave = [each for each in moments if each.kind == "call-exit" and each.nbytes == MIB][0]
    for start, end in zip(starts, ends, strict=True):
        assert enter.ns < start.ns == end.earliest_ns < end.latest_ns <= leave.ns
    assert not [each for each in moments if each.kind.startswith("device")] or max(e.ns for e in starts) > enter.ns


def test_a_file_that_is_not_in_memory_is_fetched_by_the_device_before_its_copy_ends(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(MIB))
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
        if not files.dropped(file.fileno(), MIB):
            pytest.skip("this file system keeps the file in memory")
    moments = read_file(path, MIB)
    starts = [each for each in moments if each.kind == "device-start"]
    ends = [each for each in moments if each.kind == "device-end"]
    if not starts:
        pytest.skip("no block device was asked: a file system in memory, or on another machine")
    assert sum(each.nbytes for each in starts) >= MIB // 2
    assert starts[0].ns < ends[0].ns
    copies = [each for each in moments if each.kind == "copy-end"]
    assert not copies or ends[0].ns < copies[-1].ns


def test_a_direct_read_is_the_devices_work_and_nobody_copies(tmp_path):
    with files.file_with(os.urandom(MIB), str(tmp_path)) as fd, mmap.mmap(-1, MIB) as buffer:
        try:
            files.bring_to(files.DIRECT, fd, MIB, str(tmp_path))
        except RuntimeError as error:
            pytest.skip(str(error))
        with observer(fd) as seen:
            assert os.readv(fd, [buffer]) == MIB
    starts = [each for each in seen.moments() if each.kind == "device-start"]
    if not starts:
        pytest.skip("no block device was asked: a file system in memory, or on another machine")
    assert [each for each in seen.moments() if each.kind == "copy-start"] == []
    assert sum(each.nbytes for each in starts) >= MIB


# The instrument


def test_it_is_available_where_it_may_trace_and_says_so_quickly_the_second_time():
    assert trace_points.unavailable() is None
    before = time.thread_time_ns()
    assert trace_points.unavailable() is None
    assert time.thread_time_ns() - before < 20_000_000  # by CPU time: no second self-test


@pytest.mark.parametrize("lost", ["skb/skb_copy_datagram_iovec", "raw_syscalls/sys_exit", "sock/sk_data_ready"])
def test_an_instrument_that_keeps_an_event_back_fails_its_self_test(monkeypatch, lost):
    with tracefs.opened() as instance:
        if not instance.has(lost):
            pytest.skip(f"this kernel has no {lost}")
    monkeypatch.setattr(trace_points, "_passed", set())
    events = tracefs.Instance.events
    monkeypatch.setattr(tracefs.Instance, "events", lambda self: [each for each in events(self) if each.name != lost])
    assert trace_points.unavailable().startswith("self-test: of a read that was traced no ")
    assert trace_points._passed == set()


def test_an_instrument_that_counts_threads_otherwise_fails_its_self_test(monkeypatch):
    monkeypatch.setattr(trace_points, "_passed", set())
    monkeypatch.setattr(trace_points, "get_native_id", lambda: 1)
    assert trace_points.unavailable().startswith("self-test: ")


def test_a_kernel_without_a_trace_point_that_is_needed_is_told_which(monkeypatch):
    monkeypatch.setattr(trace_points, "_passed", set())
    monkeypatch.setattr(tracefs.Instance, "has", lambda self, event: not event.startswith("sched/"))
    assert trace_points.unavailable() == "this kernel lacks the trace points sched/sched_switch, sched/sched_waking"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_when_the_run_fails(error):
    before = instances()

    def failing_run() -> None:
        with observer():
            assert len(instances()) == len(before) + 1
            raise error

    with nothing_left_behind(), pytest.raises(error):
        failing_run()
    assert instances() == before


def test_nothing_is_left_when_it_cannot_start(monkeypatch):
    before = instances()
    with nothing_left_behind(), pytest.raises(OSError, match="Bad file descriptor"):
        observer(99_999)
    assert instances() == before


def test_a_user_to_whom_root_has_lent_an_instance_passes_the_self_test():
    needs_root()
    from iolab.kernel import delegation

    delegation.carry_out(delegation.allowing(NOBODY))
    try:
        trace_points._passed.clear()
        assert as_nobody(trace_points.unavailable) == "None"
        assert os.path.isdir(lent_folder())
    finally:
        delegation.carry_out(delegation.undoing(NOBODY))
    assert "iolab allow-tracing" in as_nobody(trace_points.unavailable)


def test_events_without_addresses_are_told_apart_by_their_ports():
    known = Sockets({}, {(1, 2): 7})
    assert known.fd({"sport": 1, "dport": 2}) == 7
    assert known.fd({"sport": 2, "dport": 1}) == -1
    assert Sockets({5: 8}, {(1, 2): 8}).fd({"skaddr": 6, "sport": 1, "dport": 2}) == -1
