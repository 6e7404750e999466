"""From calls and evidence to a Timeline: the lanes of the peers, of the kernel's queues, of the application, of its helpers.

    observation ──> application (thread_lane) · helpers (thread_lane, helper_lane) · peers and queues (stream) ──> Timeline

A helper has a lane only if a thread id stands behind it. Who has copied is said by the lane in which the bytes are.
"""

from iolab.calls import Call
from iolab.recording.facts import facts_of
from iolab.recording.helper_lane import helper_lane
from iolab.recording.observation import HELPER_COPIES, Observation
from iolab.recording.polling import merged
from iolab.recording.stream import peer_and_queue
from iolab.recording.thread_lane import ThreadLane
from iolab.recording.timeline import APPLICATION, HELPER, Link, Timeline


def timeline_of(seen: Observation) -> Timeline:
    """All lanes of one run."""
    application = ThreadLane(seen, APPLICATION, seen.thread_id).fill(seen.calls, seen.begin_ns, seen.end_ns)
    spans, links = merged(application.spans), application.links
    lanes = {}
    for number, (thread_id, calls) in enumerate(seen.helper_calls, 1):
        lanes[thread_id] = f"{HELPER}-{number}"
        lane = ThreadLane(seen, lanes[thread_id], thread_id).fill(calls, calls[0].start_ns, calls[-1].end_ns)
        spans, links = spans + lane.spans, links + lane.links
    for number, helper in enumerate(seen.helpers, len(lanes) + 1):
        lanes[helper.thread_id] = f"{HELPER}-{number}"
        fds = [fd for fd in seen.streams if seen.copier(fd) == (HELPER_COPIES, helper.thread_id)]
        more_spans, more_links = helper_lane(seen, lanes[helper.thread_id], helper, fds)
        spans, links = spans + more_spans, links + more_links
    for fd, stream in seen.streams.items():
        more_spans, more_links = peer_and_queue(stream, _emptied(seen, fd))
        spans, links = spans + more_spans, links + more_links
    links += _completions(seen, lanes)
    return Timeline(seen.model, facts_of(seen, lanes), tuple(spans), tuple(links))


def _emptied(seen: Observation, fd: int) -> list[Call]:
    """The calls that took bytes, each until these had left the kernel: the end of their copy, where that was seen."""
    copies = [each.ns for each in seen.moments if each.kind == "copy-end" and each.fd == fd]
    takes, before_ns = [], 0
    for take in seen.takes_of(fd):
        copied_ns = max((ns for ns in copies if before_ns < ns <= take.end_ns), default=take.end_ns)
        takes.append(take._replace(end_ns=copied_ns))
        before_ns = take.end_ns
    return takes


def _completions(seen: Observation, lanes: dict[int, str]) -> list[Link]:
    """An arrow for each read that is done: from whoever has copied, when that was over, to the application."""
    links = []
    for fd, stream in seen.streams.items():
        emptied_ns = [take.end_ns for take in _emptied(seen, fd)]
        told = [call for call in seen.calls if any(of == fd for of, _ in call.completed)]
        told = told or [call for call in seen.calls if call.fd == fd and call.nbytes is not None]
        taken = 0
        for call in told:
            nbytes = sum(count for of, count in call.completed if of == fd) if call.completed else call.nbytes
            taken += nbytes
            if nbytes == 0 or taken >= stream.wanted:
                who, thread_id = seen.copier(fd)
                lane = lanes.get(thread_id, stream.lanes[1]) if who == HELPER_COPIES else stream.lanes[1]
                done_ns = max((ns for ns in emptied_ns if ns <= call.end_ns), default=call.end_ns)
                links.append(Link("complete", lane, done_ns, APPLICATION, call.end_ns))
    return links
