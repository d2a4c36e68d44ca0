"""The speed-run: who needs the fewest seconds to reach the target?

    python benchmarks/speedrun.py
    python benchmarks/speedrun.py --corpus tinyshakespeare.txt

Rules: characters, 4 blocks, 4 heads, 128 channels, context 64, one thread;
the first 120,000 characters of the validation part (all of Tiny
Shakespeare's) decide. What counts is the processor's seconds of training,
up to the first measurement at or below the target: 1.88 nats on Tiny
Shakespeare, and on the default corpus what `TARGETS` says. Measuring is not
counted. Everything else is free: parts, optimizer, rate, batch.

To take part, write an `Entry` below "Entries" and run

    python benchmarks/speedrun.py --only "the name of your entry"

The plain recipe runs in the same call, for seconds differ from machine to
machine and only the ratio can be compared. Writes
notebooks/results/speedrun_<corpus>.json for chapter 15.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import tyro
from common import RESULTS, load, read, save, today, versions
from torch import nn

from minigpt.bigram import cross_entropy
from minigpt.data import get_batch
from minigpt.gpt import GPT, GPTConfig
from minigpt.modern import (
    GroupedQueryAttention,
    Muon,
    Together,
)
from minigpt.train import score

BLOCK = 64
HELD_OUT = 120_000  # characters
TARGETS = {"tinyshakespeare": 1.88, "sotu": 1.75}  # nats per character
PLAIN = "plain"


@dataclass(frozen=True)
class Entry:
    """One way to train: who wrote it, what it does, and how."""

    name: str
    by: str
    what: str
    build: Callable[[int], nn.Module]  # vocabulary size -> model
    optimizer: Callable[[nn.Module], Any]
    rate: Callable[[int, int], float]  # step, steps -> factor of the rate
    steps: int
    batch_size: int = 12
    measures: int = 5  # held-out measurements, evenly spread


def config(vocab_size, **options):
    """The shape that the rules ask for."""
    return GPTConfig(
        vocab_size=vocab_size,
        block_size=BLOCK,
        n_layer=4,
        n_head=4,
        n_embd=128,
        **options,
    )


# Entries ------------------------------------------------------------------


def plain(vocab_size):
    return GPT(config(vocab_size))


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)


def constant(step, steps):
    return 1.0


class SquaredReLU(nn.Module):
    """An MLP whose hidden numbers are max(0, z)² (So et al. 2021)."""

    def __init__(self, n_embd, *, activation=None, bias=True, dropout=0.0):
        super().__init__()
        self.fc = nn.Linear(n_embd, 4 * n_embd, bias=bias)
        self.proj = nn.Linear(4 * n_embd, n_embd, bias=bias)

    def forward(self, x):
        return self.proj(self.fc(x).relu().square())


def first(vocab_size):
    return GPT(
        config(vocab_size, bias=False, position="none"),
        attention=partial(GroupedQueryAttention, qk_norm=True),
        mlp=SquaredReLU,
    )


def muon(model, rate=1e-2, table_rate=5e-3):
    """Muon inside the blocks, AdamW for the table of tokens and the gains."""
    inside = [p for p in model.blocks.parameters() if p.dim() == 2]
    known = set(inside)
    rest = [p for p in model.parameters() if p not in known]
    betas = (0.9, 0.95)
    return Together(
        Muon(inside, lr=rate, weight_decay=0.0),
        torch.optim.AdamW(
            rest, lr=table_rate, betas=betas, weight_decay=0.0, fused=True
        ),
    )


def warm_then_down(step, steps, warmup=20):
    """Up in `warmup` steps, then in a straight line to zero."""
    return min((step + 1) / warmup, (steps - step) / (steps - warmup))


ENTRIES = [
    Entry(
        PLAIN,
        "the course",
        "2,000 steps of AdamW, batch 12, rate 1e-3, nothing else",
        plain,
        adamw,
        constant,
        steps=2000,
    ),
    Entry(
        "four parts",
        "the course",
        "RoPE, QK-norm, squared ReLU, Muon; rate down to zero",
        first,
        muon,
        warm_then_down,
        steps=500,
    ),
]

# The clock ----------------------------------------------------------------


def held_out(model, val):
    """Nats per character, the same windows for every entry."""
    nats, n = score(model, val, block_size=BLOCK)
    return nats / n


def check(entry, model, seen):
    """An entry keeps to the rules, or SystemExit says what is wrong."""
    shape = config(model.config.vocab_size)
    for name in ("n_layer", "n_head", "n_embd", "block_size"):
        if getattr(model.config, name) != getattr(shape, name):
            raise SystemExit(
                f"{entry.name}: {name} must be {getattr(shape, name)}, got "
                f"{getattr(model.config, name)}"
            )
    idx = seen[None, :BLOCK].clone()
    with torch.no_grad():
        before = model(idx)
        idx[0, -1] = (idx[0, -1] + 1) % shape.vocab_size
        after = model(idx)
    if not torch.equal(before[:, :-1], after[:, :-1]):
        raise SystemExit(f"{entry.name}: the model looks ahead")


def update(model, optimizer, batch):
    """One step: no clipping, for no entry has needed it."""
    x, y = batch
    optimizer.zero_grad()
    cross_entropy(model(x), y).backward()
    optimizer.step()


def run(entry, corpus, ids, val, target, seed):
    """Train one entry until the target or its end -> what it took."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    begin, wall = time.process_time(), time.perf_counter()
    model = entry.build(corpus.tokenizer.n_vocab)
    optimizer = entry.optimizer(model)
    rates = [group["lr"] for group in optimizer.param_groups]
    seconds = time.process_time() - begin
    walls = time.perf_counter() - wall
    check(entry, model, val)
    curve, reached = [], None
    at = {entry.steps * (i + 1) // entry.measures
          for i in range(entry.measures)}  # fmt: skip
    for step in range(entry.steps):
        begin, wall = time.process_time(), time.perf_counter()
        factor = entry.rate(step, entry.steps)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        batch = get_batch(
            ids,
            block_size=BLOCK,
            batch_size=entry.batch_size,
            generator=generator,
        )
        update(model, optimizer, batch)
        seconds += time.process_time() - begin
        walls += time.perf_counter() - wall
        if step + 1 not in at:
            continue
        nats = held_out(model, val)
        curve.append([step + 1, round(seconds, 2), round(nats, 4)])
        print(f"  {entry.name}: {step + 1} steps, {seconds:.1f} s, "
              f"{nats:.4f} nats", flush=True)  # fmt: skip
        if nats <= target:
            reached = round(seconds, 2)
            break
    return {
        "name": entry.name,
        "by": entry.by,
        "what": entry.what,
        "date": today(),
        "seed": seed,
        "reached": reached,
        "steps": step + 1,
        "seconds": round(seconds, 2),
        "wall_seconds": round(walls, 2),
        "nats": curve[-1][2],
        "bits_per_char": round(curve[-1][2] / math.log(2), 4),
        "parameters": sum(p.numel() for p in model.parameters()),
        "curve": curve,
    }


