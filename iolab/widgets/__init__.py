"""Panels for a notebook: controls around functions that also work without them. One file a panel, its JavaScript beside it."""
