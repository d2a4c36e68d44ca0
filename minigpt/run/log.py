"""What a run writes about itself: JSON lines and a curve."""

import json
import os
from pathlib import Path

from minigpt.files import atomic_write, full_disk


class Log:
    """`log.jsonl`: one object per line, each with its `kind` and `step`.

    The loss of a `step` line is that of the update that completed it; `eval`
    lines belong to the weights after it.
    """

    def __init__(self, path: Path, *, last: int):
        """Opens for appending; lines from after step `last` are dropped."""
        kept = [line for line in read(path) if line["step"] <= last]
        with atomic_write(path) as file:
            file.write(as_text(kept).encode())
        self.path = path
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115

    def add(self, kind: str, step: int, **values) -> None:
        """One line."""
        with full_disk(self.path):
            self.file.write(as_text([{"kind": kind, "step": step, **values}]))
            self.file.flush()

    def sync(self) -> None:
        """On the disk before a checkpoint that relies on it."""
        with full_disk(self.path):
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """No more lines."""
        with full_disk(self.path):
            self.file.close()


class NoLog:
    """For the processes of a team that do not write."""

    def add(self, kind: str, step: int, **values) -> None: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...


def as_text(lines: list[dict]) -> str:
    """Objects -> JSON lines."""
    return "".join(json.dumps(line) + "\n" for line in lines)


def read(path: Path) -> list[dict]:
    """The lines of a log, without a last one that a crash cut short."""
    if not path.exists():
        return []
    lines, found = path.read_text(encoding="utf-8").splitlines(), []
    for i, line in enumerate(lines):
        try:
            found.append(json.loads(line))
        except ValueError:
            if i < len(lines) - 1:
                raise ValueError(f"{path}, line {i + 1}: not JSON") from None
    return found


def thinned(lines: list[dict], most: int = 400) -> list[dict]:
    """A log with every measurement, but only about `most` of the steps.

    A step that stays speaks for those left out since the one before: its
    loss is their mean. The last one always stays.
    """
    last = sum(line["kind"] == "step" for line in lines)
    every, kept, losses, n_steps = max(1, last // most), [], [], 0
    for line in lines:
        if line["kind"] != "step":
            kept.append(line)
            continue
        losses.append(line["loss"])
        n_steps += 1
        if len(losses) == every or n_steps == last:
            mean = round(sum(losses) / len(losses), 5)
            kept.append(line | {"loss": mean, "steps": len(losses)})
            losses = []
    return kept


def draw_curve(path: Path, lines: list[dict]) -> None:
    """Losses over steps as SVG: training faint, held-out marked."""
    from matplotlib.figure import Figure  # takes a second to import

    steps = [x for x in lines if x["kind"] == "step"]
    steps = steps[:: max(1, len(steps) // 2000)]
    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = figure.add_subplot(xlabel="steps", ylabel="loss (nats per token)")
    looks = {"color": "#56B4E9", "linewidth": 0.8, "label": "each batch"}
    ax.plot([x["step"] for x in steps], [x["loss"] for x in steps], **looks)
    evals = [x for x in lines if x["kind"] == "eval"]
    looks = {"color": "#D55E00", "marker": "o", "ms": 3, "label": "held out"}
    ax.plot([x["step"] for x in evals], [x["loss"] for x in evals], **looks)
    ax.legend()
    with atomic_write(path) as file:
        figure.savefig(file, format="svg")
