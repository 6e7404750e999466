"""Panels for a notebook: controls around functions that also work without them. One file a panel, its JavaScript beside it."""

from iolab.widgets.timeline_panel import TimelinePanel

__all__ = ["TimelinePanel"]
