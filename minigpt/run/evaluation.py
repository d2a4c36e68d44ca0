"""`python -m minigpt eval`: how good a model is on text it has not seen."""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from minigpt.bigram import WittenBell, bits_per_char, evaluate
from minigpt.run import corpus
from minigpt.run.models import find_folder, load_model, made_again
from minigpt.run.options import Eval, check
from minigpt.run.parallel import use_machine


@dataclass(frozen=True)
class Score:
    """A model's loss on a text, in every unit."""

    name: str
    part: str
    nats: float  # per token
    tokens: int
    characters: int
    baselines: dict[str, float]  # bits per character

    @property
    def perplexity(self) -> float:
        """Per token."""
        return math.exp(self.nats)

    @property
    def bits_per_char(self) -> float:
        """What compares models with different tokenizers."""
        return bits_per_char(self.nats, self.tokens, self.characters)

    def __str__(self) -> str:
        lines = [
            f"{self.name}, {self.part} part",
            f"{self.tokens:,} tokens, {self.characters:,} characters",
            f"{self.nats:8.4f} nats per token",
            f"{self.perplexity:8.2f} perplexity per token",
            f"{self.bits_per_char:8.4f} bits per character",
        ]
        for name, bits in self.baselines.items():
            lines.append(f"{bits:8.4f} bits per character by counting, {name}")
        return "\n".join(lines)


def print_score(options: Eval) -> int:
    """`python -m minigpt eval`."""
    print(measure(options))
    return 0


def measure(options: Eval) -> Score:
    """The whole of one held-out part of a model's corpus, by the model.

    Raises ValueError for a folder without a model or without its corpus, and
    for a stride that would skip tokens.
    """
    check(options)
    device = use_machine(options)
    folder, part = find_folder(options.model), options.part
    with made_again(folder):
        if not (folder / "data.json").exists():
            raise ValueError(
                f"{folder} has no data.json, which says what the model was "
                "trained on: give the folder of a run or of an exported model"
            )
        name = corpus.read_facts(folder)["corpus"]
    model, tokenizer = load_model(folder, weights=options.weights)
    block_size = model.config.block_size
    if options.stride > block_size:
        raise ValueError(
            f"--stride must be at most the block size, {block_size}, got "
            f"{options.stride}"
        )
    text = corpus.held_out(folder, tokenizer, part)
    try:
        counted = baselines(folder, name, part) if options.baselines else {}
    except ValueError as error:  # the text, which may be gone, is read again
        print(f"no counting baselines: {error}", file=sys.stderr)
        counted = {}
    nats = evaluate(
        model.to(device),
        text.ids.to(device),
        block_size=block_size,
        stride=options.stride or None,
    )
    n = len(text.ids) - 1
    return Score(str(options.model), part, nats, n, text.n_chars, counted)


def baselines(folder: Path, name: str, part: str) -> dict[str, float]:
    """What counting characters reaches on the same text, in bits each.

    The longest n-grams are those of 7 characters, or of as many as fit into
    the held-out text and, packed, into 63 bits.
    """
    texts = [corpus.same_texts(folder, p) for p in ("train", part)]
    tokenizer = corpus.make_tokenizer("char", name, 0)
    train, held_out = (
        torch.tensor(corpus.encode(tokenizer, documents)) for documents in texts
    )
    V = tokenizer.n_vocab
    fit = [n for n in range(1, 8) if V**n <= 2**63 and n <= len(held_out)]
    counted = WittenBell(train, fit[-1], V)
    orders = sorted({1, 2, 4, fit[-1]}.intersection(fit))
    nats = {f"{n}-grams": counted.log_probs(held_out, n) for n in orders}
    bits = {k: -v.mean().item() / math.log(2) for k, v in nats.items()}
    return {"no knowledge": math.log2(V), **bits}
