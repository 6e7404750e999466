"""Which CPUs one may use, against /proc/self/status; how much of them, against files as a container shows them."""

import os

import pytest

from iolab.kernel import cpus

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no sched_getaffinity here")


def status(name: str) -> str:
    with open("/proc/thread-self/status") as file:
        return next(line.split(":")[1].strip() for line in file if line.startswith(f"{name}:"))


@pytest.fixture
def affinity():
    before = os.sched_getaffinity(0)
    yield before
    os.sched_setaffinity(0, before)


def test_the_allowed_cpus_are_those_of_proc(affinity):
    assert cpus.allowed_cpus() == cpus.numbers(status("Cpus_allowed_list"))
    os.sched_setaffinity(0, {max(affinity)})
    assert cpus.allowed_cpus() == cpus.numbers(status("Cpus_allowed_list")) == [max(affinity)]


def test_whoever_may_run_on_a_cpu_finds_it_among_the_present_ones(affinity):
    assert affinity <= set(cpus.present_cpus())
    assert len(cpus.present_cpus()) == os.sysconf("SC_NPROCESSORS_ONLN")


def test_lists_of_cpus_are_read_as_the_kernel_writes_them():
    assert cpus.numbers("0\n") == [0]
    assert cpus.numbers("0-2,5,7-8\n") == [0, 1, 2, 5, 7, 8]
    assert cpus.numbers("\n") == []


def test_a_cpu_is_one_of_its_core_and_the_others_say_the_same():
    for cpu in cpus.present_cpus():
        core = cpus.cpus_of_one_core(cpu)
        assert cpu in core
        assert all(cpus.cpus_of_one_core(other) == core for other in core)
    assert cpus.cpus_of_one_core(1 << 20) == [1 << 20]


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "100000 100000\n"}, 1.0),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        # of the group itself, and of those above it, the smallest counts
        ("0::/a/b\n", {"a/cpu.max": "150000 100000\n", "a/b/cpu.max": "400000 100000\n"}, 1.5),
        ("0::/docker/not/to/be/seen\n", {"cpu.max": "50000 100000\n"}, 0.5),
        ("0::/../elsewhere\n", {"cpu.max": "50000 100000\n"}, 0.5),
        # version 1: a tree for each controller; -1 is no limit
        ("4:cpu,cpuacct:/a\n1:name=systemd:/\n", {"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "100000"}, 2),
        ("4:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("8:memory:/\n", {"cpu.max": "50000 100000\n"}, None),
    ],
)  # fmt: skip
def test_a_quota_is_what_the_control_groups_leave(tmp_path, monkeypatch, own, files, quota):
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    monkeypatch.setattr(cpus, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(cpus, "_CGROUPS", tmp_path / "tree")
    assert cpus.cpu_quota() == quota
