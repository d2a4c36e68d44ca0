"""One look for every figure of the course, and the ladder of its models."""

import io
import json
import textwrap
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from IPython.display import display
from PIL import Image, ImageChops, ImageStat

# Okabe and Ito's colours: told apart by people with any colour vision.
# The page and the widgets know them as --mg-blue, --mg-orange, …
palette = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "yellow": "#E69F00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "gray": "#6B6B6B",
}
SHARP = 160  # pixels per inch: 80 on the page, for a screen of double density
WIDEST = 1368  # twice the width of a page's text
SAME = 3  # root mean square difference of a colour, of 255: not seen
RESULTS = Path(__file__).parents[2] / "notebooks" / "results"

matplotlib.rcParams.update(
    {
        "figure.dpi": 100,
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e3e3e3",
        "axes.axisbelow": True,
        "font.size": 10,
        "axes.prop_cycle": matplotlib.cycler(color=list(palette.values())),
        "image.cmap": "viridis",
        "legend.frameon": False,
    }
)


def picture(fig):
    """Return `fig` as the bytes of a PNG and close it.

    Two pixels for each that the page gives it, so that it is sharp on a dense
    screen too; of as few colours as look the same, so that it is small.
    """
    full, small = io.BytesIO(), io.BytesIO()
    dpi = min(SHARP, WIDEST / fig.get_size_inches()[0])
    fig.savefig(full, format="png", dpi=dpi)
    plt.close(fig)
    image = Image.open(full).convert("RGB")
    for colors in (32, 64, 128, 256):
        few = image.quantize(colors)
        change = ImageChops.difference(image, few.convert("RGB"))
        if max(ImageStat.Stat(change).rms) < SAME:
            break
    # the density says the same to a page that knows no width
    few.save(small, format="png", optimize=True, dpi=(192, 192))
    return small.getvalue()


def shown_size(png):
    """Width and height at which a page shows a PNG of `picture`."""
    width, height = Image.open(io.BytesIO(png)).size
    return {"width": width // 2, "height": height // 2}


def show(fig, alt):
    """Display `fig` as one PNG whose text alternative is `alt`, close it.

    Raises ValueError when `alt` says nothing.
    """
    if not alt.strip():
        raise ValueError("alt must tell what is seen, got an empty text")
    png = picture(fig)
    display(
        {"image/png": png, "text/plain": alt},
        raw=True,
        metadata={"image/png": {"alt": alt, **shown_size(png)}},
    )


def load_record(name, file=None):
    """What a benchmark found: notebooks/results/NAME.json, or another file.

    Raises FileNotFoundError where it was never written.
    """
    file = Path(file or RESULTS / f"{name}.json")
    if not file.exists():
        raise FileNotFoundError(
            f"{file} is missing: a command in benchmarks/ writes it"
        )
    return json.loads(file.read_text(encoding="utf-8"))


def _rungs(record, stage):
    """The recorded rungs up to a stage; ValueError where there is none."""
    names = [rung["stage"] for rung in record["stages"]]
    if stage not in names:
        raise ValueError(
            f"stage must be one of the recorded {names}, got {stage!r}"
        )
    return record["stages"][: names.index(stage) + 1]


def ladder(stage, *, corpus="sotu", file=None):
    """Draw bits per character of every model up to `stage`, and of counting.

    The later rungs stay hidden. Returns the figure; `show` displays it.

    Raises ValueError when the record has no such stage.
    """
    record = load_record(f"ladder_{corpus}", file)
    rungs = _rungs(record, stage)
    rows = [(k, v, palette["gray"]) for k, v in record["baselines"].items()]
    rows += [(r["stage"], r["bits_per_char"], palette["blue"]) for r in rungs]
    rows[-1] = (*rows[-1][:2], palette["orange"])
    return _bars(rows, split=len(record["baselines"]))


def writes(stage, *, corpus="sotu", file=None):
    """Print what every model up to `stage` writes after the same prompt.

    Raises ValueError when the record has no such stage.
    """
    record = load_record(f"ladder_{corpus}", file)
    heat = record["temperature"]
    print(f"after {record['prompt']!r}, at temperature {heat}:")
    for rung in _rungs(record, stage):
        text = " ".join(rung["writes"].split())
        print(f"\n{rung['stage']}, {rung['bits_per_char']:.2f} bits:")
        print(textwrap.fill(text, 72))


def _bars(rows, split):
    """Rows of (name, bits, colour) -> horizontal bars, the first on top."""
    fig, ax = plt.subplots(figsize=(7, 0.6 + 0.27 * len(rows)))
    places = [i + 0.5 * (i >= split) for i in range(len(rows))]
    names, bits, colors = zip(*rows, strict=True)
    bars = ax.barh(places, bits, color=colors, height=0.75)
    ax.bar_label(bars, [f"{b:.2f}" for b in bits], padding=3)
    ax.set_yticks(places, names)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.1 * max(bits))
    ax.set_xlabel("bits per character on held-out text (less is better)")
    ax.grid(axis="y", visible=False)
    return fig
