"""Figures and widgets for the chapters; never imported by the chain."""

from minigpt.viz.style import ladder, palette, show

__all__ = ["ladder", "palette", "show"]
