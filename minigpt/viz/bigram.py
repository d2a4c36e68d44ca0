"""The table of a bigram model: which character follows which."""

import numpy as np
import traitlets

from minigpt.viz.base import Widget, html_table, pack, packed, visible


class BigramTable(Widget):
    """Counts (V, V) and the V tokens -> a heat map to look around in.

    Row: the character that stands there; column: the one that follows. Only
    pairs that were seen travel, as whole numbers, so what the page shows is
    what was counted.

    Raises ValueError when counts are not (V, V) whole numbers with V tokens.
    """

    tokens = traitlets.List().tag(sync=True)  # most frequent first
    pairs = packed()  # (2, P): row and column of each pair that was seen
    counts = packed()  # (P,)
    top = traitlets.Int().tag(sync=True)  # how many are shown at first

    def __init__(self, counts, tokens, top=30):
        counts = np.asarray(counts)
        if counts.shape != (len(tokens), len(tokens)):
            raise ValueError(
                f"counts must be ({len(tokens)}, {len(tokens)}) for "
                f"{len(tokens)} tokens, got {counts.shape}"
            )
        if not counts.any():
            raise ValueError("counts must hold at least one pair, got none")
        if not 1 <= top <= len(tokens):
            raise ValueError(f"top must be 1 to {len(tokens)}, got {top}")
        seen = counts.sum(0) + counts.sum(1)
        order = np.argsort(-seen, kind="stable")
        self._table = counts[np.ix_(order, order)]
        pairs = np.array(np.nonzero(self._table))
        super().__init__(
            tokens=[tokens[i] for i in order],
            pairs=pack(pairs, "uint16"),
            counts=pack(self._table[tuple(pairs)], "int32"),
            top=top,
        )

    def describe(self):
        """Return one sentence about the table."""
        row, col = np.unravel_index(self._table.argmax(), self._table.shape)
        pair = visible(self.tokens[row] + self.tokens[col])
        return (
            f"Heat map of {self._table.sum():,} pairs of characters, "
            f"{len(self.tokens)} by {len(self.tokens)}: the row is a "
            "character, the column the one that follows. "
            f"The most frequent pair is {pair}."
        )

    def fallback(self):
        """Return the table of the ten most frequent characters."""
        n = min(10, len(self.tokens))
        names = [visible(t) for t in self.tokens[:n]]
        totals = self._table.sum(1).clip(min=1)
        rows = [
            [
                names[r],
                *(f"{self._table[r, c] / totals[r]:.3f}" for c in range(n)),
            ]
            for r in range(n)
        ]
        caption = "Probability of the next character (column) after a row's"
        return html_table(caption, ["after", *names], rows)
