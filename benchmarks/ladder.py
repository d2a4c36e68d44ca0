"""The ladder: each chapter's character model, trained and compared.

Writes notebooks/results/ladder_<corpus>.json, stage by stage; a stage that
the record already holds with the same settings is skipped.

    python benchmarks/ladder.py --corpus sotu
    python benchmarks/ladder.py --corpus tinyshakespeare.txt

The settings of the first seven stages are those known from public lectures:
characters, batch 32, block 8, 32 channels, 4 heads, 5,000 steps of AdamW
without a schedule. Losses are means over the whole validation part. The
single head of the lectures already has positions: compare theirs with "one
head + positions" here. The last stage is not trained here: it is the model
that the course ships, measured on the same text.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F
import tyro
from common import RESULTS, Recorded, load, read, save, today, versions
from torch import nn

from minigpt.attention import Head, causal_mask
from minigpt.bigram import BigramLM, evaluate, fit, sample_tokens
from minigpt.block import MLP, Block, LayerNorm
from minigpt.data import get_batch
from minigpt.gpt import GPT, GPTConfig
from minigpt.multihead import MultiHeadAttention
from minigpt.run.evaluation import measure
from minigpt.run.log import read as read_log
from minigpt.run.models import load_model
from minigpt.run.options import ASSETS, PRESETS, Eval


@dataclass(frozen=True)
class Settings:
    """How one stage is built and trained."""

    block_size: int = 8
    batch_size: int = 32
    n_embd: int = 32
    n_head: int = 4
    n_layer: int = 1
    steps: int = 5000
    lr: float = 1e-3
    notes: str = ""


@dataclass(frozen=True)
class Stage:
    """One rung: its name, chapter, settings and what builds the model."""

    name: str
    chapter: int
    settings: Settings
    build: Callable[[int, Settings], nn.Module] | None  # None: it is shipped


class Rung(nn.Module):
    """Token embedding, positions if asked for, a body, a linear head."""

    def __init__(self, vocab_size, s, body, *, positions=True):
        super().__init__()
        self.token = nn.Embedding(vocab_size, s.n_embd)
        self.position = (
            nn.Embedding(s.block_size, s.n_embd) if positions else None
        )
        self.body = nn.ModuleList(body)
        self.head = nn.Linear(s.n_embd, vocab_size)

    def forward(self, idx):
        x = self.token(idx)  # (B, T, C)
        if self.position is not None:
            x = x + self.position(torch.arange(idx.size(1)))
        mask = causal_mask(idx.size(1))
        for part in self.body:
            attends = isinstance(part, MultiHeadAttention | Block)
            x = part(x, mask=mask) if attends else part(x)
        return self.head(x)  # (B, T, V)


def bigram(vocab_size, s):
    return BigramLM(vocab_size)


def one_head(vocab_size, s):
    head = Head(s.n_embd, s.n_embd)
    return Rung(vocab_size, s, [head], positions=False)


def one_head_positions(vocab_size, s):
    return Rung(vocab_size, s, [Head(s.n_embd, s.n_embd)])


def multi_head(vocab_size, s):
    return Rung(vocab_size, s, [MultiHeadAttention(s.n_embd, s.n_head)])


def feed_forward(vocab_size, s):
    attention = MultiHeadAttention(s.n_embd, s.n_head)
    mlp = MLP(s.n_embd, activation=F.relu)
    return Rung(vocab_size, s, [attention, mlp])


def blocks(s, norm):
    """`s.n_layer` pre-norm blocks; with nn.Identity as norm they have none."""
    return [
        Block(
            norm(s.n_embd),
            MultiHeadAttention(s.n_embd, s.n_head),
            norm(s.n_embd),
            MLP(s.n_embd, activation=F.relu),
        )
        for _ in range(s.n_layer)
    ]


def residual(vocab_size, s):
    return Rung(vocab_size, s, blocks(s, nn.Identity))


def layer_norm(vocab_size, s):
    body = [*blocks(s, LayerNorm), LayerNorm(s.n_embd)]
    return Rung(vocab_size, s, body)


def gpt(vocab_size, s):
    return GPT(
        GPTConfig(
            vocab_size=vocab_size,
            block_size=s.block_size,
            n_layer=s.n_layer,
            n_head=s.n_head,
            n_embd=s.n_embd,
        )
    )


BASE, SHIPPED = Settings(), PRESETS["reference"]
STAGES = [
    Stage("bigram", 3, replace(BASE, lr=1e-2, notes="V x V table"), bigram),
    Stage(
        "one head", 4, replace(BASE, n_head=1, notes="no positions"), one_head
    ),
    Stage(
        "one head + positions", 5, replace(BASE, n_head=1), one_head_positions
    ),
    Stage("multi-head", 6, replace(BASE, notes="4 heads of 8"), multi_head),
    Stage("feed-forward", 7, replace(BASE, notes="4x, ReLU"), feed_forward),
    Stage(
        "residual, three blocks",
        7,
        replace(BASE, n_layer=3, notes="4x, ReLU, no norm"),
        residual,
    ),
    Stage(
        "LayerNorm",
        7,
        replace(BASE, n_layer=3, notes="4x, ReLU, pre-norm and a final norm"),
        layer_norm,
    ),
    Stage(
        "GPT",
        8,
        replace(BASE, block_size=64, n_embd=128, n_layer=4, notes="GPTConfig"),
        gpt,
    ),
    Stage(
        "trained well",
        9,
        Settings(
            block_size=SHIPPED.block_size,
            batch_size=SHIPPED.batch_size,
            n_embd=SHIPPED.n_embd,
            n_head=SHIPPED.n_head,
            n_layer=SHIPPED.n_layer,
            steps=SHIPPED.max_steps,
            lr=SHIPPED.lr,
            notes="the shipped model: --preset reference, byte-pair encoding",
        ),
        None,
    ),
]


PROMPT, LENGTH, HEAT = (
    "My fellow citizens, ",
    200,
    0.7,
)  # characters; temperature


class Cooler(nn.Module):
    """A model whose logits are divided by the temperature."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, idx):
        return self.model(idx) / HEAT


