"""A next-token distribution with the knobs of sampling, and dice to throw."""

import traitlets

from minigpt.viz.base import Widget, html_table, pack, packed, visible

ROWS = 20  # tokens shown one by one; the rest share a row


class SamplingDial(Widget):
    """Penalty, temperature, top-k, top-p and min-p on real logits.

    `places` are P texts, `logits` (P, V) what a model says after each,
    `vocabulary` the V tokens as text, `contexts` P lists of the ids that were
    written (for the penalty). What the knobs do is computed in the page, in
    the order of `minigpt.sample.probabilities`.

    Raises ValueError for what does not belong together.
    """

    places = traitlets.List().tag(sync=True)
    vocabulary = traitlets.List().tag(sync=True)
    logits = packed()
    seen = traitlets.List().tag(sync=True)
    most = traitlets.Int(ROWS).tag(sync=True)

    def __init__(self, places, logits, vocabulary, contexts):
        places, vocabulary = list(places), list(vocabulary)
        seen = [sorted({int(i) for i in ids}) for ids in contexts]
        shape = (len(places), len(vocabulary))
        if tuple(logits.shape) != shape or not all(shape):
            raise ValueError(
                f"logits must be (P, V) = {shape}, got {tuple(logits.shape)}"
            )
        if len(seen) != len(places):
            raise ValueError(
                f"contexts must be {len(places)}, one for each place, got "
                f"{len(seen)}"
            )
        for i in (i for ids in seen for i in ids):
            if not 0 <= i < shape[1]:
                raise ValueError(
                    f"ids must be 0 to {shape[1] - 1}, got {i} in contexts"
                )
        super().__init__(
            places=places,
            vocabulary=vocabulary,
            logits=pack(logits, "float32"),
            seen=seen,
        )
        self._first = logits[0].detach().double().softmax(-1)

    def describe(self):
        """One sentence: how many texts and tokens."""
        return (
            f"What comes next after {len(self.places)} texts, over "
            f"{len(self.vocabulary)} tokens, with temperature, top-k, top-p, "
            "min-p and repetition penalty to turn."
        )

    def fallback(self):
        """The likeliest tokens after the first text as a table."""
        best = self._first.topk(min(ROWS, len(self._first)))
        rows = [
            [visible(self.vocabulary[i]), i, f"{p:.3f}"]
            for i, p in zip(best.indices.tolist(), best.values.tolist())
        ]
        caption = f"After “{visible(self.places[0], 60)}”"
        return html_table(caption, ["token", "id", "probability"], rows)
