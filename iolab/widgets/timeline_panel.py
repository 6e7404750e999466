"""The timeline panel: choose a model, the wait, the bytes and the senders; the real experiment runs, and is drawn.

    page                           kernel                                 process of the run
    a slider moves ── traits ───>  start() ── make ────────────────────>  run(model, scenario)
    "running" <───────────────────                                          │
    draws <──────── figure ──────  _heard() <── stdout is readable ───────  Timeline
    "cancel" ─── message ───────>  stop() ──── its stdin ends ──────────>  leaves

The kernel waits for nobody here: its loop is told when the child has written. A setting that changes while a run is
under way ends that run and begins the next. Where this machine refuses a model, its recording is shown, with the reason.
"""

import traitlets

from iolab.models import MODELS, blocking
from iolab.recording.experiment_process import ExperimentProcess, scenario_of
from iolab.recording.recordings import obtain
from iolab.recording.timeline import Timeline
from iolab.widgets.panel import Panel, javascript

SETTINGS = ("model", "wait_ms", "nbytes", "senders")


class TimelinePanel(Panel):
    """One run of `model` (a module of iolab.models), made at once, and controls to make others.

    `timeline` is the last run. Without a page: set `model` (a name), `wait_ms`, `nbytes` or `senders`, and call `run`.
    ValueError for a wrong setting.
    """

    _esm = javascript(__file__)
    _process: ExperimentProcess | None = None  # of the run that is under way
    model = traitlets.Enum([each.NAME for each in MODELS], help="the model's NAME").tag(sync=True)
    wait_ms = traitlets.Float(help="how long nothing comes").tag(sync=True)
    nbytes = traitlets.Int(help="bytes from each sender").tag(sync=True)
    senders = traitlets.Int(help="the first one comes last").tag(sync=True)
    compare = traitlets.Bool(False, help="keep the run before as a shadow").tag(sync=True)
    choices = traitlets.Dict(help="what can be chosen, and the palette").tag(sync=True)
    running = traitlets.Bool(False).tag(sync=True)
    failure = traitlets.Unicode("", help="why there is no new run").tag(sync=True)
    figure = traitlets.Dict(help="the run that is shown: timeline_data.figure_of").tag(sync=True)
    shadow = traitlets.Dict(help="the run before it, or nothing").tag(sync=True)

    def __init__(self, model=blocking, wait_ms: float = 200, nbytes: int = 1 << 20, senders: int = 1) -> None:
        from iolab.widgets.timeline_data import choices

        scenario_of(wait_ms, nbytes, senders)
        self.timeline: Timeline | None = None
        self._made: tuple = ()  # the settings of the run that is shown or under way
        super().__init__(model=model.NAME, wait_ms=wait_ms, nbytes=nbytes, senders=senders, choices=choices())
        self.run()
        self.observe(lambda change: self.in_main_loop(self.start), SETTINGS)

    def run(self) -> Timeline:
        """Make the run that is chosen, and wait for it."""
        self.stop()
        if self._model.unavailable():
            return self._show_recording()
        self._made = self._settings
        with ExperimentProcess(self._model, *self._settings[1:]) as process:
            return self._show(*process.result())

    def start(self) -> None:
        """Begin the run that is chosen, unless it is the one that is shown or under way."""
        if self._settings != self._made:
            self.start_again()

    def start_again(self) -> None:
        """Begin the run that is chosen; the panel shows it when it is over."""
        self.stop()
        if self._loop is None:
            self.run()
            return
        self._made = self._settings
        try:
            if self._model.unavailable():
                self._show_recording()
                return
            self._process = ExperimentProcess(self._model, *self._settings[1:])
        except Exception as error:  # the loop would only log it, and the page would wait for ever
            self._failed(error)
            return
        self.failure, self.running = "", True
        self._loop.add_reader(self._process.fileno(), self._heard)

    def _heard(self) -> None:
        """The process of the run has written something, or has ended."""
        if not self._process.take():
            return
        self._loop.remove_reader(self._process.fileno())
        with self._process as process:
            self._process = None
            try:
                self._show(*process.result())
            except Exception as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._made, self.running, self.failure = (), False, str(error) or type(error).__name__

    def stop(self) -> None:
        """End the run that is under way, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            self._loop.remove_reader(process.fileno())
            process.cancel()
            self._made, self.running = (), False

    def asked(self, message: dict) -> None:
        """The page's buttons, {"do": "run"} or {"do": "cancel"}; {"do": "answer"} wants to know whether we are there."""
        self.send({"heard": message.get("do")})
        if message.get("do") == "run":
            self.start_again()
        elif message.get("do") == "cancel" and self._process is not None:
            self.stop()
            self.failure = "The run was cancelled; shown is the one before it."

    def picture(self):
        """The figure of the last run."""
        from iolab.drawing.timeline_figure import draw_timeline

        return draw_timeline(self.timeline)

    @property
    def _settings(self) -> tuple:
        return self.model, self.wait_ms, self.nbytes, self.senders

    @property
    def _model(self):
        return next(each for each in MODELS if self.model == each.NAME)

    def _show_recording(self) -> Timeline:
        self._made = self._settings
        try:
            return self._show(obtain(self._model, "three-senders" if self.senders > 1 else "one-read"), 0)
        except FileNotFoundError:  # several senders were recorded of those only that a Linux may refuse
            return self._show(obtain(self._model), 0)

    def _show(self, timeline: Timeline, run_ns: int) -> Timeline:
        from iolab.widgets.timeline_data import figure_of

        with self.hold_sync():
            self.shadow = self.figure if self.compare else {}
            self.timeline, self.figure = timeline, figure_of(timeline) | {"run_ns": run_ns}
            self.sentence, self.running, self.failure = self.figure["sentence"], False, ""
        return timeline
