"""A recipe that trains a GPT well, and a fair measure of how well it did."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from minigpt.bigram import cross_entropy
from minigpt.data import get_batch


@dataclass(frozen=True)
class Recipe:
    """How to train; the model's shape is in `GPTConfig`."""

    steps: int = 1000
    batch_size: int = 32  # windows a step, all micro-batches together
    micro_batch: int = 32  # windows that fit into memory at once
    peak: float = 1e-3  # highest learning rate
    floor: float = 1e-4  # learning rate at the end
    warmup: int = 100  # steps until the peak
    weight_decay: float = 0.1
    clip: float = 1.0  # longest gradient
    bf16: bool = False
    seed: int = 0

    def __post_init__(self):
        if not (self.peak > 0 and 0 <= self.floor <= self.peak):
            raise ValueError(
                "peak must be positive and floor between 0 and peak, "
                f"got peak={self.peak}, floor={self.floor}"
            )
        if not 0 <= self.warmup <= self.steps:
            raise ValueError(
                f"warmup must be between 0 and steps={self.steps}, "
                f"got {self.warmup}"
            )


def parameter_groups(model, weight_decay):
    """Two groups for AdamW: matrices shrink, vectors do not.

    Parameters with two or more dimensions (weights, embeddings) get
    `weight_decay`; gains and biases get none. A tied weight counts once.
    """
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def make_optimizer(model, recipe):
    """AdamW (Loshchilov and Hutter 2019) over `parameter_groups`.

    `train_step` sets the learning rate of every step.
    """
    groups = parameter_groups(model, recipe.weight_decay)
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95), fused=True)


def learning_rate(step, recipe):
    """Linear warm-up to the peak, then half a cosine down to the floor.

    Steps count from 0 (Loshchilov and Hutter 2017, without restarts).

    >>> r = Recipe(steps=4, warmup=2, peak=1.0, floor=0.0)
    >>> [learning_rate(step, r) for step in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    r = recipe
    if step < r.warmup:
        return r.peak * (step + 1) / r.warmup
    done = (step - r.warmup) / max(1, r.steps - r.warmup)  # 0 to 1
    return r.floor + (r.peak - r.floor) * (1 + math.cos(math.pi * done)) / 2


def step_seed(seed, step, rank=0):
    """One number for all that is random in a step, in a run, in a process."""
    return (1_000_003 * (1_000_003 * seed + step) + rank) % 2**63


def step_batches(ids, step, recipe, *, block_size):
    """ids (N,) -> the step's micro-batches, a list of x, y (B, T).

    The windows follow from seed and step alone, so a run that begins again
    at step 500 sees what it would have seen.
    """
    g = torch.Generator().manual_seed(step_seed(recipe.seed, step))
    x, y = get_batch(
        ids, block_size=block_size, batch_size=recipe.batch_size, generator=g
    )
    parts = recipe.micro_batch
    return list(zip(x.split(parts), y.split(parts), strict=True))


def accumulate(model, batches, *, bf16=False):
    """Adds the gradient of the mean loss over all `batches`; returns it.

    Each batch counts by its number of targets, so the sum is the gradient
    of one large batch, also where padding makes batches uneven.
    """
    counts = [(y != -100).sum() for _, y in batches]
    total = 0.0
    for (x, y), count in zip(batches, counts, strict=True):
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            loss = cross_entropy(model(x), y) * (count / sum(counts))
        loss.backward()
        total = total + loss.detach()
    return total


def train_step(model, optimizer, batches, recipe, *, rate):
    """One update -> loss and gradient norm before clipping, as floats.

    Raises FloatingPointError, before the weights change, where the
    gradient is not finite.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss = accumulate(model, batches, bf16=recipe.bf16)
    norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    if not torch.isfinite(norm):
        raise FloatingPointError(f"loss is {loss:.3g}, gradient {norm:.3g}")
    optimizer.step()
    return loss.item(), norm.item()


def train(model, ids, recipe, *, block_size, callback=None):
    """Trains `model`; calls `callback(step, loss, rate, norm)` each step."""
    optimizer = make_optimizer(model, recipe)
    for step in range(recipe.steps):
        torch.manual_seed(step_seed(recipe.seed, step))
        rate = learning_rate(step, recipe)
        batches = step_batches(ids, step, recipe, block_size=block_size)
        loss, norm = train_step(model, optimizer, batches, recipe, rate=rate)
        if callback:
            callback(step, loss, rate, norm)


def windows(ids, *, block_size, stride):
    """ids (N,) -> x, y (W, T) in which every token but the first is once due.

    A window begins `stride` after the one before it; what that one has
    scored is -100 here and serves as context only.
    """
    T = min(block_size, len(ids) - 1)
    last = len(ids) - 1 - T
    starts = torch.tensor([*range(0, last, stride), last])
    grid = starts[:, None] + torch.arange(T)  # (W, T)
    x, y = ids[grid], ids[grid + 1]
    scored = grid[1:] < starts[:-1, None] + T
    y[1:][scored] = -100
    return x, y


@torch.no_grad()
def score(model, ids, *, block_size, stride=None, share=(0, 1), batch=32):
    """ids (N,) -> sum of nats over all of ids, and number of targets.

    `stride` defaults to `block_size`; a smaller one gives every token more
    context. `share` (rank, world) scores every world-th window only.
    """
    x, y = windows(ids, block_size=block_size, stride=stride or block_size)
    x, y = x[share[0] :: share[1]], y[share[0] :: share[1]]
    training, nats = model.training, 0.0
    model.eval()
    for a, b in zip(x.split(batch), y.split(batch), strict=True):
        nats += cross_entropy(model(a), b).item() * (b != -100).sum().item()
    model.train(training)
    return nats, (y != -100).sum().item()
