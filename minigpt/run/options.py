"""Every choice of a command, each with its default and its help: data only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

ASSETS = Path(__file__).parents[1] / "assets"  # models that we ship


@dataclass(frozen=True)
class Train:
    """Train a GPT; everything about the run is kept in one folder.

    Ctrl-C saves and stops, and --resume continues exactly there.
    """

    out: Path = Path("runs/gpt")
    """Folder of the run."""
    resume: bool = False
    """Continue the run in --out with its own options. Only --max-steps,
    --micro-batch-size, --device, --threads and the --...-every options may
    change."""
    overwrite: bool = False
    """Replace the run in --out."""
    preset: Literal["none", "reference", "second_term", "world", "fast"] = (
        "none"
    )
    """Start from other defaults: reference, second_term and world train the
    models that come with the course (reference is called presidents there),
    and fast learns the most in a minute on a laptop."""

    corpus: str = "sotu"
    """sotu, world, tinyshakespeare, or the path of a text file."""
    tokenizer: Literal["char", "bpe"] = "bpe"
    """Characters, or byte-pair encoding trained on the training part."""
    vocab_size: int = 2048
    """Tokens of a byte-pair encoding; characters need no number."""

    block_size: int = 128
    """Longest context, in tokens."""
    n_layer: int = 4
    """Blocks."""
    n_head: int = 4
    """Attention heads per block."""
    n_embd: int = 128
    """Channels; a multiple of --n-head."""
    dropout: float = 0.0
    """Share of activations zeroed in training."""
    bias: bool = True
    """Biases in linear layers and norms."""
    order: Literal["pre", "post"] = "pre"
    """Norm before or after attention and MLP."""
    norm: Literal["layer", "rms"] = "layer"
    """LayerNorm or RMSNorm."""
    mlp: Literal["gelu", "gelu_tanh", "relu", "swiglu", "relu2", "experts"] = (
        "gelu"
    )
    """Activation of the MLP."""
    position: Literal["learned", "sinusoidal", "none", "rope", "alibi"] = (
        "learned"
    )
    """How the model knows where a token is."""
    rope_base: float | None = None
    """How slowly the slowest positions of rope turn; None: --block-size."""
    n_hidden: int | None = None
    """Numbers between the two layers of the MLP; None: what it usually has."""
    n_kv_head: int | None = None
    """Heads of keys and values, shared by groups of queries; None: one for
    each query head."""
    qk_norm: bool = False
    """Normalize queries and keys."""
    tied: bool = True
    """One matrix for the token embedding and the output head."""

    max_steps: int = 2000
    """Updates of the weights."""
    batch_size: int = 32
    """Windows per step, over all processes and micro-batches."""
    micro_batch_size: int = 32
    """Windows that one process computes at a time; gradients add up."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """AdamW, or Muon for the matrices inside the blocks."""
    lr: float = 1e-3
    """Highest learning rate."""
    min_lr: float = 1e-4
    """Learning rate at the end."""
    warmup_steps: int | None = None
    """Steps until the highest learning rate; None: a tenth of --max-steps, but
    no more than the preset has (100 without a preset)."""
    decay: Literal["cosine", "linear"] = "cosine"
    """The way down to --min-lr."""
    weight_decay: float = 0.1
    """How fast matrices shrink, times the learning rate."""
    grad_clip: float = 1.0
    """Longest gradient; a longer one is shortened."""
    bf16: bool = False
    """Matrix products in bfloat16, faster where the hardware has it."""
    seed: int = 0
    """Decides initial weights, batches and dropout."""

    device: str = "auto"
    """auto, cpu, cuda or mps; auto takes the first that there is of CUDA,
    MPS and CPU."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to PyTorch. Runs are equal bit for bit
    only with equally many."""
    compile: bool = False
    """Fuse operations with torch.compile (needs a C++ compiler)."""

    log_every: int = 1
    """Steps between lines of log.jsonl."""
    eval_every: int = 250
    """Steps between measurements on the whole validation part."""
    save_every: int = 250
    """Steps between checkpoints; the last two are kept, and the best."""
    probes: int = 0
    """Points at which loss, greedy text and the attention of every head on
    fixed texts are recorded."""


PRESETS = {
    "none": Train(),
    "reference": Train(
        preset="reference", tokenizer="bpe", vocab_size=2048, bias=False,
        block_size=256, n_layer=6, n_head=4, n_embd=192,
        max_steps=15_000, batch_size=12, micro_batch_size=12,
        lr=2.5e-3, min_lr=2e-5, warmup_steps=300, weight_decay=0.2,
        bf16=True, seed=1, eval_every=750, save_every=250, probes=10,
    ),
    "world": Train(
        preset="world", corpus="world", vocab_size=1536, bias=False,
        block_size=192, n_layer=6, n_head=5, n_embd=160,
        norm="rms", position="rope", mlp="relu2", qk_norm=True,
        max_steps=3_000, batch_size=32, micro_batch_size=32,
        optimizer="muon", lr=6e-3, min_lr=0.0, warmup_steps=60,
        decay="linear", weight_decay=0.1, bf16=True, seed=1,
        eval_every=250, save_every=125, probes=10,
    ),
    "second_term": Train(
        preset="second_term", tokenizer="bpe", vocab_size=4096, bias=False,
        block_size=256, n_layer=6, n_head=4, n_embd=192, dropout=0.1,
        norm="rms", position="rope", mlp="relu2", qk_norm=True,
        max_steps=4_500, batch_size=24, micro_batch_size=24,
        optimizer="muon", lr=1e-2, min_lr=0.0, warmup_steps=60,
        decay="linear", weight_decay=0.2, bf16=True, seed=1,
        eval_every=250, save_every=100, probes=10,
    ),
    "fast": Train(
        preset="fast", tokenizer="char", bias=False,
        block_size=64, n_layer=4, n_head=4, n_embd=128,
        position="rope", mlp="relu2", qk_norm=True,
        max_steps=240, batch_size=12, micro_batch_size=12,
        optimizer="muon", lr=6e-3, min_lr=0.0, warmup_steps=10,
        decay="linear", weight_decay=0.0, eval_every=240, save_every=120,
    ),
}  # fmt: skip

MACHINE = ("out", "resume", "overwrite", "device", "threads")  # not of the run
MAY_CHANGE = MACHINE + (
    "preset", "max_steps", "micro_batch_size",
    "log_every", "eval_every", "save_every",
)  # fmt: skip


@dataclass(frozen=True)
class Generate:
    """Continue a prompt with a trained model.

    The text streams to standard output; tokens per second come at the end,
    on standard error.
    """

    prompt: tyro.conf.Positional[str] = "-"
    """The text to continue; - reads it from standard input."""
    model: Path = ASSETS / "presidents"
    """The model: presidents, second_term or world, which come with the course;
    gpt2, the real GPT-2 small (548 MB, downloaded once); or the folder of a
    run, of an exported model, or of a model in Hugging Face's GPT-2 format."""
    tokens: int = 200
    """The most tokens to write; an end-of-text token stops earlier."""
    temperature: float = 1.0
    """Below 1 more predictable, above 1 more surprising, 0 is greedy."""
    top_k: int | None = None
    """Draw only from this many tokens."""
    top_p: float | None = None
    """Draw only from the fewest tokens that reach this probability."""
    min_p: float | None = None
    """Draw only from tokens with this share of the likeliest one's."""
    penalty: float = 1.0
    """Above 1: avoid what was written before."""
    seed: int = 0
    """The same seed and settings give the same text."""
    cache: bool = True
    """Keep keys and values: the same text, sooner."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to PyTorch."""


