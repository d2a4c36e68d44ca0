"""Long texts, small caches and experts: small models, trained and recorded.

    python benchmarks/sparse.py

Writes notebooks/results/sparse.json for chapter 22, run by run; a run that
the record holds already is skipped. Every variant is trained at several
learning rates with three seeds. The rate is the one with the lowest mean loss
on the validation part, and its three models are measured on the test part.
Mixtures of experts train again for the seconds of the dense model: a step of
each is timed in turns, and they get as many steps fewer as theirs take longer.
One thread; about 45 minutes.
"""

import math
import statistics
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

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

from minigpt.bigram import cross_entropy, evaluate
from minigpt.data import load_text
from minigpt.gpt import GPT, PARTS
from minigpt.sparse import (
    MixtureOfExperts,
    RollingCache,
    SparseConfig,
    rebuild,
)
from minigpt.train import (
    Recipe,
    learning_rate,
    make_optimizer,
    step_batches,
    train_step,
)

CHAPTER = Path(__file__).parent.parent / "notebooks" / "22_sparse.ipynb"
NAMES = {
    "torch": torch, "partial": partial, "PARTS": PARTS,
    "RollingCache": RollingCache, "MixtureOfExperts": MixtureOfExperts,
}  # fmt: skip
chapter_cells(CHAPTER, "benchmark", NAMES)  # the mixtures get their names
stream, MIXTURES = NAMES["stream"], NAMES["MIXTURES"]
VARIANTS = {  # fields of SparseConfig; RoPE is also the dense, full model
    "learned": dict(position="learned"),
    "sinusoidal": dict(position="sinusoidal"),
    "none": dict(position="none"),
    "RoPE": {},
    "ALiBi": dict(position="alibi"),
    "shared heads": dict(n_kv_head=1),
    "window": dict(window=16),
    "latent": dict(n_latent=24),
    **{name: dict(mlp=name) for name in MIXTURES},
}
POSITIONS = list(VARIANTS)[:5]
RATES = [1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 32e-3]
CONTINUED = ("as trained", "interpolate", "base")
LONG, BIN = 512, 16  # places of a long text, and how many make one number
PASSAGE = (
    "In 1862 the people of the United States asked: Is it not wise to act now?"
)


@dataclass(frozen=True)
class Settings:
    """What all variants share."""

    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 64
    block_size: int = 64
    batch_size: int = 16
    steps: int = 600
    more_steps: int = 60  # at LONG, after RoPE was rescaled
    val_tokens: int = 32_768
    long_texts: int = 64  # of LONG tokens, from the test part


@dataclass(frozen=True)
class Run:
    """One training run."""

    variant: str
    lr: float
    seed: int
    budget: int | None = None  # steps, if not those of the settings

    @property
    def name(self):
        steps = f"{self.budget or 'all'} steps"
        return f"{self.variant}, {self.lr}, seed {self.seed}, {steps}"


def configuration(variant, s, vocab_size):
    fields = dict(position="rope") | VARIANTS[variant]
    return SparseConfig(
        vocab_size=vocab_size, block_size=s.block_size, n_layer=s.n_layer,
        n_head=s.n_head, n_embd=s.n_embd, bias=False, **fields,
    )  # fmt: skip


