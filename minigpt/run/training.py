"""`python -m minigpt train`: a run that can stop and continue without a trace."""

import json
import math
import platform
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from datetime import date
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import torch
from tqdm import tqdm

from minigpt.bigram import bits_per_char, evaluate
from minigpt.files import atomic_write
from minigpt.gpt import GPT, GPTConfig
from minigpt.run import checkpoint, corpus, probes
from minigpt.run.log import Log, NoLog, draw_curve
from minigpt.run.log import read as read_log
from minigpt.run.options import (
    MACHINE,
    MAY_CHANGE,
    PRESETS,
    Train,
    check,
    flag,
)
from minigpt.run.parallel import Team, join_team, use_machine
from minigpt.train import (
    Recipe,
    learning_rate,
    make_optimizer,
    step_batches,
    step_seed,
    train_step,
)

NO_MEMORY = ("out of memory", "allocate memory", "not enough memory")  # PyTorch
STOPPED = 130  # exit code after Ctrl-C, as shells have it
MOST_WEIGHTS = 2_000_000_000  # AdamW needs 16 bytes for each
WRITTEN = (  # all that a run keeps in its folder
    "options.json", "tokenizer.json", "data.json", "train.npy", "val.npy",
    "log.jsonl", "curve.svg", "best.safetensors",
    "checkpoints/step-[0-9]*.safetensors", "probes/[0-9]*.safetensors",
)  # fmt: skip


def train_gpt(options: Train) -> int:
    """Trains a new GPT, or continues a run; the exit code of the command.

    To continue one from Python, give `stored_options(folder)`, with changes.
    Raises ValueError for options that make no run.
    """
    options, run = settled(options), None
    try:
        with join_team(use_machine(options)) as team:
            run = (resume if options.resume else begin)(options, team)
            return run.train()
    except KeyboardInterrupt:
        how = f"python -m minigpt train --out {options.out} --resume"
        print(
            f"stopped at once; what was saved is whole, continue with {how}"
            if run
            else "stopped before the run began"
        )
        return STOPPED
    except RuntimeError as error:
        if not any(words in str(error) for words in NO_MEMORY):
            raise
        raise ValueError(
            "there is not enough memory: try a smaller --micro-batch-size "
            "(even with --resume), --block-size or --n-embd"
        ) from error


# --- options -----------------------------------------------------------------


