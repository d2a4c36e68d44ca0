"""Attention in five steps, every number with the sum it comes from."""

import numpy as np
import traitlets

from minigpt.viz.base import Widget, html_table, pack, packed, visible

LONGEST = 16  # more tokens would not fit on a page with their numbers


class AttentionSteps(Widget):
    """QKᵀ → scale → mask → softmax → ·V of one head, step by step.

    `tokens` are T texts; `query` and `key` are (T, D), `value` is (T, D'),
    the numbers of one sequence. The steps are computed in the page, where the
    mask can be switched: causal, none, window, padding.

    Raises ValueError for shapes that do not belong together.
    """

    tokens = traitlets.List().tag(sync=True)
    query = packed()
    key = packed()
    value = packed()

    def __init__(self, tokens, query, key, value):
        tokens = [str(t) for t in tokens]
        query, key, value = (_array(a) for a in (query, key, value))
        T = len(tokens)
        if not 1 <= T <= LONGEST:
            raise ValueError(f"tokens must be 1 to {LONGEST}, got {T}")
        for name, array in (("query", query), ("key", key), ("value", value)):
            if array.ndim != 2 or len(array) != T:
                raise ValueError(
                    f"{name} must be (T, D) with T = {T}, got {array.shape}"
                )
        if query.shape != key.shape:
            raise ValueError(
                f"key must be {query.shape} like query, got {key.shape}"
            )
        self._weights = _causal_weights(query, key)
        super().__init__(
            tokens=tokens,
            query=pack(query, "float32"),
            key=pack(key, "float32"),
            value=pack(value, "float32"),
        )

    def describe(self):
        """Return one sentence that tells what is seen."""
        T, D = self.query["shape"]
        return (
            f"Attention in five steps over {T} tokens with queries of {D} "
            "numbers: scores, scaling, mask, softmax, weighted sum of values."
        )

    def fallback(self):
        """Return the causal attention weights as a table."""
        names = [visible(t) for t in self.tokens]
        rows = [
            [name, *(f"{w:.2f}" if s <= t else "" for s, w in enumerate(row))]
            for t, (name, row) in enumerate(zip(names, self._weights))
        ]
        caption = "Attention weights with the causal mask (row reads column)"
        return html_table(caption, ["", *names], rows)


def _array(values):
    """Tensor or array -> float64 array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double()
    return np.asarray(values, dtype=np.float64)


def _causal_weights(query, key):
    """query, key (T, D) -> (T, T) weights under the causal mask."""
    scores = query @ key.T / query.shape[1] ** 0.5
    scores = np.where(np.tri(len(query), dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)
