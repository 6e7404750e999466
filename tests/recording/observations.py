"""Runs that never happened, but could have: a reader, its senders and the moments that a kernel would know."""

from dataclasses import dataclass

from hypothesis import strategies as st

from iolab.calls import Call
from iolab.recording.evidence.clock import Counters
from iolab.recording.observation import Observation
from iolab.recording.scenario import Delivery, Scenario
from iolab.recording.senders import Sent
from iolab.recording.stream import Stream

EAGAIN = 11


@dataclass
class Truth:
    """What assembling must not contradict: when each sleeping call was really woken."""

    observation: Observation
    woken_ns: list[tuple[int, int]]  # (start of the call, moment when what it waited for was there)


@st.composite
def truths(draw, most_streams: int = 3) -> Truth:
    """A reader that polls, sleeps in reads and sleeps in waits, in any order, until it has all bytes."""
    numbers = st.integers(1, 50_000)
    arrivals, streams, deliveries = {}, {}, []
    for index in range(draw(st.integers(1, most_streams))):
        clock, sends, moments = draw(numbers), [], []
        for nbytes in draw(st.lists(st.integers(1, 1400), min_size=1, max_size=4)):
            before = clock + draw(numbers)
            moment = before + draw(numbers)
            clock = moment + draw(numbers)
            sends.append(Sent(before, clock, nbytes))
            moments.append([moment, nbytes])
        fd, total = 5 + index, sum(sent.nbytes for sent in sends)
        streams[fd] = Stream((f"peer-{index}", f"kernel-{index}"), total, 1, sends)
        arrivals[fd] = moments
        deliveries.append(Delivery(1, total))
    reader = _Reader(draw, arrivals)
    begin = reader.now
    while reader.pending():
        draw(st.sampled_from([reader.poll, reader.read, reader.wait]))()
    seen = Observation(
        "any", Scenario(tuple(deliveries)), streams, reader.calls, 1, begin, reader.now + draw(numbers),
        Counters(0, 0, 0), Counters(0, len(reader.woken), 0),
    )  # fmt: skip
    return Truth(seen, reader.woken)


class _Reader:
    def __init__(self, draw, arrivals) -> None:
        self._draw, self._arrivals = draw, arrivals
        self.now, self.calls, self.woken = draw(st.integers(0, 100_000)), [], []

    def pending(self) -> list[int]:
        return [fd for fd, moments in self._arrivals.items() if moments]

    def _step(self) -> int:
        self.now += self._draw(st.integers(1, 30_000))
        return self.now

    def _fd(self) -> int:
        return self._draw(st.sampled_from(self.pending()))

    def poll(self) -> None:
        fd, start = self._fd(), self._step()
        looked = self._step()
        if self._arrivals[fd][0][0] > looked:
            self.calls.append(Call("read", fd, start, self._step(), None, EAGAIN, 0))
        else:
            self._take(fd, start, looked, 0)

    def read(self) -> None:
        fd, start = self._fd(), self._step()
        asleep = self._step()
        moment = self._arrivals[fd][0][0]
        if moment > asleep:
            self.woken.append((start, moment))
            self.now = moment
            self._take(fd, start, self._step(), 1)
        else:
            self._take(fd, start, asleep, 0)

    def wait(self) -> None:
        start = self._step()
        asleep = self._step()
        moment = min(moments[0][0] for moments in self._arrivals.values() if moments)
        if moment > asleep:
            self.woken.append((start, moment))
            self.now = moment
        self.calls.append(Call("epoll_wait", -1, start, self._step(), None, 0, int(moment > asleep)))

    def _take(self, fd: int, start: int, looked: int, slept: int) -> None:
        there = [each for each in self._arrivals[fd] if each[0] <= looked]
        wanted = self._draw(st.integers(1, sum(nbytes for _, nbytes in there)))
        self.calls.append(Call("read", fd, start, self._step(), wanted, 0, slept))
        while wanted:
            taken = min(wanted, self._arrivals[fd][0][1])
            self._arrivals[fd][0][1] -= taken
            wanted -= taken
            if not self._arrivals[fd][0][1]:
                self._arrivals[fd].pop(0)