def written(model, tokenizer, block_size, seed):
    """What a model writes after the prompt."""
    prompt = torch.tensor([tokenizer.encode(PROMPT)])
    dice = torch.Generator().manual_seed(seed)
    ids = sample_tokens(
        Cooler(model), prompt, LENGTH, dice, block_size=block_size
    )
    text = tokenizer.decode(ids[0].tolist())
    return text[len(PROMPT) : len(PROMPT) + LENGTH]


def shipped(stage, seed):
    """What the course's own model reaches on the same validation part."""
    model, tokenizer = load_model()
    presidents = ASSETS / "presidents"
    found = measure(Eval(model=presidents, part="val", baselines=False))
    log = read_log(presidents / "log.jsonl")
    speeds = [x["tokens_per_second"] for x in log if x["kind"] == "step"]
    s = stage.settings
    tokens = s.steps * s.batch_size * s.block_size
    nats = found.nats * found.tokens / found.characters
    return {
        "stage": stage.name,
        "chapter": stage.chapter,
        "settings": asdict(s),
        "nats": round(nats, 4),
        "bits_per_char": round(nats / math.log(2), 4),
        "seconds": round(tokens * len(speeds) / sum(speeds), 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "writes": written(model, tokenizer, s.block_size, seed),
    }


def run(stage, corpus, seed):
    """Train one stage, evaluate it on all of the validation part."""
    if stage.build is None:
        return shipped(stage, seed)
    s = stage.settings
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = stage.build(corpus.tokenizer.n_vocab, s)
    ids, val = corpus.train, corpus.val

    def batches():
        return get_batch(
            ids,
            block_size=s.block_size,
            batch_size=s.batch_size,
            generator=generator,
        )

    start = time.perf_counter()
    fit(model, batches, steps=s.steps, lr=s.lr)
    seconds = time.perf_counter() - start
    nats = evaluate(model, val, block_size=s.block_size)
    return {
        "stage": stage.name,
        "chapter": stage.chapter,
        "settings": asdict(s),
        "nats": round(nats, 4),
        "bits_per_char": round(nats / math.log(2), 4),
        "seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "writes": written(model, corpus.tokenizer, s.block_size, seed),
    }


@dataclass
class Arguments(Recorded):
    """Train the ladder's stages and record their held-out losses."""

    stages: tuple[str, ...] = ()
    """Names of stages; none means all of them."""


def main(a):
    torch.set_num_threads(a.threads)
    corpus = load(a.corpus)
    path = RESULTS / f"ladder_{corpus.name}.json"
    file = corpus.name if a.corpus == corpus.name else f"{corpus.name}.txt"
    known = [stage.name for stage in STAGES]
    if unknown := [name for name in a.stages if name not in known]:
        raise SystemExit(f"--stages must be among {known}, got {unknown}")
    for stage in STAGES:
        if a.stages and stage.name not in a.stages:
            continue
        if stage.build is None and corpus.name != "sotu":
            continue  # it was trained on another text
        old = {s["stage"]: s for s in read(path).get("stages", [])}
        mine = old.get(stage.name)
        if mine and mine["settings"] == asdict(stage.settings) and not a.fresh:
            print(f"{stage.name:24} recorded: {mine['nats']:.4f} nats")
            continue
        if a.steps:
            stage = replace(
                stage, settings=replace(stage.settings, steps=a.steps)
            )
        entry = run(stage, corpus, a.seed)
        print(
            f"{stage.name:24} {entry['nats']:.4f} nats  "
            f"{entry['bits_per_char']:.4f} bits per character  "
            f"{entry['seconds']:.0f} s",
            flush=True,
        )
        if a.steps:
            continue
        old = {s["stage"]: s for s in read(path).get("stages", [])}
        old[stage.name] = entry
        order = {name: i for i, name in enumerate(known)}
        save(
            path,
            {
                "corpus": corpus.name,
                "sha256": corpus.sha256,
                "command": f"python benchmarks/ladder.py --corpus {file}",
                "seed": a.seed,
                "prompt": PROMPT,
                "temperature": HEAT,
                "date": today(),
                "versions": versions(),
                "baselines": read(path).get("baselines", {}),
                "stages": sorted(
                    old.values(), key=lambda s: order.get(s["stage"], 99)
                ),
            },
        )


if __name__ == "__main__":
    main(tyro.cli(Arguments))
