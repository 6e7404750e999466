"""Figures, tables and sentences. They read Timelines and never measure."""
