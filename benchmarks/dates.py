"""Who rewrites dates: the encoder-decoder and a GPT of chapter 16, recorded.

    python benchmarks/dates.py

Writes notebooks/results/dates.json, run by run; a run that the record holds
already is skipped. The models and the task are those of the chapter: this
file runs its cells tagged "dates". The encoder-decoder trains with and
without label smoothing, the GPT once for as many steps and once for as many
seconds. Each of the four gets the same warmups, which is the one dial of its
learning rate, and the same seeds; the chapter takes the warmup that is best
on the validation days.
"""

import time
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch
import tyro
from common import RESULTS, chapter_cells, fill, read

import minigpt.seq2seq as seq2seq

CHAPTER = Path(__file__).parent.parent / "notebooks" / "16_seq2seq.ipynb"
WARMUPS = (50, 100, 200, 400)


@dataclass(frozen=True)
class Run:
    """One training run."""

    model: str  # encoder-decoder or GPT
    steps: int
    warmup_steps: int
    smoothing: float
    seed: int

    @property
    def name(self):
        return " ".join(f"{k}={v}" for k, v in asdict(self).items())


def every(steps, gpt_steps, seeds):
    """All runs, seed by seed."""
    for seed, warmup in product(range(seeds), WARMUPS):
        for smoothing in (0.1, 0.0):
            yield Run("encoder-decoder", steps, warmup, smoothing, seed)
        for n in (gpt_steps, steps):
            yield Run("GPT", n, warmup, 0.1, seed)


def prepare(chapter, run):
    """-> a new model, what makes its batches, what writes its answers."""
    torch.manual_seed(run.seed)
    if run.model == "GPT":
        parts = (chapter["joined"], chapter["continue_with"])
        return chapter["new_gpt"](), *parts
    model = seq2seq.Seq2Seq(chapter["config"])
    return model, chapter["make_batch"], chapter["rewrite"]


def train(chapter, run):
    """Train one model -> what the record says about it."""
    model, make, write = prepare(chapter, run)
    batches = chapter["batches_of"](make, seed=2 + run.seed)
    begin = time.process_time()
    seq2seq.teach(
        model,
        batches,
        max_steps=run.steps,
        warmup_steps=run.warmup_steps,
        smoothing=run.smoothing,
    )
    spent = time.process_time() - begin
    val, test = (
        chapter["exact"](write(model, chapter[part]), chapter[part])
        for part in ("val", "test")
    )
    return {
        "val": val,
        "test": test,
        "nats": round(chapter["nats"](model, make, chapter["test"]), 4),
        "sure": round(chapter["sure"](model, make, chapter["test"]), 4),
        "seconds": round(spent, 3),
    }


def equal_seconds(chapter, steps):
    """As many steps of the GPT as take the seconds of the other's `steps`."""
    best = {}
    for name in ("encoder-decoder", "GPT") * 5:
        run = Run(name, 10, 200, smoothing=0.1, seed=0)
        spent = train(chapter, run)["seconds"]
        best[name] = min(spent, best.get(name, spent))
    return round(steps * best["encoder-decoder"] / best["GPT"])


@dataclass
class Arguments:
    """Run what the record does not hold yet."""

    seeds: int = 3
    """Seeds of each run, from 0."""
    only: int | None = None
    """As many new runs, then stop."""


def main(a):
    torch.set_num_threads(1)
    chapter = chapter_cells(CHAPTER, "dates", dict(vars(seq2seq)))
    path, steps = RESULTS / "dates.json", chapter["STEPS"]
    record = read(path) | {"command": "python benchmarks/dates.py"}
    if "gpt_steps" not in record:
        record["gpt_steps"] = equal_seconds(chapter, steps)
    trials = every(steps, record["gpt_steps"], a.seeds)

    def run(trial):
        return asdict(trial) | train(chapter, trial)

    fill(path, record, "runs", trials, run, a.only)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
