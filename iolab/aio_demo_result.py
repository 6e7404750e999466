"""What a run of the lecture's program showed: plain data, as text, as JSON.

AioDemo ── str(): the lines that the program prints, who waited, who worked, the file as a hex dump
        └─ to_json() ── from_json(): the same again
"""

import json
from dataclasses import asdict, dataclass
from html import escape

MS = 1e6


@dataclass(frozen=True, slots=True, repr=False)
class AioDemo:
    """One run. Times are nanoseconds, sizes bytes.

    `polls`: how often aio_error was asked. `cpu_ns` and `wait_ns`: the CPU time of the thread that waited, and what a
    clock showed, from each submission to the knowledge that it is over. `process_cpu_ns`, `wall_ns`: all threads, and
    the whole demo. `helpers`: threads that Python did not start, each with the CPU time that it had meanwhile.
    """

    notify: str
    path: str
    nbytes: int
    ahead_nbytes: int  # written before, on the same descriptor: what the write had to wait for
    polls: int
    cpu_ns: int
    wait_ns: int
    process_cpu_ns: int
    wall_ns: int
    written: int
    read: int
    same: bool  # the bytes read are those written
    thread_id: int  # which submitted and waited
    helpers: tuple[tuple[int, int], ...]
    lines: tuple[str, ...]
    hex_dump: str
    process_id: int
    own_process: bool  # whether a process was started for it alone, and why: see iolab.aio_demo

    def to_json(self) -> str:
        """As JSON; from_json makes an equal AioDemo of it."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "AioDemo":
        """What to_json wrote. ValueError for anything else."""
        try:
            data = json.loads(text)
            helpers = tuple((int(thread_id), int(cpu_ns)) for thread_id, cpu_ns in data.pop("helpers"))
            return cls(**data | {"lines": tuple(data["lines"]), "helpers": helpers})
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"not the JSON of an AioDemo: {error}") from None

    def __str__(self) -> str:
        helpers = ", ".join(f"thread {thread_id}: {cpu_ns / MS:.3f} ms" for thread_id, cpu_ns in self.helpers)
        own = f" in process {self.process_id}, started for it: a signal is sent to all threads of a process"
        return "\n".join(
            (
                *self.lines,
                "",
                f"told of the end by   {self.notify}{own if self.own_process else ''}",
                f"aio_error asked      {self.polls:,} times",
                f"waited               {self.wait_ns / MS:.3f} ms, of which thread {self.thread_id} had a CPU for "
                f"{self.cpu_ns / MS:.3f} ms",
                f"the work was done by {helpers or 'nobody that /proc/self/task shows'}",
                f"written, read        {self.written:,} and {self.read:,} bytes, {'' if self.same else 'not '}the same"
                + (f"; {self.ahead_nbytes:,} bytes went ahead on the same descriptor" if self.ahead_nbytes else ""),
                "",
                self.path,
                self.hex_dump,
            )
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def hex_dump(data: bytes) -> str:
    """As `hexdump -C`: offset, sixteen bytes, their characters; lines equal to the one before are one `*`."""
    lines, before = [], None
    for offset in range(0, len(data), 16):
        row = data[offset : offset + 16]
        if row == before:
            if lines[-1] != "*":
                lines.append("*")
            continue
        before = row
        codes = " ".join(f"{byte:02x}" for byte in row[:8]) + "  " + " ".join(f"{byte:02x}" for byte in row[8:])
        characters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{offset:08x}  {codes:<48}  |{characters}|")
    return "\n".join([*lines, f"{len(data):08x}"])
