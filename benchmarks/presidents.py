"""A short search for the second model of presidents, on the validation part.

    python benchmarks/presidents.py

Each candidate changes one thing of the base and trains for equal seconds of
processor time on one thread, two at a time; its rate falls to zero in a line.
Regularization matters only where text repeats, so it is tried with smaller
models on a part of the text, which they then see several times.
Writes notebooks/results/presidents.json; --only tiny measures only candidates
with that word in their name, and keeps the others' numbers.
"""

import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import torch
import tyro

from minigpt import modern  # noqa: F401  (adds its parts to PARTS)
from minigpt.bigram import bits_per_char, evaluate
from minigpt.gpt import GPT, GPTConfig
from minigpt.run import corpus
from minigpt.run.options import Train
from minigpt.train import Recipe, make_optimizer, step_batches, train_step

OUT = Path(__file__).parents[1] / "notebooks" / "results" / "presidents.json"
BASE = dict(
    vocab_size=4096, block_size=256, n_layer=6, n_head=4, n_embd=256,
    bias=False, norm="rms", mlp="relu2", position="rope", qk_norm=True,
)  # fmt: skip
RATE = dict(lr=6e-3)
SMALL = dict(n_layer=4, n_embd=128)
TINY = dict(n_layer=3, n_embd=96)
CANDIDATES = [  # name, changes of the model, of the recipe, share of the text
    ("base", {}, RATE, 1),
    ("rate 0.012", {}, dict(lr=12e-3), 1),
    ("2,048 tokens", dict(vocab_size=2048), RATE, 1),
    ("8,192 tokens", dict(vocab_size=8192), RATE, 1),
    ("context 512", dict(block_size=512), RATE, 1),
    ("SwiGLU", dict(mlp="swiglu"), RATE, 1),
    ("192 channels", dict(n_embd=192), RATE, 1),
    ("320 channels", dict(n_embd=320, n_head=5), RATE, 1),
    ("batches of 6,144 tokens", {}, RATE | dict(tokens=6144), 1),
    ("small, dropout 0", SMALL, RATE, 12),
    ("small, dropout 0.1", SMALL | dict(dropout=0.1), RATE, 12),
    ("small, dropout 0.2", SMALL | dict(dropout=0.2), RATE, 12),
    ("small, weight decay 0.5", SMALL, RATE | dict(weight_decay=0.5), 12),
    ("small, weight decay 1", SMALL, RATE | dict(weight_decay=1.0), 12),
    ("tiny, decay 0.5", TINY, RATE | dict(weight_decay=0.5), 8),
    ("tiny, decay 1.5", TINY, RATE | dict(weight_decay=1.5), 8),
    ("tiny, decay 0.5, dropout 0.1", TINY | dict(dropout=0.1),
     RATE | dict(weight_decay=0.5), 8),
    ("tiny, decay 1.5, dropout 0.1", TINY | dict(dropout=0.1),
     RATE | dict(weight_decay=1.5), 8),
]  # fmt: skip


@dataclass(frozen=True)
class Search:
    """Train each candidate for a while and record how well it did."""

    seconds: Annotated[float, tyro.conf.arg(aliases=["-s"])] = 180.0
    """Processor time of each candidate."""
    seed: int = 0
    """Of initial weights and batches."""
    only: str = ""
    """Measure the candidates whose name has this in it."""
    out: Path = OUT
    """The record."""


def prepare(folder: Path, vocab_size: int) -> Path:
    """The corpus in tokens, in a folder of its own."""
    place = folder / str(vocab_size)
    place.mkdir()
    corpus.prepare(place, Train(vocab_size=vocab_size, block_size=1))
    return place


def trial(folder: Path, model, recipe, share: int, seconds: float, seed: int):
    """Trains one candidate -> what there is to record about it."""
    torch.set_num_threads(1)
    config = GPTConfig(**BASE | model)
    place = folder / str(config.vocab_size)
    train = corpus.open_tokens(place / "train.npy")
    train = train[: len(train) // share]
    T, tokens = config.block_size, recipe.pop("tokens", 3072)
    recipe = Recipe(
        **dict(optimizer="muon", bf16=True, seed=seed) | recipe,
        batch_size=tokens // T, micro_batch_size=tokens // T, min_lr=0.0,
    )  # fmt: skip
    torch.manual_seed(seed)
    gpt = GPT(config).train()
    optimizer = make_optimizer(gpt, recipe)
    begin, step, done, losses = time.process_time(), 0, 0.0, []
    while done < 1:
        lr = recipe.lr * min((step + 1) / 30, 1 - done)
        batches = step_batches(train, step, recipe, block_size=T)
        losses.append(train_step(gpt, optimizer, batches, recipe, lr=lr)[0])
        step += 1
        done = (time.process_time() - begin) / seconds
    held_out = corpus.held_out(place, None)
    loss = evaluate(gpt.eval(), held_out.ids, block_size=T)
    facts = corpus.read_facts(place)
    per_char = facts["train"]["tokens"] / facts["train"]["characters"]
    return {
        "parameters": sum(p.numel() for p in gpt.parameters()),
        "steps": step,
        "tokens": step * tokens,
        "passes": step * tokens / len(train),
        "train_bits_per_char": bits_per_char(
            sum(losses[-50:]) / len(losses[-50:]), per_char * 1e6, 1e6
        ),
        "val_bits_per_char": bits_per_char(
            loss, len(held_out.ids) - 1, held_out.n_chars
        ),
    }


def main(options: Search) -> None:
    """All candidates, two at a time; the record grows as they finish."""
    about = {"torch": torch.__version__, "seed": options.seed}
    results = {"about": about, "base": BASE, "candidates": []}
    chosen = [c for c in CANDIDATES if options.only in c[0]]
    if options.only:
        results = json.loads(options.out.read_text())
        names = [name for name, *_ in chosen]
        results["candidates"] = [
            line for line in results["candidates"] if line["name"] not in names
        ]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for size in sorted(
            {(BASE | model)["vocab_size"] for _, model, _, _ in chosen}
        ):
            prepare(folder, size)
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            futures = [
                pool.submit(
                    trial, folder, model, dict(recipe), share,
                    options.seconds, options.seed,
                )
                for _, model, recipe, share in chosen
            ]  # fmt: skip
            for candidate, future in zip(chosen, futures):
                name, model, recipe, share = candidate
                line = {"name": name, "model": model, "recipe": recipe}
                line |= {"share": share, "seconds": options.seconds}
                line |= future.result()
                results["candidates"].append(line)
                options.out.write_text(json.dumps(results, indent=1) + "\n")
                print(f"{line['val_bits_per_char']:.4f}  {name}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Search, description=__doc__))
