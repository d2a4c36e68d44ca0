"""Tokens arrive: which keys and values are computed, and which are read."""

import torch
import traitlets

from minigpt.cache import multiplications, new_cache
from minigpt.sample import next_logits
from minigpt.viz.base import Widget, html_table, visible

LONGEST = 32  # tokens that fit on a page


class CacheTimeline(Widget):
    """The work for each new token, without and with a key-value cache.

    `ids` (N,) are the tokens of a text, the first `prompt` of them come at
    once; `decode(id)` is a token's text. The model says the logits of each
    step twice, without and with a cache.

    Raises ValueError for a text that cannot be shown.
    """

    tokens = traitlets.List().tag(sync=True)
    prompt = traitlets.Int().tag(sync=True)
    shape = traitlets.Dict().tag(sync=True)  # n_layer, n_embd, …
    steps = traitlets.List().tag(sync=True)  # {next, naive, cached, difference}

    def __init__(self, model, ids, decode, *, prompt):
        config, ids = model.config, torch.as_tensor(ids)
        N = len(ids)
        if not 1 <= N <= LONGEST:
            raise ValueError(f"ids must be 1 to {LONGEST} tokens, got {N}")
        if not 1 <= prompt <= min(N, config.block_size):
            raise ValueError(
                f"prompt must be 1 to {min(N, config.block_size)} tokens, got "
                f"{prompt}"
            )
        names = ("n_layer", "n_embd", "vocab_size", "block_size")
        super().__init__(
            tokens=[decode(i) for i in ids.tolist()],
            prompt=prompt,
            shape={name: getattr(config, name) for name in names},
            steps=both_ways(model, ids, decode, prompt),
        )
        self._config = config

    def describe(self):
        """One sentence: how many tokens, and how many at once."""
        return (
            f"A text of {len(self.tokens)} tokens, the first {self.prompt} at "
            "once: which keys and values are computed and which are read, "
            "without and with a cache."
        )

    def fallback(self):
        """The multiplications of each step as a table."""
        rows = []
        for i in range(len(self.steps)):
            S = self.prompt + i
            window = min(S, self._config.block_size)
            new = 1 if 0 < i and S <= self._config.block_size else window
            rows.append(
                [
                    visible(self.tokens[S - 1]),
                    S,
                    f"{multiplications(self._config, window, window):,}",
                    f"{multiplications(self._config, new, window):,}",
                ]
            )
        header = ["newest token", "tokens", "without cache", "with cache"]
        return html_table("Multiplications of each step", header, rows)


@torch.no_grad()
def both_ways(model, ids, decode, prompt):
    """What the model says at each step, without and with a cache."""
    cache, steps = new_cache(model), []
    for S in range(prompt, len(ids) + 1):
        idx = ids[None, :S]
        naive = next_logits(model, idx)[0]  # (V,)
        cached = next_logits(model, idx, cache=cache)[0]
        best = naive.argmax()
        steps.append(
            {
                "next": decode(best.item()),
                "naive": naive[best].item(),
                "cached": cached[best].item(),
                "difference": (naive - cached).abs().max().item(),
            }
        )
    return steps
