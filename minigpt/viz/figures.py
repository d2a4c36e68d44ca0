"""Figures of the chapters in one call each: lines, bars, maps."""

import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

from minigpt.viz.style import palette, show

STYLES = ("o-", "s--", "^:", "D-.", "v-", "P--", "X:", "*-.")


def lines(series, *, alt, levels=None, size=(6.5, 3), marks=True, **axes):
    """Show lines, `{label: values}` or `{label: (x, values)}`.

    `levels` are dashed horizontal lines, {label: value}. Other arguments go to
    matplotlib's `ax.set`: xlabel, ylabel, xscale="log", ylim and so on.
    """
    fig, ax = plt.subplots(figsize=size)
    for i, (label, values) in enumerate(series.items()):
        style = STYLES[i % len(STYLES)]
        points = values if isinstance(values, tuple) else (values,)
        ax.plot(*points, style if marks else style[1:], ms=4, label=label)
    for label, value in (levels or {}).items():
        ax.axhline(value, color=palette["gray"], ls="--", lw=1)
        where = ax.get_yaxis_transform()  # x: share of the axis, y: a value
        ax.text(0.99, value, label, transform=where, ha="right", va="bottom")
    ax.set(**axes)
    if len(series) > 1:
        ax.legend()
    show(fig, alt)


def bars(series, names, *, alt, size=None, **axes):
    """Show horizontal bars, `{label: one value for each of the names}`."""
    fig, ax = plt.subplots(figsize=size or (6.5, 0.8 + 0.35 * len(names)))
    height = 0.8 / len(series)
    for i, (label, values) in enumerate(series.items()):
        shift = (i - (len(series) - 1) / 2) * height
        places = [row + shift for row in range(len(names))]
        ax.barh(places, values, 0.95 * height, label=label)
    ax.set(yticks=range(len(names)), yticklabels=names, **axes)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    if len(series) > 1:
        ax.legend()
    show(fig, alt)


def maps(panels, *, alt, colorbar="", size=None, limits=(None, None), **axes):
    """Show matrices beside each other, `{title: matrix (rows, columns)}`.

    All have the same colors, from the lower to the upper of `limits`.
    """
    low, high = limits
    low = min(float(x.min()) for x in panels.values()) if low is None else low
    high = (
        max(float(x.max()) for x in panels.values()) if high is None else high
    )
    size = size or (7, 1 + 6 / (1 + len(panels)))
    fig, every = plt.subplots(
        1, len(panels), figsize=size, sharey=True, squeeze=False
    )
    for ax, (title, matrix) in zip(every[0], panels.items(), strict=True):
        image = ax.imshow(matrix, vmin=low, vmax=high, aspect="auto")
        ax.set(**({"title": title} | axes))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(visible=False)
    for ax in every[0][1:]:
        ax.set_ylabel("")
    fig.colorbar(image, ax=[*every[0]], label=colorbar)
    show(fig, alt)


# Chapter 10: what the settings of sampling do to a distribution


def reshaped(before, panels, names, *, alt):
    """Show `before` as gray bars, and on them in blue each of the panels.

    `panels` are {title: one value for each of the names}, three in a row.
    """
    fig, every = plt.subplots(
        -(-len(panels) // 3), 3, figsize=(9, 4.4), sharey=True, sharex=True
    )
    for ax, (title, after) in zip(every.flat, panels.items(), strict=True):
        ax.bar(names, before, color="#bbbbbb", width=0.85)
        ax.bar(names, after, color=palette["blue"], width=0.5)
        ax.set(title=title)
        ax.tick_params(axis="x", rotation=70)
    for ax in every[:, 0]:
        ax.set_ylabel("probability")
    show(fig, alt)
