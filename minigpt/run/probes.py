"""What the model knows at some points of a run, kept small."""

import json
from pathlib import Path

import torch

from minigpt.bigram import evaluating
from minigpt.run.checkpoint import read, write
from minigpt.sample import Sampling, generate

FORMAT = "minigpt-probes 1"
PROMPTS = (
    "Fellow citizens of the Senate and of the House of Representatives",
    "The American people",
)
SENTENCES = (
    "The Congress passed the bill, and the President signed it.",
    "When I spoke to you last year, I asked the Congress to act.",
)
RANDOM = 16  # tokens, drawn once and repeated: who copies them can look back


def fixed_texts(corpus: str, tokenizer, held_out: torch.Tensor):
    """Prompts and sentences to probe with, from the held-out text of others."""
    if corpus == "sotu":
        return PROMPTS, SENTENCES
    pieces = held_out[1:81].split(20)
    own = tuple(tokenizer.decode(piece.tolist()) for piece in pieces)
    return own[:2], own[2:]


def probe_ids(tokenizer, sentences) -> list[torch.Tensor]:
    """Two sentences and a random sequence twice over, each (1, T)."""
    generator = torch.Generator().manual_seed(0)
    half = torch.randint(tokenizer.n_vocab, (RANDOM,), generator=generator)
    ids = [torch.tensor(tokenizer.encode(text)) for text in sentences]
    return [x[None] for x in (*ids, half.repeat(2))]


def probe_steps(points: int, steps: int) -> list[int]:
    """`points` steps from 0 to the end, close together at the beginning.

    >>> probe_steps(5, 1600)
    [0, 25, 200, 675, 1600]
    """
    if points < 2:
        return [steps] * points
    last = points - 1
    return sorted({round(steps * (i / last) ** 3) for i in range(points)})


def continued(model, tokenizer, prompt: str, n: int = 48) -> str:
    """The prompt and n more tokens, always the likeliest."""
    device = next(model.parameters()).device
    ids = tokenizer.encode(prompt)
    idx = torch.tensor([ids[-model.config.block_size :]], device=device)
    new = generate(model, idx, n=n, sampling=Sampling(temperature=0))
    return tokenizer.decode(ids + [i.item() for i, _ in new])


@torch.no_grad()
def attention_of(model, ids: torch.Tensor) -> torch.Tensor:
    """ids (1, T) -> (L, H, T (T + 1) / 2) float16: each lower triangle."""
    ids = ids[:, : model.config.block_size]
    record = []
    with evaluating(model):
        model(ids.to(next(model.parameters()).device), record=record)
    weights = torch.stack([w[0] for w in record])  # (L, H, T, T)
    rows, columns = torch.tril_indices(*weights.shape[-2:])
    return weights[:, :, rows, columns].half().cpu()


def record(path: Path, model, tokenizer, texts, **facts) -> None:
    """One point of a run, as a sealed file; `texts` are `fixed_texts`."""
    prompts, sentences = texts
    tensors = {}
    for i, ids in enumerate(probe_ids(tokenizer, sentences)):
        tensors[f"ids.{i}"] = ids[0]
        tensors[f"attention.{i}"] = attention_of(model, ids)
    facts["texts"] = {p: continued(model, tokenizer, p) for p in prompts}
    write(path, tensors, {"format": FORMAT, "facts": json.dumps(facts)})


def merge(paths: list[Path], target: Path) -> None:
    """Several points -> one file, `attention.<probe>` (P, L, H, …)."""
    points = [open_probes(path) for path in paths]
    tensors = dict(points[0][0])  # the ids are the same at every point
    for name in [name for name in tensors if name.startswith("attention.")]:
        tensors[name] = torch.stack([point[name] for point, _ in points])
    facts = json.dumps([facts for _, facts in points])
    write(target, tensors, {"format": FORMAT, "facts": facts})


def open_probes(path: Path) -> tuple[dict[str, torch.Tensor], list[dict]]:
    """A merged file: tensors, and for each point step, loss and texts."""
    tensors, metadata = read(path, FORMAT)
    return tensors, json.loads(metadata["facts"])
