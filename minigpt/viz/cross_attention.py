"""Where each written token looks in the source: maps of several texts."""

import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets

from minigpt.viz.base import Widget, pack, packed, visible


class CrossAttentionMap(Widget):
    """Target × source maps of every head, linked with both texts.

    Args:
        examples: for each text (source, written, weights): S texts, T texts,
            and the weights of cross-attention, (L, H, T, S). Row t is the
            look with which token t was written.

    Raises:
        ValueError: there is no example, the shapes of texts and weights do
            not fit, or a row of weights is no distribution.
    """

    sources = traitlets.List().tag(sync=True)
    targets = traitlets.List().tag(sync=True)
    heads = traitlets.List().tag(sync=True)  # [layers, heads]
    weights = packed()  # all maps of all texts, one after the other

    def __init__(self, examples):
        examples = [(list(s), list(t), _maps(w)) for s, t, w in examples]
        if not examples:
            raise ValueError("examples must hold at least one text, got none")
        for place, example in enumerate(examples):
            _check(place, *example, examples[0][2].shape[:2])
        self._weights = [w for *_, w in examples]
        super().__init__(
            sources=[s for s, _, _ in examples],
            targets=[t for _, t, _ in examples],
            heads=list(self._weights[0].shape[:2]),
            weights=pack(torch.cat([w.flatten() for w in self._weights])),
        )

    def describe(self):
        L, H = self.heads
        texts = len(self.sources)
        return (
            f"Cross-attention of {L} layer{'s' * (L > 1)} with {H} "
            f"head{'s' * (H > 1)} in {texts} text{'s' * (texts > 1)}."
        )

    def fallback(self):
        """The mean over all heads, a map for each of the first four."""
        n = min(4, len(self.sources))
        rows, cols = (n + 1) // 2, min(n, 2)
        fig, axes = plt.subplots(
            rows, cols, figsize=(4.2 * cols, 2.7 * rows), squeeze=False
        )
        for ax in axes.flat[n:]:
            ax.axis("off")
        for i, ax in enumerate(axes.flat[:n]):
            mean = self._weights[i].mean((0, 1)).sqrt().numpy()
            ax.imshow(mean, vmin=0, vmax=1, aspect="auto")
            source, target = self.sources[i], self.targets[i]
            ax.set_xticks(np.arange(len(source)), _plain(source), fontsize=8)
            ax.set_yticks(np.arange(len(target)), _plain(target), fontsize=8)
            ax.grid(visible=False)
        axes[0, 0].set_ylabel("written")
        axes[0, 0].set_xlabel("source")
        return fig


def _plain(tokens):
    """Texts that matplotlib neither cuts nor takes for mathematics."""
    shown = [visible(t, keep=" ") if not t.isspace() else "·" for t in tokens]
    return [t.replace("$", r"\$") for t in shown]


def _maps(weights):
    """Weights, of one text -> (L, H, T, S), float32."""
    weights = torch.as_tensor(weights).detach().cpu().float()
    return weights[None] if weights.ndim == 3 else weights


def _check(place, source, target, weights, heads):
    """Refuse an example whose parts do not fit."""
    T, S = len(target), len(source)
    if weights.shape != (*heads, T, S):
        raise ValueError(
            f"weights of text {place} must have the shape (layers, heads, "
            f"written, source) = {(*heads, T, S)}, got {tuple(weights.shape)}"
        )
    off = (weights.sum(-1) - 1).abs().max()
    if not (weights.min() >= 0 and off < 1e-2):
        raise ValueError(
            f"each row of weights of text {place} must be at least 0 and sum "
            f"to 1 (after the softmax), got a sum that is {off:.3g} off"
        )
