"""What each part of a GPT is worth: take it out, train, compare.

    python benchmarks/break_it.py

Writes notebooks/results/break_it.json for chapter 8. The broken models are
those of the chapter: this file runs its cells tagged "break-it". Every
variant has the same shape, seed, batches and number of AdamW steps, without
a schedule and without clipping.
"""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import tyro
from common import (
    RESULTS,
    Recorded,
    chapter_cells,
    load,
    read,
    save,
    today,
    versions,
)
from torch import nn

from minigpt.attention import attention
from minigpt.bigram import cross_entropy, fit, sample_tokens
from minigpt.block import Block
from minigpt.data import get_batch
from minigpt.gpt import GPT, PARTS, GPTConfig

CHAPTER = Path(__file__).parent.parent / "notebooks" / "08_gpt.ipynb"


def variant_cells(tag):
    """Run the chapter's cells with this tag -> the names they define."""
    names = {
        "nn": nn, "torch": torch, "attention": attention, "PARTS": PARTS,
        "cross_entropy": cross_entropy, "Block": Block, "GPT": GPT,
        "GPTConfig": GPTConfig,
    }  # fmt: skip
    return chapter_cells(CHAPTER, tag, names)


@dataclass(frozen=True)
class Settings:
    """What all variants share."""

    n_layer: int = 12
    n_head: int = 4
    n_embd: int = 64
    block_size: int = 32
    batch_size: int = 16
    steps: int = 800
    lr: float = 1e-3
    held_out_tokens: int = 131_072  # from the start of the part


def shape(s, vocab_size):
    return {
        "vocab_size": vocab_size,
        "block_size": s.block_size,
        "n_layer": s.n_layer,
        "n_head": s.n_head,
        "n_embd": s.n_embd,
    }


def run(how, chapter, s, corpus, seed):
    """Build, measure, train and measure one variant -> its entry."""
    torch.manual_seed(seed)
    model = chapter["build"](how, **shape(s, corpus.tokenizer.n_vocab))
    generator = torch.Generator().manual_seed(seed)
    train, val = corpus.train, corpus.val[: s.held_out_tokens]

    def batches():
        return get_batch(
            train,
            block_size=s.block_size,
            batch_size=s.batch_size,
            generator=generator,
        )

    x, y = batches()
    before = chapter["gradient_norms"](model, x, y)
    start = time.perf_counter()
    losses = fit(model, batches, steps=s.steps, lr=s.lr)
    seconds = time.perf_counter() - start
    every, last = chapter["held_out"](model, val)
    return {
        "broken": how,
        "train_nats": round(sum(losses[-100:]) / len(losses[-100:]), 4),
        "held_out_nats": round(every, 4),
        "held_out_last_nats": round(last, 4),
        "gradient_before": [float(f"{g:.4g}") for g in before],
        "gradient_after": [
            float(f"{g:.4g}") for g in chapter["gradient_norms"](model, x, y)
        ],
        "text": write(model, corpus.tokenizer, generator),
        "seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def write(model, tokenizer, generator, n=120):
    """What the model writes after a new line."""
    idx = torch.tensor([tokenizer.encode("\n")])
    size = model.config.block_size
    idx = sample_tokens(model, idx, n, generator, block_size=size)
    return tokenizer.decode(idx[0, 1:].tolist())


@dataclass
class Arguments(Recorded):
    """Train a GPT with one part missing, for each part; record it."""

    only: tuple[str, ...] = ()
    """Names of variants; none means all of them."""


def main(a):
    torch.set_num_threads(a.threads)
    chapter, corpus = variant_cells("break-it"), load(a.corpus)
    path, s = RESULTS / "break_it.json", Settings()
    if unknown := [how for how in a.only if how not in chapter["BREAKS"]]:
        raise SystemExit(
            f"--only must be among {chapter['BREAKS']}, got {unknown}"
        )
    for how in a.only or chapter["BREAKS"]:
        record = read(path)
        same = record.get("settings") == asdict(s)
        done = {v["broken"]: v for v in record.get("variants", []) if same}
        if how in done and not (a.fresh or a.steps):
            print(f"{how:14} recorded: {done[how]['held_out_nats']:.4f}")
            continue
        setting = replace(s, steps=a.steps) if a.steps else s
        entry = run(how, chapter, setting, corpus, a.seed)
        print(
            f"{how:14} held out {entry['held_out_nats']:.4f} nats, last "
            f"positions {entry['held_out_last_nats']:.4f}, gradient in the "
            f"first block {entry['gradient_before'][0]:.2g}, "
            f"{entry['seconds']:.0f} s",
            flush=True,
        )
        if a.steps:
            continue
        done[how] = entry
        record = {
            "corpus": corpus.name,
            "sha256": corpus.sha256,
            "command": "python benchmarks/break_it.py",
            "seed": a.seed,
            "date": today(),
            "versions": versions(),
            "settings": asdict(s),
            "variants": [done[n] for n in chapter["BREAKS"] if n in done],
        }
        save(path, record)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
