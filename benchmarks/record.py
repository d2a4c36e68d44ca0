"""Does the possibility to record attention cost those who do not record?

    python benchmarks/record.py

Times the model's forward pass, nothing recorded, beside the same model whose
attention has no `record` line at all, and that one beside itself, which is the
noise. Counted is the processor time of one thread, in turns, so that a busy
machine disturbs little. Writes notebooks/results/record.json for chapter 12.
"""

import inspect
import random
import statistics
import time
from dataclasses import dataclass
from types import MethodType

import torch
import tyro
from common import RESULTS, save, today, versions

from minigpt import multihead
from minigpt.gpt import GPT, GPTConfig

LINES = """        if record is not None:
            record.append(weights)
"""


def without_record():
    """MultiHeadAttention.forward, its two lines for `record` taken out."""
    source = inspect.getsource(multihead.MultiHeadAttention.forward)
    assert LINES in source, "the lines are not where they were"
    names = dict(vars(multihead))
    exec("class C:\n" + source.replace(LINES, ""), names)  # noqa: S102
    return names["C"].forward


def in_turns(contestants, rounds):
    """{name: function} -> {name: processor seconds of each round}."""
    times, dice = {name: [] for name in contestants}, random.Random(0)
    for _ in range(rounds):
        for name in dice.sample(list(contestants), len(contestants)):
            start = time.process_time()
            contestants[name]()
            times[name].append(time.process_time() - start)
    return times


@dataclass
class Arguments:
    """Compare, and record the ratio of times."""

    rounds: int = 200


def main(a):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = GPTConfig(
        vocab_size=2048, block_size=256, n_layer=6, n_head=4, n_embd=192,
        bias=False,
    )  # fmt: skip
    as_taught, plain = GPT(config).eval(), GPT(config).eval()
    plain.load_state_dict(as_taught.state_dict())
    forward = without_record()
    for block in plain.blocks:
        block.attention.forward = MethodType(forward, block.attention)
    idx = torch.randint(2048, (1, 256))
    with torch.no_grad():
        assert torch.equal(as_taught(idx), plain(idx))
        times = in_turns(
            {
                "without": lambda: plain(idx),
                "without again": lambda: plain(idx),
                "as taught": lambda: as_taught(idx),
            },
            a.rounds,
        )
    middle = {k: statistics.median(t) for k, t in times.items()}
    ratio = middle["as taught"] / middle["without"]
    noise = middle["without again"] / middle["without"]
    print(f"{ratio:.3f} times as long as without the lines for record")
    print(f"{noise:.3f} is what the same code is to itself")
    record = {
        "command": "python benchmarks/record.py",
        "date": today(),
        "versions": versions(),
        "milliseconds": {k: round(1e3 * t, 2) for k, t in middle.items()},
        "ratio": round(ratio, 3),
        "noise": round(noise, 3),
    }
    save(RESULTS / "record.json", record)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