def settled(options: Train) -> Train:
    """The options, checked, with a warmup where none was given."""
    check(options)
    if options.warmup_steps is None:
        most = PRESETS[options.preset].warmup_steps or 100
        steps = min(most, options.max_steps // 10)
        options = replace(options, warmup_steps=steps)
    recipe_of(options)
    shapes = checkpoint.shapes_of(config_of(options, options.vocab_size))
    n_weights = sum(shape.numel() for shape in shapes.values())
    if n_weights > MOST_WEIGHTS:
        raise ValueError(
            f"expected a model with at most {MOST_WEIGHTS:,} weights, got "
            f"{n_weights:,}: choose a smaller --n-embd, --n-layer or "
            "--vocab-size"
        )
    return options


def recipe_of(options: Train, processes: int = 1) -> Recipe:
    """The options that say how to train, for one of several processes.

    Raises ValueError where the processes cannot get equal shares.
    """
    values = {f.name: getattr(options, f.name) for f in fields(Recipe)}
    size = min(options.micro_batch_size, options.batch_size // processes)
    if processes > 1 and (not size or options.batch_size % (size * processes)):
        raise ValueError(
            f"--batch-size {options.batch_size} must be a multiple of "
            f"{processes} processes times --micro-batch-size {max(size, 1)}"
        )
    return Recipe(**values | {"micro_batch_size": size})


def config_of(options: Train, vocab_size: int) -> GPTConfig:
    """The options that say what the model is."""
    names = {f.name for f in fields(GPTConfig)} & vars(options).keys()
    values = {name: getattr(options, name) for name in names}
    return GPTConfig(**values | {"vocab_size": vocab_size})


def stored_options(folder: Path) -> Train:
    """The options that continue the run in a folder.

    Raises ValueError where there is none, or another version began it.
    """
    if not is_run(folder):
        raise ValueError(f"there is no run to resume in {folder}")
    path = Path(folder) / "options.json"
    values = checkpoint.read_json(path)
    known = {f.name for f in fields(Train)}.difference(MACHINE)
    strange = sorted(known ^ set(values))
    if strange:
        raise ValueError(
            "the run was begun by another version of minigpt: the options "
            f"{', '.join(strange)} are unknown to one of the two"
        )
    for name, hint in get_type_hints(Train).items():
        if name in values and not fits(values[name], hint):
            raise ValueError(f"{path}: {name} cannot be {values[name]!r}")
    return Train(**values, out=Path(folder), resume=True)


def fits(value, hint) -> bool:
    """Is a value of the type that an option has?"""
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    return isinstance(value, int | float if hint is float else hint)


def is_run(folder: Path) -> bool:
    """Does a folder hold a run, of whatever version?

    Raises ValueError for an options.json that is not JSON.
    """
    path = Path(folder) / "options.json"
    if not path.exists():
        return False
    return {"corpus", "n_layer", "max_steps"} <= checkpoint.read_json(
        path
    ).keys()


def check_changes(stored: Train, options: Train) -> None:
    """Raises ValueError for a change that would make it another run."""
    for field in fields(Train):
        old, new = getattr(stored, field.name), getattr(options, field.name)
        if old != new and field.name not in MAY_CHANGE:
            raise ValueError(
                f"{flag(field.name)} is {old} in this run and cannot become "
                f"{new}; begin a new run for that"
            )


def run_options(options: Train) -> dict:
    """What a run keeps of its options: nothing about place or machine."""
    return {k: v for k, v in asdict(options).items() if k not in MACHINE}


def keep_options(folder: Path, options: Train) -> None:
    """Writes options.json, which makes a folder that of a run."""
    with atomic_write(folder / "options.json") as file:
        file.write(json.dumps(run_options(options), indent=1).encode())


# --- a new folder ------------------------------------------------------------


def begin(options: Train, team: Team) -> "Run":
    """A new run, in its folder, ready to train.

    It is prepared beside its place, so a run that could not begin leaves no
    trace, and what it replaces stays until then.
    """
    folder = options.out.resolve()
    new = folder.with_name(f".{folder.name}.new")
    try:
        if team.leads:
            refuse_to_overwrite(folder, options)
            remove_run(new)
            new.mkdir(parents=True, exist_ok=True)
            corpus.prepare(new, options)
            keep_options(new, options)
        team.wait()
        run = Run(options, team, new)
        team.wait()
        if team.leads:
            remove_run(folder)
            replace_run(new, folder)
        team.wait()
    finally:
        if team.leads:
            remove_run(new)
    run.folder = options.out
    return run


def replace_run(new: Path, folder: Path) -> None:
    """Moves a run to its place, where files of other kinds may be."""
    if not folder.exists():
        new.rename(folder)
        return
    # what makes it a run first, so that --overwrite mends half a move
    for path in sorted(new.iterdir(), key=lambda p: p.name != "options.json"):
        path.replace(folder / path.name)


def resume(options: Train, team: Team) -> "Run":
    """The run in a folder as its newest checkpoint has it, ready to train."""
    check_changes(stored_options(options.out), options)
    run = Run(options, team, options.out)
    if team.leads:
        keep_options(options.out, options)
    return run


def refuse_to_overwrite(folder: Path, options: Train) -> None:
    """Raises ValueError for a folder in use, unless told to replace a run."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not options.overwrite:
        raise ValueError(
            f"{options.out} exists: choose another --out, continue with "
            "--resume, or replace it with --overwrite"
        )
    if not is_run(folder):
        raise ValueError(
            f"{options.out} holds something that is not a run; it is left alone"
        )


def remove_run(folder: Path) -> None:
    """Deletes what a run wrote into a folder, and what is then empty."""
    for pattern in WRITTEN:
        place, name = (folder / pattern).parent, Path(pattern).name
        for path in [*place.glob(name), *place.glob(f".{name}.part")]:
            path.unlink()
    for place in (folder / "checkpoints", folder / "probes", folder):
        if place.exists() and not any(place.iterdir()):
            place.rmdir()


# --- the run -----------------------------------------------------------------


class Run:
    """A training run: its folder, its model, and how far it has come."""

    def __init__(self, options: Train, team: Team, folder: Path):
        self.options, self.team, self.folder = options, team, folder
        self.recipe = recipe_of(options, team.size)
        self.tokenizer = corpus.open_tokenizer(self.folder)
        self.held_out = corpus.held_out(self.folder, self.tokenizer)
        config = config_of(options, self.tokenizer.n_vocab)
        found = self.find_checkpoint(config) if options.resume else None
        torch.manual_seed(options.seed)
        self.model = GPT(config).to(team.device)
        self.optimizer = make_optimizer(self.model, self.recipe)
        self.step, self.best = 0, math.inf
        if found is not None:
            self.restore(*found)
        self.wrapped = team.wrap(
            torch.compile(self.model) if options.compile else self.model
        )

    def find_checkpoint(self, config: GPTConfig):
        """What the newest whole checkpoint holds; None before the first save.

        Raises ValueError where none can be used, it is another model's, or
        it is beyond --max-steps.
        """
        found = checkpoint.newest(self.folder)
        if found is None:
            return None
        model, _, place = found
        if model.config != config:
            raise ValueError(f"{self.folder} has checkpoints of another model")
        if place["step"] > self.options.max_steps:
            raise ValueError(
                f"--max-steps must be at least {place['step']}, the number of "
                f"steps already done, got {self.options.max_steps}"
            )
        return found

    def restore(self, model, tensors, place) -> None:
        """Weights, optimizer and step as a checkpoint has them."""
        checkpoint.load_weights(self.model, checkpoint.weights(model))
        checkpoint.load_optimizer(self.optimizer, self.model, tensors)
        self.step, self.best = place["step"], place["best"]

    def train(self) -> int:
        """All steps that are left; the exit code of the command."""
        o = self.options
        self.train_ids = corpus.stored_ids(self.folder / "train.npy")
        self.log = self.open_log()
        bar = tqdm(
            total=o.max_steps, initial=self.step, unit="step",
            dynamic_ncols=True, disable=not self.team.leads,
        )  # fmt: skip
        try:
            with stop_on_signal(self.team.leads) as stop:
                if self.step == 0:
                    self.after_step()
                with bar:
                    while self.step < o.max_steps:
                        if self.team.sum(stop.asked):
                            break
                        self.take_step(bar)
                        self.after_step()
                return self.finish()
        finally:
            self.log.close()

    def open_log(self) -> Log | NoLog:
        """The log, without what came after the checkpoint it continues."""
        if not self.team.leads:
            return NoLog()
        log = Log(self.folder / "log.jsonl", last=self.step or -1)
        log.add("start", self.step, **self.about())
        return log

    def about(self) -> dict:
        """What the log says each time a run begins or continues."""
        return {
            "command": " ".join(sys.argv[1:]),
            "date": date.today().isoformat(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "processes": self.team.size,
            "device": str(self.team.device),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "options": run_options(self.options),
        }

    def take_step(self, bar) -> None:
        """One update of the weights, logged.

        Raises ValueError where loss or gradient are not finite.
        """
        begin, o = time.perf_counter(), self.options
        lr = learning_rate(self.step, self.recipe)
        torch.manual_seed(step_seed(o.seed, self.step, self.team.rank))
        batches = step_batches(
            self.train_ids, self.step, self.recipe, block_size=o.block_size
        )
        batches = self.team.share(batches, self.wrapped)
        try:
            loss, norm = train_step(
                self.wrapped, self.optimizer, batches, self.recipe, lr=lr
            )
        except FloatingPointError as error:
            raise ValueError(
                f"training stopped at step {self.step}: {error}. What was "
                "saved is kept. Try a lower --lr, more --warmup-steps, a "
                "smaller --grad-clip, or --no-bf16, in a new folder"
            ) from None
        loss = self.team.sum(loss) / self.team.size
        self.step += 1
        speed = o.batch_size * o.block_size / (time.perf_counter() - begin)
        bar.update()
        bar.set_postfix_str(f"loss {loss:.3f}, {speed:,.0f} tokens/s", False)
        if self.step % o.log_every == 0 or self.step == o.max_steps:
            self.log.add(
                "step", self.step, loss=loss, lr=lr, norm=norm,
                tokens_per_second=round(speed),
            )  # fmt: skip

    def after_step(self) -> None:
        """What is due after this many steps: measure, record, save."""
        o, ends = self.options, self.step == self.options.max_steps
        if self.step % o.eval_every == 0 or ends:
            self.measure()
        if not self.team.leads:
            return
        if self.step in probes.probe_steps(o.probes, o.max_steps):
            self.record()
        if self.step and (self.step % o.save_every == 0 or ends):
            self.save()

    def measure(self) -> None:
        """The loss on all held-out tokens; the best weights so far are kept.

        Each process of a team measures the same, so that all agree.
        """
        ids, n_chars = self.held_out.ids, self.held_out.n_chars
        loss = evaluate(
            self.model,
            ids.to(self.team.device),
            block_size=self.options.block_size,
        )
        bits = bits_per_char(loss, len(ids) - 1, n_chars)
        self.log.add("eval", self.step, loss=loss, bits_per_char=bits)
        better = self.step > 0 and loss < self.best  # untrained is no result
        if better:
            self.best = loss
        if not self.team.leads:
            return
        self.draw()
        if better:
            checkpoint.save_model(
                self.folder / "best.safetensors", self.model,
                dtype=torch.float32, step=self.step, loss=loss,
            )  # fmt: skip

    def draw(self) -> None:
        """The curve so far, as a picture in the folder."""
        lines = read_log(self.folder / "log.jsonl")
        draw_curve(self.folder / "curve.svg", lines)

    def record(self) -> None:
        """One point of `--probes`."""
        (self.folder / "probes").mkdir(exist_ok=True)
        lines = read_log(self.folder / "log.jsonl")
        losses = [line["loss"] for line in lines if line["kind"] == "step"]
        probes.record(
            self.folder / "probes" / f"{self.step:07d}.safetensors",
            self.model,
            self.tokenizer,
            probes.fixed_texts(
                self.options.corpus, self.tokenizer, self.held_out.ids
            ),
            step=self.step,
            train_loss=losses[-1] if losses else None,
        )

    def save(self) -> None:
        """A checkpoint; the log up to it is on the disk first."""
        self.log.sync()
        checkpoint.save_training(
            self.folder, self.model, self.optimizer, self.step, self.best
        )

    def finish(self) -> int:
        """Says what there is now, or how to continue; the exit code."""
        o, done = self.options, self.step >= self.options.max_steps
        if self.team.leads and done:
            print(
                f"done: {self.step} steps, held-out loss {self.best:.4f} nats "
                f"per token at best, in {o.out}"
            )
        elif self.team.leads:
            how = "before the first step; begin again"
            if self.step:
                self.save()
                how = (
                    f"after step {self.step} of {o.max_steps}, saved; continue"
                )
            self.draw()
            print(
                f"stopped {how} with python -m minigpt train --out {o.out} "
                "--resume"
            )
        return 0 if done else STOPPED


class Stop:
    """Remembers Ctrl-C, so that the step at hand is finished and saved.

    Under torchrun each process gets Ctrl-C, then a polite kill: only a
    second Ctrl-C means "at once".
    """

    def __init__(self, talks: bool):
        self.talks, self.asked, self.interrupted = talks, False, False

    def __call__(self, number, frame) -> None:
        if self.interrupted and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.talks and not self.asked:
            print("\nstopping after this step …", file=sys.stderr)
        self.interrupted |= number == signal.SIGINT
        self.asked = True


@contextmanager
def stop_on_signal(talks: bool):
    """Ctrl-C and a polite kill end the run; a second Ctrl-C at once."""
    stop = Stop(talks)
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
