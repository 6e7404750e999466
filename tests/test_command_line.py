"""The command line as a person meets it: what it prints and saves, how it refuses, and that Ctrl-C leaves nothing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from iolab import commands
from iolab.doctor import examine
from iolab.kernel import delegation
from iolab.kernel.trace_instances import root
from iolab.models import MODELS, asynchronous_linux_aio, blocking
from iolab.recording.invariants import violations
from iolab.recording.timeline import STATES, Timeline
from tests.control_group import limited_to_one_and_a_half_cpus
from tests.left_behind import nothing_left_behind
from tests.recording.trace_viewers import read_chrome, read_perfetto
from tests.tracing import instances, needs_root, needs_tracefs

# The entry point of the installed script, which also says when it has provided for Ctrl-C. Before that moment, some
# milliseconds after its start, the interpreter is still loading itself and answers in its own way.
STARTED = """
import signal, sys
install = signal.signal
signal.signal = lambda *handler: (install(*handler), print("started", flush=True), setattr(signal, "signal", install))
from iolab.command_line import main
sys.exit(main())
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


def iolab(*arguments, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "iolab", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=ENVIRONMENT, check=False, **options)


def session_processes(session: int) -> list[int]:
    """All processes of a session, from /proc: whatever was started there and is still alive."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


LIVE = [model.NAME for model in MODELS if not model.unavailable()]
HELPED = ("threads", "posix-aio")  # another thread of the process copies; in all others the one that asked


@pytest.mark.parametrize("name", LIVE)
def test_timeline_saves_json_that_adds_up(name, tmp_path):
    file = tmp_path / "timeline.json"
    command = [
        sys.executable,
        "-m",
        "iolab",
        "timeline",
        name,
        "--wait-ms",
        "100",
        "--bytes",
        "1048576",
        "--json",
        file,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    printed, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    whole = json.loads(file.read_text())
    application = [span for span in whole["spans"] if span["lane"] == "application"]
    states_ns = sum(span["end_ns"] - span["start_ns"] for span in application)
    wall_ns = max(span["end_ns"] for span in application) - min(span["start_ns"] for span in application)
    assert abs(states_ns - wall_ns) <= wall_ns / 100
    threads = [span for span in whole["spans"] if span["lane"].startswith(("application", "helper"))]
    assert sum(span["nbytes"] or 0 for span in threads) == 1048576
    # The main thread's id is the process's, by the kernel's own counting.
    assert {span["thread_id"] for span in application} == {process.pid}
    copiers = {span["thread_id"] for span in threads if span["nbytes"]}
    assert len(copiers) == 1
    assert (copiers == {process.pid}) == (name not in HELPED)
    sends = [span for span in whole["spans"] if span["lane"] == "peer"]
    ready_ns = whole["facts"]["deliveries"][0]["ready"]["ns"]
    assert sends[-1]["start_ns"] - 5e6 < ready_ns < sends[-1]["end_ns"] + 5e6
    calls = Counter(span["call"] for span in application)
    if name == "epoll":
        assert calls["epoll_wait"] >= 1
        assert calls["read"] >= 1
    if name == "nonblocking":
        assert whole["facts"]["refused"] > 100
    assert violations(Timeline.from_json(file.read_text())) == []
    assert name in printed


def test_figures_are_saved_as_png_and_svg(tmp_path):
    png, svg = tmp_path / "a.png", tmp_path / "a.svg"
    assert iolab("timeline", "epoll", "--wait-ms", 20, "--png", png, "--svg", svg).returncode == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "asleep in epoll_wait" in svg.read_text()


def test_compare_shows_every_model_and_saves_all_timelines(tmp_path):
    file, png = tmp_path / "all.json", tmp_path / "all.png"
    done = iolab("compare", "--wait-ms", 30, "--runs", 1, "--json", file, "--png", png)
    assert (done.returncode, done.stderr) == (0, "")
    assert [each["model"] for each in json.loads(file.read_text())] == LIVE
    assert all(model.NAME in done.stdout for model in MODELS)
    assert png.read_bytes().startswith(b"\x89PNG")


def test_compare_with_several_senders_draws_their_order(tmp_path):
    png = tmp_path / "many.png"
    done = iolab("compare", "--wait-ms", 30, "--senders", 2, "--bytes", 1000, "--runs", 1, "--png", png)
    assert (done.returncode, done.stderr) == (0, "")
    assert png.exists()


def test_doctor_names_every_model_with_a_reason_where_it_is_missing():
    done = iolab("doctor", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    findings = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
    assert {model.NAME for model in MODELS} <= findings.keys()
    assert all(each["state"] in ("live", "recorded", "missing") and each["why"] for each in findings.values())
    assert iolab("doctor").returncode == 0


def test_doctor_tells_what_is_recorded_from_what_is_missing(monkeypatch, capsys):
    for model in (blocking, asynchronous_linux_aio):
        monkeypatch.setattr(model, "unavailable", lambda: "io_setup: Function not implemented")
    assert commands.run(["doctor", "--json"]) == 0
    findings = {each["name"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    assert (findings["blocking"]["state"], findings["linux-aio"]["state"]) == ("missing", "recorded")
    assert findings["linux-aio"]["why"] == "io_setup: Function not implemented"


@pytest.mark.parametrize("notify", ["poll", "suspend", "signal", "thread"])
def test_aio_demo_prints_polls_and_a_dump_of_the_file_and_leaves_no_file(notify, tmp_path):
    file, saved = tmp_path / "book", tmp_path / "demo.json"
    done = iolab("aio-demo", "--notify", notify, "--path", file, "--json", saved)
    assert (done.returncode, done.stderr) == (0, "")
    whole = json.loads(saved.read_text())
    assert done.stdout.count("fa fa fa fa fa fa fa fa") >= 1
    assert "00000200" in done.stdout  # the dump ends at 512
    assert f"{whole['polls']:,}" in done.stdout
    assert (whole["polls"] > 100) == (notify == "poll")
    assert whole["same"]
    assert "Success." in done.stdout
    assert list(tmp_path.iterdir()) == [saved]


def test_aio_demo_that_sleeps_polls_at_most_twice_and_burns_a_tenth_of_what_polling_burns(tmp_path):
    burnt = {}
    for notify in ("poll", "suspend"):
        saved = tmp_path / f"{notify}.json"
        assert iolab("aio-demo", "--notify", notify, "--path", tmp_path / "book", "--json", saved).returncode == 0
        burnt[notify] = json.loads(saved.read_text())
    assert burnt["suspend"]["polls"] <= 2
    assert burnt["suspend"]["cpu_ns"] <= burnt["poll"]["cpu_ns"] / 10


def test_aio_demo_refuses_a_file_that_is_there(tmp_path):
    (tmp_path / "book").write_text("mine")
    done = iolab("aio-demo", "--path", tmp_path / "book")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "there already" in done.stderr
    assert (tmp_path / "book").read_text() == "mine"


@pytest.mark.parametrize("command", [(), ("timeline",), ("compare",), ("doctor",), ("aio-demo",), ("record",)])
def test_help_has_an_example(command):
    done = iolab(*command, "--help")
    assert done.returncode == 0
    assert "iolab" in done.stdout
    assert not command or "example: iolab" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("dance",), "dance"),
        (("timeline",), "MODEL"),
        (("timeline", "telepathy"), "telepathy"),
        (("timeline", "blocking", "--bytes", "0"), "--bytes"),
        (("timeline", "blocking", "--bytes", "many"), "--bytes"),
        (("timeline", "blocking", "--wait-ms", "-1"), "--wait-ms"),
        (("timeline", "blocking", "--wait-ms", "nan"), "--wait-ms"),
        (("timeline", "blocking", "--senders", "65"), "--senders"),
        (("timeline", "blocking", "--evidence", "hearsay"), "--evidence"),
        (("timeline", "blocking", "--transport", "pigeon"), "--transport"),
        (("timeline", "blocking", "--json", "/no/such/folder/f"), "--json"),
        (("timeline", "blocking", "--png", "/"), "--png"),
        (("compare", "--runs", "0"), "--runs"),
        (("compare", "--svg", "/no/such/folder/f"), "--svg"),
        (("compare", "--bytes", "0"), "--bytes"),
        (("doctor", "--wrong"), "--wrong"),
        (("aio-demo", "--notify", "smoke"), "--notify"),
        (("aio-demo", "--path", "/no/such/folder/f"), "--path"),
        (("record", "blockin"), "blockin"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments, words):
    with nothing_left_behind():
        done = iolab(*arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_written_after_all_is_one_line_and_exit_code_1(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    done = iolab("timeline", "blocking", "--wait-ms", 1, "--bytes", 10, "--json", full)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left" in done.stderr


def test_more_bytes_than_an_experiment_may_hold_are_refused_before_it_begins():
    done = iolab("timeline", "blocking", "--bytes", 1 << 28, "--senders", 2)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "268,435,456" in done.stderr


def test_what_a_model_lacks_is_one_line_and_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr(MODELS[0], "unavailable", lambda: "read: Function not implemented")
    assert commands.run(["timeline", MODELS[0].NAME]) == 1
    assert (
        capsys.readouterr().err == f"iolab: no model {MODELS[0].NAME} on this machine: read: Function not implemented\n"
    )


def test_a_reader_that_leaves_early_is_no_error_message():
    done = subprocess.run(
        f"{sys.executable} -m iolab doctor | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.stdout.startswith("kernel")
    assert done.stderr == ""


def test_ctrl_c_at_any_moment_is_one_line_and_leaves_nothing(tmp_path):
    """Twenty random moments between the first line of our own code and the end of the command."""
    dice = random.Random()
    for number in range(20):
        command = [["compare", "--runs", "1"], ["timeline", "epoll"]][number % 2]
        command += ["--wait-ms", "40", "--png", str(tmp_path / "f.png")]
        process = subprocess.Popen(
            [sys.executable, "-c", STARTED, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=ENVIRONMENT, start_new_session=True,
        )  # fmt: skip
        assert process.stdout.readline() == "started\n"
        delay = dice.uniform(0, 1.0)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole foreground group
        _, errors = process.communicate(timeout=30)
        if process.returncode == 0:
            assert errors == "", f"moment {number} at {delay:.3f} s"
        else:
            assert (process.returncode, errors) == (1, "iolab: interrupted\n"), f"moment {number} at {delay:.3f} s"
        deadline = time.monotonic() + 10
        while session_processes(process.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert session_processes(process.pid) == []
        assert instances(process.pid) == set()


def test_ctrl_c_in_the_midst_of_tracing_takes_the_instance_away():
    needs_tracefs()
    for _ in range(5):
        command = [
            sys.executable,
            "-m",
            "iolab",
            "timeline",
            "blocking",
            "--wait-ms",
            "5000",
            "--evidence",
            "tracepoints",
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True
        )
        deadline = time.monotonic() + 30
        while not instances(process.pid) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert instances(process.pid)
        time.sleep(random.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (1, "iolab: interrupted\n")
        assert instances(process.pid) == set()


def test_who_copies_prints_every_way_and_saves_what_it_found(tmp_path):
    json_file, png = tmp_path / "f.json", tmp_path / "f.png"
    done = iolab("who-copies", "--folder", tmp_path, "--json", json_file, "--png", png)
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(json_file.read_text("utf-8"))
    assert len(rows) >= 15
    assert all(row["way"] in done.stdout for row in rows)
    assert "MISMATCH" not in done.stdout
    assert png.read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"f.json", "f.png"}


def test_a_folder_that_is_none_is_refused_before_anything_is_read():
    done = iolab("who-copies", "--folder", "/no/such/folder")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "'/no/such/folder'" in done.stderr


@pytest.mark.parametrize("name", ["trace.pftrace", "trace.JSON"])
def test_perfetto_saves_the_run_as_a_trace_in_the_form_that_the_name_asks_for(name, tmp_path):
    file, saved = tmp_path / name, tmp_path / "timeline.json"
    done = iolab("timeline", "blocking", "--wait-ms", 20, "--perfetto", file, "--json", saved)
    assert (done.returncode, done.stderr) == (0, "")
    chrome = file.suffix == ".JSON"
    shown = read_chrome(file.read_text("utf-8")) if chrome else read_perfetto(file.read_bytes())
    timeline = Timeline.from_json(saved.read_text("utf-8"))
    assert len(shown.bars(STATES)) == len(timeline.spans)
    asleep = [bar for bar in shown.bars(["blocked"]) if bar.lane == "application"]
    assert sum(bar.end_ns - bar.start_ns for bar in asleep) == timeline.total_ns("blocked")
    assert len(shown.arrows) == len(timeline.links)


def test_perfetto_that_cannot_be_written_is_one_line_and_exit_code_2():
    done = iolab("timeline", "blocking", "--perfetto", "/no/such/folder/f.pftrace")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--perfetto" in done.stderr


def test_calibrate_prints_both_tables_and_saves_every_error_and_the_figure(tmp_path):
    file, png = tmp_path / "calibration.json", tmp_path / "calibration.png"
    with nothing_left_behind():
        done = iolab("calibrate", "--reads", 3, "--json", file, "--png", png)
    whole = json.loads(file.read_text("utf-8"))
    rows = [row for series in whole["series"] for row in series["rows"]]
    if not rows:  # so busy that no reader fell asleep in time: there is nothing to draw, and that is said
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        return
    assert (done.returncode, done.stderr) == (0, "")
    assert [(series["nbytes"], series["reads"]) for series in whole["series"]] == [(65536, 3), (1048576, 3)]
    assert png.read_bytes().startswith(b"\x89PNG")
    errors, reads, remarks = done.stdout.split("\n\n")
    assert all(row["boundary"] in errors and row["rung"] in errors for row in rows)
    assert "traced" in reads
    assert "the sender's bracket holds the moment of" in remarks


def test_calibrate_takes_models_and_sizes(tmp_path):
    file = tmp_path / "calibration.json"
    iolab("calibrate", "epoll", "threads", "--reads", 2, "--bytes", 4096, 100_000, "--json", file)
    series = json.loads(file.read_text("utf-8"))["series"]
    asked = [(each["model"], each["nbytes"], each["reads"]) for each in series]
    assert asked == [(model, nbytes, 2) for model in ("epoll", "threads") for nbytes in (4096, 100_000)]


@pytest.mark.parametrize("command", ["calibrate", "allow-tracing"])
def test_help_of_what_concerns_evidence_has_an_example(command):
    done = iolab(command, "--help")
    assert done.returncode == 0
    assert "example: " in done.stdout
    assert f"iolab {command}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("calibrate", "--reads", "0"), "--reads"),
        (("calibrate", "--reads", "many"), "--reads"),
        (("calibrate", "blockng"), "'blockng'"),
        (("calibrate", "--bytes", "0"), "--bytes"),
        (("calibrate", "--json", "/no/such/folder/f"), "--json"),
        (("calibrate", "--png", "/"), "--png"),
        (("allow-tracing", "--apply", "--undo"), "--undo"),
        (("allow-tracing", "--user"), "--user"),
    ],
)
def test_wrong_use_of_what_concerns_evidence_is_one_line_and_exit_code_2(arguments, words):
    done = iolab(*arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert words in done.stderr


def test_allow_tracing_prints_what_root_would_do_and_changes_nothing():
    needs_tracefs()
    folder = f"{root()}/instances/{delegation.delegated_name('daemon')}"
    done = iolab("allow-tracing", "--user", "daemon")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"mkdir {folder}\nchown -R daemon {folder}\n" in done.stdout
    assert not os.path.exists(folder)


def test_allow_tracing_hands_an_instance_over_and_takes_it_back():
    import pwd

    needs_root()
    folder = f"{root()}/instances/{delegation.delegated_name('daemon')}"
    try:
        given = iolab("allow-tracing", "--user", "daemon", "--apply")
        assert (given.returncode, given.stderr) == (0, "")
        assert f"chown -R daemon {folder}" in given.stdout
        assert os.stat(folder).st_uid == pwd.getpwnam("daemon").pw_uid
    finally:
        taken = iolab("allow-tracing", "--user", "daemon", "--undo")
    assert (taken.returncode, taken.stderr) == (0, "")
    assert f"rmdir {folder}" in taken.stdout
    assert not os.path.exists(folder)
    again = iolab("allow-tracing", "--user", "daemon", "--undo")
    assert again.returncode == 0
    assert folder not in again.stdout


@pytest.mark.parametrize("deed", ["--apply", "--undo"])
def test_allow_tracing_without_root_says_what_to_type(deed, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert commands.run(["allow-tracing", "--user", "daemon", deed]) == 1
    assert capsys.readouterr().err == f"iolab: only root may do this: sudo iolab allow-tracing --user daemon {deed}\n"


def test_allow_tracing_for_nobody_that_is_there_is_one_line_and_exit_code_1():
    needs_tracefs()
    done = iolab("allow-tracing", "--user", "no-such-user")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no-such-user" in done.stderr


def test_the_doctor_knows_that_a_container_has_less_than_it_shows(tmp_path, monkeypatch):
    limited_to_one_and_a_half_cpus(tmp_path, monkeypatch)
    assert str(examine().machine["CPUs"]).endswith(", a quota of 1.5")
