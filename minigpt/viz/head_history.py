"""What each head became in the course of a training run."""

import torch
import traitlets

from minigpt.viz.base import Widget, html_table, pack, packed, visible


class HeadHistory(Widget):
    """Scores of every head at some points of a run, to move through.

    `points` are P dicts with step, loss (or None) and text; `scores` maps a
    name to (P, L, H), from 0 to 1; `chance` maps it to what a head without
    any habit would get.

    Raises ValueError for what does not belong together.
    """

    points = traitlets.List().tag(sync=True)  # {step, loss, text}
    names = traitlets.List().tag(sync=True)  # N scores
    scores = packed()  # (N, P, L, H)
    chance = traitlets.List().tag(sync=True)  # N numbers

    def __init__(self, points, scores, chance):
        points, names = [dict(p) for p in points], list(scores)
        if not names or not points:
            raise ValueError("a history must have a score and a point")
        shape = tuple(scores[names[0]].shape)
        wrong = len(shape) != 3 or shape[0] != len(points)
        if wrong or any(tuple(s.shape) != shape for s in scores.values()):
            raise ValueError(
                f"every score must be ({len(points)}, layers, heads), got "
                f"{[tuple(s.shape) for s in scores.values()]}"
            )
        if set(chance) != set(names):
            raise ValueError(f"chance must name {names}, got {list(chance)}")
        values = torch.stack([scores[n].detach().float() for n in names])
        if not (values.min() >= 0 and values.max() <= 1 + 1e-3):
            raise ValueError(
                "scores must be from 0 to 1, got "
                f"{values.min():.3g} to {values.max():.3g}"
            )
        super().__init__(
            points=[
                {"step": p["step"], "loss": p["loss"], "text": p["text"]}
                for p in points
            ],
            names=names,
            scores=pack(values, "float16"),
            chance=[float(chance[n]) for n in names],
        )
        self._values = values

    def describe(self):
        """One sentence: how many points, heads and scores."""
        _, P, L, H = self._values.shape
        return (
            f"{len(self.names)} scores of {L} layers with {H} heads at {P} "
            "points of a training run."
        )

    def fallback(self):
        """The best head of each score at each point, as a table."""
        H = self._values.size(-1)
        rows = []
        for p, point in enumerate(self.points):
            row = [point["step"]]
            for n in range(len(self.names)):
                i = self._values[n, p].argmax().item()
                best = self._values[n, p].max()
                row.append(f"{i // H}.{i % H}: {best:.2f}")
            rows.append(row)
        header = ["step", *(visible(n, 40, " ") for n in self.names)]
        return html_table("Best head (layer.head) and score", header, rows)
