"""One training step: this course's GPT beside Hugging Face's GPT-2.

    python benchmarks/train.py --corpus sotu

The same shape, the same data, the same AdamW, the same clipping, float32,
no dropout, no compilation; the two take turns and the medians are compared.
The same run measures the peak of a 2048-square float32 matrix product and
says what part of it a step at batch 24 reaches, counting the products of
the model alone, forward and backward.
"""

import os
from dataclasses import dataclass

import torch
import tyro
from common import alternate, load, versions

from minigpt.bigram import cross_entropy
from minigpt.data import get_batch
from minigpt.gpt import GPT, GPTConfig


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
    rounds: int = 9
    seconds: float = 1.0
    """How long each turn lasts."""


def ours(a, vocab_size):
    config = GPTConfig(
        vocab_size=vocab_size,
        block_size=a.block_size,
        n_layer=a.n_layer,
        n_head=a.n_head,
        n_embd=a.n_embd,
        activation="gelu_tanh",
    )
    return GPT(config)


def theirs(a, vocab_size, activation):
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
        activation_function=activation,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = GPT2LMHeadModel(config).train()
    return lambda idx: model(idx).logits, model


def training_step(forward, model, x, y):
    """A function of no arguments that makes one step on (x, y)."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step():
        loss = cross_entropy(forward(x), y)
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


def main(a):
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    corpus = load(a.corpus)
    ids, V = corpus.train, corpus.tokenizer.n_vocab

    generator = torch.Generator().manual_seed(0)

    def batch(n):
        return get_batch(
            ids,
            block_size=a.block_size,
            batch_size=n,
            generator=generator,
        )

    x, y = batch(a.batch_size)
    mine = ours(a, V)
    steps = {"minigpt": training_step(mine, mine, x, y)}
    for activation in ("gelu_new", "gelu_pytorch_tanh"):
        name = f"Hugging Face, {activation}"
        steps[name] = training_step(*theirs(a, V, activation), x, y)
    larger = ours(a, V)
    n = a.peak_batch_size
    steps[f"minigpt, batch {n}"] = training_step(larger, larger, *batch(n))
    square = torch.randn(2048, 2048)
    steps["2048-square product"] = lambda: square @ square

    load_before = os.getloadavg()[0]
    times = alternate(steps, rounds=a.rounds, seconds=a.seconds)
    print(f"{corpus.name}, V = {V}, {a.threads} threads, {versions()}")
    print(
        f"load average before {load_before:.2f}, after {os.getloadavg()[0]:.2f}"
    )
    for name, t in list(times.items())[:3]:
        tokens = a.batch_size * a.block_size / t
        print(f"{name:32} {1000 * t:7.2f} ms {tokens:9,.0f} tokens/s", end="")
        print(f"  {t / times['minigpt']:.2f} times our time")
    peak = 2 * 2048**3 / times["2048-square product"]
    flops = product_flops(a, V, n) / times[f"minigpt, batch {n}"]
    print(f"product peak {peak / 1e9:.1f} GFLOP/s")
    print(f"step at batch {n} {flops / 1e9:.1f} GFLOP/s: {flops / peak:.0%}")
    ratio = times["Hugging Face, gelu_new"] / times["minigpt"]
    print(f"ratio {ratio:.2f} (aim 1.40), peak {flops / peak:.0%} (aim 45 %)")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
