"""A run: train, measure, record, save; stop and go on without a trace."""

import json
import math
import platform
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from minigpt.bigram import bits_per_char
from minigpt.gpt import GPT
from minigpt.run import corpus, probes, state
from minigpt.run.checkpoint import write_atomically
from minigpt.run.fast import FastGPT, FusedAttention, keep_memory, quickest
from minigpt.run.log import Log, NoLog, draw_curve, read
from minigpt.run.options import (
    NOT_STORED,
    Train,
    check,
    config,
    merged,
    micro_batch,
    recipe,
    stored,
    with_preset,
)
from minigpt.run.parallel import SyncedLast, Team, team
from minigpt.train import (
    Recipe,
    learning_rate,
    make_optimizer,
    score,
    step_batches,
    step_seed,
    train_step,
)

STOPPED = 130  # exit code after Ctrl-C, as shells have it
NOT_FINITE = (
    "training stopped at step {step}: {error}. The last good checkpoint is "
    "kept ({last}). Try a lower --peak, a longer --warmup, a smaller --clip, "
    "or a run without --bf16, in a new folder."
)


@dataclass
class Run:
    """Everything that changes while a run goes on, and where it is kept."""

    options: Train
    recipe: Recipe
    folder: Path
    team: Team
    model: GPT
    wrapped: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    best: float = math.inf


def run(options: Train) -> int:
    """`python -m minigpt train`: the exit code of the run."""
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_memory()
    try:
        with team(options.device) as members:
            if members.leads:
                begin(settle(options))
            members.wait()
            return go_on(assemble(in_force(options), members))
    except KeyboardInterrupt:
        print(
            "stopped at once; what was saved before is whole, go on with "
            f"python -m minigpt train --out {options.out} --resume"
        )
        return STOPPED


def settle(options: Train) -> Train:
    """Options of the run: the preset's, or those of the run to resume."""
    path = options.out / "options.json"
    if options.resume:
        if not path.exists():
            raise ValueError(f"there is no run to resume in {options.out}")
        options = merged(json.loads(path.read_text()), options)
    else:
        options = with_preset(options)
        refuse_to_overwrite(options)
    check(options)
    return options


def refuse_to_overwrite(options: Train) -> None:
    """Raises ValueError for a folder in use, unless told to replace a run."""
    folder = options.out
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not options.overwrite:
        raise ValueError(
            f"{folder} exists: choose another --out, go on with --resume, or "
            "replace it with --overwrite"
        )
    if not (folder / "options.json").exists():
        raise ValueError(
            f"{folder} holds something that is not a run; it is left alone"
        )


def begin(options: Train) -> None:
    """The run's folder, with options, tokenizer and tokens in it."""
    folder = options.out
    if options.overwrite and not options.resume and folder.exists():
        shutil.rmtree(folder)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    for rest in folder.rglob(".*.part"):
        rest.unlink()
    text = json.dumps(stored(options), indent=1)
    write_atomically(folder / "options.json", text.encode())
    corpus.prepare(folder, options)


def in_force(options: Train) -> Train:
    """The run's options, as its folder has them, on this machine."""
    values = json.loads((options.out / "options.json").read_text())
    here = {name: getattr(options, name) for name in NOT_STORED}
    return Train(**values, **here)


def assemble(options: Train, members: Team) -> Run:
    """Model and optimiser: new, or as the last good checkpoint has them."""
    tokenizer = corpus.load_tokenizer(options.out)
    size = micro_batch(options, members.size)
    model = new_model(options, tokenizer.n_vocab, talks=members.leads)
    model.to(members.device)
    settings = replace(recipe(options), micro_batch=size)
    optimizer = make_optimizer(model, settings)
    wrapped = torch.compile(model) if options.compile else model
    this = Run(
        options, settings, options.out, members, model,
        members.wrap(wrapped), optimizer,
    )  # fmt: skip
    if options.resume:
        state.restore(this)
    return this


def new_model(options: Train, n_vocab: int, talks: bool) -> GPT:
    """A model with new weights, of the quickest kind that fits its parts."""
    shape = config(options, n_vocab)
    kind = quickest(shape) if options.fused else GPT
    if talks and options.fused and kind is not FastGPT:
        print(
            "the parts of this minigpt compute something else than its fast "
            "forward pass does: training them as they are, which takes longer",
            file=sys.stderr,
        )
    torch.manual_seed(options.seed)
    return kind(shape)


@dataclass
class Stop:
    """Notes Ctrl-C, so that the step at hand is finished and saved.

    Under torchrun each process gets Ctrl-C, then a polite kill: only a
    second Ctrl-C means "at once".
    """

    talks: bool
    asked: bool = False
    interrupted: bool = False

    def __call__(self, number, frame) -> None:
        if self.interrupted and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.talks and not self.asked:
            print("\nstopping after this step …", file=sys.stderr)
        self.interrupted |= number == signal.SIGINT
        self.asked = True


@contextmanager
def stop_on_signal(talks: bool):
    """Ctrl-C and a polite kill end the run; a second one at once."""
    stop = Stop(talks)
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def go_on(this: Run) -> int:
    """All steps that are left, with everything that happens between them."""
    o = this.options
    log = open_log(this)
    ids, held_out = corpus.training_tokens(o.out), corpus.held_out(o.out)
    bar = tqdm(
        total=o.steps, initial=this.step, disable=not this.team.leads,
        unit="step", dynamic_ncols=True,
    )  # fmt: skip
    try:
        with stop_on_signal(this.team.leads) as stop, bar:
            if this.step == 0:
                after_step(this, log, held_out)
            while this.step < o.steps and not agreed(this.team, stop):
                one_step(this, ids, log, bar)
                after_step(this, log, held_out)
    finally:
        log.close()
    return finish(this)