@dataclass
class Arguments:
    """Race the entries to the target and record what they took."""

    corpus: str = "sotu"
    """`sotu`, or the path of a text file."""
    only: tuple[str, ...] = ()
    """Names of entries; none means all. The plain recipe always runs."""
    seed: int = 1337
    try_only: bool = False
    """Run without the plain recipe and record nothing."""


def main(a):
    torch.set_num_threads(1)
    corpus = load(a.corpus)
    known = [entry.name for entry in ENTRIES]
    if unknown := [name for name in a.only if name not in known]:
        raise SystemExit(f"--only must be among {known}, got {unknown}")
    if corpus.name not in TARGETS:
        raise SystemExit(
            f"there is a target for {list(TARGETS)}, not for {corpus.name!r}"
        )
    target = TARGETS[corpus.name]
    path = RESULTS / f"speedrun_{corpus.name}.json"
    ids, val = corpus.train, corpus.val[:HELD_OUT]
    chosen = [e for e in ENTRIES if not a.only or e.name in a.only]
    if not a.try_only and chosen[0].name != PLAIN:
        chosen.insert(0, ENTRIES[0])
    found = [run(e, corpus, ids, val, target, a.seed) for e in chosen]
    if a.try_only:
        return
    base = found[0]
    for entry in found:
        time_to = entry["reached"]
        entry["of_plain"] = (
            round(time_to / base["seconds"], 3) if time_to else None
        )
    old = {e["name"]: e for e in read(path).get("entries", [])}
    old.update({e["name"]: e for e in found})
    file = corpus.name if a.corpus == corpus.name else f"{corpus.name}.txt"
    save(
        path,
        {
            "corpus": corpus.name,
            "sha256": corpus.sha256,
            "command": f"python benchmarks/speedrun.py --corpus {file}",
            "target": target,
            "versions": versions(),
            "entries": [old[n] for n in known if n in old],
        },
    )


if __name__ == "__main__":
    main(tyro.cli(Arguments))
