"""Figures, tables and sentences. They read Timelines and never measure."""

from iolab.drawing.comparison_figure import draw_comparison
from iolab.drawing.copy_cost_figure import draw_copy_costs
from iolab.drawing.order_figure import draw_order, longest_stay_ns, order_of_completion
from iolab.drawing.table import Table, comparison_table, span_table
from iolab.drawing.timeline_figure import draw_timeline
from iolab.drawing.words import duration, sentence, size

__all__ = [
    "Table", "comparison_table", "draw_comparison", "draw_copy_costs", "draw_order", "draw_timeline", "duration", "longest_stay_ns",
    "order_of_completion", "sentence", "size", "span_table",
]  # fmt: skip