@dataclass(frozen=True)
class Serve:
    """Serve a model to many people: an OpenAI-compatible endpoint.

    Ctrl-C ends it, after the answers that are being written.
    """

    model: Path = ASSETS / "presidents"
    """The model: presidents, second_term or world of the course, gpt2, or the
    folder of a run or of an exported model."""
    host: str = "127.0.0.1"
    """Where to listen; 127.0.0.1 is this machine alone."""
    port: int = 8000
    """Port to listen on."""
    max_batch: int = 16
    """Answers that are written at the same time."""
    max_waiting: int = 64
    """Requests that can wait; when it is full, a new one is refused."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to PyTorch."""


@dataclass(frozen=True)
class Eval:
    """Measure a model on held-out text: nats, bits per character, perplexity.

    Counting baselines on the same text follow.
    """

    model: tyro.conf.Positional[Path] = ASSETS / "presidents"
    """The model: presidents, second_term or world of the course, or the
    folder of a run or of an exported model."""
    part: Literal["val", "test"] = "val"
    """Which held-out part of the model's corpus."""
    stride: int = 0
    """Tokens between windows. Below the block size, each token sees more
    context, and it takes longer. 0: the block size."""
    weights: Literal["best", "last"] = "best"
    """Which weights of a run."""
    baselines: bool = True
    """Count n-grams of characters too, for comparison."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to PyTorch."""


