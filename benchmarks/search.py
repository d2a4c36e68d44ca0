"""Which rate, width, depth and warmup: many small runs, recorded.

    python benchmarks/search.py

Writes notebooks/results/search_sotu.json for chapter 9, run by run; a run
that the record holds already is skipped. Character models on the default
corpus, trained by `minigpt.train` on one thread. Every shape is trained at
each of the rates with three seeds, for equal seconds and for equal steps.
How many steps fit into the seconds is measured once for each shape and
recorded, so a run does not depend on how busy the machine is.
"""

import time
from dataclasses import asdict, dataclass, replace

import torch
import tyro
from common import RESULTS, fill, load, read

from minigpt.bigram import evaluate
from minigpt.gpt import GPT, GPTConfig
from minigpt.train import Recipe, train

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
SHAPES = ((32, 2), (64, 2), (128, 2), (64, 1), (64, 4))  # channels, blocks
SEEDS = (1, 2, 3)
BLOCK, BATCH = 64, 16


@dataclass(frozen=True)
class Trial:
    """One run: what is equal in its part, the model, the recipe."""

    part: str
    lr: float
    seed: int
    n_embd: int = 64
    n_layer: int = 2
    warmup: float = 0.1  # share of the steps
    steps: int = 0  # 0: as many as fit into the seconds

    @property
    def name(self):
        return " ".join(f"{k}={v}" for k, v in asdict(self).items())

    @property
    def shape(self):
        return f"{self.n_embd} channels, {self.n_layer} blocks"


def trials(steps):
    """All runs, seed by seed."""
    found = []
    for seed in SEEDS:
        for lr in RATES:
            for n_embd, n_layer in SHAPES:
                trial = Trial("equal seconds", lr, seed, n_embd, n_layer)
                equal = replace(trial, part="equal steps", steps=steps)
                found += [trial, equal]
            found.append(Trial("no warmup", lr, seed, warmup=0.0))
    return found


def spread(text, n):
    """n characters in pieces of 1,000, evenly from all of a text."""
    every = len(text) * 1000 // n
    pieces = [text[i : i + 1000] for i in range(0, len(text), every)]
    return "".join(pieces)[:n]


def build(trial, vocab_size):
    torch.manual_seed(trial.seed)
    config = GPTConfig(
        vocab_size, BLOCK, n_layer=trial.n_layer, n_head=4, n_embd=trial.n_embd
    )
    return GPT(config)


def recipe(trial):
    return Recipe(
        max_steps=trial.steps,
        warmup_steps=round(trial.warmup * trial.steps),
        lr=trial.lr,
        min_lr=trial.lr / 10,
        batch_size=BATCH,
        micro_batch_size=BATCH,
        seed=trial.seed,
    )


def seconds_a_step(model, recipe, ids):
    """Processor seconds of one update of a recipe of 11, the best of ten."""
    times = []

    def note(*_):
        times.append(time.process_time())

    train(model, ids, recipe, block_size=BLOCK, callback=note)
    return min(b - a for a, b in zip(times, times[1:]))


def run(trial, ids, val, vocab_size):
    """One trial: its held-out loss in nats, and what it took."""
    model, begin = build(trial, vocab_size), time.process_time()
    train(model, ids, recipe(trial), block_size=BLOCK)
    spent = time.process_time() - begin
    return {
        **asdict(trial),
        "parameters": sum(p.numel() for p in model.parameters()),
        "nats": round(evaluate(model, val, block_size=BLOCK), 4),
        "seconds": round(spent, 1),
    }


@dataclass
class Arguments:
    """Run the trials that the record does not hold yet."""

    seconds: float = 6.0
    """Processor time of a run where seconds are equal."""
    steps: int = 150
    """Updates of a run where steps are equal."""
    characters: int = 50_000
    """Of the validation part, evenly from all of it, to measure on."""
    only: int | None = None
    """As many new runs, then stop."""


def main(a):
    torch.set_num_threads(1)
    corpus, path = load("sotu"), RESULTS / "search_sotu.json"
    held_out = spread(corpus.val_text, a.characters)
    val = torch.tensor(corpus.tokenizer.encode(held_out))
    ids, vocab_size = corpus.train, corpus.tokenizer.n_vocab
    record = read(path)
    record |= {
        "corpus": corpus.name,
        "sha256": corpus.sha256,
        "command": "python benchmarks/search.py",
        "arguments": {k: v for k, v in asdict(a).items() if k != "only"},
    }
    speed = record.setdefault("seconds_a_step", {})

    def one(trial):
        shape = trial.shape
        if shape not in speed:
            short = recipe(replace(trial, steps=11))
            model = build(trial, vocab_size)
            speed[shape] = round(seconds_a_step(model, short, ids), 5)
        steps = trial.steps or round(a.seconds / speed[shape])
        return run(replace(trial, steps=steps), ids, val, vocab_size)

    fill(path, record, "trials", trials(a.steps), one, a.only)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
