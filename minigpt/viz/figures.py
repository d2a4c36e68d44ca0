"""Figures of the chapters in one call each: lines, bars, maps, clocks."""

import math
from statistics import mean

import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator, MultipleLocator, NullLocator

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


def sweeps(series, *, alt, size=(6.5, 3), **axes):
    """Show means over seeds as lines, and every seed as a dash.

    `series` are {label: {x: one value for each seed}}. Other arguments go to
    matplotlib's `ax.set`.
    """
    fig, ax = plt.subplots(figsize=size)
    for i, (label, seeds) in enumerate(series.items()):
        x = sorted(seeds)
        y, style = [mean(seeds[at]) for at in x], STYLES[i % len(STYLES)]
        (line,) = ax.plot(x, y, style, ms=4, label=label)
        for at in x:
            there = [at] * len(seeds[at])
            ax.plot(there, seeds[at], "_", ms=9, color=line.get_color())
    ax.set(**axes)
    tried = sorted({x for seeds in series.values() for x in seeds})
    ax.set_xticks(tried, [f"{x:g}" for x in tried])
    ax.xaxis.set_minor_locator(NullLocator())
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


def spreads(series, names, *, alt, size=None, **axes):
    """Show a mean and, as a line, the range around it, in a row for each name.

    `{label: one list of values for each of the names}`.
    """
    fig, ax = plt.subplots(figsize=size or (6.5, 0.8 + 0.35 * len(names)))
    for i, (label, lists) in enumerate(series.items()):
        shift = 0.3 * (i - (len(series) - 1) / 2)
        rows = [row + shift for row in range(len(names))]
        means = [sum(values) / len(values) for values in lists]
        ax.plot(means, rows, STYLES[i][0], color=f"C{i}", label=label)
        ax.hlines(rows, [*map(min, lists)], [*map(max, lists)], color=f"C{i}")
    ax.set(yticks=range(len(names)), yticklabels=names, **axes)
    ax.invert_yaxis()
    if len(series) > 1:
        ax.legend()
    show(fig, alt)


def maps(
    panels, *, alt, colorbar="", size=None, limits=(None, None), **axes
):  # fmt: skip
    """Show matrices beside each other: a panel is `title: matrix`.

    Or `title: (matrix, names of rows, names of columns)`. All have the same
    colors, from the lower to the upper of `limits`.
    """
    plain = {k: x if isinstance(x, tuple) else (x,) for k, x in panels.items()}
    low, high = limits
    if low is None:
        low = min(float(x.min()) for x, *_ in plain.values())
    if high is None:
        high = max(float(x.max()) for x, *_ in plain.values())
    size = size or (7, 1 + 6 / (1 + len(panels)))
    fig, every = plt.subplots(
        1, len(panels), figsize=size, squeeze=False, layout="constrained"
    )
    shown = []
    for ax, (title, (matrix, *names)) in zip(
        every[0], plain.items(), strict=True
    ):
        image = ax.imshow(matrix, vmin=low, vmax=high, aspect="auto")
        ax.set(**({"title": title} | axes))
        ax.grid(visible=False)
        if names:
            ax.set_yticks(range(len(names[0])), names[0])
            turn = 90 if max(map(len, names[1])) > 1 else 0
            ax.set_xticks(range(len(names[1])), names[1], rotation=turn)
        else:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        if names[:1] in shown:  # as in a panel to the left
            ax.tick_params(labelleft=False)
        shown.append(names[:1])
    for ax in every[0][1:]:
        ax.set_ylabel("")
    fig.colorbar(image, ax=[*every[0]], label=colorbar)
    show(fig, alt)


# Chapter 1: a text in pieces


def cuts(text, rows, *, alt):
    """Show one text cut in several ways, `{label: [(piece, id), ...]}`.

    The pieces of a row occur in `text` in this order.
    """
    fig, ax = plt.subplots(figsize=(7, 0.3 + 0.55 * len(rows)))
    for row, pieces in enumerate(rows.values()):
        end = 0
        for i, (piece, number) in enumerate(pieces):
            start = text.index(piece, end)
            end = start + len(piece)
            tint = palette["sky" if i % 2 else "yellow"]
            ax.barh(
                row, len(piece), left=start, height=0.5, color=tint, alpha=0.4
            )
            for place, letter in enumerate(piece.replace(" ", "␣"), start):
                ax.text(place + 0.5, row, letter, ha="center", va="center")
            middle = (start + end) / 2
            ax.text(
                middle, row + 0.42, number, ha="center", va="center", size=7
            )
    ax.set(yticks=range(len(rows)), yticklabels=rows, xticks=[])
    ax.set(xlim=(0, len(text)), ylim=(len(rows) - 0.4, -0.4))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    show(fig, alt)


# Chapter 5: a place as the hands of clocks


