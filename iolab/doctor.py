"""What this machine offers: each model and each rung of evidence, live, recorded or missing, in the kernel's words."""

import json
import os
import platform
import socket
import sys
from dataclasses import asdict, dataclass
from html import escape

from iolab.kernel.cpus import cpu_quota
from iolab.models import MODELS, asynchronous_iocp
from iolab.recording.evidence import RUNGS
from iolab.recording.recordings import REFUSABLE

RECORDED = (*REFUSABLE, asynchronous_iocp)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `state` is "live", "recorded" (only that) or "missing"; `why` the kernel's reason,
    or what it gives."""

    kind: str
    name: str
    state: str
    why: str


@dataclass(frozen=True, repr=False)
class Report:
    """All findings, and the machine they were made on; shows as a table in a notebook."""

    machine: dict
    findings: tuple[Finding, ...]

    def to_json(self) -> str:
        """The report as JSON: machine, findings."""
        return json.dumps({"machine": self.machine, "findings": [asdict(each) for each in self.findings]}, indent=1)

    def __str__(self) -> str:
        width = max(len(each.name) for each in self.findings)
        lines = [f"{key}: {value}" for key, value in self.machine.items()]
        lines += [f"{each.kind:8}  {each.name:{width}}  {each.state:8}  {each.why}" for each in self.findings]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        machine = " · ".join(f"{escape(key)} {escape(str(value))}" for key, value in self.machine.items())
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(each.name)}</th><td>{escape(each.kind)}</td>'
            f"<td>{'✔' if each.state == 'live' else '–'} {escape(each.state)}</td>"
            f'<td style="text-align:left">{escape(each.why)}</td></tr>'
            for each in self.findings
        )
        head = "".join(
            f'<th scope="col" style="text-align:left">{cell}</th>' for cell in ("name", "kind", "state", "why")
        )
        return f"<table><caption>{machine}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def examine() -> Report:
    """Ask every model and every rung whether it works here; takes a few milliseconds and changes nothing."""
    findings = [_finding("model", model) for model in (*MODELS, asynchronous_iocp)]
    findings += [_finding("evidence", rung) for rung in RUNGS]
    findings.append(_low_water_mark())
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = cpu_quota()
    machine = {
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "CPUs": f"{cpus}, a quota of {quota:g}" if quota else cpus,
        "Python": ".".join(map(str, sys.version_info[:3])),
        "C library": " ".join(platform.libc_ver()).strip() or "unknown",
    }
    return Report(machine, tuple(findings))


def _finding(kind: str, member) -> Finding:
    reason = member.unavailable()
    first_line = member.__doc__.strip().partition("\n")[0]
    state = "recorded" if reason and kind == "model" and member in RECORDED else "missing" if reason else "live"
    return Finding(kind, member.NAME, state, reason or first_line)


def _low_water_mark() -> Finding:
    """Whether the kernel keeps SO_RCVLOWAT: without it a large read comes in pieces."""
    wanted = 1 << 20
    try:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)
            kept = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)
    except OSError as error:
        return Finding(
            "kernel", "SO_RCVLOWAT", "missing", f"setsockopt: {error.strerror}; a large read comes in pieces"
        )
    if kept < wanted:
        return Finding(
            "kernel", "SO_RCVLOWAT", "missing", f"kept {kept:,} of {wanted:,} bytes; a large read comes in pieces"
        )
    return Finding("kernel", "SO_RCVLOWAT", "live", "one wait and one copy for a read of 1 MiB over TCP.")
