"""Heads to switch off, alone and together: what it costs, measured."""

import torch
import traitlets

from minigpt.bigram import evaluating
from minigpt.lens import ablated, ablation_costs, token_losses
from minigpt.viz.base import Widget, html_table, pack, packed

TOP = 4  # likeliest tokens after each prompt
MOST = 6  # heads: twice as many states for each more


class AblationToggles(Widget):
    """Every combination of some heads switched off, computed beforehand.

    `heads` are 1 to 6 pairs (layer, head), `x`, `y` (B, T) the text on which
    the loss is measured, `prompts` what the model is to continue. `means`
    (L, H, D), where given, takes the place of zeros.

    Raises ValueError for heads that are not there, or too many.
    """

    heads = traitlets.List().tag(sync=True)  # [layer, head]
    replaced = traitlets.Unicode().tag(sync=True)  # "zeros" or "its mean"
    tokens = traitlets.Int().tag(sync=True)  # that were measured
    loss = packed()  # (): nobody switched off, nats a token
    cost = packed()  # (2^K, 2): nats a token more, standard error
    prompts = traitlets.List().tag(sync=True)
    words = traitlets.List().tag(sync=True)
    best = packed()  # (2^K, M, TOP): places in `words`
    probs = packed()  # (2^K, M, TOP)

    def __init__(self, model, heads, x, y, *, prompts, tokenizer, means=None):
        heads, prompts = [tuple(h) for h in heads], list(prompts)
        if not 1 <= len(heads) <= MOST or len(set(heads)) < len(heads):
            raise ValueError(
                f"heads must be 1 to {MOST} different ones, got {heads}"
            )
        states = subsets(heads)
        self.baseline = token_losses(model, x, y).mean().item()
        cost = ablation_costs(model, states, x, y, means=means)  # (2^K, 2)
        ids = [torch.tensor([tokenizer.encode(p)]) for p in prompts]
        top = continued(model, states, ids, means)
        used = sorted(set(top.indices.flatten().tolist()))
        place = torch.zeros(max(used) + 1, dtype=torch.int64)
        place[used] = torch.arange(len(used))
        super().__init__(
            heads=[list(h) for h in heads],
            replaced="zeros" if means is None else "its mean",
            tokens=y.numel(),
            loss=pack(torch.tensor([self.baseline]), "float32"),
            cost=pack(cost, "float32"),
            prompts=prompts,
            words=[tokenizer.decode([i]) for i in used],
            best=pack(place[top.indices], "uint16"),
            probs=pack(top.values, "float32"),
        )
        self._cost = cost

    def describe(self):
        """One sentence: which heads can be switched off."""
        names = ", ".join(f"{layer}.{head}" for layer, head in self.heads)
        return (
            f"Heads {names} (layer.head), to be switched off in any "
            "combination: the loss, and what the model then says."
        )

    def fallback(self):
        """What each head costs alone, and all of them together."""
        names = [f"layer {a}, head {b}" for a, b in self.heads]
        places = [1 << k for k in range(len(names))]
        if len(names) > 1:
            names, places = [*names, "all of these"], [*places, -1]
        rows = [
            [name, f"{cost:+.3f}", f"± {error:.3f}"]
            for name, (cost, error) in zip(
                names, self._cost[places].tolist(), strict=True
            )
        ]
        caption = (
            f"Nats a token more when a head is replaced by {self.replaced}; "
            f"with every head {self.baseline:.3f}"
        )
        return html_table(caption, ["off", "cost", "standard error"], rows)


def subsets(heads):
    """K heads -> 2^K lists; bit k of a place says that head k is in."""
    return [
        [head for k, head in enumerate(heads) if place >> k & 1]
        for place in range(2 ** len(heads))
    ]


@torch.no_grad()
def continued(model, states, prompts, means):
    """The likeliest tokens of each state and prompt: (S, M, TOP)."""
    rows = []
    for heads in states:
        with ablated(model, heads, means), evaluating(model):
            rows.append(torch.stack([model(ids)[0, -1] for ids in prompts]))
    return torch.stack(rows).softmax(-1).topk(TOP, -1)
