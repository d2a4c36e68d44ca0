"""How the loss falls with size: small runs, recorded.

    python benchmarks/scaling.py

Writes notebooks/results/scaling_sotu.json for chapter 17, run by run; a run
that the record holds already is skipped. One run is `small_run` of the
chapter: this file runs its cells tagged "scaling". Character models on the
default corpus that all see the same tokens, one thread. The largest model is
left out of the fit, to check what it predicts; one model is trained again
with another seed.
"""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from common import RESULTS, chapter_cells, load, read, save, today, versions
from search import spread

from minigpt.bigram import evaluate
from minigpt.gpt import GPT, GPTConfig, count_parameters
from minigpt.train import Recipe, train

CHAPTER = Path(__file__).parent.parent / "notebooks" / "17_scale.ipynb"
TOKENS = 1_024_000  # for every model
WIDTHS = (16, 32, 48, 64, 96, 128, 192)  # the last one checks the law
SPREAD = (32, 1)  # one width again, with another seed


@dataclass(frozen=True)
class Run:
    """One point: width, tokens seen, seed."""

    n_embd: int
    tokens: int = TOKENS
    seed: int = 0

    @property
    def name(self):
        return f"{self.n_embd} channels, {self.tokens} tokens, {self.seed}"


def every():
    """All runs of the record, the smallest first."""
    width, seed = SPREAD
    return [*(Run(n) for n in WIDTHS), Run(width, seed=seed)]


def run_cells():
    """Run the chapter's cells tagged "scaling" -> the names they define."""
    names = {
        "time": time, "torch": torch, "GPT": GPT, "GPTConfig": GPTConfig,
        "Recipe": Recipe, "evaluate": evaluate, "train": train,
        "count_parameters": count_parameters,
    }  # fmt: skip
    return chapter_cells(CHAPTER, "scaling", names)


@dataclass
class Arguments:
    """Run what the record does not hold yet."""

    characters: int = 100_000
    """Of the validation part, evenly from all of it, to measure on."""
    only: int | None = None
    """As many new runs, then stop."""


def main(a):
    torch.set_num_threads(1)
    chapter, corpus = run_cells(), load("sotu")
    path, left = RESULTS / "scaling_sotu.json", a.only
    encode = corpus.tokenizer.encode
    held_out = torch.tensor(encode(spread(corpus.val_text, a.characters)))
    ids = corpus.train
    for run in every():
        record = read(path)
        if run.name in [r["name"] for r in record.get("runs", [])]:
            continue
        if left == 0:
            break
        entry = chapter["small_run"](
            run.n_embd, run.tokens, ids, held_out,
            vocab_size=corpus.tokenizer.n_vocab, seed=run.seed,
        )  # fmt: skip
        entry = {"name": run.name, **asdict(run), **entry}
        print(
            f"{entry['nats']:.4f} nats {entry['nats'] / math.log(2):.3f} bits "
            f"{entry['cpu_seconds']:5.1f} s  {run.name}",
            flush=True,
        )
        facts = {
            "corpus": corpus.name,
            "sha256": corpus.sha256,
            "command": "python benchmarks/scaling.py",
            "arguments": {"characters": a.characters},
            "date": today(),
            "versions": versions(),
        }
        save(path, {**facts, "runs": [*record.get("runs", []), entry]})
        left = left and left - 1


if __name__ == "__main__":
    main(tyro.cli(Arguments))
