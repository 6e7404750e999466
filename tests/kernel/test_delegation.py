"""Handing an instance over to an ordinary user: by what root does, by what that user may do then, and not any more."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from iolab.kernel import delegation, trace_instances, tracefs
from iolab.kernel.trace_instances import root, where
from tests.kernel.test_tracefs import ENTER, own
from tests.tracing import NOBODY, as_nobody, lent_folder, needs_root


@pytest.fixture(autouse=True)
def taken_back():
    needs_root()
    if delegation.undoing(NOBODY):
        pytest.skip(f"an instance of {NOBODY} is there already, or the way to it is open")
    yield
    delegation.carry_out(delegation.undoing(NOBODY))


def modes() -> list[int]:
    return [os.stat(folder).st_mode & 0o777 for folder in (root(), f"{root()}/instances")]


def trace_a_little() -> list[str]:
    with tracefs.opened() as instance:
        instance.enable(ENTER, own())
        instance.start()
        os.getppid()
        instance.stop()
        names = sorted({event.name for event in instance.events()})
    return [where()[0], *names, *instance.read("set_event").split(), instance.read("tracing_on").strip()]


def test_a_user_who_was_not_allowed_reads_how_root_can_allow_it():
    assert "Permission denied; root allows it to a user with `iolab allow-tracing`" in as_nobody(trace_a_little)


def by_the_shell(steps) -> None:
    for step in steps:
        subprocess.run(["sh", "-ec", step.line], check=True)


@pytest.fixture(params=[(0o700, 0o750), (0o700, 0o700), (0o755, 0o755)], ids=lambda found: " ".join(map(oct, found)))
def found_with(request):
    """As kernels and distributions make the two folders; afterwards as it was."""
    folders, before = (root(), f"{root()}/instances"), modes()
    for folder, mode in zip(folders, request.param, strict=True):
        os.chmod(folder, mode)
    yield list(request.param)
    for folder, mode in zip(folders, before, strict=True):
        os.chmod(folder, mode)


@pytest.mark.parametrize("carry_out", [delegation.carry_out, by_the_shell])
def test_a_user_without_any_capability_traces_after_the_steps_and_not_after_they_are_taken_back(carry_out, found_with):
    carry_out(delegation.allowing(NOBODY))
    assert as_nobody(trace_a_little) == str([lent_folder(), ENTER, "0"])
    carry_out(delegation.undoing(NOBODY))
    assert modes() == found_with
    assert not os.path.exists(lent_folder())
    assert "Permission denied" in as_nobody(trace_a_little)


def test_the_printed_lines_are_for_a_shell_and_name_everything_that_changes():
    lines = [step.line for step in delegation.allowing(NOBODY)]
    assert [shlex.split(line)[0] for line in lines] == ["mkdir", "chown", "chmod", "chmod"]
    delegation.carry_out(delegation.allowing(NOBODY))
    assert [step.line for step in delegation.allowing(NOBODY)] == [f"chown -R {NOBODY} {lent_folder()}"]
    assert [step.line for step in delegation.undoing(NOBODY)] == [
        f"rmdir {lent_folder()}", f"chmod o-x {root()}/instances", f"chmod o-x {root()}",
    ]  # fmt: skip


def test_the_user_may_not_make_or_remove_instances():
    delegation.carry_out(delegation.allowing(NOBODY))

    def attempts() -> list[str]:
        said = []
        for attempt in (lambda: os.mkdir(f"{root()}/instances/another"), lambda: os.rmdir(lent_folder())):
            try:
                attempt()
            except PermissionError as error:
                said.append(error.strerror)
        return said

    assert as_nobody(attempts) == str(["Permission denied"] * 2)


def test_one_lent_instance_is_of_one_program_at_a_time():
    delegation.carry_out(delegation.allowing(NOBODY))

    def twice() -> str:
        with tracefs.opened():
            try:
                tracefs.opened()
            except OSError as error:
                return error.strerror

    assert as_nobody(twice) == "somebody is tracing in it at the moment"


def test_what_a_killed_program_left_on_in_a_lent_instance_is_off_at_the_next_start():
    delegation.carry_out(delegation.allowing(NOBODY))

    def killed() -> str:
        instance = tracefs.opened()
        instance.enable("sched/sched_switch")
        instance.start()
        return "left"  # os._exit: nothing is closed

    assert as_nobody(killed) == "left"
    assert Path(lent_folder(), "set_event").read_text() == "sched:sched_switch\n"
    assert as_nobody(trace_a_little) == str([lent_folder(), ENTER, "0"])


def test_a_program_that_ends_at_once_leaves_the_lent_instance_off():
    delegation.carry_out(delegation.allowing(NOBODY))

    def interrupted() -> list[str]:
        child = os.fork()
        if child == 0:
            instance = tracefs.opened()
            instance.enable("sched/sched_switch")
            instance.start()
            trace_instances.leave_nothing()
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return [str(ended)] + [Path(lent_folder(), name).read_text().strip() for name in ("set_event", "tracing_on")]

    assert as_nobody(interrupted) == str(["0", "", "0"])


def test_it_is_not_taken_back_from_somebody_who_is_tracing():
    delegation.carry_out(delegation.allowing(NOBODY))
    held = os.open(lent_folder(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="somebody is tracing in it at the moment"):
            delegation.undoing(NOBODY)
    finally:
        os.close(held)


def test_the_way_stays_open_for_another_user_who_was_allowed():
    delegation.carry_out(delegation.allowing(NOBODY))
    delegation.carry_out(delegation.allowing("root"))
    try:
        assert [step.line for step in delegation.undoing("root")] == [f"rmdir {root()}/instances/iolab-for-root"]
    finally:
        delegation.carry_out(delegation.undoing("root"))
    assert [mode & 0o007 for mode in modes()] == [0o001, 0o001]


@pytest.mark.parametrize("user", ["no-such-user", "", "../../nobody", "nobody; reboot"])
def test_a_user_whom_the_machine_does_not_know_is_refused(user):
    with pytest.raises(ValueError, match="user must be one of this machine's users"):
        delegation.allowing(user)


def test_nothing_is_undone_where_nothing_was_allowed():
    assert delegation.undoing(NOBODY) == []
