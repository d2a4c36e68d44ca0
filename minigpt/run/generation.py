"""`python -m minigpt generate`: a prompt in, text out as it is written."""

import sys
import time
from collections.abc import Iterator

import torch

from minigpt.cache import new_cache
from minigpt.run.corpus import end_token
from minigpt.run.models import load_model
from minigpt.run.options import Generate, check
from minigpt.run.parallel import use_machine
from minigpt.sample import Sampling, check_prompt, generate, stream_text


def write_text(options: Generate) -> int:
    """Streams the prompt and its continuation to standard output.

    Raises ValueError for a prompt or a setting that cannot be used.
    """
    check(options)
    device = use_machine(options)
    model, tokenizer = load_model(options.model)
    prompt = read_prompt(options.prompt)
    ids = new_ids(options, model.to(device), tokenizer, prompt)
    written, begin = [], time.perf_counter()
    try:
        print(prompt, end="", flush=True)
        for text in stream_text(tokenizer, counted(ids, written)):
            print(text, end="", flush=True)
    except KeyboardInterrupt:  # that was enough
        pass
    print()
    speed = len(written) / (time.perf_counter() - begin)
    print(f"{len(written)} tokens, {speed:.1f} tokens/s", file=sys.stderr)
    return 0


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


def new_ids(options: Generate, model, tokenizer, prompt) -> Iterator[int]:
    """The ids of the new tokens as they come, without the end of the text.

    Raises ValueError at once for a prompt or a setting that cannot be used.
    """
    o = options
    end = end_token(tokenizer)
    device = next(model.parameters()).device
    idx = torch.tensor([tokenizer.encode(prompt)], device=device)
    check_prompt(idx, None, model.config.block_size)
    steps = generate(
        model,
        idx,
        n=o.tokens,
        sampling=Sampling(o.temperature, o.top_k, o.top_p, o.min_p, o.penalty),
        generator=torch.Generator(device).manual_seed(o.seed),
        stop=() if end is None else (end,),
        cache=new_cache(model) if o.cache else None,
    )
    return (new.item() for new, _ in steps if new.item() != end)


def counted(ids: Iterator[int], written: list[int]) -> Iterator[int]:
    """Passes ids on, and keeps them in `written`."""
    for i in ids:
        written.append(i)
        yield i
