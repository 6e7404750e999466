"""The floors of the package, and what an import costs and needs."""

import ast
import importlib
import importlib.util
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import iolab

PACKAGE = Path(iolab.__file__).parent
ROOT = PACKAGE.parent
FLOORS = (  # from the ground
    "calls", "recorder", "kernel", "models", "servers", "aio_demo", "recorded", "recording", "bench", "drawing",
    "doctor", "exercises", "widgets", "site", "command_line",
)  # fmt: skip
GROUND = ("calls", "kernel")
COMMAND_LINE = (  # more files of the highest floor
    "__main__", "bench_commands", "bench_options", "commands", "evidence_commands", "options", "option_values", "publishing_commands",
)  # fmt: skip
POINTS_UP = {("iolab.recording.timeline", "_repr_png_", "iolab.drawing.timeline_figure")}  # the only one
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 150
MOST_IMPORT_MS = 80
PAIRS = 9

# What Windows' Python lacks ("Availability: Unix" in the library reference), of what an I/O laboratory may touch.
ABSENT_MODULES = ("fcntl", "resource", "termios", "pwd", "grp", "tty", "pty")
ABSENT = {
    "select": "epoll poll kqueue EPOLLIN EPOLLOUT EPOLLET EPOLLONESHOT POLLIN POLLOUT POLLHUP POLLERR",
    "signal": "SIGRTMIN SIGRTMAX SIGIO SIGPOLL SIGALRM SIGKILL SIGUSR1 SIGUSR2 SIGCHLD SIGHUP SIGPIPE SIGURG "
    "pthread_sigmask pthread_kill sigtimedwait sigwait sigwaitinfo sigpending setitimer getitimer alarm pause "
    "ITIMER_REAL SIG_BLOCK SIG_UNBLOCK SIG_SETMASK",
    "os": "readv writev preadv pwritev get_blocking set_blocking fork forkpty eventfd sched_setaffinity "
    "sched_getaffinity O_ASYNC O_NONBLOCK O_DIRECT getuid geteuid sysconf uname mkfifo splice posix_spawn pipe2",
    "socket": "AF_UNIX SO_RCVLOWAT MSG_DONTWAIT CMSG_SPACE CMSG_LEN SCM_RIGHTS send_fds recv_fds",
    "time": "CLOCK_REALTIME CLOCK_MONOTONIC CLOCK_MONOTONIC_RAW CLOCK_BOOTTIME clock_gettime clock_gettime_ns "
    "clock_getres clock_settime pthread_getcpuclockid",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}
every_file = pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
every_module = pytest.mark.parametrize("name", MODULES)


def floor(name: str) -> int | None:
    """0 is the ground; None is iolab itself."""
    if "." not in name:
        return None
    part = name.split(".")[1]
    part = "aio_demo" if part.startswith("aio_demo") else part
    return FLOORS.index("command_line" if part in COMMAND_LINE else part)


def imports(name: str) -> list[tuple[str, str | None]]:
    """What a module imports, each with the innermost function in which it does so."""
    found = []

    def visit(node: ast.AST, function: str | None) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute here"
            # `from package import member`: the member may be a module.
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            found.extend((member if member in MODULES else node.module, function) for member in members)
        inside = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(MODULES[name].read_text(encoding="utf-8")), None)
    return found


def ours(name: str) -> list[tuple[str, str | None]]:
    return [(target, function) for target, function in imports(name) if target.split(".")[0] == "iolab"]


def python(program: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, env=environment, cwd=ROOT
    )


# Floors


@every_module
def test_imports_point_down_or_stay_on_their_floor(name):
    up = {
        (name, function, target)
        for target, function in ours(name)
        if floor(name) is None or (floor(target) is not None and floor(target) > floor(name))
    }
    assert up <= POINTS_UP


