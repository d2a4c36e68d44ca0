"""A draft guesses, the model checks: tokens accepted, rejected, and added."""

import torch
import traitlets

from minigpt.sample import Sampling
from minigpt.serving import CountingDraft, speculate
from minigpt.viz.base import Widget, html_table, visible


class Speculation(Widget):
    """What each call of a model adds to a text when a counting table guesses.

    `table` counted n-grams (`WittenBell`), `ids` are a prompt, `decode(id)` is
    a token's text. The model continues it greedily by `n` tokens, and the
    table guesses `k` of them before each call.
    """

    prompt = traitlets.List().tag(sync=True)  # texts of its tokens
    calls = traitlets.List().tag(sync=True)  # {guessed, right, added}

    def __init__(self, model, table, ids, decode, *, n, k):
        steps = speculate(
            model, CountingDraft(table), torch.tensor([ids]), n=n, k=k,
            sampling=Sampling(temperature=0),
        )  # fmt: skip
        calls = [
            {
                "guessed": [decode(i) for i in drafted],
                "right": len(new) - 1,
                "added": decode(new[-1]),
            }
            for drafted, new in steps
        ]
        super().__init__(prompt=[decode(i) for i in ids], calls=calls)

    def describe(self):
        """One sentence: how many tokens, in how many calls."""
        right = sum(call["right"] for call in self.calls)
        n = right + len(self.calls)
        return (
            f"A text of {n} tokens, written in {len(self.calls)} calls of the "
            f"model: {right} tokens were guessed by a counting table, and "
            "the model agreed."
        )

    def fallback(self):
        """The calls as a table."""
        rows = [
            [
                i,
                " ".join(visible(text) for text in call["guessed"]),
                call["right"],
                visible(call["added"]),
            ]
            for i, call in enumerate(self.calls, 1)
        ]
        header = ["call", "guessed", "right", "added by the model"]
        return html_table("Calls of the model", header, rows)
