"""The speed-run: who needs the fewest seconds to reach the target?

    python benchmarks/speedrun.py
    python benchmarks/speedrun.py --corpus path/to/tinyshakespeare.txt

Rules: characters, 4 blocks, 4 heads, 128 channels, context 64, two threads.
The first 120,000 characters of the validation part (all of it, for Tiny
Shakespeare) decide. What counts is the time on the clock from building the
model to the first measurement at or below the target: 1.88 nats on Tiny
Shakespeare, and on the default corpus what `TARGETS` says. Measuring does not
count. Everything else is free: the parts, the optimizer, its learning rate,
the batch.

An entry is data. To take part, add an `Entry` to `ENTRIES` and run

    python benchmarks/speedrun.py --only "the name of your entry"

on a machine that does nothing else. The plain recipe runs in the same call,
because seconds differ from machine to machine and only the ratio can be
compared. Writes notebooks/results/speedrun_<corpus>.json for chapter 15.
"""

import math
import time
from dataclasses import dataclass, field, replace

import torch
import tyro
from common import RESULTS, load, load_average, read, save, today, versions

import minigpt.modern  # noqa: F401  registers "rope", "relu2" and "muon"
from minigpt.bigram import evaluate
from minigpt.gpt import GPT, GPTConfig
from minigpt.train import OPTIMIZERS, Recipe, train

BLOCK = 64
HELD_OUT = 120_000  # characters
TARGETS = {"tinyshakespeare": 1.88, "sotu": 1.53}  # nats per character
PLAIN = "plain"


def plain_adamw(model, recipe):
    """AdamW with PyTorch's own defaults, as a plain loop has it."""
    return torch.optim.AdamW(model.parameters(), lr=recipe.lr, fused=True)


OPTIMIZERS[PLAIN] = plain_adamw


@dataclass(frozen=True)
class Entry:
    """One way to train: who wrote it, which parts, and which recipe."""

    name: str
    by: str
    what: str
    recipe: Recipe
    parts: dict = field(default_factory=dict)  # options of GPTConfig
    measurements: int = 5  # evenly spread, the last one at the end


ENTRIES = [
    Entry(
        PLAIN,
        "the course",
        "2,000 steps of AdamW, batch 12, learning rate 1e-3, nothing else",
        Recipe(
            max_steps=2000,
            batch_size=12,
            micro_batch_size=12,
            optimizer=PLAIN,
            lr=1e-3,
            min_lr=1e-3,
            warmup_steps=0,
            grad_clip=math.inf,
        ),
    ),
    Entry(
        "fast",
        "the course",
        "RoPE, QK-norm, squared ReLU, Muon; learning rate down to zero",
        Recipe(
            max_steps=240,
            batch_size=12,
            micro_batch_size=12,
            optimizer="muon",
            lr=6e-3,
            min_lr=0.0,
            warmup_steps=10,
            decay="linear",
            weight_decay=0.0,
        ),
        dict(position="rope", qk_norm=True, mlp="relu2", bias=False),
        measurements=1,
    ),
]


def config(entry, vocab_size):
    """The shape that the rules ask for, with the parts of an entry."""
    return GPTConfig(
        vocab_size=vocab_size,
        block_size=BLOCK,
        n_layer=4,
        n_head=4,
        n_embd=128,
        **entry.parts,
    )


def run(entry, corpus, ids, val, target, seed=1337):
    """Train one entry and measure it on the way -> what it took."""
    steps, curve, measuring = entry.recipe.max_steps, [], 0.0
    at = {steps * (i + 1) // entry.measurements
          for i in range(entry.measurements)}  # fmt: skip

    def measure(step, *_):
        nonlocal measuring
        if step + 1 not in at:
            return
        now = time.perf_counter()
        seconds = now - begin - measuring
        nats = evaluate(model, val, block_size=BLOCK)
        measuring += time.perf_counter() - now
        curve.append([step + 1, round(seconds, 2), round(nats, 4)])
        print(f"  {entry.name}: {step + 1} steps, {seconds:.1f} s, "
              f"{nats:.4f} nats", flush=True)  # fmt: skip

    torch.manual_seed(seed)
    begin = time.perf_counter()
    model = GPT(config(entry, corpus.tokenizer.n_vocab))
    recipe = replace(entry.recipe, seed=seed)
    train(model, ids, recipe, block_size=BLOCK, callback=measure)
    reached = [seconds for _, seconds, nats in curve if nats <= target]
    _, seconds, nats = curve[-1]
    return {
        "name": entry.name,
        "by": entry.by,
        "what": entry.what,
        "date": today(),
        "seed": seed,
        "reached": reached[0] if reached else None,
        "steps": steps,
        "seconds": seconds,
        "nats": nats,
        "bits_per_char": round(nats / math.log(2), 4),
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
    if (busy := load_average()) > 1:
        print(f"this machine is busy (load {busy:.1f}): it will need more "
              "seconds than it would alone")  # fmt: skip
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
