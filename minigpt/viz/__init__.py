"""Figures and widgets for the chapters; never imported by the chain."""

from minigpt.viz.figures import (
    bars,
    clocks,
    cuts,
    lines,
    maps,
    parallelism,
    reshaped,
    scaling_law,
    spreads,
    streams,
    sweeps,
)
from minigpt.viz.style import ladder, load_record, palette, show, writes

__all__ = [
    "bars",
    "clocks",
    "cuts",
    "ladder",
    "lines",
    "load_record",
    "maps",
    "palette",
    "parallelism",
    "reshaped",
    "scaling_law",
    "show",
    "spreads",
    "streams",
    "sweeps",
    "writes",
]
