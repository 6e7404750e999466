"""Checks of the chapter that compares all models: who fetches, and what readers of the lecture mix up.

    Timelines of real runs ──> learner's function ──> "synchronous" or "asynchronous": the evidence says which
    sentences of readers   ──> learner's letters  ──> each with the run that settles it

The lecture's definition: synchronous or asynchronous is about who does the fetching of the data (the copy). Whether a
call waits is another question, and POSIX's word is a third.
"""

from collections.abc import Callable

from iolab.drawing.words import copied_by, copier
from iolab.exercises.attempting import attempt, is_open, raised
from iolab.exercises.checking import right, unanswered, wrong
from iolab.recorded import text_of
from iolab.recording.stamp import exact
from iolab.recording.timeline import APPLICATION, Span, Timeline

SYNCHRONOUS, ASYNCHRONOUS = "synchronous", "asynchronous"
RECORDED = ("posix-aio.one-read", "io-uring.one-read", "linux-aio.one-read", "io-uring.one-read.manner-sqpoll")
WHY = {
    "blocking": "It slept in read, and that same read brought the bytes.",
    "nonblocking": "It never slept: that is about the wait. Its last read brought the bytes.",
    "posix-aio.one-read": "The thread slept in aio_suspend, of its own will; who brought the bytes is another question.",
    "io-uring.one-read": 'facts["asynchronous"] and POSIX speak of the interface. Look for the lane whose bars have bytes.',
    "linux-aio.one-read": "It was told by an event. But the bytes came inside its own io_submit.",
    "io-uring.one-read.manner-sqpoll": "Nobody in the program copied: look at all lanes, not at the model's name.",
}
SENTENCES = {
    "a": "Blocking or nonblocking says whether a call waits.",
    "b": "Synchronous or asynchronous is about the waiting; blocking or nonblocking is about who fetches the data.",
    "c": "epoll tells what is ready, and my thread makes the copy. So by the lecture it is synchronous.",
    "d": "A nonblocking read returns at once. So it is asynchronous.",
    "e": "With io_uring it is always a thread of the kernel that copies, never mine.",
    "f": "My thread sleeps in aio_suspend, and it is asynchronous I/O all the same.",
    "g": "io_submit is asynchronous, so it never waits.",
}
SETTLED = {
    "a": "it is right: of all runs, only nonblocking reads came back with EAGAIN instead of waiting",
    "b": "it is the lecture's sentence with the words exchanged",
    "c": "it is right: epoll_wait brought no byte, read brought them all, in the application's lane",
    "d": "its last read, the one that succeeds, copies, and the thread is held in it",
    "e": "with default flags all bytes are in the application's lane, inside io_uring_enter",
    "f": "it is right: the read went on without that thread, which only chose to sleep until it was told",
    "g": "for a file that is not in memory the thread may sleep in it, and the bytes are there when it returns",
}
MISTAKEN = {"b", "d", "e", "g"}


def _by_hand(model: str, waiting: str) -> Timeline:
    """A read in two bars, for the models of which no recording is kept."""
    calls = [("read", waiting, 0, 150, None), ("read", "copy", 150, 151, 1000)]
    spans = [
        Span(APPLICATION, state, exact(start * 10**6), exact(end * 10**6), 1, name, nbytes)
        for name, state, start, end, nbytes in calls
    ]
    return Timeline(model, {"asynchronous": False, "nbytes": 1000, "calls": {"read": 2}}, tuple(spans))


def examples() -> dict[str, Timeline]:
    """The Timelines that the check asks about."""
    own = {"blocking": _by_hand("blocking", "blocked"), "nonblocking": _by_hand("nonblocking", "refused")}
    return own | {name: Timeline.from_json(text_of(name)) for name in RECORDED}


def check_by_the_lecture(judge: Callable) -> None:
    """Does judge(timeline) say by the lecture's definition what a Timeline is: "synchronous" or "asynchronous"?"""
    if is_open(judge, "Who fetched the bytes? Put a condition in place of the ..."):
        return None
    said = {}
    for name, timeline in examples().items():
        said[name], error = attempt(judge, timeline)
        if error:
            return raised(error)
    if set(said.values()) == {None}:
        return unanswered("Your function returned None for each Timeline.")
    truth = {
        name: SYNCHRONOUS if APPLICATION in copied_by(each).split(", ") else ASYNCHRONOUS
        for name, each in examples().items()
    }
    if all(said[name] == ({SYNCHRONOUS, ASYNCHRONOUS} - {truth[name]}).pop() for name in truth):
        return wrong("Each of your answers is the reverse: synchronous is who fetches for himself.")
    for name, each in examples().items():
        if said[name] != truth[name]:
            return wrong(f"{name}: you said {said[name]!r}. It was {copier(each)}. {WHY[name]}")
    return right("Whether a thread slept, and what the interface is called, makes no difference: the bytes' lane does.")


def check_mistaken(letters: object) -> None:
    """Are these letters, in a string, those of the mistaken SENTENCES?"""
    if not isinstance(letters, str):
        return wrong(f"One string with the letters of the mistaken sentences, such as 'ab'; not {letters!r}.")
    said = set(letters.replace(",", "").replace(" ", "").lower())
    if not said or said == {"?"}:
        return unanswered("Which sentences are mistaken? Put their letters into the string.")
    if said - SENTENCES.keys():
        return wrong(f"There is no sentence {', '.join(sorted(said - SENTENCES.keys()))}; they go from a to g.")
    for letter in sorted(said - MISTAKEN):
        return wrong(f"You accuse {letter}; {SETTLED[letter]}.")
    if overlooked := sorted(MISTAKEN - said):
        return wrong(f"{len(overlooked)} more are mistaken. Of one of them: {SETTLED[overlooked[0]]}.")
    return right("; ".join(f"{letter}: {SETTLED[letter]}" for letter in sorted(MISTAKEN)) + ".")
