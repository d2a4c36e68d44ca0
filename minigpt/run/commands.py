"""`python -m minigpt eval | export-model`: what they take.

Nothing heavy is imported before a command runs, so --help is quick.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

ASSETS = Path(__file__).parents[1] / "assets"


@dataclass(frozen=True)
class Eval:
    """Measure a model on held-out text: nats, bits per character, perplexity.

    The counting baselines stand beside it.
    """

    model: tyro.conf.Positional[Path] = ASSETS
    """A run's folder, or one with an exported model. Default: the model that
    the course ships."""
    part: Literal["val", "test"] = "val"
    """Which held-out part of the model's corpus."""
    stride: int = 0
    """Tokens between windows; smaller than the block size, each token sees
    more context, and it takes longer. 0: the block size."""
    checkpoint: Literal["best", "last"] = "best"
    """Which weights of a run."""
    baselines: bool = True
    """Count n-grams of characters too, for comparison."""

    def run(self) -> int:
        from minigpt.run.measure import evaluate, report

        print(report(evaluate(self)))
        return 0


@dataclass(frozen=True)
class ExportModel:
    """Turn a run into a small model to ship: float16 weights, tokenizer,
    probes, log and where it comes from."""

    source: tyro.conf.Positional[Path]
    """Folder of a run."""
    target: tyro.conf.Positional[Path]
    """Folder to write; files of these names in it are replaced."""

    def run(self) -> int:
        from minigpt.run.export import export_model

        for path in export_model(self.source, self.target):
            print(f"{path.stat().st_size / 1e6:8.3f} MB  {path.name}")
        return 0
