"""Do instructions learned on more words work on new ones? Recorded.

    python benchmarks/instructions.py

Writes notebooks/results/instructions.json, run by run; a run that the record
holds already is skipped. The course's model is tuned on the four tasks of
chapter 14, with 16 words or with 468, each of them one token, and with 468
also for four times as many steps. Then it gets the same tasks with words that
were in none of them: the sixteen that the chapter tests, and fifty others, on
which the chapter chooses the learning rate. The tasks are the chapter's: this
file runs its cells tagged "instructions".
"""

import copy
import random
import re
import time
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch
import tyro
from common import RESULTS, chapter_cells, fill, read

import minigpt.finetune as finetune
from minigpt import load_model
from minigpt.bigram import cross_entropy
from minigpt.train import Recipe

CHAPTER = Path(__file__).parent.parent / "notebooks" / "14_finetune.ipynb"
BUDGETS = ((16, 90), (468, 90), (468, 360))  # words, steps
RATES = (3e-4, 1e-3, 3e-3)
UNSEEN = (  # the words that the chapter tests
    "part present national foreign years good important same "
    "shall some very much also there when over"
).split()


@dataclass(frozen=True)
class Run:
    """One training run."""

    words: int
    steps: int
    lr: float
    seed: int

    @property
    def name(self):
        return " ".join(f"{k}={v}" for k, v in asdict(self).items())


def every(seeds):
    """All runs, seed by seed."""
    for seed, (words, steps), lr in product(range(seeds), BUDGETS, RATES):
        yield Run(words, steps, lr, seed)


def split_words(tokenizer):
    """Words of one token -> those to learn from, and those to validate."""
    pieces = (tokenizer.decode([i]) for i in range(tokenizer.n_vocab))
    words = [p[1:] for p in pieces if re.fullmatch(" [a-z]{4,}", p)]
    words = [word for word in words if word not in UNSEEN]
    random.Random(0).shuffle(words)
    return words[50:], words[:50]


def train(chapter, run):
    """Tune one model -> the share of right answers, by task."""
    learn, val = split_words(chapter["tokenizer"])
    pool = learn[: run.words]
    model = copy.deepcopy(chapter["base"])

    def lessons(generator):
        seed = torch.randint(2**31, (1,), generator=generator).item()
        some = chapter["encoded"](chapter["pairs"](32, seed, pool))
        return finetune.answer_batch(some, end=chapter["END"])

    recipe = Recipe(
        max_steps=run.steps,
        warmup_steps=run.steps // 10,
        lr=run.lr,
        min_lr=run.lr / 10,
        seed=run.seed,
    )
    begin = time.process_time()
    finetune.tune(model, lessons, recipe)
    spent = time.process_time() - begin
    shares = {
        name: chapter["solved"](model, chapter["pairs"](200, seed, words))
        for name, seed, words in (
            ("seen", 1, pool),
            ("val", 2, val),
            ("test", 3, UNSEEN),
        )
    }
    return {**shares, "seconds": round(spent, 1)}


@dataclass
class Arguments:
    """Run what the record does not hold yet."""

    seeds: int = 3
    """Seeds of each run, from 0."""
    only: int | None = None
    """As many new runs, then stop."""


def main(a):
    torch.set_num_threads(1)
    base, tokenizer = load_model()
    end = tokenizer.special_tokens["<|endoftext|>"]
    names = {"base": base, "tokenizer": tokenizer, "END": end}
    names |= {"cross_entropy": cross_entropy}
    chapter = chapter_cells(
        CHAPTER, "instructions", {**vars(finetune), **names}
    )
    path = RESULTS / "instructions.json"
    record = read(path) | {"command": "python benchmarks/instructions.py"}

    def run(trial):
        return asdict(trial) | train(chapter, trial)

    fill(path, record, "runs", every(a.seeds), run, a.only)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
