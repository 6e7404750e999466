"""What a Timeline says of itself besides its bars: the scenario, the totals, the machine, the evidence.

Times that are moments are CLOCK_MONOTONIC in nanoseconds, like the spans. Of a delivery, `ready` is the best stamp,
clipped to the end of the read that took the last byte; `ready_stamps` are all of them, as they were taken.
"""

import os
import platform
import sys
from collections import Counter
from errno import EAGAIN, EINPROGRESS

from iolab.calls import COMPLETION
from iolab.kernel.cpus import cpu_quota
from iolab.recording.observation import Observation


def facts_of(seen: Observation, lanes: dict[int, str]) -> dict:
    """The facts of one run, as plain data for JSON; the keys are the documentation.

    `lanes` are the names of the helpers' lanes, by their thread ids.
    """
    deliveries = []
    for (fd, stream), delivery in zip(seen.streams.items(), seen.scenario.deliveries, strict=True):
        reads = [take for take in seen.takes_of(fd) if take.nbytes]
        got = sum(call.nbytes for call in reads)
        ready = stream.arrival(delivery.nbytes) if got == delivery.nbytes else None
        if ready:
            ready = ready.within(min(ready.earliest_ns, reads[-1].end_ns), reads[-1].end_ns)
        deliveries.append(
            {
                "wait_asked_ms": delivery.delay_ms,
                "nbytes_asked": delivery.nbytes,
                "nbytes": got,
                "low_water": stream.low_water,
                "ready": ready
                and {"ns": ready.ns, "interval_ns": [ready.earliest_ns, ready.latest_ns], "source": ready.source},
                "ready_stamps": _stamps(stream),
                "wait_ns": ready and max(0, ready.ns - seen.begin_ns),
                "done_ns": reads[-1].end_ns if reads else None,
            }
        )
    refused = sum(call.errno in (EAGAIN, EINPROGRESS) for call in seen.calls)
    switches = seen.after.voluntary_switches - seen.before.voluntary_switches
    return {
        "transport": seen.scenario.transport,
        "nbytes_asked": seen.scenario.nbytes,
        "nbytes": sum(each["nbytes"] for each in deliveries),
        "ended": seen.ended,
        "wait_ns": max((each["wait_ns"] or 0 for each in deliveries), default=0),
        "begin_ns": seen.begin_ns,
        "wall_ns": seen.end_ns - seen.begin_ns,
        "cpu_ns": seen.after.cpu_ns - seen.before.cpu_ns,
        "voluntary_switches": switches,
        "involuntary_switches": seen.after.involuntary_switches - seen.before.involuntary_switches,
        "calls": dict(Counter(call.name for call in seen.calls if call.name != COMPLETION)),
        "asynchronous": seen.asynchronous,
        "copiers_known": seen.copiers_known,
        "helpers": _helpers(seen, lanes),
        "refused": refused,
        "work_slices": seen.work_slices,
        "options": seen.options,
        "deliveries": deliveries,
        "evidence": seen.evidence,
        "evidence_missing": seen.evidence_missing,
        "looks": [[look.before_ns, look.after_ns, look.state, look.wchan, look.syscall] for look in seen.looks],
        "process_id": os.getpid(),
        "recorder_ns_per_call": seen.recorder_ns_per_call,
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_quota": cpu_quota(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "discarded": seen.discarded,
    }


def _helpers(seen: Observation, lanes: dict[int, str]) -> list[dict]:
    """The threads that worked for the application: of the model's own, and of others, what /proc said."""
    own = [(thread_id, "by its own record", None) for thread_id, _ in seen.helper_calls]
    others = [(helper.thread_id, helper.words, helper.cpu_ns) for helper in seen.helpers]
    return [
        {"lane": lanes[thread_id], "thread_id": thread_id, "evidence": words, "cpu_ns": cpu_ns}
        for thread_id, words, cpu_ns in own + others
    ]


def _stamps(stream) -> list[dict]:
    """Every stamp that says when the last byte was ready, the best one and the others."""
    last = [sent for sent in stream.sends if sent.nbytes][-1:]
    stamps = [["sender's bracket", sent.after_ns, sent.before_ns, sent.after_ns] for sent in last]
    for one in filter(None, (stream.received, stream.traced)):
        stamps.append([one.source, one.ns, one.earliest_ns, one.latest_ns])
    return [dict(zip(("source", "ns", "earliest_ns", "latest_ns"), stamp, strict=True)) for stamp in stamps]