@dataclass(frozen=True)
class ExportModel:
    """Turn a run into a small model to share: its best weights in 16, 8 or 4
    bits, its tokenizer, probes and log, and a record of where it came from."""

    source: tyro.conf.Positional[Path]
    """Folder of a run."""
    target: tyro.conf.Positional[Path]
    """Folder to write; files of these names in it are replaced."""
    bits: Literal[16, 8, 4] = 16
    """Bits for each number of a matrix: 8 take half the size of 16 for almost
    the same loss, 4 a quarter for a somewhat higher one."""


@dataclass(frozen=True)
class Share:
    """Write a model into one HTML file: a page to send to a friend.

    It holds the weights in int8, the playground, the training curve and a
    model card. It works from a disk or as an attachment, and loads nothing.
    """

    source: tyro.conf.Positional[Path]
    """Folder of a run or of an exported model, with at most 16 million
    parameters."""
    out: Path | None = None
    """The .html file to write; one of this name is replaced. Default: named
    after the model's folder, in the current one."""
    title: str | None = None
    """Heading of the page. Default: the name of the folder."""
    exercises: bool = False
    """Also say which exercises are passed, as your copy of the course
    remembers it."""


LEAST = {  # option: the smallest number that it can be
    "vocab_size": 1, "block_size": 1, "n_kv_head": 1, "max_steps": 1,
    "n_hidden": 1,
    "batch_size": 1, "micro_batch_size": 1, "weight_decay": 0,
    "log_every": 1, "eval_every": 1, "save_every": 1, "probes": 0,
    "tokens": 1, "stride": 0, "threads": 0, "seed": 0, "port": 0,
    "max_batch": 1, "max_waiting": 0,
}  # fmt: skip
MOST = {  # option: the largest number that it can be
    "n_layer": 1000, "seed": 2**63 - 1, "threads": 1024, "port": 65535,
    "max_batch": 1024,
}  # fmt: skip


def check(options) -> None:
    """Raises ValueError for the first number out of range."""
    for name, least in LEAST.items():
        value = getattr(options, name, least)
        if value is not None and not value >= least:
            raise ValueError(
                f"{flag(name)} must be {least} or more, got {value}"
            )
    for name, most in MOST.items():
        value = getattr(options, name, most)
        if value > most:
            raise ValueError(
                f"{flag(name)} must be at most {most}, got {value}"
            )
    if not 0 <= getattr(options, "dropout", 0) < 1:
        raise ValueError(
            f"--dropout must be 0 or more and below 1, got {options.dropout}"
        )
    if not getattr(options, "grad_clip", 1) > 0:
        raise ValueError(
            f"--grad-clip must be above 0, got {options.grad_clip}"
        )


def flag(name: str) -> str:
    """How an option is written on the command line."""
    return "--" + name.replace("_", "-")
