"""Who goes where: the experts of each token of a text, layer by layer."""

import torch
import traitlets

from minigpt.viz.base import Widget, html_table, pack, packed, visible


class ExpertMap(Widget):
    """The tokens of a text in the colors of their experts.

    `tokens` are T texts, `experts` (L, T, top) the numbers of the experts
    that each of them goes to in each layer, the weightiest first.

    Raises:
        ValueError: the shapes do not fit, or there is no such expert.
    """

    tokens = traitlets.List().tag(sync=True)
    experts = packed()
    n_expert = traitlets.Int().tag(sync=True)

    def __init__(self, tokens, experts, *, n_expert):
        tokens, experts = list(tokens), torch.as_tensor(experts)
        T = len(tokens)
        if experts.ndim != 3 or experts.size(1) != T or not experts.numel():
            raise ValueError(
                f"experts of {T} tokens must have the shape (layers, {T}, "
                f"top), got {tuple(experts.shape)}"
            )
        if not (experts.min() >= 0 and experts.max() < n_expert):
            raise ValueError(
                f"experts must be 0 to {n_expert - 1}, got {experts.min()} "
                f"to {experts.max()}"
            )
        self._experts = experts
        super().__init__(
            tokens=tokens, experts=pack(experts, "uint16"), n_expert=n_expert
        )

    def describe(self):
        L, T, top = self._experts.shape
        return (
            f"The experts of {T} tokens in {L} layer{'s' * (L > 1)}: "
            f"{top} of {self.n_expert} for each."
        )

    def fallback(self):
        """A row for each expert: the tokens that chose it first."""
        firsts = self._experts[..., 0].tolist()  # (L, T)
        header = ["expert", *(f"layer {n}" for n in range(len(firsts)))]
        rows = [
            [e, *(self._sent(e, chosen) for chosen in firsts)]
            for e in range(self.n_expert)
        ]
        return html_table(self.describe() + " The first of each:", header, rows)

    def _sent(self, expert, chosen):
        """The tokens that go to an expert first, as one text."""
        pairs = zip(self.tokens, chosen, strict=True)
        text = "".join(token for token, e in pairs if e == expert)
        return visible(text, 60)
