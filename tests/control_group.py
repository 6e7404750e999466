"""The files of a control group with a limit, in place of this process's own: what a container by --cpus=1.5 shows."""

from iolab.kernel import cpus

QUOTA = 1.5


def limited_to_one_and_a_half_cpus(folder, monkeypatch) -> None:
    (folder / "cgroup").write_text("0::/\n")
    (folder / "cpu.max").write_text("150000 100000\n")
    monkeypatch.setattr(cpus, "_OWN_CGROUPS", folder / "cgroup")
    monkeypatch.setattr(cpus, "_CGROUPS", folder)
