"""Figures and widgets for the chapters; never imported by the chain."""

from minigpt.viz.style import ladder, load_record, palette, show

__all__ = ["ladder", "load_record", "palette", "show"]
