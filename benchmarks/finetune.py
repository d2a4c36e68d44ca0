"""Ways to tune the course's model: what it learns, and what it forgets.

    python benchmarks/finetune.py

Writes notebooks/results/finetune.json for chapter 14, run by run; a run that
the record holds already is skipped. The experiments are those of the chapter:
this file runs its cells tagged "finetune", on one thread.

- log: five ways to tune on the ship's log, for equal steps and equal seconds
- coins: answers alone, or with the steps that lead to them

Every way is trained at each of its rates with three seeds.
"""

import copy
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
import tyro
from common import RESULTS, chapter_cells, read, save, today, versions
from tqdm import tqdm

import minigpt.finetune as finetune
from minigpt import load_model
from minigpt.train import Recipe

CHAPTER = Path(__file__).parent.parent / "notebooks" / "14_finetune.ipynb"
PARTS = ("log", "coins")
SEEDS = (0, 1, 2)
RATES = {
    "all weights": (1e-4, 2e-4, 4e-4, 1e-3, 2e-3),
    "all weights, half old text": (1e-4, 2e-4, 4e-4, 1e-3, 2e-3),
    "two upper blocks": (2e-4, 4e-4, 1e-3, 2e-3, 4e-3),
    "LoRA, rank 4": (1e-3, 2e-3, 5e-3, 1e-2, 2e-2),
    "LoRA, rank 16": (1e-3, 2e-3, 5e-3, 1e-2, 2e-2),
}
ALONE, SECONDS, STEPS = (
    "answer alone", "answer alone, equal seconds", "with steps",
)  # fmt: skip
COIN_RATES = (5e-4, 1e-3, 2e-3, 4e-3)


def run_cells():
    """Run the chapter's cells tagged "finetune" -> the names they define."""
    base, tokenizer = load_model()
    names = vars(finetune) | {"base": base, "tokenizer": tokenizer}
    return chapter_cells(CHAPTER, "finetune", names)


def trials(part):
    """What tells the runs of a part from each other, seed by seed."""
    if part == "log":
        ways = [
            {"how": how, "budget": budget, "lr": lr}
            for budget in ("steps", "seconds")
            for how, rates in RATES.items()
            if budget == "steps" or not how.startswith("all weights")
            for lr in rates
        ]
    else:
        hows = (ALONE, SECONDS, STEPS)
        ways = [{"how": how, "lr": lr} for how in hows for lr in COIN_RATES]
    return [way | {"seed": seed} for seed in SEEDS for way in ways]


def clock(tuning):
    """tuning(callback) takes a few steps -> processor seconds of a step."""
    times = []
    tuning(lambda *_: times.append(time.process_time()))
    return min(b - a for a, b in zip(times, times[1:]))


def tune_on_log(chapter, steps, speed, *, how, budget, lr, seed):
    """-> bits per character of both texts, after `steps` or as long."""
    prepare, share = chapter["METHODS"][how]

    def tuning(callback=None, steps=8):
        return chapter["adapt"](
            prepare, lr=lr, share=share, steps=steps, seed=seed,
            callback=callback,
        )  # fmt: skip

    if how not in speed:
        speed[how] = clock(tuning)
    if budget == "seconds":
        steps = round(steps * speed["all weights"] / speed[how])
    begin = time.process_time()
    model = tuning(steps=steps)
    spent = time.process_time() - begin
    log, messages = chapter["bits"](model)
    return {
        "steps": steps,
        "log": round(log, 4),
        "messages": round(messages, 4),
        "seconds": round(spent, 2),
    }


def tune_on_coins(chapter, steps, speed, *, how, lr, seed):
    """-> how often the last state of new coins is right."""
    questions = {pair[1]: pair for pair in chapter["coins"](500, seed=1)}
    tested = [*questions.values()][:64]  # of 256

    def tuning(thought, steps, callback=None):
        model = copy.deepcopy(chapter["base"])
        recipe = Recipe(
            max_steps=steps, warmup_steps=steps // 10, lr=lr, min_lr=lr / 10,
            seed=seed,
        )  # fmt: skip
        draw = partial(chapter["coins"], thought=thought)
        batches = chapter["lessons"](draw, {asked for _, asked, _ in tested})
        finetune.tune(model, batches, recipe, callback=callback)
        return model

    for kind in (ALONE, STEPS):
        if kind not in speed:
            speed[kind] = clock(partial(tuning, kind == STEPS, 10))
    if how == SECONDS:
        steps = round(steps * speed[STEPS] / speed[ALONE])
    begin = time.process_time()
    model = tuning(how == STEPS, steps)
    spent = time.process_time() - begin
    right = chapter["last_right"](model, tested)
    return {"steps": steps, "right": right, "seconds": round(spent, 2)}


@dataclass
class Arguments:
    """Tune what the record does not hold yet."""

    parts: tuple[str, ...] = PARTS
    """Some of the parts."""
    log: int = 32
    """Updates on the log, where steps are equal."""
    coins: int = 160
    """Updates on coins, where steps are equal."""
    only: int | None = None
    """As many new runs of each part, then stop."""


def main(a):
    torch.set_num_threads(1)
    path, chapter = RESULTS / "finetune.json", run_cells()
    record = read(path)
    record |= {
        "command": "python benchmarks/finetune.py",
        "arguments": {part: asdict(a)[part] for part in PARTS},
        "date": today(),
        "versions": versions(),
    }
    speed = record.setdefault("seconds_a_step", {})
    tuners = {"log": tune_on_log, "coins": tune_on_coins}
    for part in a.parts:
        done = record.setdefault(part, [])
        new = [
            trial
            for trial in trials(part)
            if not any(trial.items() <= entry.items() for entry in done)
        ]
        for trial in tqdm(new[: a.only], desc=part):
            steps = asdict(a)[part]
            found = tuners[part](chapter, steps, speed, **trial)
            tqdm.write(f"{trial} {found}")
            done.append(trial | found)
            save(path, record)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
