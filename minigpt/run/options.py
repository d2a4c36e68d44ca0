"""Every choice of a run, each with its default, its help and its limits."""

import sys
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Train:
    """Train a GPT; everything about the run lands in one folder.

    Ctrl-C saves and stops; --resume goes on exactly there.
    """

    out: Path = Path("runs/gpt")
    """Folder of the run."""
    resume: bool = False
    """Go on with the run in --out. Its own options hold; only steps, device,
    threads and the ..._every ones may be given anew."""
    overwrite: bool = False
    """Replace the run in --out."""
    preset: Literal["none", "reference"] = "none"
    """Start from the options of the course's own model."""

    corpus: str = "sotu"
    """sotu, tinyshakespeare, or the path of a text file."""
    tokenizer: Literal["char", "bpe"] = "bpe"
    """Characters, or byte-pair encoding trained on the training part."""
    n_vocab: int = 2048
    """Size of the byte-pair vocabulary."""

    block_size: int = 128
    """Longest context, in tokens."""
    n_layer: int = 4
    """Blocks."""
    n_head: int = 4
    """Attention heads of a block."""
    n_embd: int = 128
    """Channels; a multiple of n_head."""
    dropout: float = 0.0
    """Share of activations set to zero in training."""
    bias: bool = True
    """Biases in linear layers and LayerNorm."""
    norm: Literal["pre", "post"] = "pre"
    """LayerNorm before or after attention and MLP."""
    activation: Literal["gelu", "gelu_tanh", "relu"] = "gelu"
    """Non-linearity of the MLP."""
    position: Literal["learned", "sinusoidal", "none"] = "learned"
    """Position embedding."""
    tied: bool = True
    """One matrix for token embedding and output."""

    steps: int = 2000
    """Updates of the weights."""
    batch_size: int = 32
    """Windows of a step, over all processes and micro-batches."""
    micro_batch: int = 32
    """Windows that one process holds at a time; gradients add up."""
    peak: float = 1e-3
    """Highest learning rate."""
    floor: float = 1e-4
    """Learning rate at the end."""
    warmup: int = 100
    """Steps until the peak."""
    weight_decay: float = 0.1
    """Shrinking of the matrices by AdamW, times the learning rate."""
    clip: float = 1.0
    """Longest gradient; a longer one is shortened."""
    bf16: bool = False
    """Matrix products in bfloat16: faster where the hardware has it."""
    seed: int = 0
    """Decides initial weights, batches and dropout."""

    device: str = "auto"
    """auto, cpu, cuda or mps."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to PyTorch. Bits are equal only
    between runs with equally many."""
    fused: bool = True
    """Attention by PyTorch's scaled_dot_product_attention and, without
    dropout, no calls of modules: the same numbers, but never dropout on
    attention weights, which would halve the speed."""
    compile: bool = False
    """Let torch.compile fuse operations (needs a C++ compiler)."""

    log_every: int = 1
    """Steps between lines of log.jsonl."""
    eval_every: int = 250
    """Steps between measurements on the whole validation part."""
    save_every: int = 250
    """Steps between checkpoints; the last two are kept, and the best."""
    probes: int = 0
    """Points at which loss, greedy text and the attention of every head on
    fixed texts are recorded (the course's own model has 10)."""

    def run(self) -> int:
        from minigpt.run.loop import run

        return run(self)


NOT_STORED = ("out", "resume", "overwrite", "device", "threads")
MAY_CHANGE = NOT_STORED + (
    "preset", "steps", "micro_batch", "log_every", "eval_every", "save_every",
)  # fmt: skip

PRESETS = {
    "none": {},
    "reference": {
        "tokenizer": "bpe", "n_vocab": 2048, "bias": False,
        "block_size": 256, "n_layer": 6, "n_head": 4, "n_embd": 192,
        "steps": 15_000, "batch_size": 12, "micro_batch": 12,
        "peak": 2.5e-3, "floor": 2e-5, "warmup": 300, "weight_decay": 0.2,
        "bf16": True, "seed": 1,
        "eval_every": 750, "save_every": 250, "probes": 10,
    },
}  # fmt: skip


