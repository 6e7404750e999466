"""The loop stepper: a run of the reactor or of the proactor, forward and back by key.

    reactor_turns.turns() ─┐                      what the program sees │ what the kernel holds
    proactor_turns.turns() ┴─> run ──> loop_stepper.js                  │

The run was made before: real sockets, a real epoll or a real ring, looked at after each step. Where the machine refuses
io_uring it is a recording, and `origin` says so. Nothing runs here while one steps.
"""

import traitlets

from iolab.drawing.picture import Picture
from iolab.drawing.turns_figure import draw_turns, told
from iolab.recording import proactor_turns, reactor_turns
from iolab.recording.recordings import obtain_value
from iolab.widgets.panel import Panel, javascript

LOOPS = {"reactor": reactor_turns, "proactor": proactor_turns}


class LoopStepper(Panel):
    """Steps through a run of `kind`, "reactor" or "proactor", made now or recorded. ValueError for another word."""

    _esm = javascript(__file__)
    run = traitlets.Dict(help="kind, mechanism, steps: recording.loop_run").tag(sync=True)
    origin = traitlets.Unicode("", help="where the run is from").tag(sync=True)

    def __init__(self, kind: str) -> None:
        if kind not in LOOPS:
            raise ValueError(f"kind must be one of {', '.join(LOOPS)}, not {kind!r}")
        module = LOOPS[kind]
        run, where = obtain_value(module.NAME, module.unavailable(), module.turns)
        super().__init__(run=run, origin=f"{kind} on {run['mechanism']}: {where}", sentence=told(run))

    def picture(self) -> Picture:
        """The whole run, as one figure."""
        return draw_turns(self.run, self.origin)
