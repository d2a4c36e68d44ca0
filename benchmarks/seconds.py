"""Seconds to a held-out loss: the recipe of chapter 9 beside a plain loop.

    python benchmarks/seconds.py --corpus tinyshakespeare.txt

The plain loop trains Hugging Face's GPT-2 for 2,000 steps of 12 windows with
AdamW at a learning rate of 1e-3. Ours has the same shape and as many windows
a step, and follows the recipe of chapter 9, warmup, cosine and clipping, in as
many steps as --max-steps says. Both run in turn, in pieces of 50 steps, so
that other load on the machine hits both; measuring the held-out loss is not
counted. Prints both losses and the ratio of the seconds.
"""

import time
from dataclasses import dataclass

import torch
import tyro
from common import load, versions
from train import OURS, THEIRS, Arguments, ours, theirs

from minigpt.bigram import evaluate
from minigpt.train import (
    Recipe,
    learning_rate,
    make_optimizer,
    step_batches,
    train_step,
)

PIECE = 50  # steps in one turn


@dataclass
class Seconds(Arguments):
    """Compare the seconds that lead to a held-out loss."""

    max_steps: int = 1330
    """Steps of ours."""
    lr: float = 4e-3
    """Highest learning rate of ours."""
    their_steps: int = 2000
    """Steps of the plain loop."""
    target: float = 1.88
    """Held-out loss to reach, in nats per token."""
    seed: int = 1337


class Logits(torch.nn.Module):
    """Hugging Face's model, called as ours is."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, idx):
        return self.model(idx).logits


def contestant(model, ids, recipe, block_size):
    """-> a generator that trains for PIECE steps and yields its seconds."""
    optimizer = make_optimizer(model, recipe)
    seconds = 0.0
    for step in range(recipe.max_steps):
        begin = time.perf_counter()
        batches = step_batches(ids, step, recipe, block_size=block_size)
        lr = learning_rate(step, recipe)
        train_step(model, optimizer, batches, recipe, lr=lr)
        seconds += time.perf_counter() - begin
        if (step + 1) % PIECE == 0 or step + 1 == recipe.max_steps:
            yield seconds


def main(a):
    torch.set_num_threads(a.threads)
    corpus = load(a.corpus)
    V = corpus.tokenizer.n_vocab
    size = {"batch_size": a.batch_size, "micro_batch_size": a.batch_size}
    torch.manual_seed(a.seed)
    models = {OURS: ours(a, V)[0], THEIRS: Logits(theirs(a, V)[0])}
    recipes = {
        OURS: Recipe(
            max_steps=a.max_steps, lr=a.lr, min_lr=a.lr / 40,
            warmup_steps=a.max_steps // 10, seed=a.seed, **size,
        ),
        THEIRS: Recipe(
            max_steps=a.their_steps, lr=1e-3, min_lr=1e-3, warmup_steps=0,
            seed=a.seed, **size,
        ),
    }  # fmt: skip
    running = {
        name: contestant(model, corpus.train, recipes[name], a.block_size)
        for name, model in models.items()
    }
    seconds = {}
    while running:
        for name in list(running):
            spent = next(running[name], None)
            if spent is None:
                del running[name]
            else:
                seconds[name] = spent
    print(f"{corpus.name}, V = {V}, {a.threads} threads, {versions()}")
    losses = {}
    for name, model in models.items():
        losses[name] = evaluate(
            model.eval(), corpus.val, block_size=a.block_size
        )
        print(
            f"{name:20} {recipes[name].max_steps:5} steps "
            f"{seconds[name]:7.1f} s  held out {losses[name]:.4f} nats"
        )
    share = seconds[OURS] / seconds[THEIRS]
    reached = "reached" if losses[OURS] <= a.target else "missed"
    print(f"{a.target} nats {reached} in {share:.2f} of their time (aim 0.50)")


if __name__ == "__main__":
    main(tyro.cli(Seconds))
