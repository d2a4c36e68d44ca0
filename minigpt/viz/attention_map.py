"""Where every head of a model looks: thumbnails, one head, differences."""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets

from minigpt.viz.base import Widget, pack, packed


def head_numbers(weights):
    """(…, T, T) -> entropy in bits and distance in tokens, (…) each.

    Both are means over the rows that look anywhere; a row without weights
    (padding) does not count. A head without such rows gets 0 and 0.
    """
    w = torch.as_tensor(weights).detach().double()
    place = torch.arange(w.size(-1), dtype=torch.float64)
    rows = (w.sum(-1) > 0).sum(-1).clamp(min=1)
    entropy = -torch.xlogy(w, w).sum((-2, -1)) / math.log(2) / rows
    away = (place[:, None] - place).abs()
    return entropy.abs(), (w * away).sum((-2, -1)) / rows


class AttentionMap(Widget):
    """Layers × heads of thumbnails, linked with the tokens of one text.

    `tokens` are T texts, as they were fed to the model. `weights` are the
    attention weights: (L, H, T, T), or (H, T, T) of one layer, or a `record`:
    a list with (1, H, T, T) of each layer. `focus` is the (layer, head) that
    is shown large at first.

    Raises:
        ValueError: the shapes of tokens and weights do not fit, a weight is
            not between 0 and 1, or there is no such head.
    """

    tokens = traitlets.List().tag(sync=True)
    weights = packed()
    focus = traitlets.List([0, 0]).tag(sync=True)

    def __init__(self, tokens, weights, *, focus=(0, 0)):
        tokens, weights = list(tokens), _maps(weights)
        T = len(tokens)
        if weights.ndim != 4 or weights.shape[-2:] != (T, T):
            raise ValueError(
                f"weights of {T} tokens must have the shape (layers, heads, "
                f"{T}, {T}), got {tuple(weights.shape)}"
            )
        if not (weights.min() >= 0 and weights.max() <= 1 + 1e-3):
            raise ValueError(
                "weights must be between 0 and 1 (after the softmax), got "
                f"{weights.min():.3g} to {weights.max():.3g}"
            )
        L, H = weights.shape[:2]
        if not (0 <= focus[0] < L and 0 <= focus[1] < H):
            raise ValueError(
                f"focus must be one of {L} layers and {H} heads, got {focus}"
            )
        self._weights = weights
        causal = not weights.triu(1).any()
        super().__init__(
            tokens=tokens,
            weights=pack(weights.numpy(), lower=causal),
            focus=[*focus],
        )

    def describe(self):
        L, H, T, _ = self._weights.shape
        layers = "1 layer" if L == 1 else f"{L} layers"
        heads = "1 head" if H == 1 else f"{H} heads"
        return f"Attention maps of {layers} with {heads} over {T} tokens."

    def fallback(self):
        L, H, *_ = self._weights.shape
        size = min(1.6, 9 / H)
        fig, axes = plt.subplots(
            L, H, figsize=(size * H, size * L + 0.25), squeeze=False
        )
        entropy, distance = head_numbers(self._weights)
        for at in np.ndindex(L, H):
            ax = axes[at]
            ax.imshow(self._weights[at].sqrt().numpy(), vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            ax.grid(visible=False)
            if H <= 6:
                ax.set_title(
                    f"layer {at[0]}, head {at[1]}\n{entropy[at]:.1f} bits, "
                    f"{distance[at]:.1f} back",
                    fontsize=8,
                )
        return fig


def _maps(weights):
    """Tensor, or a record of several layers -> (L, H, T, T), float32."""
    if isinstance(weights, (list, tuple)):
        if not weights:
            raise ValueError("weights must hold a layer, got an empty record")
        layers = [torch.as_tensor(w) for w in weights]
        batch = [w.size(0) for w in layers if w.ndim == 4]
        if any(size != 1 for size in batch):
            raise ValueError(
                "weights must be of one text: a record with a batch of 1, "
                f"got a batch of {max(batch)}"
            )
        weights = torch.stack([w[0] if w.ndim == 4 else w for w in layers])
    weights = torch.as_tensor(weights).detach().cpu().float()
    return weights[None] if weights.ndim == 3 else weights
