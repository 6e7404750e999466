"""The structures of POSIX AIO against the C compiler's opinion, and what it costs to be wrong about them."""

import ctypes
import platform
import shutil
import subprocess

import pytest

from iolab.kernel import posix_aio_layout as layout

pytestmark = pytest.mark.skipif(bool(layout.unavailable()), reason=str(layout.unavailable()))
PUBLIC = {
    layout.Aiocb: "struct aiocb",
    layout.Sigevent: "struct sigevent",
    layout.Sigval: "union sigval",
    layout.Aioinit: "struct aioinit",
    layout.Timespec: "struct timespec",
}
CONSTANTS = [
    "LIO_READ",
    "LIO_WRITE",
    "LIO_NOP",
    "LIO_WAIT",
    "LIO_NOWAIT",
    "AIO_CANCELED",
    "AIO_NOTCANCELED",
    "AIO_ALLDONE",
    "SIGEV_SIGNAL",
    "SIGEV_NONE",
    "SIGEV_THREAD",
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What gcc says, with this machine's headers: sizes, offsets and constants by name."""
    if not shutil.which("gcc"):
        pytest.skip("there is no gcc to ask")
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("struct aioinit is glibc's")
    lines = []
    for structure, name in PUBLIC.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field, *_ in structure._fields_:
            if not field.startswith("_"):
                lines.append(f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));')
    lines += [f'printf("{name} %d\\n", (int){name});' for name in CONSTANTS]
    folder = tmp_path_factory.mktemp("layout")
    source = "#define _GNU_SOURCE\n#include <aio.h>\n#include <signal.h>\n#include <stddef.h>\n#include <stdio.h>\n"
    (folder / "layout.c").write_text(source + "#include <time.h>\nint main(void) {\n" + "\n".join(lines) + "\n}\n")
    subprocess.run(["gcc", "-o", folder / "layout", folder / "layout.c"], check=True, timeout=60)
    output = subprocess.run([folder / "layout"], check=True, capture_output=True, text=True, timeout=60).stdout
    return {name: int(number) for name, number in (line.rsplit(" ", 1) for line in output.splitlines())}


@pytest.mark.parametrize("structure", PUBLIC, ids=PUBLIC.values())
def test_a_structure_has_the_size_and_the_offsets_that_the_compiler_gives_it(compiled, structure):
    name = PUBLIC[structure]
    assert ctypes.sizeof(structure) == compiled[name]
    fields = [field for field, *_ in structure._fields_ if not field.startswith("_")]
    assert fields
    assert {field: getattr(structure, field).offset for field in fields} == {
        field: compiled[f"{name}.{field}"] for field in fields
    }


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_is_what_the_header_says(compiled, name):
    assert getattr(layout, name) == compiled[name]


def test_the_control_block_has_168_bytes_and_sigevent_64():
    assert (ctypes.sizeof(layout.Aiocb), ctypes.sizeof(layout.Sigevent)) == (168, 64)


def test_the_members_that_the_library_keeps_for_itself_stand_between_sigevent_and_offset():
    own = [getattr(layout.Aiocb, name).offset for name, *_ in layout.Aiocb._fields_ if name.startswith("_")]
    assert own[:-1] == [96, 104, 108, 112, 120]  # the compiler aligns what the header declares there
    assert layout.Aiocb.aio_sigevent.offset + 64 == own[0]
    assert layout.Aiocb.aio_offset.offset == own[-2] + 8
