"""Check of the chapter on io_uring: many reads in flight, never too many, and the pieces back in their order.

check       a file in pieces, completions in any order ──> learner's loop: submit, wait, put in place
            the same with a real file and a real ring, where this machine has one
"""

import random
import tempfile
from collections.abc import Callable
from contextlib import closing

from iolab.exercises.attempting import TooLong, attempt, is_open, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.kernel import io_uring_operations as op
from iolab.kernel.io_uring import Ring, unavailable

NBYTES, SEED = 6, 30  # of a piece; of the order in which the rehearsal completes


class Rehearsal:
    """A file of `count` pieces, read through a queue of `depth` places; completes in some other order."""

    def __init__(self, count: int, depth: int) -> None:
        self.pieces = [b"<%04d>" % number for number in range(count)]
        self.depth, self.in_flight, self.serial = depth, {}, 1000
        self.asked, self.most, self.dry, self.full = [], 0, 0, False
        self._random = random.Random(SEED)

    def submit(self, number: int) -> int:
        if len(self.in_flight) == self.depth:
            self.full = True
            raise BlockingIOError(f"{self.depth} reads are in flight: there is no room for one more")
        if not 0 <= number < len(self.pieces):
            raise IndexError(f"the file has the pieces 0 to {len(self.pieces) - 1}, you ask for {number!r}")
        self.serial += self._random.randint(1, 9)
        self.in_flight[self.serial] = number
        self.asked.append(number)
        self.most = max(self.most, len(self.in_flight))
        return self.serial

    def wait(self) -> list[tuple[int, bytes]]:
        if not self.in_flight:
            raise TooLong("nothing is in flight")
        self.dry += len(self.in_flight) < self.depth and len(set(self.asked)) < len(self.pieces)
        some = self._random.sample(sorted(self.in_flight), self._random.randint(1, min(2, len(self.in_flight))))
        return [(user_data, self.pieces[self.in_flight.pop(user_data)]) for user_data in some]


def check_fetch(fetch: Callable) -> None:
    """Does fetch(submit, wait, count, depth) return the file's bytes, with `depth` reads in flight while it can?"""
    if is_open(fetch, "Submit, wait, put in place: in which order?"):
        return None
    for count, depth in ((1, 4), (20, 4), (3, 8), (0, 4)):
        world = Rehearsal(count, depth)
        got, error = attempt(fetch, world.submit, world.wait, count, depth)
        case = f"{count} pieces, room for {depth}: "
        if world.full:
            return wrong(f"{case}you submitted one more than there is room for. Wait for a completion first.")
        if isinstance(error, TooLong):
            return wrong(f"{case}you wait, and nothing is in flight: nothing will ever complete.")
        if error:
            return raised(error)
        if got is None and not world.asked:
            return unanswered("Your function returned None and asked for nothing.")
        if world.in_flight:
            return wrong(
                f"{case}you returned with {len(world.in_flight)} reads in flight: their buffers are the kernel's."
            )
        if len(world.asked) > count:
            return wrong(f"{case}you read a piece twice: {len(world.asked)} reads were submitted.")
        if got != b"".join(world.pieces):
            return wrong(f"{case}{_how_wrong(got, world)}")
        if world.dry:
            return wrong(f"{case}the bytes are right, but you waited {world.dry} times with less than {depth} in flight and "
                         "pieces left. Submit again as soon as one has completed.")  # fmt: skip
    return _on_a_ring(fetch)


def _how_wrong(got, world: Rehearsal) -> str:
    if isinstance(got, bytes | bytearray) and sorted(got) == sorted(b"".join(world.pieces)):
        return "all pieces are there, in the order in which they completed. Which is which, user_data says."
    return f"the file has {len(world.pieces) * NBYTES} bytes; you returned {got!r}."


def _on_a_ring(fetch: Callable) -> None:
    because = "Many in flight, never one too many, and each piece found its place by its user_data."
    if unavailable():
        return right(because)
    count, depth = 40, 8
    pieces = [b"<%04d>" % number for number in range(count)]
    with tempfile.TemporaryFile(buffering=0) as file, closing(Ring(depth)) as ring:
        file.write(b"".join(pieces))
        buffers = {}

        def submit(number: int) -> int:
            buffer = bytearray(NBYTES)
            user_data = ring.put(op.read(file.fileno(), buffer, number * NBYTES))
            buffers[user_data] = buffer
            return user_data

        def wait() -> list[tuple[int, bytes]]:
            return [(cqe.user_data, bytes(buffers.pop(cqe.user_data)[: max(0, cqe.res)])) for cqe in ring.wait(1)]

        got, error = attempt(fetch, submit, wait, count, depth)
    if error:
        return raised(error)
    if got != b"".join(pieces):
        return wrong(f"On this machine's own ring you returned {got!r}.")
    return right(because)
