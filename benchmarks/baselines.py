"""The counting baselines of the ladder: uniform, add-k, Witten-Bell.

Writes notebooks/results/baselines_<corpus>.json with every order from 1 to 7,
and puts the ones that the figure shows into ladder_<corpus>.json.

    python benchmarks/baselines.py --corpus sotu

All figures are bits per character on the whole validation part.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import tyro
from common import RESULTS, load, read, save, today, versions

from minigpt.bigram import AddK, WittenBell

K = 0.01
SHOWN = (
    "uniform",
    *(f"{n}-gram, add-{K}" for n in (1, 2, 3, 4, 6)),
    "5-gram, Witten-Bell",
    "7-gram, Witten-Bell",
)


def bits(log_probs):
    return round(-float(log_probs.mean()) / math.log(2), 4)


def baselines(corpus, orders=7):
    """Corpus -> {name: bits per character}, in the order of the figure."""
    v, train, val = corpus.tokenizer.n_vocab, corpus.train, corpus.val
    found = {"uniform": round(math.log2(v), 4)}
    for n in range(1, orders + 1):
        model = AddK(train, n, v, k=K)
        found[f"{n}-gram, add-{K}"] = bits(model.log_probs(val))
    mixed = WittenBell(train, orders, v)
    for n in range(1, orders + 1):
        found[f"{n}-gram, Witten-Bell"] = bits(mixed.log_probs(val, n))
    return found


@dataclass
class Arguments:
    """Count, and record what counting reaches on held-out text."""

    corpus: str = "sotu"
    """`sotu`, or the path of a text file."""


def main(a):
    corpus = load(a.corpus)
    found = baselines(corpus)
    for name, value in found.items():
        print(f"{name:22} {value:.4f} bits per character")
    file = corpus.name if a.corpus == corpus.name else Path(a.corpus).name
    record = {
        "corpus": corpus.name,
        "sha256": corpus.sha256,
        "command": f"python benchmarks/baselines.py --corpus {file}",
        "date": today(),
        "versions": versions(),
        "bits_per_char": found,
    }
    save(RESULTS / f"baselines_{corpus.name}.json", record)
    path = RESULTS / f"ladder_{corpus.name}.json"
    if ladder := read(path):
        ladder["baselines"] = {name: found[name] for name in SHOWN}
        save(path, ladder)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
