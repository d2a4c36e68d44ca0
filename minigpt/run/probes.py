"""What the model knows at some points of a run, kept small."""

import json
from pathlib import Path

import torch

from minigpt.run.checkpoint import numbers, verify, write

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
    """Prompts and sentences to probe with; other corpora lend their own."""
    if corpus == "sotu":
        return PROMPTS, SENTENCES
    pieces = held_out[1:81].view(-1, 20).tolist()
    own = tuple(tokenizer.decode(piece) for piece in pieces)
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


@torch.no_grad()
def greedy(model, idx: torch.Tensor, n: int, block_size: int) -> torch.Tensor:
    """idx (1, T) -> (1, T + n), always the likeliest next token."""
    for _ in range(n):
        logits = model(idx[:, -block_size:])[:, -1]  # (1, V)
        idx = torch.cat([idx, logits.argmax(-1, keepdim=True)], 1)
    return idx


def write_on(model, tokenizer, prompt: str, n: int = 48) -> str:
    """The prompt and n tokens more, chosen greedily."""
    device = next(model.parameters()).device
    idx = torch.tensor([tokenizer.encode(prompt)], device=device)
    training = model.training
    idx = greedy(model.eval(), idx, n, model.config.block_size)
    model.train(training)
    return tokenizer.decode(idx[0].tolist())


@torch.no_grad()
def attention(model, ids: torch.Tensor) -> torch.Tensor:
    """ids (1, T) -> (L, H, T (T + 1) / 2) float16: each lower triangle."""
    training, record = model.training, []
    ids = ids[:, : model.config.block_size]
    model.eval()(ids.to(next(model.parameters()).device), record=record)
    model.train(training)
    weights = torch.stack([w[0] for w in record])  # (L, H, T, T)
    rows, columns = torch.tril_indices(*weights.shape[-2:])
    return weights[:, :, rows, columns].half().cpu()


def record(path: Path, model, tokenizer, texts, **facts) -> None:
    """One point of a run, as a sealed file; `texts` are `fixed_texts`."""
    prompts, sentences = texts
    probes = probe_ids(tokenizer, sentences)
    tensors = {f"ids.{i}": ids[0] for i, ids in enumerate(probes)}
    for i, ids in enumerate(probes):
        tensors[f"attention.{i}"] = attention(model, ids)
    facts["texts"] = {p: write_on(model, tokenizer, p) for p in prompts}
    metadata = {"format": FORMAT, "facts": json.dumps(facts)}
    write(path, tensors, metadata)


def merge(paths: list[Path], target: Path) -> None:
    """Several points -> one file, `attention.<probe>` (P, L, H, …)."""
    points, facts = [], []
    for path in paths:
        _, metadata = verify(path, FORMAT)
        points.append(numbers(path))
        facts.append(json.loads(metadata["facts"]))
    tensors = {}
    for name in points[0]:
        same = name.startswith("ids.")
        tensors[name] = (
            points[0][name] if same else torch.stack([p[name] for p in points])
        )
    write(target, tensors, {"format": FORMAT, "facts": json.dumps(facts)})


def open_probes(path: Path) -> tuple[dict[str, torch.Tensor], list[dict]]:
    """A merged file: tensors, and for each point step, loss and texts."""
    _, metadata = verify(path, FORMAT)
    return numbers(path), json.loads(metadata["facts"])
