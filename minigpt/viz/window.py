"""A window that slides over a text: inputs, shifted targets, T examples."""

import traitlets

from minigpt.viz.base import Widget, html_table, visible

MOST = 16  # tokens of a window that fit side by side


class WindowView(Widget):
    """Inputs x and targets y of a window, wherever the reader moves it.

    `tokens` are the texts of the tokens, `ids` their numbers. Raises
    ValueError when they do not fit together or the window does not fit.
    """

    tokens = traitlets.List().tag(sync=True)
    ids = traitlets.List().tag(sync=True)
    block_size = traitlets.Int().tag(sync=True)
    most = traitlets.Int().tag(sync=True)

    def __init__(self, tokens, ids, block_size=8):
        tokens, ids = list(tokens), [int(i) for i in ids]
        if len(tokens) != len(ids):
            raise ValueError(
                f"expected as many ids as tokens, got {len(ids)} ids and "
                f"{len(tokens)} tokens"
            )
        most = min(MOST, len(tokens) - 1)
        if not 1 <= block_size <= most:
            raise ValueError(
                f"expected a block_size from 1 to {most} on {len(tokens)} "
                f"tokens, got {block_size}"
            )
        super().__init__(
            tokens=tokens, ids=ids, block_size=block_size, most=most
        )

    def describe(self):
        """One sentence: how many examples the first window holds."""
        return (
            f"A window of {self.block_size} tokens on a text of "
            f"{len(self.tokens)}: {self.block_size} examples."
        )

    def fallback(self):
        """The examples of the first window as a table."""
        rows = [
            [
                t,
                visible("".join(self.tokens[: t + 1]), 60),
                visible(self.tokens[t + 1]),
                self.ids[t + 1],
            ]
            for t in range(self.block_size)
        ]
        return html_table(
            self.describe(), ["t", "after", "predict", "id"], rows
        )
