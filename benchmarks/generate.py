"""Writing text: this course's GPT beside Hugging Face's GPT-2.

    python benchmarks/generate.py

Equal weights, one prompt, greedy, both with a key-value cache; the tokens
are compared first, then the two take turns and the medians are compared.
The same run measures how fast memory can be read, by a matrix-vector
product, and says which part of that bound GPT-2 small's shape reaches: for
each token every weight must be read once. It also measures the time of one
token against the length of the text, with and without the cache.

The record goes to notebooks/results/generate.json; chapter 11 draws it. On a
busy machine small models suffer most: measure parts of it when it is quiet,
such as `--parts "by length"`; the record says what the load was.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from common import (
    RESULTS,
    alternate,
    load_average,
    read,
    save,
    today,
    versions,
)

from minigpt.cache import new_cache
from minigpt.gpt import GPT, GPTConfig
from minigpt.pretrained import from_gpt2
from minigpt.sample import Sampling, generate

SHAPES = {
    "4 layers, 128 channels": GPTConfig(
        vocab_size=106,
        block_size=1024,
        n_layer=4,
        n_head=4,
        n_embd=128,
        mlp="gelu_tanh",
    ),
    "GPT-2 small": GPTConfig(mlp="gelu_tanh"),
}
LENGTHS = (16, 32, 64, 128, 256, 512, 1024)
GREEDY = Sampling(temperature=0)


@dataclass
class Arguments:
    """Compare the speed of writing text."""

    parts: tuple[str, ...] = (*SHAPES, "by length")
    """What to measure; the record keeps its other parts."""
    prompt: int = 16
    """Tokens of the prompt."""
    n: int = 100
    """Tokens to write in one turn."""
    threads: int = 2
    rounds: int = 9
    out: Path = RESULTS / "generate.json"
    """Where the record goes."""


def theirs(config):
    """Hugging Face's GPT-2 of this shape; its weights are drawn wider, so
    that the likeliest token is not a matter of rounding."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.block_size,
            n_layer=config.n_layer,
            n_head=config.n_head,
            n_embd=config.n_embd,
            activation_function="gelu_pytorch_tanh",
            initializer_range=0.1,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).eval()


def writer(model, idx, n):
    """A function that writes n tokens, greedily, and returns them."""

    def write():
        cache = new_cache(model)
        steps = generate(model, idx, n=n, sampling=GREEDY, cache=cache)
        return [new.item() for new, _ in steps]

    return write


def their_writer(model, idx, n):
    """The same by transformers."""
    options = dict(
        attention_mask=torch.ones_like(idx),
        max_new_tokens=n,
        do_sample=False,
        use_cache=True,
        pad_token_id=0,
    )

    def write():
        found = model.generate(idx, **options)
        return found[0, idx.size(1) :].tolist()

    return write


def memory_product():
    """A matrix-vector product that must read 512 MB, and those bytes."""
    matrix, vector = torch.randn(8192, 16384), torch.randn(16384)
    return lambda: matrix @ vector, matrix.nbytes


def compare(name, a):
    """One shape: our tokens per second, theirs, and the memory's bound."""
    config = SHAPES[name]
    hugging = theirs(config)
    model = from_gpt2(hugging.state_dict(), config)
    generator = torch.Generator().manual_seed(1)
    idx = torch.randint(config.vocab_size, (1, a.prompt), generator=generator)
    product, n_bytes = memory_product()
    contestants = {
        "minigpt": writer(model, idx, a.n),
        "transformers": their_writer(hugging, idx, a.n),
    }
    tokens = {who: write() for who, write in contestants.items()}
    assert tokens["minigpt"] == tokens["transformers"]
    times = alternate(
        contestants | {"memory": product}, rounds=a.rounds, calls=1
    )
    speed = {who: a.n / times[who] for who in tokens}
    bandwidth = n_bytes / times["memory"]
    weights = sum(p.nbytes for p in model.parameters())
    weights -= model.position.weight.nbytes  # one row of it is read
    return {
        **speed,
        "ratio": speed["minigpt"] / speed["transformers"],
        "different_tokens": len(set(tokens["minigpt"])),
        "bandwidth": bandwidth,
        "weights": weights,
        "of_bandwidth": speed["minigpt"] * weights / bandwidth,
    }


@torch.no_grad()
def by_length(a):
    """Milliseconds for one more token, after 15, 31, … tokens."""
    config = SHAPES["4 layers, 128 channels"]
    torch.manual_seed(0)
    model = GPT(config).eval()
    text = torch.randint(config.vocab_size, (1, config.block_size))
    curve = {"length": list(LENGTHS), "naive": [], "cached": []}
    contestants = {}
    for length in LENGTHS:
        idx, cache = text[:, :length], new_cache(model)
        model(idx[:, :-1], cache=cache)

        def cached(idx=idx, cache=cache):
            for layer in cache:
                layer.offset = idx.size(1) - 1
            model(idx[:, -1:], cache=cache)

        contestants["cached", length] = cached
        contestants["naive", length] = lambda idx=idx: model(idx)
    times = alternate(contestants, rounds=a.rounds, calls=10)
    for (kind, _), t in times.items():
        curve[kind].append(1000 * t)
    return curve


def report(record):
    """The figures of every part, and how busy the machine was."""
    for name, x in record["models"].items():
        print(f"{name} (load {x['load'][0]} before, {x['load'][1]} after)")
        for who in ("minigpt", "transformers"):
            print(f"  {who:14} {x[who]:8.1f} tokens/s")
        bandwidth = x["bandwidth"] / 1e9
        print(f"  ratio {x['ratio']:.2f}")
        print(
            f"  {bandwidth:.1f} GB/s read by a product; "
            f"{x['of_bandwidth']:.0%} of that reached"
        )
    curve = record.get("by_length", {})
    for kind in ("naive", "cached") if curve else ():
        first, last = curve[kind][0], curve[kind][-1]
        print(
            f"{kind}: {first:.2f} to {last:.2f} ms for token {LENGTHS[0]} to "
            f"{LENGTHS[-1]}, {last / first:.1f} x (load {curve['load']})"
        )


def main(a):
    torch.set_num_threads(a.threads)
    record = read(a.out) or {"models": {}}
    for part in a.parts:
        before = load_average()
        found = by_length(a) if part == "by length" else compare(part, a)
        found |= {
            "command": command(),
            "date": today(),
            "versions": versions() | {"transformers": transformers_version()},
            "threads": a.threads,
            "load": [round(before, 2), round(load_average(), 2)],
        }
        if part == "by length":
            record["by_length"] = found
        else:
            record["models"][part] = found
        save(a.out, record)
    report(record)


def command():
    """How this run was called, but for where its record went."""
    words = sys.argv[1:]
    if "--out" in words:
        place = words.index("--out")
        words = words[:place] + words[place + 2 :]
    return " ".join(["python benchmarks/generate.py", *words])


def transformers_version():
    import transformers

    return transformers.__version__


if __name__ == "__main__":
    main(tyro.cli(Arguments))
