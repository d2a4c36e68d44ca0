"""What a run writes about itself: JSON lines, a bar, a curve."""

import json
import os
from pathlib import Path

from minigpt.run.checkpoint import write_atomically


class Log:
    """`log.jsonl`: one object a line, each with its `kind` and `step`.

    `step` losses belong to the update that made `step` steps complete;
    `eval` lines to the weights after it.
    """

    def __init__(self, path: Path, *, upto: int):
        """Opens for appending; what lies after the step `upto` is dropped."""
        kept = [line for line in read(path) if line["step"] <= upto]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_atomically(path, text.encode())
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115

    def add(self, kind: str, step: int, **values) -> None:
        line = {"kind": kind, "step": step, **values}
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()

    def sync(self) -> None:
        """On the disk before a checkpoint that relies on it."""
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()


class NoLog:
    """For the processes of a team that do not write."""

    def add(self, kind: str, step: int, **values) -> None: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...


def read(path: Path) -> list[dict]:
    """The lines of a log; a last one that a crash cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    found = []
    for i, line in enumerate(lines):
        try:
            found.append(json.loads(line))
        except ValueError:
            if i < len(lines) - 1:
                raise ValueError(f"{path}, line {i + 1}: not JSON") from None
    return found


def draw_curve(path: Path, lines: list[dict]) -> None:
    """Losses over steps as SVG: training faint, held-out marked."""
    from matplotlib.figure import Figure  # takes a second to import

    steps = [x for x in lines if x["kind"] == "step"]
    evals = [x for x in lines if x["kind"] == "eval"]
    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = figure.add_subplot(xlabel="steps", ylabel="loss (nats per token)")
    thin = max(1, len(steps) // 2000)
    ax.plot(
        [x["step"] for x in steps[::thin]],
        [x["loss"] for x in steps[::thin]],
        color="#56B4E9", linewidth=0.8, label="training, each batch",
    )  # fmt: skip
    ax.plot(
        [x["step"] for x in evals],
        [x["loss"] for x in evals],
        color="#D55E00", marker="o", markersize=3, label="held out",
    )  # fmt: skip
    ax.legend()
    temporary = path.with_name(f".{path.name}.part")
    figure.savefig(temporary, format="svg")
    os.replace(temporary, path)
