"""`python -m minigpt generate`: a prompt in, text out as it is written.

Nothing heavy is imported before the command runs, so --help is quick.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from minigpt.run.commands import ASSETS


@dataclass(frozen=True)
class Generate:
    """Continue a prompt with a trained model.

    The text streams to standard output; tokens per second come at the end,
    on standard error.
    """

    prompt: tyro.conf.Positional[str] = "-"
    """The text to continue; - reads it from standard input."""
    model: Path = ASSETS
    """A run's folder, or one with an exported model, or one in Hugging Face's
    GPT-2 format; gpt2 is the real GPT-2 small (548 MB, downloaded once).
    Default: the model that the course ships."""
    tokens: int = 200
    """The most tokens to write; an end-of-text token stops earlier."""
    temperature: float = 1.0
    """Below 1 more predictable, above 1 more surprising, 0 is greedy."""
    top_k: int | None = None
    """Draw only from this many tokens."""
    top_p: float | None = None
    """Draw only from the fewest tokens that reach this probability."""
    min_p: float | None = None
    """Draw only from tokens with this share of the likeliest one's."""
    penalty: float = 1.0
    """Above 1: avoid what was written before."""
    seed: int = 0
    """The same seed and knobs give the same text."""
    cache: bool = True
    """Keep keys and values (the same text, sooner)."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to PyTorch."""

    def run(self) -> int:
        return run(self)


def run(options: Generate) -> int:
    """Write the text to standard output; 0 when all went well.

    Raises ValueError for what cannot be done, in the user's words.
    """
    import torch

    from minigpt.sample import Sampling, stream_text

    if options.tokens < 1:
        raise ValueError(f"--tokens must be at least 1, got {options.tokens}")
    o = options
    sampling = Sampling(o.temperature, o.top_k, o.top_p, o.min_p, o.penalty)
    if options.threads:
        torch.set_num_threads(options.threads)
    model, tokenizer = open_folder(options.model)
    prompt = read_prompt(options.prompt)
    idx = torch.tensor([tokenizer.encode(prompt)])
    ids = written(options, model, tokenizer, idx, sampling)
    clock = Clock(ids)
    try:
        print(prompt, end="", flush=True)
        for text in stream_text(tokenizer, clock):
            print(text, end="", flush=True)
    except KeyboardInterrupt:  # enough is enough
        pass
    print()
    print(clock.report(), file=sys.stderr)
    return 0


def open_folder(folder: Path):
    """-> model and tokenizer of a run, an exported model, or a GPT-2.

    Raises ValueError, with the way out, where there is none.
    """
    from minigpt.run import gpt2
    from minigpt.run.export import load_model

    if folder == Path("gpt2") and not folder.exists():
        folder = gpt2.fetch_gpt2()
    if gpt2.is_gpt2_folder(folder):
        return gpt2.open_gpt2(folder)
    weights = ("model.safetensors", "best.safetensors")
    if not any((folder / name).exists() for name in weights):
        raise ValueError(
            f"there is no trained model in {folder}; train one with `python "
            "-m minigpt train --out runs/gpt`, then give `--model runs/gpt`"
        )
    return load_model(folder)


def read_prompt(argument: str) -> str:
    """The argument, or for - standard input without its last line end.

    Raises ValueError when there is no text.
    """
    prompt = argument
    if argument == "-":
        if sys.stdin.isatty():
            print("prompt, then Ctrl-D on a line of its own:", file=sys.stderr)
        prompt = sys.stdin.read().removesuffix("\n")
    if not prompt:
        raise ValueError(
            "the prompt is empty: give some text as an argument, or on "
            "standard input"
        )
    return prompt


def written(options: Generate, model, tokenizer, idx, sampling):
    """The ids of the new tokens, as they come; without the end-of-text."""
    import torch

    from minigpt.cache import new_cache
    from minigpt.run.corpus import END
    from minigpt.run.decode import quick
    from minigpt.sample import generate

    end = getattr(tokenizer, "special_tokens", {}).get(END)
    if options.cache:
        model = quick(model)
    steps = generate(
        model,
        idx,
        n=options.tokens,
        sampling=sampling,
        generator=torch.Generator().manual_seed(options.seed),
        stop=() if end is None else (end,),
        cache=new_cache(model) if options.cache else None,
    )
    for new, _ in steps:
        if new.item() != end:
            yield new.item()


class Clock:
    """Passes ids on, and knows how many came how fast."""

    def __init__(self, ids):
        self.ids, self.count, self.seconds = ids, 0, 0.0

    def __iter__(self):
        start = time.perf_counter()
        for i in self.ids:
            self.count += 1
            self.seconds = time.perf_counter() - start
            yield i

    def report(self) -> str:
        if not self.count:
            return "0 tokens: the text ended at once"
        speed = self.count / max(self.seconds, 1e-9)
        return f"{self.count} tokens, {speed:.1f} tokens/s"
