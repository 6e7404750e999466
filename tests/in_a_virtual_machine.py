"""Run a command on another kernel than this machine's: QEMU, a kernel from a package, and this machine's files.

    apt-get download linux-image-6.12.117+deb12-amd64
    dpkg -x linux-image-6.12.*.deb KERNEL
    python -m tests.in_a_virtual_machine KERNEL                       the tests of the function graph: two minutes
    python -m tests.in_a_virtual_machine --limit 60 KERNEL -- iolab doctor       any other command, found by this PATH

Needs qemu-system-x86_64 and a static busybox (Debian: qemu-system-x86, busybox-static), no KVM and no image of a disk:
the guest mounts this machine's root by 9p, read-only, with memory for /run, /dev/shm and what is written to TMPDIR.
What takes a microsecond here takes ten there: what a test finds holds, durations do not carry over.
The exit status is the command's, and 125 when the guest did not come that far.
"""

import argparse
import lzma
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

MODULES = (  # in the order of their needs; a kernel may lack one, or have it built in
    "virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "netfs", "fscache",
    "9pnet", "9pnet_virtio", "9p",
)  # fmt: skip
INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc p /proc; $b mount -t sysfs s /sys; $b mount -t devtmpfs d /dev
for again in 1 2; do for module in /modules/*.ko; do $b insmod $module 2>/dev/null; done; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 host /host
for each in proc sys dev; do $b mount -o bind /$each /host/$each; done
$b mkdir -p /host/dev/shm; $b mount -t tmpfs t /host/dev/shm; $b mount -t tmpfs t /host/run
$b mount -t tracefs t /host/sys/kernel/tracing
$b ifconfig lo 127.0.0.1 up
$b cp /command /host/run/command
$b chroot /host /bin/sh /run/command
$b echo "GUEST EXIT $?"
$b poweroff -f
"""
OURS = ("tests/recording/test_function_graph.py",)


def initial_files(kernel: Path, busybox: str, command: str, folder: Path) -> None:
    """Fill `folder` with what the guest starts from."""
    for name in ("bin", "modules", "proc", "sys", "dev", "host"):
        (folder / name).mkdir()
    shutil.copy(busybox, folder / "bin/busybox")
    for number, name in enumerate(MODULES):
        for file in kernel.glob(f"lib/modules/*/**/{name}.ko*"):
            data = file.read_bytes()
            data = lzma.decompress(data) if file.suffix == ".xz" else data
            (folder / f"modules/{number:02}-{name}.ko").write_bytes(data)
    (folder / "command").write_text(command)
    (folder / "init").write_text(INIT)
    (folder / "init").chmod(0o755)


def command_of(words: list[str]) -> str:
    """The guest's script: the command in this folder, by this PATH, writing to memory."""
    kept = {"PATH": os.environ["PATH"], "HOME": "/run", "TMPDIR": "/run", "PYTHONDONTWRITEBYTECODE": "1"}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in kept.items()]
    return "\n".join([*lines, f"cd {shlex.quote(os.getcwd())}", f"exec {shlex.join(words)}", ""])


def run(kernel: Path, words: list[str], limit_s: int, cpus: int) -> int:
    """Boot, show what the guest says, and return the command's exit status. FileNotFoundError for what is not here."""
    image = next(kernel.glob("boot/vmlinuz-*"), kernel / "boot/vmlinuz-*")
    tools = {name: shutil.which(name) for name in ("qemu-system-x86_64", "busybox")}
    for name, found in [*tools.items(), (str(image), image.exists())]:
        if not found:
            raise FileNotFoundError(f"{name}: not found")
    with TemporaryDirectory() as scratch:
        folder, archive = Path(scratch, "files"), Path(scratch, "initrd")
        folder.mkdir()
        initial_files(kernel, tools["busybox"], command_of(words), folder)
        names = "\n".join(str(each.relative_to(folder)) for each in sorted(folder.rglob("*")))
        pack = [tools["busybox"], "cpio", "-o", "-H", "newc"]
        with archive.open("wb") as file:
            subprocess.run(pack, input=names.encode(), stdout=file, stderr=subprocess.DEVNULL, cwd=folder, check=True)
        machine = (
            f"{tools['qemu-system-x86_64']} -accel tcg -cpu max -smp {cpus} -m 2048 -nodefaults -nographic -no-reboot "
            "-serial stdio -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap "
            "-device virtio-9p-pci,fsdev=host,mount_tag=host"
        ).split()
        boot = ["-kernel", str(image), "-initrd", str(archive), "-append", "console=ttyS0 panic=-1 quiet"]
        guest = subprocess.run(
            [*machine, *boot], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=limit_s, text=True, errors="replace"
        )  # fmt: skip
    said, told, rest = guest.stdout.rpartition("GUEST EXIT ")
    print(said or guest.stdout)
    return int(rest.split()[0]) if told else 125


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kernel", type=Path, help="a folder with boot/vmlinuz-* and lib/modules")
    parser.add_argument("command", nargs="*", help="what to run there; the tests of the function graph")
    parser.add_argument("--limit", type=int, default=600, metavar="SECONDS", help="for all of it; 600")
    parser.add_argument("--cpus", type=int, default=1, help="of the guest; 1")
    options = parser.parse_args()
    tests = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--basetemp=/run/pytest", *OURS]
    try:
        sys.exit(run(options.kernel, options.command or tests, options.limit, options.cpus))
    except FileNotFoundError as error:
        sys.exit(f"no virtual machine: {error}")
    except subprocess.TimeoutExpired as error:
        print((error.stdout or b"").decode(errors="replace"))
        sys.exit(f"no virtual machine: not done within {options.limit} s")
