"""What the tests of trace points share: tracefs mounted where the tests may do that, the reason where they may not."""

import os
import traceback
from collections.abc import Callable

import pytest

from iolab.kernel import delegation, tracefs
from iolab.kernel.trace_instances import root, where

NOBODY = "nobody"


def needs_tracefs() -> None:
    """Skip with the kernel's reason where this user may not trace. On CI root must be able to: there it fails."""
    am_root = hasattr(os, "geteuid") and os.geteuid() == 0
    try:
        if am_root:
            delegation.carry_out([each for each in delegation.allowing("root") if each.line.startswith("mount")])
        where()
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
        if am_root and os.environ.get("CI"):
            pytest.fail(f"root on CI must be able to trace: {reason}")
        pytest.skip(reason)


def needs_data_ready() -> None:
    """Skip where the kernel has no trace point for data that has come (Linux 6.3): there the rung refuses to be used."""
    needs_tracefs()
    with tracefs.opened() as instance:
        if not instance.has("sock/sk_data_ready"):
            pytest.skip("this kernel has no sock/sk_data_ready")


def needs_root() -> None:
    """Skip where nothing can be handed over to another user."""
    if os.geteuid() != 0:
        pytest.skip("only root may hand a part of tracefs over")
    needs_tracefs()


def instances(process_id: int | None = None) -> set[str]:
    """The instances of a process, this one unless told otherwise, as the kernel lists them; none where one may not look."""
    try:
        names = os.listdir(f"{root()}/instances")
    except OSError:
        return set()
    return {name for name in names if name.startswith(f"iolab-{process_id or os.getpid()}-")}


def lent_folder() -> str:
    """The instance that is made for `nobody`."""
    return f"{root()}/instances/{delegation.delegated_name(NOBODY)}"


def as_nobody(check: Callable[[], object]) -> str:
    """What `check` returns, as text, in a child that has become `nobody` and has no capability; what it raises, too."""
    import pwd

    account = pwd.getpwnam(NOBODY)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
            os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
            with open("/proc/self/status") as status:
                assert "CapEff:\t0000000000000000\n" in status.readlines()
            text = str(check())
        except BaseException:
            text = traceback.format_exc()
        os.write(tell, text.encode()[:4000])
        os._exit(0)
    os.close(tell)
    with open(told) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text