def open_log(this: Run):
    """The run's log, without what came after the checkpoint it goes on from."""
    if not this.team.leads:
        return NoLog()
    log = Log(this.folder / "log.jsonl", upto=this.step or -1)
    log.add("start", this.step, **about(this))
    return log


def agreed(members: Team, stop: Stop) -> bool:
    """Whether any process of the team was asked to stop."""
    return members.sum(float(stop.asked))[0] > 0


def one_step(this: Run, ids, log, bar) -> None:
    """One update of the weights, logged."""
    begin, o, members = time.perf_counter(), this.options, this.team
    rate = learning_rate(this.step, this.recipe)
    torch.manual_seed(step_seed(o.seed, this.step, members.rank))
    batches = step_batches(ids, this.step, this.recipe, block_size=o.block_size)
    batches = [
        (x.to(members.device), y.to(members.device))
        for x, y in members.share(batches)
    ]
    if members.size > 1:
        batches = SyncedLast(this.wrapped, batches)
    try:
        loss, norm = train_step(
            this.wrapped, this.optimizer, batches, this.recipe, rate=rate
        )
    except FloatingPointError as error:
        raise ValueError(
            NOT_FINITE.format(
                step=this.step, error=error, last=state.newest(this.folder)
            )
        ) from None
    loss = members.sum(loss)[0] / members.size
    this.step += 1
    speed = o.batch_size * o.block_size / (time.perf_counter() - begin)
    bar.update()
    bar.set_postfix_str(f"loss {loss:.3f}, {speed:,.0f} tokens/s", False)
    if this.step % o.log_every == 0 or this.step == o.steps:
        log.add(
            "step", this.step, loss=loss, rate=rate, norm=norm,
            tokens_per_second=round(speed),
        )  # fmt: skip


def after_step(this: Run, log, held_out: corpus.Part) -> None:
    """What is due after this many steps: measure, probe, save."""
    o = this.options
    ends = this.step == o.steps
    fresh = f"{this.step:07d}"
    if this.step % o.eval_every == 0 or ends:
        loss = measure(this, held_out)
        log.add("eval", this.step, **loss)
        show(this)
        if loss["loss"] < this.best:
            this.best = loss["loss"]
            if this.team.leads and this.step:
                state.save_best(this)
    if this.step in probes.probe_steps(o.probes, o.steps):
        path = this.folder / "probes" / f"{fresh}.safetensors"
        if this.team.leads:
            record(this, path)
    if (
        this.team.leads
        and this.step
        and (this.step % o.save_every == 0 or ends)
    ):
        save(this, log)


def measure(this: Run, held_out: corpus.Part) -> dict[str, float]:
    """Nats per token and bits per character on all held-out tokens."""
    o, members = this.options, this.team
    nats, n = score(
        this.model,
        held_out.ids.to(members.device),
        block_size=o.block_size,
        share=(members.rank, members.size),
    )
    nats, n = members.sum(nats, n)
    bits = bits_per_char(nats / n, n, held_out.n_chars)
    return {"loss": nats / n, "bits_per_char": bits}


def record(this: Run, path: Path) -> None:
    """One point of `--probes`."""
    path.parent.mkdir(exist_ok=True)
    tokenizer = corpus.load_tokenizer(this.folder)
    ids = corpus.held_out(this.folder).ids
    texts = probes.fixed_texts(this.options.corpus, tokenizer, ids)
    lines = read(this.folder / "log.jsonl")
    losses = [x["loss"] for x in lines if x["kind"] == "step"]
    probes.record(
        path, this.model, tokenizer, texts,
        step=this.step, train_loss=losses[-1] if losses else None,
    )  # fmt: skip


def save(this: Run, log) -> None:
    """A checkpoint; the log up to it is on the disk first."""
    log.sync()
    state.save(this)


def show(this: Run) -> None:
    """The curve so far, as a picture in the run's folder."""
    if this.team.leads:
        lines = read(this.folder / "log.jsonl")
        draw_curve(this.folder / "curve.svg", lines)


def about(this: Run) -> dict:
    """What the log says once each time a run begins or goes on."""
    return {
        "command": " ".join(sys.argv[1:]),
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processes": this.team.size,
        "device": str(this.team.device),
        "model": type(this.model).__name__,
        "fused_attention": any(
            isinstance(m, FusedAttention) for m in this.model.modules()
        ),
        "parameters": sum(p.numel() for p in this.model.parameters()),
        "options": stored(this.options),
    }


def finish(this: Run) -> int:
    """Says what there is now, or how to go on."""
    o = this.options
    if this.step == o.steps:
        if this.team.leads:
            print(
                f"done: {o.steps} steps, held-out loss {this.best:.4f} nats "
                f"per token at best, in {o.out}"
            )
        return 0
    if this.team.leads:
        if this.step:
            state.save(this)
        show(this)
        print(
            f"stopped after step {this.step} of {o.steps}, saved; go on with "
            f"python -m minigpt train --out {o.out} --resume"
        )
    return STOPPED