def train_model(run, s, ids, vocab_size):
    """Run -> the trained model."""
    recipe = Recipe(
        max_steps=1000, warmup_steps=50, lr=run.lr, min_lr=0.0, seed=run.seed,
        batch_size=s.batch_size, micro_batch_size=s.batch_size,
    )  # fmt: skip
    torch.manual_seed(run.seed)
    model = GPT(configuration(run.variant, s, vocab_size))
    optimizer, steps = make_optimizer(model, recipe), run.budget or s.steps
    for step in range(steps):  # the schedule counts thousandths of them
        batches = step_batches(ids, step, recipe, block_size=s.block_size)
        lr = learning_rate(1000 * step // steps, recipe)
        train_step(model, optimizer, batches, recipe, lr=lr)
    return model.eval()


def step_costs(s, ids, vocab_size):
    """{variant: processor seconds of a step, over the dense model's}."""
    recipe = Recipe(batch_size=s.batch_size, micro_batch_size=s.batch_size)

    def one_step(variant):
        model = GPT(configuration(variant, s, vocab_size))
        optimizer = make_optimizer(model, recipe)
        batches = step_batches(ids, 0, recipe, block_size=s.block_size)
        return lambda: train_step(model, optimizer, batches, recipe, lr=1e-3)

    steps = {variant: one_step(variant) for variant in ("RoPE", *MIXTURES)}
    times = alternate(steps, rounds=15, calls=4, clock=time.process_time)
    return {v: round(t / times["RoPE"], 3) for v, t in times.items()}


@torch.no_grad()
def by_place(logits, texts):
    """logits (B, T, V) of texts (B, T + 1) -> bits per character, by place."""
    nats = [
        cross_entropy(logits[:, a : a + BIN], texts[:, a + 1 : a + BIN + 1])
        for a in range(0, logits.size(1), BIN)
    ]
    return [round(n.item() / math.log(2), 4) for n in nats]


@torch.no_grad()
def long_texts(model, texts, how="as trained"):
    """What the model finds at each place of texts longer than it trained on."""
    longer = rebuild(model, how, block_size=LONG)
    return by_place(
        torch.cat([longer(x[:, :-1]) for x in texts.split(8)]), texts
    )


def trained_longer(model, how, s, ids, val, seed):
    """A few more steps at LONG, at the best of several rates on validation."""
    best = math.inf
    for lr in RATES[:4]:
        recipe = Recipe(
            max_steps=s.more_steps, warmup_steps=5, lr=lr, min_lr=0.0,
            seed=seed, batch_size=2, micro_batch_size=2,
        )  # fmt: skip
        longer = rebuild(model, how, block_size=LONG).train()
        optimizer = make_optimizer(longer, recipe)
        for step in range(s.more_steps):
            batches = step_batches(ids, step, recipe, block_size=LONG)
            lr_now = learning_rate(step, recipe)
            train_step(longer, optimizer, batches, recipe, lr=lr_now)
        nats = evaluate(longer, val, block_size=LONG)
        if nats < best:
            best, found, rate = nats, longer.eval(), lr
    return found, rate


@torch.no_grad()
def first_token(model, texts):
    """The share of attention that the first token gets from the places of the
    second half of a window, by layer and head."""
    record, T = [], model.config.block_size
    model(texts[:, :T], record=record)
    return [w[:, :, T // 2 :, 0].mean((0, 2)).tolist() for w in record]


@torch.no_grad()
def routes(model, idx):
    """idx (B, T) -> the experts of each token, a (B, T, top) for each block."""
    found, hooks = [], []
    for block in model.blocks:
        keep = lambda mlp, args, y: found.append(mlp.route(args[0])[0])  # noqa: E731
        hooks.append(block.mlp.register_forward_hook(keep))
    model(idx)
    for hook in hooks:
        hook.remove()
    return found


def kind(c):
    """The kind of a character, for the table of who goes where."""
    if c in "aeiou":
        return "vowel"
    if c.isdigit():
        return "digit"
    if c.isalpha():
        return "consonant" if c.islower() else "capital"
    return "space" if c.isspace() else "mark"


def who(model, texts, tokenizer):
    """Which expert gets which kind of character, and those of PASSAGE."""
    T = model.config.block_size
    x = texts[:, :T]
    kinds = [kind(c) for c in tokenizer.decode(x.flatten().tolist())]
    names = sorted(set(kinds))
    rows = torch.tensor([names.index(k) for k in kinds])
    tables = []
    for chosen in routes(model, x):
        table = torch.zeros(len(names), len(model.blocks[0].mlp.experts))
        for place in chosen.flatten(0, 1).T:
            table.index_put_((rows, place), torch.ones(()), accumulate=True)
        tables.append(table.int().tolist())
    ids = torch.tensor([tokenizer.encode(PASSAGE)])
    wide = rebuild(model, block_size=ids.size(1))
    experts = [chosen[0].tolist() for chosen in routes(wide, ids)]
    return {"kinds": names, "tables": tables, "text": PASSAGE,
            "experts": experts}  # fmt: skip


def measure(model, run, s, data):
    """Everything the chapter says about one final run."""
    _, ids, val, texts, tokenizer = data
    found = {}
    if run.variant in POSITIONS:
        found["by_place"] = {"as trained": long_texts(model, texts)}
    if run.variant == "RoPE":
        places = found["by_place"]
        for how in CONTINUED[1:]:
            places[how] = long_texts(model, texts, how)
        found["more_lr"] = {}
        for how in CONTINUED:
            longer, lr = trained_longer(model, how, s, ids, val, run.seed)
            places[f"{how}, then {s.more_steps} steps"] = long_texts(
                longer, texts
            )
            found["more_lr"][how] = lr
        near = rebuild(model, window=s.block_size)
        for sinks in (0, 4):
            for columns in (s.block_size, s.block_size // 2):
                logits = stream(near, texts[:, :-1], columns - sinks, sinks)
                places[f"{columns} columns, {sinks} sinks"] = by_place(
                    logits, texts
                )
        found["first_token"] = first_token(model, texts)
    if run.variant in MIXTURES:
        loads = [
            chosen.flatten().bincount(minlength=len(block.mlp.experts))
            for chosen, block in zip(
                routes(model, texts[:, : s.block_size]), model.blocks
            )
        ]
        found["loads"] = [(n / n.sum()).tolist() for n in loads]
    if run.variant == "2 of 8" and not run.budget and run.seed == 1:
        found["who"] = who(model, texts, tokenizer)
    return found


class Record:
    """The runs so far, in a file that is written after each."""

    def __init__(self, path, s, seeds, fresh):
        self.path, self.s, self.data = path, s, None
        old = {} if fresh else read(path)
        same = old.get("settings") == asdict(s)
        self.runs = {r["name"]: r for r in old["runs"]} if same else {}
        self.costs = old["costs"] if same else {}
        most = len(VARIANTS) * 5 * len(seeds) + len(MIXTURES) * len(seeds)
        self.bar = tqdm(total=most, unit="run", disable=None)

    def load(self):
        """The corpus, read when the first run needs it."""
        if self.data is None:
            corpus, s = load("sotu"), self.s
            encode = lambda t: torch.tensor(corpus.tokenizer.encode(t))  # noqa: E731
            test = encode(load_text("sotu", "test"))
            texts = test[: s.long_texts * (LONG + 1)].view(-1, LONG + 1)
            val = corpus.val[: s.val_tokens]
            self.data = corpus, corpus.train, val, texts, corpus.tokenizer
        return self.data

    def get(self, run, final):
        """The entry of a run, trained now if the record has none.

        Only a final run is measured on the test part.
        """
        entry = self.runs.get(run.name)
        if entry is None or final and "test" not in entry:
            data, s = self.load(), self.s
            corpus, ids, val, texts, tokenizer = data
            model = train_model(run, s, ids, tokenizer.n_vocab)
            entry = {"name": run.name, **asdict(run),
                     "steps": run.budget or s.steps}  # fmt: skip
            entry["parameters"] = sum(p.numel() for p in model.parameters())
            nats = evaluate(model, val, block_size=s.block_size)
            entry["val"] = round(nats / math.log(2), 4)
            if final:
                nats = evaluate(model, texts.flatten(), block_size=s.block_size)
                entry["test"] = round(nats / math.log(2), 4)
                entry |= measure(model, run, s, data)
            self.runs[run.name] = entry
        if final or "final" not in entry:
            entry["final"] = final
            self.write()
        self.bar.update()
        return entry

    def write(self):
        save(self.path, {
            "command": "python benchmarks/sparse.py", "date": today(),
            "versions": versions(), "settings": asdict(self.s),
            "place_bin": BIN, "costs": self.costs,
            "runs": list(self.runs.values()),
        })  # fmt: skip


def best_rate(record, variant, seeds):
    """The rate that is best on validation, in the mean of all seeds.

    Three rates at first, and more while the best one is at an end.
    """

    def loss(lr):
        runs = [
            record.get(Run(variant, lr, seed), final=False) for seed in seeds
        ]
        return statistics.mean(run["val"] for run in runs)

    low, high = 2, 4  # RATES[low : high + 1]
    while True:
        found = {lr: loss(lr) for lr in RATES[low : high + 1]}
        best = RATES.index(min(found, key=found.get))
        if best == low > 0:
            low -= 1
        elif best == high < len(RATES) - 1:
            high += 1
        else:
            return RATES[best]


@dataclass
class Arguments:
    """Train, measure and record the models of chapter 22."""

    only: tuple[str, ...] = ()
    """Names of variants; none means all of them."""
    seeds: tuple[int, ...] = (1, 2, 3)
    steps: int = Settings.steps
    """Other steps make another record, sparse_STEPS.json."""
    fresh: bool = False
    """Train again what the record already holds."""


def main(a):
    torch.set_num_threads(1)
    if unknown := set(a.only) - set(VARIANTS):
        raise SystemExit(f"--only must be among {[*VARIANTS]}, got {unknown}")
    s = replace(Settings(), steps=a.steps)
    name = "sparse" if s == Settings() else f"sparse_{a.steps}"
    record = Record(RESULTS / f"{name}.json", s, a.seeds, a.fresh)
    rates = {v: best_rate(record, v, a.seeds) for v in a.only or VARIANTS}
    if not record.costs:
        corpus, ids, *_ = record.load()
        record.costs = step_costs(s, ids, corpus.tokenizer.n_vocab)
    for seed in a.seeds:
        for variant, lr in rates.items():
            record.get(Run(variant, lr, seed), final=True)
            if variant in MIXTURES:
                steps = round(s.steps / record.costs[variant])
                record.get(Run(variant, lr, seed, steps), final=True)
    record.bar.close()


if __name__ == "__main__":
    main(tyro.cli(Arguments))
