"""What each modern part is worth: swap it in, train, compare.

    python benchmarks/modern.py

Writes notebooks/results/modern_sotu.json for chapter 15, run by run; a run
that the record holds already is skipped. The variants are those of the
chapter: this file runs its cells tagged "variants". All have the same number
of parameters within 5 %, and each gets a learning rate of its own: from
`start_lr` the rate is doubled or halved until neither improves the validation
loss, which is the mean of three seeds. The test part says how good the models
at that rate are, once after the same steps as all others, and once after the
same seconds as the first variant. For the latter, a step of each is timed in
turns on one thread, and a variant whose steps take longer gets fewer of them.
The whole takes about 50 minutes of one processor.
"""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import torch
import tyro
from common import (
    RESULTS,
    alternate,
    chapter_cells,
    load,
    read,
    save,
    today,
    versions,
)
from tqdm import tqdm

import minigpt.modern  # noqa: F401  registers the parts
from minigpt.bigram import evaluate
from minigpt.data import load_text
from minigpt.gpt import GPT, GPTConfig
from minigpt.train import (
    Recipe,
    make_optimizer,
    step_batches,
    train,
    train_step,
)

CHAPTER = Path(__file__).parent.parent / "notebooks" / "15_modern.ipynb"


def variant_cells():
    """Run the chapter's cells tagged "variants" -> the names they define."""
    names = {
        "torch": torch, "time": time, "math": math, "GPT": GPT,
        "evaluate": evaluate, "train": train,
    }  # fmt: skip
    return chapter_cells(CHAPTER, "variants", names)


@dataclass(frozen=True)
class Settings:
    """What all variants share."""

    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 64
    block_size: int = 64
    batch_size: int = 16
    steps: int = 1000
    start_lr: float = 0.006
    val_tokens: int = 32_768  # they choose the rate
    test_tokens: int = 65_536  # they are reported


@dataclass(frozen=True)
class Run:
    """One training run."""

    part: str
    lr: float
    seed: int
    steps: int


def setup(run, changes, s, n_vocab):
    """A run -> its configuration and its recipe."""
    apart = {"optimizer", "wide"}
    parts = {k: v for k, v in changes.items() if k not in apart}
    config = GPTConfig(
        vocab_size=n_vocab, block_size=s.block_size, n_layer=s.n_layer,
        n_head=s.n_head, n_embd=s.n_embd, bias=False, **parts,
    )  # fmt: skip
    recipe = Recipe(
        max_steps=run.steps, warmup_steps=run.steps // 20, lr=run.lr,
        min_lr=0.0, batch_size=s.batch_size, micro_batch_size=s.batch_size,
        optimizer=changes.get("optimizer", "adamw"), seed=run.seed,
    )  # fmt: skip
    return config, recipe


def step_costs(variants, s, ids, n_vocab, rounds=15):
    """{part: processor seconds of a training step, over the first part's}."""

    def one_step(part):
        config, recipe = setup(
            Run(part, 1e-3, 0, 1), variants[part], s, n_vocab
        )
        model = GPT(config)
        optimizer = make_optimizer(model, recipe)
        batches = step_batches(ids, 0, recipe, block_size=s.block_size)
        return lambda: train_step(model, optimizer, batches, recipe, lr=1e-3)

    steps = {part: one_step(part) for part in variants}
    times = alternate(steps, rounds=rounds, calls=4, clock=time.process_time)
    first = times[next(iter(times))]
    return {part: round(t / first, 3) for part, t in times.items()}


def climb(score, lr):
    """Double or halve `lr` while that lowers score(lr) -> the best lr."""
    scores = {}
    while True:
        for near in (lr, lr / 2, lr * 2):
            if near not in scores:
                scores[near] = score(near)
        best = min(scores, key=scores.get)
        if best == lr:
            return lr
        lr = best


def steps_in_the_time(part, costs, s):
    """How many steps of a variant cost as much as `s.steps` of the first."""
    return round(s.steps / costs[part])


