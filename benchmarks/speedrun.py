"""The speed-run: who needs the fewest seconds to reach the target?

    python benchmarks/speedrun.py
    python benchmarks/speedrun.py --corpus tinyshakespeare.txt

Rules: characters, 4 blocks, 4 heads, 128 channels, context 64, two threads;
the first 120,000 characters of the validation part (all of Tiny
Shakespeare's) decide. What counts is the time on the clock that building and
training take, up to the first measurement at or below the target: 1.88 nats
on Tiny Shakespeare, and on the default corpus what `TARGETS` says. Measuring
is not counted. Everything else is free: parts, optimizer, rate, batch.

To take part, write an `Entry` below "Entries" and run

    python benchmarks/speedrun.py --only "the name of your entry"

on a machine that does nothing else. The plain recipe runs in the same call,
for seconds differ from machine to machine and only the ratio can be
compared. Writes
notebooks/results/speedrun_<corpus>.json for chapter 15.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
import tyro
from common import RESULTS, load, load_average, read, save, today, versions
from torch import nn

from minigpt.bigram import cross_entropy
from minigpt.data import get_batch
from minigpt.gpt import GPT, GPTConfig
from minigpt.modern import (
    GroupedQueryAttention,
    Muon,
    Together,
    rope_angles,
)
from minigpt.multihead import join_heads
from minigpt.run.fast import keep_memory
from minigpt.train import score

BLOCK = 64
HELD_OUT = 120_000  # characters
TARGETS = {"tinyshakespeare": 1.88, "sotu": 1.53}  # nats per character
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


def muon(model, make):
    """Muon, as `make` makes it, inside the blocks; AdamW for the rest."""
    inside = [p for p in model.blocks.parameters() if p.dim() == 2]
    known = set(inside)
    rest = [p for p in model.parameters() if p not in known]
    betas = (0.9, 0.95)
    return Together(
        make(inside),
        torch.optim.AdamW(
            rest, lr=5e-3, betas=betas, weight_decay=0.0, fused=True
        ),
    )


def warm_then_down(step, steps, warmup=20):
    """Up in `warmup` steps, then in a straight line to zero."""
    return min((step + 1) / warmup, (steps - step) / (steps - warmup))


class LeanAttention(nn.Module):
    """RoPE and QK-norm for queries and keys at once, then fused attention."""

    def __init__(self, n_embd, n_head, *, bias=False, dropout=0.0):
        super().__init__()
        self.n_head, D = n_head, n_embd // n_head
        self.qkv = nn.Linear(n_embd, 3 * n_embd, bias=bias)
        self.proj = nn.Linear(n_embd, n_embd, bias=bias)
        angles = rope_angles(torch.arange(BLOCK), D)[:, None]  # (T, 1, D / 2)
        cos, sin = angles.cos(), angles.sin()
        self.register_buffer("cos", torch.cat([cos, cos], -1))
        self.register_buffer("sin", torch.cat([-sin, sin], -1))

    def forward(self, x, *, mask=None, cache=None, record=None):
        B, T, C = x.shape
        qk, v = self.qkv(x).split([2 * C, C], dim=-1)
        qk = qk.view(B, T, 2 * self.n_head, -1)  # queries, then keys
        qk = F.rms_norm(qk, qk.shape[-1:], eps=1e-5)
        swapped = torch.cat(qk.chunk(2, dim=-1)[::-1], dim=-1)
        qk = qk * self.cos[:T] + swapped * self.sin[:T]
        q, k = qk.transpose(1, 2).chunk(2, dim=1)  # (B, H, T, D)
        v = v.view(B, T, self.n_head, -1).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(join_heads(y))


class PairGPT(GPT):
    """A GPT that also looks up each character together with the one before.

    The table can hold what a bigram knows, so that attention need not look
    for the character before.
    """

    def __init__(self, config, **parts):
        super().__init__(config, **parts)
        self.pair = nn.Embedding(config.vocab_size**2, config.n_embd)
        nn.init.zeros_(self.pair.weight)

    def embed(self, idx, mask=None, start=0):
        before = F.pad(idx[:, :-1], (1, 0))
        pairs = before * self.config.vocab_size + idx
        return super().embed(idx, mask, start) + self.pair(pairs)


class StackedMuon(torch.optim.Optimizer):
    """Muon, where matrices of one shape go through Newton-Schulz together."""

    def __init__(self, params, lr, momentum=0.9):
        super().__init__(params, {"lr": lr})
        self.momentum = momentum
        shapes = {}
        for p in self.param_groups[0]["params"]:
            shapes.setdefault(p.shape, []).append(p)
        self.stacks = [(ps, torch.zeros(len(ps), *shape))
                       for shape, ps in shapes.items()]  # fmt: skip

    @torch.no_grad()
    def step(self):
        rate = self.param_groups[0]["lr"]
        for ps, mean in self.stacks:
            G = torch.stack([p.grad for p in ps])  # (layers, rows, columns)
            mean.lerp_(G, 1 - self.momentum)
            X = G.lerp(mean, self.momentum)
            tall = X.size(1) > X.size(2)
            X = X.mT if tall else X
            X = X / X.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
            for _ in range(5):
                A = X @ X.mT
                B = torch.baddbmm(A, A, A, beta=-4.7750, alpha=2.0315)
                X = torch.baddbmm(X, B, X, beta=3.4445)
            X = X.mT if tall else X
            scale = 0.2 * max(X.shape[1:]) ** 0.5
            for p, update in zip(ps, X, strict=True):
                p.add_(update, alpha=-rate * scale)


def with_pairs(vocab_size):
    return PairGPT(
        config(vocab_size, bias=False, position="none"),
        attention=LeanAttention,
        mlp=SquaredReLU,
    )


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
        partial(muon, make=partial(Muon, lr=1e-2, weight_decay=0.0)),
        warm_then_down,
        steps=500,
    ),
    Entry(
        "pairs",
        "the course",
        "the four parts, leaner; a table of pairs",
        with_pairs,
        partial(muon, make=partial(StackedMuon, lr=6e-3)),
        warm_then_down,
        steps=250,
        measures=1,
    ),
]

# The clock ----------------------------------------------------------------


class Clock:
    """Adds up what passes inside its `with` blocks."""

    seconds = processor = 0.0

    def __enter__(self):
        self.begin = time.perf_counter(), time.process_time()

    def __exit__(self, *error):
        self.seconds += time.perf_counter() - self.begin[0]
        self.processor += time.process_time() - self.begin[1]


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
    clock = Clock()
    with clock:
        model = entry.build(corpus.tokenizer.n_vocab)
        optimizer = entry.optimizer(model)
    rates = [group["lr"] for group in optimizer.param_groups]
    check(entry, model, val)
    curve, reached = [], None
    at = {entry.steps * (i + 1) // entry.measures
          for i in range(entry.measures)}  # fmt: skip
    for step in range(entry.steps):
        with clock:
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
        if step + 1 not in at:
            continue
        nats = held_out(model, val)
        curve.append([step + 1, round(clock.seconds, 2), round(nats, 4)])
        print(f"  {entry.name}: {step + 1} steps, {clock.seconds:.1f} s, "
              f"{nats:.4f} nats", flush=True)  # fmt: skip
        if nats <= target:
            reached = round(clock.seconds, 2)
            break
    return {
        "name": entry.name,
        "by": entry.by,
        "what": entry.what,
        "date": today(),
        "seed": seed,
        "reached": reached,
        "steps": step + 1,
        "seconds": round(clock.seconds, 2),
        "processor_seconds": round(clock.processor, 2),
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
    threads: int = 2
    """Other numbers for a try only."""


def main(a):
    if a.threads != 2 and not a.try_only:
        raise SystemExit("the race is run with two threads: add --try-only")
    torch.set_num_threads(a.threads)
    keep_memory()
    if (busy := load_average()) > 1:
        print(f"this machine is busy (load {busy:.1f}): seconds on "
              "the clock will be too many")  # fmt: skip
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
