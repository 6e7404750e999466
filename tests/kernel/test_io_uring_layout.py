"""The numbers of io_uring's memory, against the C compiler's reading of <linux/io_uring.h>."""

import shutil
import subprocess

import pytest

from iolab.kernel import io_uring_layout as layout

# Our structure, its name in the header, and the header's names of its fields in their order; None is not asked for.
SQE = "opcode flags ioprio fd off addr len rw_flags user_data buf_group personality splice_fd_in addr3"
STRUCTURES = (
    (layout.SQE, "io_uring_sqe", tuple(SQE.split())),
    (layout.CQE, "io_uring_cqe", ("user_data", "res", "flags")),
    (
        layout.PARAMS,
        "io_uring_params",
        ("sq_entries", "cq_entries", "flags", None, "sq_thread_idle", "features", None, "sq_off", "cq_off"),
    ),
    (
        layout.SQ_OFFSETS,
        "io_sqring_offsets",
        ("head", "tail", "ring_mask", "ring_entries", "flags", "dropped", "array"),
    ),
    (
        layout.CQ_OFFSETS,
        "io_cqring_offsets",
        ("head", "tail", "ring_mask", "ring_entries", "overflow", "cqes", "flags"),
    ),
    (layout.GETEVENTS_ARG, "io_uring_getevents_arg", ("sigmask", "sigmask_sz", None, "ts")),
    (layout.BUF, "io_uring_buf", ("addr", "len", "bid", "resv")),
    (layout.BUF_REG, "io_uring_buf_reg", ("ring_addr", "ring_entries", "bgid")),
    (layout.TIMESPEC, "__kernel_timespec", ("tv_sec", "tv_nsec")),
)
ENUMERATED = [name for name in dir(layout) if name.startswith(("OP_", "REGISTER_", "UNREGISTER_", "CQE_BUFFER"))]
DEFINED = [
    name
    for name in dir(layout)
    if name.startswith(("SETUP_", "FEAT_", "ENTER_", "SQ_", "OFF_", "RECV_", "ACCEPT_", "POLL_", "ASYNC_", "CQE_F_"))
    and name != "SQ_OFFSETS"
]
NUMBERS = [
    *((f"IORING_{name}", name) for name in (*ENUMERATED, *DEFINED)),
    *((name, name) for name in dir(layout) if name.startswith("IOSQE_")),
    *((f"__NR_{name[3:].lower()}", name) for name in dir(layout) if name.startswith("NR_")),
]


def program() -> str:
    """Prints `key=number` of everything that this header has."""
    shown = []
    for _, name, members in STRUCTURES:
        shown.append((f"sizeof {name}", f"sizeof(struct {name})"))
        shown += [(f"{name} {member}", f"offsetof(struct {name}, {member})") for member in members if member]
    shown.append(("tail", "offsetof(struct io_uring_buf_ring, tail)"))
    shown += [(name, header) for header, name in NUMBERS]
    lines = [
        f"#include <{name}.h>" for name in ("stdio", "stddef", "sys/syscall", "linux/io_uring", "linux/time_types")
    ]
    lines.append("int main(void) {")
    for key, expression in shown:
        text = f'printf("{key}=%llu\\n", (unsigned long long)({expression}));'
        # A header older than a flag does not know it. Members of enum io_uring_op cannot be asked for.
        lines += [f"#ifdef {expression}", text, "#endif"] if key in DEFINED else [text]
    return "\n".join([*lines, "return 0; }"])


@pytest.fixture(scope="module")
def header(tmp_path_factory) -> dict[str, int]:
    """What the compiler makes of the header."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc here")
    source = tmp_path_factory.mktemp("header") / "show.c"
    source.write_text(program())
    binary = source.with_suffix("")
    build = subprocess.run(["gcc", "-o", binary, source], capture_output=True, text=True, timeout=60)
    if build.returncode:
        pytest.skip(f"<linux/io_uring.h> is older, or missing: {build.stderr}")
    shown = subprocess.run([binary], capture_output=True, text=True, timeout=60).stdout.splitlines()
    return {key: int(value) for key, value in (line.split("=") for line in shown)}


def places(structure) -> list[int]:
    """Where each field of a struct.Struct begins, found by writing a one into it."""
    zeros = [b"" if isinstance(field, bytes) else 0 for field in structure.unpack(bytes(structure.size))]
    found = []
    for number, zero in enumerate(zeros):
        fields = [*zeros[:number], b"\x01" if zero == b"" else 1, *zeros[number + 1 :]]
        found.append(structure.pack(*fields).index(1))
    return found


def test_structures_have_the_documented_sizes():
    assert [layout.SQE.size, layout.CQE.size, layout.PARAMS.size, layout.BUF_REG.size] == [64, 16, 120, 40]
    assert [layout.BUF.size, layout.GETEVENTS_ARG.size, layout.TIMESPEC.size] == [16, 24, 16]


@pytest.mark.parametrize(("structure", "name", "members"), STRUCTURES, ids=[name for _, name, _ in STRUCTURES])
def test_each_field_lies_where_the_header_has_it(header, structure, name, members):
    assert structure.size == header[f"sizeof {name}"]
    ours = dict(zip(members, places(structure), strict=False))
    assert {member: ours[member] for member in members if member} == {
        member: header[f"{name} {member}"] for member in members if member
    }


def test_the_tail_of_a_buffer_ring_is_in_the_unused_bytes_of_its_first_entry(header):
    assert header["tail"] == places(layout.BUF)[-1] == 14


def test_every_number_is_the_headers(header):
    known = [name for _, name in NUMBERS if name in header]
    assert len(known) >= 50
    assert {name: getattr(layout, name) for name in known} == {name: header[name] for name in known}
