"""Who signs a figure of several runs: this machine for what was measured here, another one for each recording."""

from collections.abc import Sequence

from iolab.drawing.words import joint_signature
from iolab.recording.timeline import Timeline


def signed_by(timelines: Sequence[Timeline]) -> str:
    """The lines under the title: the runs of this machine first, then where each recording is from."""
    recorded = [each for each in timelines if each.facts.get("recorded")]
    live = [each for each in timelines if not each.facts.get("recorded")]
    if not live:  # two lines: where it is from, and what it is
        return joint_signature(timelines).replace(" · ", "\n", 1)
    names: dict[str, list[str]] = {}
    for each in recorded:
        names.setdefault(each.facts["recorded"], []).append(each.model)
    lines = [f"{', '.join(models)}: RECORDING of {label}, not of this machine" for label, models in names.items()]
    return "\n".join([joint_signature(live), *lines])
