"""The picture in the README: the model writes, and shows where it looks.

    python benchmarks/picture.py

Writes book/theme/writing.png from the shipped model.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Arc

from minigpt import load_model
from minigpt.lens import record_attention
from minigpt.viz import palette

OUT = Path(__file__).parents[1] / "book" / "theme" / "writing.png"
TEXT = "We will not rest until every child in America has a"
HEADS = {(3, 0): "green", (4, 3): "blue", (5, 3): "orange"}  # layer, head


def main():
    model, tokenizer = load_model()
    ids = tokenizer.encode(TEXT)
    idx = torch.tensor([ids])
    every = record_attention(model, idx)  # (L, 1, H, T, T)
    with torch.no_grad():
        best = model(idx)[0, -1].softmax(-1).topk(6)
    fig, (line, bars) = plt.subplots(
        1, 2, figsize=(11, 2.7), width_ratios=(4, 1)
    )
    ends = write(line, [tokenizer.decode([i]) for i in ids])
    middles = [(a + b) / 2 for a, b in ends]
    for (layer, head), color in HEADS.items():
        looks = every[layer, 0, head, -1, :-1].tolist()
        for middle, weight in zip(middles, looks, strict=False):
            span = middles[-1] - middle
            arc = Arc(
                (middle + span / 2, 0.4), span, 0.15 + 1.1 * span,
                theta1=0, theta2=180, lw=10 * weight,
                alpha=min(1, 0.2 + weight), color=palette[color],
            )  # fmt: skip
            line.add_patch(arc)
        top = max(range(len(looks)), key=looks.__getitem__)
        line.text(
            middles[top], 0.02, f"head {layer}.{head}", ha="center",
            fontsize=11, color=palette[color],
        )  # fmt: skip
    names = [tokenizer.decode([i]) for i in best.indices.tolist()]
    places = range(len(names))
    drawn = bars.barh(places, 100 * best.values, color=palette["blue"])
    bars.bar_label(drawn, [f"{100 * p:.0f} %" for p in best.values], padding=3)
    bars.set_yticks(places, names, fontsize=13, family="DejaVu Sans Mono")
    bars.set_title("what comes next?", fontsize=12)
    bars.invert_yaxis()
    bars.set(xticks=[], xlim=(0, 130 * best.values[0].item()))
    bars.grid(visible=False)
    bars.spines[:].set_visible(False)
    fig.savefig(OUT, dpi=120, bbox_inches="tight")


def write(ax, pieces):
    """Write tokens side by side; where each begins and ends, from 0 to 1."""
    width, ends = sum(map(len, pieces)), []
    at = 0.0
    for piece in pieces:
        end = at + len(piece) / width
        ax.text(at, 0.22, piece, fontsize=15, family="DejaVu Sans Mono")
        ends.append((at, end))
        at = end
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.axis("off")
    return ends


if __name__ == "__main__":
    main()