def given(options: Train) -> dict:
    """The options that were given: other than their defaults, or typed.

    `--no-bf16` with a preset, or `--steps 2000` on resuming, says something
    although it is the default; only the command line itself knows.
    """
    typed = set()
    if sys.argv[1:2] == ["train"]:
        for word in sys.argv[2:]:
            name = word.partition("=")[0].removeprefix("--")
            typed |= {name.replace("-", "_")}
            typed |= {name.removeprefix("no-").replace("-", "_")}
    return {
        f.name: getattr(options, f.name)
        for f in fields(options)
        if f.name in typed or getattr(options, f.name) != f.default
    }


def with_preset(options: Train) -> Train:
    """The preset's options, with what was given on top."""
    return replace(Train(**PRESETS[options.preset]), **given(options))


def merged(stored: dict, options: Train) -> Train:
    """A run's stored options, with what may change taken from `options`.

    Raises ValueError where another version wrote them, or where something
    was given that would make it another run.
    """
    known = {f.name for f in fields(Train)}.difference(NOT_STORED)
    strange = sorted(known ^ set(stored))
    if strange:
        raise ValueError(
            "the run was begun by another version of minigpt: the options "
            f"{', '.join(strange)} are unknown to one of the two"
        )
    asked = given(options)
    for name, value in asked.items():
        if name not in MAY_CHANGE and value != stored[name]:
            raise ValueError(
                f"--{name.replace('_', '-')} is {stored[name]} in this run "
                f"and cannot become {value}; begin a new run for that"
            )
    return replace(Train(**stored), **{**asked, "out": options.out})


def stored(options: Train) -> dict:
    """What a run keeps of its options: nothing about place or machine."""
    values = asdict(options)
    return {k: v for k, v in values.items() if k not in NOT_STORED}


def recipe(options: Train):
    """The options that say how to train, as a `Recipe`."""
    from minigpt.train import Recipe  # torch: not for --help

    return Recipe(**{f.name: getattr(options, f.name) for f in fields(Recipe)})


def config(options: Train, vocab_size: int):
    """The options that say what the model is, as a `GPTConfig`."""
    from minigpt.gpt import GPTConfig

    values = {
        f.name: getattr(options, f.name)
        for f in fields(GPTConfig)
        if f.name != "vocab_size"
    }
    return GPTConfig(vocab_size=vocab_size, **values)


def check(options: Train) -> None:
    """Raises ValueError with what was expected and what came."""
    recipe(options)
    positive = (
        "n_vocab", "block_size", "n_layer", "n_head", "n_embd", "steps",
        "batch_size", "micro_batch", "clip", "log_every", "eval_every",
        "save_every",
    )  # fmt: skip
    for name in positive:
        if not getattr(options, name) > 0:
            raise ValueError(
                f"--{name.replace('_', '-')} must be positive, got "
                f"{getattr(options, name)}"
            )
    if options.n_embd % options.n_head:
        raise ValueError(
            f"--n-embd must be a multiple of --n-head, got {options.n_embd} "
            f"and {options.n_head}"
        )
    if not 0 <= options.dropout < 1:
        raise ValueError(
            f"--dropout must be at least 0 and below 1, got {options.dropout}"
        )


def micro_batch(options: Train, processes: int) -> int:
    """Windows that each process computes at a time.

    Raises ValueError where the processes cannot get equal shares.
    """
    size = min(options.micro_batch, options.batch_size // processes)
    if size == 0 or options.batch_size % (size * processes):
        raise ValueError(
            f"--batch-size {options.batch_size} cannot be shared out: it must "
            f"be a multiple of {processes} process(es) times --micro-batch "
            f"{max(size, 1)}"
        )
    return size