def table(runs, costs, s):
    """Runs -> one row a variant: its rates, and test bits at the best one."""
    rows = []
    for part in dict.fromkeys(run["part"] for run in runs):
        mine = [run for run in runs if run["part"] == part]
        by_rate = {}
        for r in mine:
            if r["steps"] == s.steps:
                by_rate.setdefault(r["lr"], []).append(r["val"])
        seeds = max(len(v) for v in by_rate.values())
        sweep = sorted(
            [lr, round(mean(v), 4)]
            for lr, v in by_rate.items()
            if len(v) == seeds
        )
        best = min(sweep, key=lambda pair: pair[1])[0]
        few = steps_in_the_time(part, costs, s)
        after = {
            n: [r["test"] for r in mine if (r["lr"], r["steps"]) == (best, n)]
            for n in (s.steps, few)
        }
        rows.append({
            "part": part, "parameters": mine[0]["parameters"],
            "lr": best, "sweep": sweep,
            "cost": costs[part], "equal_steps": after[s.steps],
            "steps_in_the_time": few, "equal_seconds": after[few],
        })  # fmt: skip
    return rows


@dataclass
class Arguments:
    """Train a GPT with each modern part, and with all; record it."""

    seed: tuple[int, ...] = (0, 1, 2)
    """Seeds of the runs; their mean chooses the rates."""
    steps: int = Settings.steps
    """Of the run with GPT-2's parts; other steps make another record."""
    fresh: bool = False
    """Forget what the record holds already."""


def main(a):
    torch.set_num_threads(1)
    cells, corpus, s = variant_cells(), load("sotu"), Settings(steps=a.steps)
    encode, n_vocab = corpus.tokenizer.encode, corpus.tokenizer.n_vocab
    test = torch.tensor(encode(load_text("sotu", "test")[: s.test_tokens]))
    ids, val = corpus.train, corpus.val[: s.val_tokens]
    variants = cells["variants"](s.n_embd)
    other = "" if s == Settings() else f"_{s.steps}_steps"
    path = RESULTS / f"modern_sotu{other}.json"
    record = {} if a.fresh else read(path)
    if record.get("settings") != asdict(s):
        record = {
            "corpus": corpus.name, "sha256": corpus.sha256,
            "command": "python benchmarks/modern.py"
            + (f" --steps {s.steps}" if other else ""),
            "settings": asdict(s), "runs": [], "costs": {},
        }  # fmt: skip
    if not variants.keys() <= record["costs"].keys():
        new = step_costs(variants, s, ids, n_vocab)
        record["costs"] = new | record["costs"]
    costs = record["costs"]
    runs = [run for run in record["runs"] if run["seed"] in a.seed]

    def done(run):
        """The entry of a run, from the record or by training."""
        for entry in runs:
            if asdict(run).items() <= entry.items():
                return entry
        config, recipe = setup(run, variants[run.part], s, n_vocab)
        label = f"{run.part}, rate {run.lr:g}, seed {run.seed}"
        with tqdm(total=run.steps, desc=label) as bar:
            model, seconds = cells["trained"](
                config, recipe, ids, lambda *_: bar.update(),
                variants[run.part].get("wide", 1),
            )  # fmt: skip
        entry = asdict(run) | {
            "val": round(cells["bits"](model, val), 4),
            "test": round(cells["bits"](model, test), 4),
            "seconds": round(seconds, 2),
            "parameters": sum(p.numel() for p in model.parameters()),
        }
        runs.append(entry)
        rows = {"runs": runs, "table": table(runs, costs, s)}
        about = {"date": today(), "versions": versions()}
        save(path, record | rows | about)
        return entry

    for part in variants:

        def validation(lr, part=part):
            return mean(
                done(Run(part, lr, seed, s.steps))["val"] for seed in a.seed
            )

        lr = climb(validation, s.start_lr)
        for seed in a.seed:
            done(Run(part, lr, seed, steps_in_the_time(part, costs, s)))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
