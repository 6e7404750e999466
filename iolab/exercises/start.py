"""The check of the first notebook: reading the facts of a Timeline."""

from iolab.exercises.checking import right, unanswered, wrong
from iolab.recording.timeline import APPLICATION, Timeline


def check_facts(timeline: Timeline, slept: object, fetched_by: object, used_cpu: object) -> None:
    """`slept`: how often; `fetched_by`: the name of the call that returned the bytes; `used_cpu`: nanoseconds."""
    facts = timeline.facts
    if ... in (slept, fetched_by, used_cpu):
        return unanswered('Put an expression in place of each "...": timeline.facts is a dict, look at its keys.')
    sleeps, calls = facts["voluntary_switches"], sum(facts["calls"].values())
    if not _is_count(slept) or slept != sleeps:
        if _is_count(slept) and slept == facts["involuntary_switches"]:
            return wrong("Those are the involuntary switches: the kernel took the CPU away from a thread that wanted it. "
                         "A thread that goes to sleep gives its CPU up of itself.")  # fmt: skip
        if _is_count(slept) and slept == facts["refused"]:
            return wrong(
                "That is how many calls were refused (EAGAIN). A refused call does not sleep, it returns at once."
            )
        return wrong("slept is not what the kernel counted. Each time a thread goes to sleep, the kernel notes one "
                     "voluntary context switch.")  # fmt: skip
    if isinstance(fetched_by, str) and fetched_by in facts["calls"]:
        if fetched_by not in {span.call for span in timeline.lane(APPLICATION) if span.nbytes}:
            return wrong(f"The thread did call {fetched_by}, but that call returned no bytes.")
    else:
        return wrong(f"fetched_by must be the name of a call that the thread made: one of the keys of facts['calls'], which "
                     f"counts {calls} in all. The sender's calls are not its own.")  # fmt: skip
    if not _is_count(used_cpu) or used_cpu != facts["cpu_ns"]:
        if _is_count(used_cpu) and used_cpu == facts["wall_ns"]:
            return wrong("That is the time on the wall clock, which goes on while the thread sleeps. The clock of the thread's "
                         "CPU time stands still meanwhile.")  # fmt: skip
        return wrong("used_cpu is not the thread's CPU time: facts has it in nanoseconds.")
    return right("The thread slept in the call that fetched the bytes, and used the CPU for a small part of that time.")


def _is_count(answer: object) -> bool:
    return isinstance(answer, int) and not isinstance(answer, bool)
