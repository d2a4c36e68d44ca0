"""The sentence that the machine shows before the model is loaded.

    python benchmarks/machine.py

Runs the first model of the playground over a short sentence and writes what
every block computes to book/machine/record.json. Each number becomes one
character (two for queries and keys, whose products would show the rounding),
each row has a scale. What follows from other numbers is left out. Run it again
when the model changes.
"""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from minigpt.lens import logit_lens, residual_stream
from minigpt.run.checkpoint import open_model
from minigpt.tokenizer import Tokenizer

ROOT = Path(__file__).parents[1]
OUT = ROOT / "book" / "machine" / "record.json"
sys.path.append(str(ROOT / "book" / "ext"))
ZERO, STEPS = 80, 45  # as in book/machine/record.js
# How many steps each strip has above zero: as few as nobody can see.
STORED = dict(q=100, k=100, v=11, attention=11, hidden=5, mlp=11)


@torch.no_grad()
def inside(model, idx):
    """idx (1, T) -> for each block, {name: (T, width)} of what it computes."""
    blocks = []
    for block, x in zip(model.blocks, residual_stream(model, idx)[:-1]):
        pre = block.order == "pre"
        T = x.size(1)
        read = block.norm1(x) if pre else x
        mask = torch.ones(T, T, dtype=torch.bool).tril()
        attend = block.attention
        q, k, v = attend.heads(read)
        mixed = attend.attend(q, k, v, mask, None)
        found = {"read1": read}
        for name, heads in dict(q=q, k=k, v=v, mixed=mixed).items():
            found[name] = heads.transpose(1, 2).flatten(2)
        found["attention"] = attend.proj(found["mixed"])
        total = x + found["attention"]
        found["sum"] = total
        found["read2"] = (block.norm2 if pre else block.norm1)(total)
        inputs = []
        hook = block.mlp.proj.register_forward_pre_hook(
            lambda _, args, inputs=inputs: inputs.append(args[0])
        )
        found["mlp"] = block.mlp(found["read2"])
        hook.remove()
        found["hidden"] = inputs[0]
        blocks.append({name: x[0] for name, x in found.items()})
    return blocks


def pack(rows, most=STEPS):
    """(rows, width) -> numbers from -most to most as text, a scale per row."""
    base = 2 * STEPS + 1
    digits = 1 if most <= STEPS else 2
    scales = [
        float(f"{x:.4g}") or 1.0 for x in (rows.abs().amax(1) / most).tolist()
    ]
    whole = (rows / torch.tensor(scales)[:, None]).round().clamp(-most, most)
    text = []
    for number in whole.long().flatten().tolist():
        signs = []
        for _ in range(digits):
            digit = (number + STEPS) % base - STEPS
            number = (number - digit) // base
            signs.append(chr(ZERO + digit))
        text += reversed(signs)
    return {
        "width": rows.size(1),
        "digits": digits,
        "scales": scales,
        "text": "".join(text),
    }


@torch.no_grad()
def record(folder, text):
    """The record of one sentence, for the page."""
    path = folder / "model.safetensors"
    model = open_model(path)[0].eval()
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    config = model.config
    if config.order != "pre" or config.bias:
        raise SystemExit("record.js completes models without biases, pre-norm")
    ids = tokenizer.encode(text)
    idx = torch.tensor([ids])
    probs = logit_lens(model, idx)[:, 0].softmax(-1)  # (L + 1, T, V)
    lens = [
        [
            {"id": int(row.argmax()), "p": round(float(row.max()), 4)}
            for row in layers
        ]
        for layers in probs.transpose(0, 1)
    ]
    best = probs[-1, -1].sort(descending=True, stable=True)
    lines = [
        {"id": int(i), "p": round(float(p), 4)}
        for p, i in zip(best.values[:12], best.indices[:12])
    ]
    shown = {*ids, *(x["id"] for row in lens for x in row)}
    shown |= {x["id"] for x in lines}
    names = [
        *(token.decode("latin-1") for token in tokenizer.tokens),
        *tokenizer.special_tokens,
    ]
    blocks = []
    for block, found in zip(model.blocks, inside(model, idx)):
        kept = {name: pack(found[name], most) for name, most in STORED.items()}
        for name in ("norm1", "norm2"):
            kept[name] = pack(getattr(block, name).weight[None])
        blocks.append(kept)
    return {
        "command": "python benchmarks/machine.py",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "config": vars(config),
        "text": text,
        "ids": ids,
        "tokens": {i: names[i] for i in sorted(shown)},
        "lens": lens,
        "lines": lines,
        "stream": pack(residual_stream(model, idx)[0, 0], 15),
        "blocks": blocks,
    }


@dataclass(frozen=True)
class Options:
    """Which sentence of which model is recorded."""

    text: str = "I ask the Congress to"
    model: Path | None = None
    """A folder with model.safetensors; by default the playground's first."""


def main(options):
    from minigpt_book import playground

    folder = options.model or playground.shipped()[0]
    found = record(folder, options.text)
    OUT.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    print(f"{OUT.relative_to(ROOT)}: {len(found['ids'])} tokens")


if __name__ == "__main__":
    main(tyro.cli(Options))
