"""What a folder records about its model, for people who read about it."""

import base64
import json
import re
import sys
from contextlib import suppress
from datetime import date
from importlib import metadata
from pathlib import Path

import torch

from minigpt.run import corpus, evaluation, log
from minigpt.run.checkpoint import open_model
from minigpt.tokenizer import CharTokenizer

SAMPLE = 4096  # held-out tokens on which the effect of rounding is measured
NAMES = {
    "sotu": "State of the Union messages of U.S. presidents",
    "world": "stories of a little world",
    "tinyshakespeare": "Tiny Shakespeare",
}
OWN = "this model"
CURVE = "steps curve points held_out tokens attention head".split()


class Card:
    """A model's text, training and quality; any of it may be missing."""

    def __init__(self, folder: Path, model, tokenizer):
        self.folder, self.model, self.tokenizer = folder, model, tokenizer
        self.lines = log.read(folder / "log.jsonl")
        starts = [x for x in self.lines if x["kind"] == "start"]
        self.start = starts[-1] if starts else {}
        self.options = self.start.get("options", {})
        self.data = {}
        with suppress(FileNotFoundError):
            self.data = corpus.read_facts(folder)
        name = self.data.get("corpus", "an unknown text")
        # of a path the name alone: the rest is nobody's business
        self.text = NAMES.get(name) or re.split(r"[\\/]", name)[-1]
        self.best = self.measured()
        self.sample, self.examples = self.held_out()

    def measured(self) -> dict:
        """The line of the log about the weights that `load_model` takes."""
        for name in ("model.safetensors", "best.safetensors"):
            path = self.folder / name
            if path.exists():
                step = open_model(path)[1].get("step")
                evals = [x for x in self.lines if x["kind"] == "eval"]
                return next((x for x in evals if x["step"] == step), {})
        return {}

    def held_out(self):
        """Ids to measure on, and texts to begin with: [beginning, note]."""
        try:
            ids = corpus.held_out(self.folder, self.tokenizer).ids
        except (ValueError, OSError) as error:
            print(f"no held-out text: {error}", file=sys.stderr)
            ids = torch.arange(self.model.config.vocab_size)
            return ids[:SAMPLE], [["", "an empty page"]]
        text = self.tokenizer.decode(ids.tolist()).replace(corpus.END, "\n")
        return ids[:SAMPLE], [
            [words, "from text it has never seen"] for words in beginnings(text)
        ]

    def numbers(self) -> list[tuple[str, str]]:
        """The few that say most: (name, value)."""
        n_weights = sum(p.numel() for p in self.model.parameters())
        found = [("parameters", f"{n_weights:,}")]
        if self.best:
            found += [
                ("training steps", f"{self.best['step']:,}"),
                ("bits per character", f"{self.best['bits_per_char']:.2f}"),
            ]
        return found

    def rows(self) -> list[tuple[str, str]]:
        """All that is known: (name, value)."""
        c, o, start = self.model.config, self.options, self.start
        chars = isinstance(self.tokenizer, CharTokenizer)
        known = {
            "text": self.text,
            "learned from": self.learned_from(),
            "architecture": f"{c.n_layer} blocks of {c.n_head} heads, "
            f"{c.n_embd} channels; {c.position}, {c.norm} norm, {c.mlp}",
            "reads": f"at most {c.block_size} tokens at a time",
            "vocabulary": f"{c.vocab_size:,} "
            + ("characters" if chars else "byte-pair tokens"),
            "training": self.training(),
            "quality": self.quality(),
            "seed": o.get("seed"),
            "trained": start.get("date"),
            "versions": self.versions(),
            "page made": date.today().isoformat(),
        }
        return [(k, str(v)) for k, v in known.items() if v is not None]

    def versions(self) -> str:
        """Of the course now, and of what the model was trained with."""
        names = (("PyTorch", "torch"), ("Python", "python"))
        found = [
            f"{k} {self.start[key]}" for k, key in names if key in self.start
        ]
        with suppress(metadata.PackageNotFoundError):
            found.insert(0, f"minigpt {metadata.version('minigpt')}")
        return ", ".join(found) or "unknown"

    def learned_from(self) -> str | None:
        part = self.data.get("train")
        return f"{part['tokens']:,} tokens" if part else None

    def training(self) -> str | None:
        o = self.options
        if not o:
            return None
        done = f"{self.best['step']:,} of" if self.best else "up to"
        return (
            f"{done} {o['max_steps']:,} steps, each with {o['batch_size']} "
            f"windows; optimizer {o['optimizer']}"
        )

    def quality(self) -> str | None:
        if not self.best:
            return None
        return (
            f"{self.best['bits_per_char']:.3f} bits per character of held-out "
            "text, before the weights were rounded"
        )

    def counting(self) -> list[tuple[str, float]]:
        """(name, bits per character): n-grams and the model, worst first."""
        if not self.best:
            return []
        print("counting n-grams, to compare …", file=sys.stderr)
        try:
            counted = evaluation.baselines(
                self.folder, self.data["corpus"], "val"
            )
        except (ValueError, OSError) as error:
            print(f"no counting baselines: {error}", file=sys.stderr)
            return []
        bits = counted | {OWN: self.best["bits_per_char"]}
        return sorted(bits.items(), key=lambda row: -row[1])

    def curve(self) -> tuple[str, str] | None:
        """The widget of the training curve: its state as JSON, a sentence.

        Packed numbers are base64 in it. None where no curve is recorded.
        """
        from minigpt.viz.live_curve import LiveCurve  # takes a second

        try:
            widget = LiveCurve.of_run(self.folder)
        except (ValueError, OSError) as error:
            print(f"no training curve: {error}", file=sys.stderr)
            return None
        state = json.dumps(
            {name: getattr(widget, name) for name in CURVE},
            default=lambda data: base64.b64encode(data).decode(),
        )
        return state, widget.describe()


def beginnings(text: str, n: int = 3, longest: int = 36) -> list[str]:
    """Beginnings of lines, from all over a text, none inside a word.

    The first line is passed over: a held-out part may begin inside a word.
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [x for x in lines[1:] if len(x) > longest] or [text.strip()]
    found = []
    for line in lines[:: max(1, len(lines) // n)][:n]:
        words = line[: longest + 1].rsplit(" ", 1)[0]
        found.append(words[:longest])
    return found
