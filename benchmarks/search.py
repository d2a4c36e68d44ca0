"""Which rate, width, depth and text: many small runs, recorded.

    python benchmarks/search.py

Writes notebooks/results/search_sotu.json, run by run; a run that the record
holds already is skipped. Character models on the default corpus, trained by
`minigpt.train` on one thread. In the first part every run gets the same
seconds of processor time, so a larger model takes fewer steps. In the second
part every run takes the same steps, on different texts.
"""

import math
import time
from dataclasses import asdict, dataclass, replace

import torch
import tyro
from common import RESULTS, load, read, save, today, versions

from minigpt.bigram import evaluate
from minigpt.gpt import GPT, GPTConfig
from minigpt.train import (
    Recipe,
    accumulate,
    learning_rate,
    make_optimizer,
    step_batches,
    step_seed,
    train_step,
)


@dataclass(frozen=True)
class Trial:
    """One run: what it asks, the model, the recipe, the text."""

    part: str
    lr: float = 3e-3
    n_embd: int = 64
    n_layer: int = 2
    dropout: float = 0.0
    steps: int = 0  # 0: as many as fit into the seconds
    share: float = 1.0  # of the training text, from all of its parts
    text: str = "as it is"

    @property
    def name(self):
        return " ".join(f"{k}={v}" for k, v in asdict(self).items())


RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
WIDTHS = (32, 64, 128)
DEPTHS = (1, 2, 4, 8)
SHARES = (0.003, 0.01, 0.03, 0.1, 1.0)
BLOCK, BATCH, POINTS = 64, 32, 6


def trials(steps):
    """All runs, in the order in which they are made."""
    grid = [
        Trial("rate and width", lr=lr, n_embd=width)
        for width in WIDTHS
        for lr in RATES
    ]
    depth = [Trial("depth", n_layer=n) for n in DEPTHS]
    data = Trial("share of the text", steps=steps)
    some = [replace(data, share=share) for share in SHARES]
    little = replace(data, part="little text", share=0.01)
    helped = [
        little,
        replace(little, dropout=0.2),
        replace(little, text="half the windows in lower case"),
    ]
    double = replace(data, part="duplicates", share=0.1)
    copies = [double, replace(double, text="nine tenths one message")]
    return [*grid, *depth, *some, *helped, *copies]


def spread(text, n):
    """n characters in pieces of 1,000, evenly from all of a text."""
    every = len(text) * 1000 // n
    pieces = [text[i : i + 1000] for i in range(0, len(text), every)]
    return "".join(pieces)[:n]


def training_text(trial, corpus):
    """The text that a trial trains on."""
    text = corpus.train_text
    text = spread(text, round(trial.share * len(text)))
    if trial.text == "nine tenths one message":
        message = text[: len(text) // 100]
        text = text[: len(text) // 10] + message * 90
    return text


def lowered(tokenizer):
    """A function x, y -> x, y that writes every other window small."""
    small = torch.tensor(
        [
            tokenizer.ids.get(c.lower(), tokenizer.ids[c])
            for c in tokenizer.tokens
        ]
    )

    def change(x, y):
        even = torch.arange(len(x))[:, None] % 2 == 0
        return torch.where(even, small[x], x), torch.where(even, small[y], y)

    return change


def seconds_a_step(model, ids, recipe):
    """Processor seconds of one update, the best of four."""
    optimizer = make_optimizer(model, recipe)
    times = []
    for step in range(4):
        begin = time.process_time()
        accumulate(model, step_batches(ids, step, recipe, block_size=BLOCK))
        optimizer.step()
        times.append(time.process_time() - begin)
    return min(times)


def run(trial, corpus, val, seconds, seed):
    """One trial: training and held-out loss in nats, and what it took."""
    tokenizer = corpus.tokenizer
    ids = torch.tensor(tokenizer.encode(training_text(trial, corpus)))
    config = GPTConfig(
        vocab_size=tokenizer.n_vocab,
        block_size=BLOCK,
        n_layer=trial.n_layer,
        n_head=4,
        n_embd=trial.n_embd,
        dropout=trial.dropout,
    )
    recipe = Recipe(
        batch_size=BATCH, lr=trial.lr, min_lr=trial.lr / 10, seed=seed
    )
    torch.manual_seed(seed)
    model = GPT(config)
    steps = trial.steps
    if not steps:
        steps = max(24, round(seconds / seconds_a_step(model, ids, recipe)))
        torch.manual_seed(seed)
        model = GPT(config)
    recipe = replace(recipe, max_steps=steps, warmup_steps=steps // 10)
    change = (
        lowered(tokenizer) if "lower" in trial.text else lambda x, y: (x, y)
    )
    curve, spent = fit(model, ids, val, recipe, change)
    return {
        **asdict(trial),
        "steps": steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "characters": len(ids),
        "seconds": round(spent, 1),
        "curve": curve,
    }


def fit(model, ids, val, recipe, change):
    """-> points (steps, training loss, held-out loss), processor seconds."""
    optimizer = make_optimizer(model, recipe)
    curve, losses, spent = [], [], 0.0
    for step in range(recipe.max_steps):
        begin = time.process_time()
        torch.manual_seed(step_seed(recipe.seed, step))
        batches = step_batches(ids, step, recipe, block_size=BLOCK)
        batches = [change(x, y) for x, y in batches]
        lr = learning_rate(step, recipe)
        loss, _ = train_step(model, optimizer, batches, recipe, lr=lr)
        losses.append(loss)
        spent += time.process_time() - begin
        if (step + 1) % (recipe.max_steps // POINTS) == 0:
            held = evaluate(model, val, block_size=BLOCK)
            mean = sum(losses) / len(losses)
            curve.append([step + 1, round(mean, 4), round(held, 4)])
            losses.clear()
    return curve, spent


@dataclass
class Arguments:
    """Run the trials that the record does not hold yet."""

    seconds: float = 10.0
    """Processor time of a run in the first part."""
    steps: int = 400
    """Updates of a run in the second part."""
    seed: int = 1
    characters: int = 50_000
    """Of the validation part, evenly from all of it, to measure on."""


def main(a):
    torch.set_num_threads(1)
    corpus, path = load("sotu"), RESULTS / "search_sotu.json"
    held_out = spread(corpus.val_text, a.characters)
    val = torch.tensor(corpus.tokenizer.encode(held_out))
    for trial in trials(a.steps):
        record = read(path)
        if trial.name in [t["name"] for t in record.get("trials", [])]:
            continue
        entry = run(trial, corpus, val, a.seconds, a.seed)
        entry = {"name": trial.name, **entry}
        nats = entry["curve"][-1][2]
        print(f"{nats:.4f} nats {nats / math.log(2):.3f} bits", trial.name)
        facts = {
            "corpus": corpus.name,
            "sha256": corpus.sha256,
            "command": "python benchmarks/search.py",
            "arguments": asdict(a),
            "date": today(),
            "versions": versions(),
        }
        trials_so_far = [*record.get("trials", []), entry]
        save(path, {**facts, "trials": trials_so_far})


if __name__ == "__main__":
    main(tyro.cli(Arguments))
