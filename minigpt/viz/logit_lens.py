"""What each layer would say next, at every token of one text."""

import torch
import traitlets

from minigpt.viz.base import Widget, html_table, pack, packed, visible

TOP = 5  # tokens that the readout names
LONGEST = 32  # tokens that fit on a page


class LogitLens(Widget):
    """Layers × tokens: the likeliest next token, read after each block.

    `ids` (T,) is the text, `logits` (L + 1, T, V) what `logit_lens` says of
    it, `decode(id)` a token's text.

    Raises ValueError for what does not belong together.
    """

    tokens = traitlets.List().tag(sync=True)  # T texts
    words = traitlets.List().tag(sync=True)  # every text a cell names
    best = packed()  # (L + 1, T, 5): places in `words`
    probs = packed()  # (L + 1, T, 5): their probabilities
    came = packed()  # (L + 1, T): of the token that came; 0 for the last
    rank = packed()  # (L + 1, T): its rank, 1 is first; 0 for the last

    def __init__(self, ids, logits, decode):
        ids = torch.as_tensor(ids)
        T = len(ids)
        if not 1 <= T <= LONGEST:
            raise ValueError(f"ids must be 1 to {LONGEST} tokens, got {T}")
        if logits.ndim != 3 or logits.size(1) != T or logits.size(2) < TOP:
            raise ValueError(
                f"logits must be (layers + 1, {T}, at least {TOP}), got "
                f"{tuple(logits.shape)}"
            )
        probs = logits.detach().double().softmax(-1)  # (L + 1, T, V)
        top = probs.topk(TOP, -1)
        used = sorted(set(top.indices.flatten().tolist()))
        place = {i: n for n, i in enumerate(used)}
        nested = top.indices.flatten().tolist()
        best = torch.tensor([place[i] for i in nested]).view(top.indices.shape)
        came, rank = next_token(probs, ids)
        super().__init__(
            tokens=[decode(i) for i in ids.tolist()],
            words=[decode(i) for i in used],
            best=pack(best, "uint16"),
            probs=pack(top.values, "float32"),
            came=pack(came, "float32"),
            rank=pack(rank, "int32"),
        )
        self._best, self._probs = best[..., 0], top.values[..., 0]

    def describe(self):
        """One sentence: how many layers and tokens."""
        return (
            f"The likeliest next token after each of {len(self.tokens)} "
            f"tokens, read before the blocks and after each of "
            f"{len(self._best) - 1}."
        )

    def fallback(self):
        """The favourites as a table, a row for each token."""
        header = ["after", *map(layer_name, range(len(self._best)))]
        rows = []
        for t, token in enumerate(self.tokens):
            cells = [
                f"{visible(self.words[i])} {p:.0%}"
                for i, p in zip(
                    self._best[:, t].tolist(), self._probs[:, t].tolist()
                )
            ]
            rows.append([visible(token), *cells])
        return html_table("The likeliest next token", header, rows)


def layer_name(n):
    """0 -> "before block 0", 1 -> "after block 0", …"""
    return f"after block {n - 1}" if n else "before block 0"


def next_token(probs, ids):
    """probs (L + 1, T, V), ids (T,) -> (L + 1, T) twice.

    Probability and rank of the token that came next; 0 for the last one,
    whose successor is not there.
    """
    came = probs.new_zeros(probs.shape[:2])
    rank = torch.zeros(probs.shape[:2], dtype=torch.int64)
    at = torch.arange(len(ids) - 1)
    came[:, :-1] = probs[:, at, ids[1:]]
    higher = probs[:, :-1] > came[:, :-1, None]  # (L + 1, T - 1, V)
    rank[:, :-1] = higher.sum(-1) + 1
    return came, rank
