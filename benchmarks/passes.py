"""Text that is read again and again: dropout, lower case, copies.

    python benchmarks/passes.py

Writes notebooks/results/passes_sotu.json for chapter 9, run by run; a run
that the record holds already is skipped. The recipe and the tokenizer are
those of the model that comes with the course; the model and its windows are
smaller. All runs take equal steps on a part of the training text, and its
length decides how often they read it. Each setting is trained at each of the
rates with three seeds, on one thread. Dropout makes a step slower, so
without it there are also longer runs, of as many seconds as one with it.
"""

import time
from dataclasses import asdict, dataclass, replace

import torch
import tyro
from common import RESULTS, fill, load, read
from search import seconds_a_step, spread

from minigpt import load_model
from minigpt.bigram import bits_per_char, evaluate
from minigpt.gpt import GPT, GPTConfig
from minigpt.train import Recipe, train

RATES = (3e-4, 1e-3, 3e-3, 1e-2)
SEEDS = (1, 2, 3)
BLOCK, BATCH = 64, 8
LOWER, COPIES = "also in lower case", "nine tenths copies"


@dataclass(frozen=True)
class Trial:
    """One run: how often it reads which text, with how much dropout."""

    passes: int
    lr: float = 0.0
    seed: int = 0
    dropout: float = 0.0
    text: str = "as it is"
    longer: bool = False  # as many seconds as a run with dropout

    @property
    def name(self):
        return " ".join(f"{k}={v}" for k, v in asdict(self).items())


def trials():
    """All runs, seed by seed."""
    settings = [
        *(Trial(n, dropout=d) for n in (1, 4, 16) for d in (0.0, 0.1, 0.2)),
        *(Trial(n, longer=True) for n in (1, 16)),
        Trial(16, text=LOWER),
        Trial(1, text=COPIES),
    ]
    return [
        replace(trial, lr=lr, seed=seed)
        for seed in SEEDS
        for lr in RATES
        for trial in settings
    ]


def build(trial, vocab_size):
    torch.manual_seed(trial.seed)
    return GPT(
        GPTConfig(
            vocab_size, BLOCK, n_layer=4, n_head=4, n_embd=96, bias=False,
            dropout=trial.dropout,
        )
    )  # fmt: skip


def recipe(trial, steps):
    """That of the course's own model, but for the steps and the rate."""
    return Recipe(
        max_steps=steps, warmup_steps=steps // 20, lr=trial.lr,
        min_lr=trial.lr / 100, batch_size=BATCH, micro_batch_size=BATCH,
        weight_decay=0.2, seed=trial.seed,
    )  # fmt: skip


def text_of(trial, ids, lower):
    """The ids that a trial trains on: a part of those that one pass reads."""
    n = len(ids) // trial.passes
    if trial.text == LOWER:
        return torch.cat([ids[:n], lower[:n]])
    if trial.text == COPIES:
        return torch.cat([ids[: n // 10], ids[: n // 100].repeat(90)])
    return ids[:n]


def run(trial, steps, ids, val, vocab_size):
    """One trial: losses in nats a token on its batches and held out."""
    model, losses = build(trial, vocab_size), []
    begin = time.process_time()
    train(
        model,
        ids,
        recipe(trial, steps),
        block_size=BLOCK,
        callback=lambda step, loss, lr, norm: losses.append(loss),
    )
    spent = time.process_time() - begin
    return {
        **asdict(trial),
        "steps": steps,
        "tokens": len(ids),
        "parameters": sum(p.numel() for p in model.parameters()),
        "batches": round(sum(losses[-50:]) / len(losses[-50:]), 4),
        "nats": round(evaluate(model, val, block_size=BLOCK), 4),
        "seconds": round(spent, 1),
    }


@dataclass
class Arguments:
    """Run the trials that the record does not hold yet."""

    steps: int = 240
    """Updates of a run."""
    characters: int = 50_000
    """Of the validation part, evenly from all of it, to measure on."""
    only: int | None = None
    """As many new runs, then stop."""


def slowdown(ids, vocab_size):
    """Seconds of a step with dropout, relative to one without."""
    with_dropout, without = (
        seconds_a_step(build(trial, vocab_size), recipe(trial, 11), ids)
        for trial in (Trial(1, lr=1e-3, dropout=0.1), Trial(1, lr=1e-3))
    )
    return round(with_dropout / without, 3)


def main(a):
    torch.set_num_threads(1)
    corpus, path = load("sotu"), RESULTS / "passes_sotu.json"
    tokenizer, n = load_model()[1], a.steps * BATCH * BLOCK
    part = spread(corpus.train_text, 5 * n)  # a token has fewer characters
    ids, lower = (
        torch.tensor(tokenizer.encode(text)[:n])
        for text in (part, part.lower())
    )
    held_out = spread(corpus.val_text, a.characters)
    val = torch.tensor(tokenizer.encode(held_out))
    record = read(path)
    record |= {
        "corpus": corpus.name,
        "sha256": corpus.sha256,
        "command": "python benchmarks/passes.py",
        "arguments": {k: v for k, v in asdict(a).items() if k != "only"},
        "bits_of_a_nat": bits_per_char(1.0, len(val) - 1, len(held_out)),
    }
    if "slowdown" not in record:
        record["slowdown"] = slowdown(ids, tokenizer.n_vocab)

    def one(trial):
        steps = round(a.steps * record["slowdown"]) if trial.longer else a.steps
        return run(
            trial, steps, text_of(trial, ids, lower), val, tokenizer.n_vocab
        )

    fill(path, record, "trials", trials(), one, a.only)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
