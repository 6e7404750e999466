"""From trace points to the device: when a disk was asked for something, and when it had answered.

    block_rq_issue  254:0 R  sector 8192  ├──── the disk works ────┤  block_rq_complete  254:0 R  sector 8192

Two facts that surprise:
* What is asked is seldom what a program has asked for: the kernel reads ahead, merges and splits. The two ends are
  joined by disk and sector.
* The thread that issues may be a stranger (a kworker), and whoever is interrupted by the answer mostly is one. So what
  other programs read from the same disk meanwhile is among these moments.
"""

from iolab.kernel.trace_format import Event
from iolab.recording.moment import Moment

ISSUE, COMPLETE = "block/block_rq_issue", "block/block_rq_complete"
SECTOR_BYTES = 512


class Devices:
    """Takes all events in the order of time; `moments` are the reads of disks. `thread_id` is who issued them."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self._issued: dict[tuple[int, int], int] = {}

    def take(self, event: Event) -> None:
        """One more event, of any thread."""
        fields = event.fields
        if event.name not in (ISSUE, COMPLETE) or not fields["rwbs"].startswith("R"):
            return
        place = (fields["dev"], fields["sector"])
        detail = f"{fields['rwbs']} {fields['dev'] >> 20}:{fields['dev'] & 0xFFFFF} sector {fields['sector']}"
        nbytes, source = fields["nr_sector"] * SECTOR_BYTES, f"trace point {event.name}"
        if event.name == ISSUE:
            if place in self._issued:  # the disk was busy, and is asked a second time for the same
                return
            self._issued[place] = event.thread_id
            kind, thread_id = "device-start", event.thread_id
        elif place in self._issued:
            kind, thread_id = "device-end", self._issued.pop(place)
        else:
            return
        self.moments.append(Moment(kind, thread_id, event.ns, event.ns, event.ns, source, -1, nbytes, detail))
