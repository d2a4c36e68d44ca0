"""How good a model is on text that it has not seen."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch

from minigpt.bigram import WittenBell, bits_per_char
from minigpt.run import corpus, state
from minigpt.run.commands import Eval
from minigpt.train import score


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
        return math.exp(self.nats)

    @property
    def bits_per_char(self) -> float:
        return bits_per_char(self.nats, self.tokens, self.characters)


def weights_file(folder: Path, checkpoint: str = "best") -> Path:
    """The file with the weights: of a run, or of an exported model.

    Raises ValueError where there is none.
    """
    exported = folder / "model.safetensors"
    if exported.exists():
        return exported
    if checkpoint == "last":
        found = state.checkpoints(folder)
        if found:
            return found[0]
    elif (folder / "best.safetensors").exists():
        return folder / "best.safetensors"
    raise ValueError(f"{folder} has no model (no {checkpoint} weights)")


def corpus_of(folder: Path) -> str:
    """The corpus that a run or an exported model was trained on."""
    return json.loads((folder / "data.json").read_text())["corpus"]


def evaluate(options: Eval) -> Score:
    """The whole of one held-out part, by one model."""
    folder = options.model
    path = weights_file(folder, options.checkpoint)
    model, _ = state.open_any(path)
    tokenizer, name = corpus.load_tokenizer(folder), corpus_of(folder)
    documents = corpus.texts(name, options.part)
    block_size = model.config.block_size
    nats, n = score(
        model,
        torch.tensor(corpus.encode(tokenizer, documents)),
        block_size=block_size,
        stride=options.stride or block_size,
    )
    n_chars = corpus.characters(tokenizer, documents)
    counted = baselines(name, options.part) if options.baselines else {}
    return Score(str(path), options.part, nats / n, n, n_chars, counted)


def baselines(name: str, part: str) -> dict[str, float]:
    """What counting characters reaches on the same text, in bits each."""
    tokenizer = corpus.make_tokenizer("char", name, 0, quiet=True)
    train, held_out = (
        torch.tensor(corpus.encode(tokenizer, corpus.texts(name, p)))
        for p in ("train", part)
    )
    V = tokenizer.n_vocab
    counted = WittenBell(train, 7, V)
    nats = {f"{n}-grams": counted.log_probs(held_out, n) for n in (1, 2, 4, 7)}
    bits = {k: -v.mean().item() / math.log(2) for k, v in nats.items()}
    return {"no knowledge": math.log2(V), **bits}


def report(score: Score) -> str:
    """The figures as a small table."""
    lines = [
        f"{score.name}, {score.part} part",
        f"{score.tokens:,} tokens, {score.characters:,} characters",
        f"{score.nats:8.4f} nats per token",
        f"{score.perplexity:8.2f} perplexity per token",
        f"{score.bits_per_char:8.4f} bits per character",
    ]
    for name, bits in score.baselines.items():
        lines.append(f"{bits:8.4f} bits per character by counting, {name}")
    return "\n".join(lines)