def clocks(angles, places, *, alt):
    """Show angles (T, H) in radians: a column for each place, H clocks in it.

    A hand points up at 0 and turns clockwise, so its tip is at the sine of
    the angle to the right and at the cosine above the middle.
    """
    T, H = angles.shape
    fig, ax = plt.subplots(figsize=(0.8 + 0.6 * T, 0.6 + 0.6 * H))
    face, r = dict(fill=False, color=palette["gray"]), 0.42
    for t in range(T):
        for hand in range(H):
            a = float(angles[t, hand])
            ax.add_patch(plt.Circle((t, hand), r, **face))
            x, y = (t, t + r * math.sin(a)), (hand, hand - r * math.cos(a))
            ax.plot(x, y, lw=2, color=palette["blue"])
    ax.set(xticks=range(T), xticklabels=places, xlabel="place (tokens)")
    ax.set(yticks=range(H), yticklabels=[f"hand {i}" for i in range(H)])
    ax.set(xlim=(-0.6, T - 0.4), ylim=(H - 0.4, -0.6), aspect="equal")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
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


# Chapter 17: laws, and work that is divided


def scaling_law(N, losses, laws, *, alt, **axes):
    """Show losses against N, with laws as lines, {label: function of N}.

    Both axes are logarithmic. The last point, which no law was fitted to, is
    a star. Other arguments go to matplotlib's `ax.set`.
    """
    fig, ax = plt.subplots(figsize=(6.5, 3.4))
    ax.loglog(N[:-1], losses[:-1], "o", label="fitted")
    ax.loglog(N[-1:], losses[-1:], "*", ms=13, label="left out")
    grid = [N[0] * (N[-1] / N[0]) ** (i / 60) for i in range(-3, 64)]
    for (label, law), style in zip(laws.items(), ("--", "-", ":")):
        ax.plot(grid, [law(n) for n in grid], style, label=label)
    ax.yaxis.set_major_locator(MultipleLocator(0.2))
    ax.yaxis.set_major_formatter("{x:.1f}")
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set(**axes)
    ax.legend()
    show(fig, alt)


def _box(ax, x, y, w, h, text, color):
    """A rectangle with text in it; white without a color."""
    face = palette[color] if color else "white"
    ax.add_patch(plt.Rectangle((x, y), w, h, fc=face, ec="black", alpha=0.85))
    ink = "white" if color in ("blue", "orange") else "black"
    ax.text(x + w / 2, y + h / 2, text, ha="center", va="center", color=ink)


def parallelism():
    """Show how a batch, a matrix, or the blocks are divided over devices."""
    fig, (data, tensor, pipeline) = plt.subplots(1, 3, figsize=(10, 3.3))
    for i, color in enumerate(("blue", "orange")):
        y = 1.3 - 1.3 * i
        _box(data, 0, y, 1.1, 1, f"half {i + 1} of\nthe batch", "sky")
        _box(data, 1.5, y, 1.1, 1, "all\nweights", color)
        _box(data, 3, y, 1.1, 1, "its\ngradient", None)
        _box(tensor, 1 + 0.6 * i, 0.6, 0.6, 1.2, f"W₁\n{i + 1}", color)
        _box(tensor, 2.7, 1.2 - 0.6 * i, 1.2, 0.6, f"W₂ {i + 1}", color)
    arrow = {"arrowstyle": "<->"}
    data.annotate("", (3.55, 1.0), (3.55, 1.3), arrowprops=arrow)
    data.text(2, 2.55, "one average of gradients a step", ha="center")
    _box(tensor, 0, 0.9, 0.6, 0.6, "x", "sky")
    tensor.text(2, 2.15, "columns of W₁, rows of W₂", ha="center")
    tensor.text(2, 0.1, "one sum at the end", ha="center")
    for i, color in enumerate(("blue", "orange", "green", "purple")):
        y = 1.8 - 0.6 * i
        _box(pipeline, 0, y, 1.1, 0.55, f"blocks {i + 1}", color)
        for m in range(3):
            _box(pipeline, 1.4 + 0.5 * (i + m), y, 0.48, 0.55, str(m), color)
    pipeline.text(2.8, -0.4, "time, by micro-batch  →", ha="center")
    titles = ("data parallel", "tensor parallel", "pipeline parallel")
    for ax, title in zip((data, tensor, pipeline), titles, strict=True):
        ax.set(title=title, xlim=(-0.2, 4.6), ylim=(-0.6, 2.8))
        ax.axis("off")
    show(
        fig,
        "Three drawings. Data parallel: two devices with all weights, each "
        "with half of the batch, and one average of their gradients. Tensor "
        "parallel: columns of the first matrix and rows of the second on each "
        "device, and one sum. Pipeline parallel: four devices with a quarter "
        "of the blocks each, on which three micro-batches move along like on "
        "stairs.",
    )


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
