"""A training run as it happens, and afterwards to look around in."""

import json
import math
import time
from pathlib import Path

import numpy as np
import traitlets

from minigpt.viz.base import Widget, pack, packed, visible

PAUSE = 0.2  # seconds between two updates of the view
MOST = 1200  # updates drawn; of more, every second, third, … is left out


class LiveCurve(Widget):
    """Losses, learning rate and gradient norm of a run of `steps` steps.

    Give `update` to `train` as its callback, and `point` what is measured
    now and then: held-out loss, a text, attention of one head. The view
    follows while training runs; `finish` shows the rest.

    Raises:
        ValueError: steps is below 1.
    """

    steps = traitlets.Int().tag(sync=True)
    curve = packed()  # (4, N): steps done, loss, learning rate, gradient norm
    points = traitlets.List().tag(sync=True)  # {step, loss, text}
    held_out = packed()  # (2, M): more measurements, steps and losses
    tokens = traitlets.List().tag(sync=True)  # of the probed text
    attention = packed()  # (points, T, T), causal; (0, 0, 0) without
    head = traitlets.Unicode().tag(sync=True)  # which head that is

    def __init__(self, steps, *, tokens=(), head=""):
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self._rows, self._maps, self._sent = [], [], 0.0
        self._others = []  # (step, held-out loss) where no point is
        super().__init__(
            steps=steps,
            curve=pack(np.zeros((4, 0)), "float32"),
            held_out=pack(np.zeros((2, 0)), "float32"),
            tokens=list(tokens),
            attention=pack(np.zeros((0, 0, 0)), lower=True),
            head=head,
        )

    def update(self, step, loss, lr, norm):
        """One update of the weights, numbered from 0 as `train` does."""
        self._rows.append((step + 1, loss, lr, norm))
        if time.monotonic() - self._sent > PAUSE:
            self.finish()

    def point(self, step, loss, text="", attention=None):
        """What is true after `step` updates; `attention` is (T, T).

        Raises ValueError for attention without tokens, or the other way round.
        """
        if (attention is None) != (not self.tokens):
            raise ValueError(
                f"each point needs the attention over its {len(self.tokens)} "
                "tokens, and only then"
            )
        if attention is not None:
            self._maps.append(np.asarray(attention, dtype=np.float32))
            maps = np.stack(self._maps)
            self.attention = pack(maps, "float16", lower=True)
        known = loss is not None and math.isfinite(loss)
        loss = float(loss) if known else None
        point = {"step": step, "loss": loss, "text": text}
        self.points = [*self.points, point]

    def finish(self):
        """Shows all that came since the last time the view was brought up."""
        every = -(-len(self._rows) // MOST) or 1
        rows = np.array(self._rows, dtype=np.float32).reshape(-1, 4)
        rows[np.isnan(rows)] = np.inf  # the page leaves a gap for either
        self.curve = pack(rows[::-1][::every][::-1].T, "float32")
        self._sent = time.monotonic()

    def describe(self):
        """One sentence that holds for every run of this length."""
        head = f", and the attention of {visible(self.head, 40, ' ')}"
        with_head = head if self.head else ""
        return (
            f"Training curves over {self.steps} steps: loss, learning rate "
            f"and gradient norm, with {len(self.points)} points that show "
            f"held-out loss and text{with_head}."
        )

    def fallback(self):
        """The curves as a figure, as far as they go."""
        import matplotlib.pyplot as plt

        from minigpt.viz.style import palette

        fig, axes = plt.subplots(
            3, 1, figsize=(6, 3.8), sharex=True, height_ratios=[3, 1, 1]
        )
        rows = np.array(self._rows, dtype=float).reshape(-1, 4).T
        axes[0].plot(rows[0], rows[1], lw=0.8, label="each batch")
        axes[0].plot(
            *zip(*self._measured(), strict=True) if self._measured() else ((), ()),
            "o-", color=palette["orange"], label="held out",
        )  # fmt: skip
        axes[0].legend()
        axes[1].plot(rows[0], rows[2], color=palette["green"])
        axes[2].plot(rows[0], rows[3], color=palette["purple"], lw=0.8)
        names = "loss (nats)", "rate", "gradient\nnorm"
        for ax, name in zip(axes, names, strict=True):
            ax.set_ylabel(name)
        axes[2].set_xlabel("steps")
        return fig

    def _measured(self):
        """[(step, held-out loss)] of the points and of all others, in order."""
        known = {p["step"]: p["loss"] for p in self.points if p["loss"]}
        return sorted((dict(self._others) | known).items())

    @classmethod
    def of_run(cls, folder, *, probe=0, layer=0, head=0):
        """A run, or an exported model, from its log and its probes.

        `probe` says on which of the recorded texts, `layer` and `head` whose
        attention is shown. Raises ValueError where nothing was recorded.
        """
        folder = Path(folder)
        lines = [
            json.loads(line)
            for line in (folder / "log.jsonl").read_text("utf-8").splitlines()
        ]
        steps = [x for x in lines if x["kind"] == "step"]
        if not steps:
            raise ValueError(f"{folder} has no recorded steps")
        maps, facts, tokens = recorded(folder, probe, layer, head)
        name = f"layer {layer}, head {head}" if tokens else ""
        evals = {x["step"]: x["loss"] for x in lines if x["kind"] == "eval"}
        # a shipped log leaves some steps out, perhaps the last
        last = max(steps[-1]["step"], *evals)
        self = cls(last, tokens=tokens, head=name)
        self._rows = [(x["step"], x["loss"], x["lr"], x["norm"]) for x in steps]
        for fact, attention in zip(facts, maps, strict=True):
            self.point(
                fact["step"],
                evals.get(fact["step"]),
                next(iter(fact["texts"].values())),
                attention,
            )
        if facts and evals:
            self._others = list(evals.items())
            self.held_out = pack(np.array(self._others).T, "float32")
        for step, loss in () if facts else evals.items():
            self.point(step, loss)
        self.finish()
        return self


def recorded(folder, probe, layer, head):
    """Maps (P, T, T) of one head, the facts of the points, and the tokens."""
    from minigpt.run.probes import open_probes
    from minigpt.tokenizer import Tokenizer

    file = folder / "probes.safetensors"
    if not file.exists():
        return [], [], []
    tensors, facts = open_probes(file)
    weights = tensors[f"attention.{probe}"][:, layer, head].float()
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    T = int(((8 * weights.shape[-1] + 1) ** 0.5 - 1) / 2)
    ids = tensors[f"ids.{probe}"][:T].tolist()
    rows, columns = np.tril_indices(T)
    maps = np.zeros((len(facts), T, T), dtype=np.float32)
    maps[:, rows, columns] = weights.numpy()
    return maps, facts, [visible(tokenizer.decode([i])) for i in ids]
