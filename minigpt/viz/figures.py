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


# Chapter 7: the residual stream


def streams(rows, *, alt):
    """Show residual streams, `{title: parts}`, as lines from left to right.

    A list of names is a branch whose result is added to the stream; a name
    alone is a box on the stream itself.
    """
    fig, every = plt.subplots(
        len(rows), figsize=(7, 1.5 * len(rows)), sharex=True, squeeze=False
    )
    widest = 0
    box = {"boxstyle": "round", "fc": "white", "ec": palette["blue"]}
    plus = {"boxstyle": "circle", "fc": "white", "ec": palette["orange"]}
    for ax, (title, parts) in zip(every[:, 0], rows.items(), strict=True):
        x = 0.5
        for part in parts:
            names, y = ([part], 0) if isinstance(part, str) else (part, 1)
            end = x + 1.3 * len(names) + 0.3
            if y:
                ax.plot([x, x, end, end], [0, 1, 1, 0], color=palette["orange"])
                ax.text(end, 0, "+", ha="center", va="center", bbox=plus)
            for i, name in enumerate(names):
                middle = x + 0.8 + 1.3 * i
                ax.text(middle, y, name, ha="center", va="center", bbox=box)
            x = end + 0.6 * y
        arrow = {"arrowstyle": "->", "lw": 2}
        ax.annotate("", (x, 0), (0, 0), arrowprops=arrow, zorder=1)
        ax.set_ylim(-0.5, 1.5)
        ax.set_title(title, loc="left")
        ax.axis("off")
        widest = max(widest, x)
    ax.set_xlim(0, widest)
    show(fig, alt)
