"""What a trace point writes: its number and its fields, as the kernel describes them in a `format` file.

    field:pid_t prev_pid;  offset:24;  size:4;  signed:1;      "prev_pid", 4 bytes from byte 24 on, with a sign
    field:char prev_comm[16];                                  text, filled up with zero bytes
    field:__data_loc char[] name;                              where the text lies: length << 16 | offset
    field:guid_t fru_id;     offset:25;  size:16;              neither a number nor a text: its bytes, as they are

Two facts that surprise:
* No layout is promised. Numbers, offsets, sometimes sizes differ between kernels, and the file is the only authority:
  hence nothing is declared here in the manner of ctypes.
* The text buffer shows addresses of kernel memory hashed, the binary one shows them as they are: two events can be
  joined by the socket that they are about.

Documentation/trace/events.rst, section 3.
"""

import re
import struct
from typing import NamedTuple

_FIELD = re.compile(r"^\tfield:(.+?)([\w]+)(\[\w*\])?;\s*offset:(\d+);\s*size:(\d+);\s*signed:(\d);$", re.MULTILINE)
_CODES = {1: "Bb", 2: "Hh", 4: "Ii", 8: "Qq"}
_TEXT, _TEXT_ELSEWHERE, _NUMBERS = "text", "text elsewhere", "numbers"


class Event(NamedTuple):
    """One passage through a trace point. `thread_id`: the thread that was on the CPU, 0 for an idle one."""

    ns: int  # by the instance's clock
    cpu: int
    name: str  # "sched/sched_switch"
    thread_id: int
    fields: dict


class EventFormat:
    """The format of one event; `number` stands at the head of each of its records."""

    def __init__(self, name: str, text: str) -> None:
        """ValueError for a text that is no format."""
        number = re.search(r"^ID: (\d+)$", text, re.MULTILINE)
        if number is None:
            raise ValueError(f"no format of {name}: {text[:60]!r}")
        self.name, self.number = name, int(number[1])
        self._names, self._kinds, codes, at = [], {}, "=", 0
        found = [(int(f[3]), int(f[4]), *f[:3], f[5] == "1") for f in _FIELD.findall(text)]
        for offset, nbytes, type_name, field, array, signed in sorted(found):
            code = _code(type_name, array, nbytes, signed)
            if offset < at or code is None:  # an overlay, or something to come: left out, the rest stays readable
                continue
            codes += f"{offset - at}x{code}"
            at = offset + nbytes
            self._kinds[field] = _kind(type_name, array)
            self._names.append((field, int(code[:-1] or 1) if self._kinds[field] == _NUMBERS else 1))
        self._struct = struct.Struct(codes)

    def event(self, ns: int, cpu: int, record: bytes) -> Event:
        """The event that a record describes. struct.error for one that is too short."""
        values, fields = iter(self._struct.unpack_from(record)), {}
        for name, count in self._names:
            value, kind = next(values), self._kinds[name]
            if kind == _NUMBERS:
                value = (value, *(next(values) for _ in range(count - 1)))
            elif kind == _TEXT:
                value = _text(value)
            elif kind == _TEXT_ELSEWHERE:
                value = _text(record[value & 0xFFFF : (value & 0xFFFF) + (value >> 16)])
            fields[name] = value
        return Event(ns, cpu, self.name, fields.get("common_pid", 0), fields)

    @property
    def fields(self) -> list[str]:
        """The names of all fields, in the order of their offsets."""
        return [name for name, _ in self._names]


def _kind(type_name: str, array: str) -> str:
    if "__data_loc" in type_name:
        return _TEXT_ELSEWHERE
    if array or "[" in type_name:
        return _TEXT if "char" in type_name and "unsigned" not in type_name else _NUMBERS
    return ""


def _code(type_name: str, array: str, nbytes: int, signed: bool) -> str | None:
    """The code of struct for a field."""
    kind = _kind(type_name, array)
    if kind == _TEXT:
        return f"{nbytes}s"
    if kind == _NUMBERS:  # "unsigned long args[6]": the count is in the brackets
        count = int(array[1:-1]) if array and array[1:-1].isdigit() else 0
        each = nbytes // count if count else 0
        return f"{count}{_CODES[each][signed]}" if each in _CODES else None
    if nbytes in _CODES:
        return _CODES[nbytes][signed]
    return f"{nbytes}s" if nbytes else None  # a structure of the kernel's own: its bytes


def _text(raw: bytes) -> str:
    return bytes(raw).partition(b"\0")[0].decode(errors="replace")
