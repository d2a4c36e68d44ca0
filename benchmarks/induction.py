"""One layer of attention or two, on repeated tokens: chapter 12, recorded.

    python benchmarks/induction.py

Writes notebooks/results/induction.json, run by run; a run that the record
holds already is skipped. The task and the models are those of the chapter:
this file runs its cells tagged "induction". The model of one layer trains for
as many steps as the one of two layers, and for twice as many, which takes
longer. Each gets the same learning rates and seeds.
"""

import time
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch
import tyro
from common import RESULTS, chapter_cells, fill, read

import minigpt.lens as lens
from minigpt.bigram import fit
from minigpt.gpt import GPT, PARTS, GPTConfig

CHAPTER = Path(__file__).parent.parent / "notebooks" / "12_lens.ipynb"
BUDGETS = ((2, 800), (1, 800), (1, 1600))  # layers, steps
RATES = (1e-3, 3e-3, 1e-2)


@dataclass(frozen=True)
class Run:
    """One training run."""

    n_layer: int
    steps: int
    lr: float
    seed: int

    @property
    def name(self):
        return " ".join(f"{k}={v}" for k, v in asdict(self).items())


def every(seeds):
    """All runs, seed by seed."""
    for seed, (n_layer, steps), lr in product(range(seeds), BUDGETS, RATES):
        yield Run(n_layer, steps, lr, seed)


def train(chapter, run):
    """Train one model -> what the record says about it.

    `val` and `test` are nats for a repeated token, on texts of their own.
    """
    begin = time.process_time()
    model, history = chapter["learn"](
        run.n_layer, run.steps + 1, every=run.steps, lr=run.lr, seed=run.seed
    )
    spent = time.process_time() - begin
    x, y, known = chapter["repeats"](256, torch.Generator().manual_seed(7))
    losses = lens.token_losses(model, x, y)
    scores = history[-1]["scores"]["induction"]
    return {
        "val": round(history[-1]["repeated"], 4),
        "test": round(losses[known].mean().item(), 4),
        "induction": round(scores.max().item(), 4),
        "seconds": round(spent, 1),
    }


@dataclass
class Arguments:
    """Run what the record does not hold yet."""

    seeds: int = 3
    """Seeds of each run, from 0."""
    only: int | None = None
    """As many new runs, then stop."""


def main(a):
    torch.set_num_threads(1)
    names = {"fit": fit, "GPT": GPT, "GPTConfig": GPTConfig, "PARTS": PARTS}
    chapter = chapter_cells(CHAPTER, "induction", {**vars(lens), **names})
    path = RESULTS / "induction.json"
    record = read(path) | {"command": "python benchmarks/induction.py"}

    def run(trial):
        return asdict(trial) | train(chapter, trial)

    fill(path, record, "runs", every(a.seeds), run, a.only)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
