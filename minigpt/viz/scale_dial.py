"""What a configuration takes to train and to run, with a slider for each."""

import traitlets

from minigpt.scale import estimate
from minigpt.viz.base import Widget, html_table, visible

# the values that the sliders stop at, besides those of the models
STOPS = {
    "n_layer": [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128],
    "n_embd": [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384],
    "n_head": [1, 2, 4, 8, 16, 32, 64, 128],
    "block_size": [16, 64, 256, 1024, 2048, 4096, 8192, 32768, 131072, 2**20],
    "vocab_size": [106, 256, 2048, 8192, 50257, 100_000, 200_000],
    "tokens": [n * 10**e for e in range(6, 14) for n in (1, 2, 5)],
    "batch_size": [2**e for e in range(11)],
    "devices": [n * 10**e for e in range(6) for n in (1, 2, 5)],
    "utilization": [1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 80, 100],
}
SHAPE = ("n_layer", "n_embd", "n_head", "block_size", "vocab_size")


class ScaleDial(Widget):
    """Parameters, operations, time and memory of any configuration.

    `models` is {name: (GPTConfig, training tokens)}, `machines` {name: FLOPs
    a second of one device}. What the sliders ask is computed in the page, by
    the formulas of `minigpt.scale.estimate`.

    Raises ValueError for variants that the formulas in the page leave out.
    """

    models = traitlets.List().tag(sync=True)
    machines = traitlets.List().tag(sync=True)
    stops = traitlets.Dict().tag(sync=True)

    def __init__(self, models, machines):
        if not models or not machines:
            raise ValueError("at least one model and one machine are needed")
        for name, (c, _) in models.items():
            parts = (c.order, c.norm, c.attention, c.position, c.tied)
            known = parts == ("pre", "layer", "full", "learned", True)
            if not known or c.mlp not in ("gelu", "gelu_tanh") or c.dropout:
                raise ValueError(
                    f"{name} must be pre-norm with learned positions, GELU, "
                    f"a tied head and no dropout, got {c}"
                )
        self._configs = models
        settings = [
            {
                "name": name,
                "bias": c.bias,
                "tokens": tokens,
                **{field: getattr(c, field) for field in SHAPE},
            }
            for name, (c, tokens) in models.items()
        ]
        super().__init__(
            models=settings,
            machines=[[name, float(peak)] for name, peak in machines.items()],
            stops={
                field: sorted(
                    {*values, *(m[field] for m in settings if field in m)}
                )
                for field, values in STOPS.items()
            },
        )

    def describe(self):
        """One sentence: which models one can begin with."""
        names = ", ".join(visible(m["name"], 40, " ") for m in self.models)
        return (
            "Parameters, operations, training time and memory of a GPT, with "
            f"a slider for each number of its configuration, from {names}."
        )

    def fallback(self):
        """What each of the models takes as a table."""
        rows = []
        for name, (config, tokens) in self._configs.items():
            e = estimate(
                config, tokens=tokens, batch_size=1, devices=1,
                peak=1e15, utilization=1.0,
            )  # fmt: skip
            fixed = e["weights"] + e["gradients"] + e["moments"]
            rows.append(
                [
                    visible(name, 40, " "),
                    f"{e['parameters']:,}",
                    f"{tokens:.3g}",
                    f"{e['pf_days']:.3g}",
                    f"{fixed / 1e9:.3g} GB",
                    f"{e['activations'] / 1e9:.3g} GB",
                    f"{e['cache'] / 1e9:.3g} GB",
                ]
            )
        header = [
            "model", "parameters", "training tokens", "PF-days",
            "weights, gradients, moments", "activations of one window",
            "cache of one text",
        ]  # fmt: skip
        return html_table("What a model takes", header, rows)