def test_the_one_import_that_points_up_is_still_there():
    for name, function, target in POINTS_UP:
        assert (target, function) in ours(name)


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[1:2] and name.split(".")[1] in GROUND])
def test_the_ground_stands_on_nothing(name):
    own = ".".join(name.split(".")[:2])
    assert [target for target, _ in ours(name) if not f"{target}.".startswith(f"{own}.")] == []


@every_module
def test_only_the_kernel_floor_uses_ctypes(name):
    foreign = {target.split(".")[0] for target, _ in imports(name)} & {"ctypes", "_ctypes", "cffi"}
    assert not foreign or name.startswith("iolab.kernel.")


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: {target for target, function in ours(name) if function is None} for name in MODULES}
    TopologicalSorter(graph).prepare()  # CycleError names the circle


def test_every_import_of_ours_exists():
    assert {target for name in MODULES for target, _ in ours(name)} <= set(MODULES)


# Every operating system


def needs_matplotlib(name: str) -> bool:
    """Whether importing a module brings drawing with it, by itself or through others."""
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += [target for target, function in ours(current) if function is None]
    return any(target.startswith("iolab.drawing") for target in seen)


MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
ANYWIDGET = importlib.util.find_spec("anywidget") is not None
# `__main__` is a program: it is started, not imported.
IMPORTABLE = [
    name
    for name in MODULES
    if not name.endswith("__main__")
    and (MATPLOTLIB or not needs_matplotlib(name))
    and (ANYWIDGET or not name.startswith("iolab.widgets"))
]


def test_every_file_imports_where_unix_is_missing():
    program = f"""
import asyncio, importlib, sys  # asyncio asks os.sysconf where a socket has sendmsg, which Windows' has not
{"import matplotlib.figure, matplotlib.backends.backend_agg, PIL.Image" if MATPLOTLIB else ""}
{"import anywidget, asyncio" if ANYWIDGET else ""}
for module, names in {ABSENT!r}.items():
    module = importlib.import_module(module)
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
for name in {ABSENT_MODULES!r}:
    sys.modules[name] = None
for name in {IMPORTABLE!r}:
    try:
        importlib.import_module(name)
    except Exception as error:
        print(f"{{name}}: {{type(error).__name__}}: {{error}}")
"""
    run = python(program)
    assert (run.returncode, run.stdout.splitlines()) == (0, []), run.stderr


# What an import costs


def test_importing_the_models_loads_no_drawing_library():
    run = python("import sys, iolab.models; print(*{name.split('.')[0] for name in sys.modules})")
    assert run.returncode == 0, run.stderr
    assert not set(run.stdout.split()) & {"matplotlib", "IPython", "numpy", "PIL", "ipywidgets", "asyncio"}


def test_importing_the_models_costs_little(capsys):
    resource = pytest.importorskip("resource", reason="no getrusage here")

    def cpu_seconds(program: str) -> float:
        """By the kernel's books: what a loaded machine makes an import wait is not what it costs."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert python(program).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    python("import iolab.models")  # the compiled files are there from now on
    pairs = [(cpu_seconds("pass"), cpu_seconds("import iolab.models")) for _ in range(PAIRS)]
    empty, loaded = (min(column) * 1000 for column in zip(*pairs, strict=True))
    with capsys.disabled():
        print(f"\n  python: {empty:.0f} ms, with iolab.models {loaded:.0f} ms: {loaded - empty:.0f} ms more")
    assert loaded - empty <= MOST_IMPORT_MS


# Every file


@every_file
def test_a_file_is_a_lesson_with_a_docstring_and_at_most_150_lines(path):
    source = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))
    assert len(source.splitlines()) <= MOST_LINES


def test_whoever_may_be_unavailable_says_why_or_none():
    modules = [importlib.import_module(name) for name in IMPORTABLE]
    reasons = {module.__name__: module.unavailable() for module in modules if hasattr(module, "unavailable")}
    assert {"iolab.models.blocking", "iolab.kernel.thread_state"} <= reasons.keys()
    assert {
        name: reason
        for name, reason in reasons.items()
        if reason is not None and not (reason and isinstance(reason, str))
    } == {}
