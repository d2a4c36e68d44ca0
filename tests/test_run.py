"""`python -m minigpt train`: exact, resumable, and clear when refused."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields, replace

import pytest
import torch

from minigpt.__main__ import defaults, main, parse
from minigpt.bigram import WittenBell, evaluate
from minigpt.gpt import GPTConfig
from minigpt.run import corpus, evaluation, log, probes, training
from minigpt.run.checkpoint import CheckpointError, open_training
from minigpt.run.evaluation import measure
from minigpt.run.models import export_model, load_model
from minigpt.run.options import PRESETS, Eval, ExportModel, Train
from minigpt.run.training import STOPPED, stored_options, train_gpt
from minigpt.tokenizer import BPETokenizer, Tokenizer
from minigpt.train import Recipe

pytestmark = pytest.mark.usefixtures("one_thread")
MINIGPT = [sys.executable, "-m", "minigpt"]
TINY = {
    "tokenizer": "char", "block_size": 8, "n_layer": 1, "n_head": 2,
    "n_embd": 16, "dropout": 0.1, "max_steps": 12, "batch_size": 4,
    "warmup_steps": 2, "eval_every": 6, "save_every": 4,
    "threads": 1, "device": "cpu",
}  # fmt: skip
MODERN = {
    "optimizer": "muon", "decay": "linear", "position": "rope",
    "norm": "rms", "mlp": "swiglu", "n_kv_head": 1, "qk_norm": True,
    "order": "post", "tied": False, "bias": False,
}  # fmt: skip


def some_text(n=4000):
    """Words that can be learned, the same on every machine."""
    draw = random.Random(5)
    words = [
        "".join(draw.choices("abcdefgh", k=draw.randint(2, 6)))
        for _ in range(30)
    ]
    return " ".join(draw.choices(words, k=n // 5))[:n]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text(some_text())
    return path


@pytest.fixture
def tiny(text, tmp_path):
    return Train(out=tmp_path / "run", corpus=str(text), **TINY)


@pytest.fixture(params=["adamw", "muon"])
def any_tiny(request, tiny):
    """A run of chapter 9, and one with the parts and Muon of chapter 15."""
    return replace(tiny, **(MODERN if request.param == "muon" else {}))


def resumed(folder, **changes):
    return replace(stored_options(folder), device="cpu", threads=1, **changes)


def steps(folder):
    """(step, loss) of every update in a run's log."""
    lines = log.read(folder / "log.jsonl")
    return [(x["step"], x["loss"]) for x in lines if x["kind"] == "step"]


def last(folder):
    return max((folder / "checkpoints").iterdir())


def names(folder):
    return {p.name for p in folder.iterdir()}


def arguments(options):
    """The command line that says the same as `options`."""
    words = []
    for name, value in asdict(options).items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            words += [flag, str(value)]
    return words


# --- options -----------------------------------------------------------------


def test_every_choice_of_chapters_8_and_9_is_an_option():
    options = {f.name for f in fields(Train)}
    assert {f.name for f in fields(GPTConfig)} <= options
    assert {f.name for f in fields(Recipe)} <= options


def test_help_names_every_option_and_its_default():
    run = subprocess.run(
        [*MINIGPT, "train", "--help"],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    shown = " ".join(run.stdout.split())
    for field in fields(Train):
        assert "--" + field.name.replace("_", "-") in shown, field.name
    assert shown.count("(default: ") == len(fields(Train))


def on_the_command_line(*words):
    """What `main` would train with."""
    return parse(Train, words, default=defaults(parse(Train, words)))


def test_a_preset_yields_to_what_is_typed():
    for name, preset in PRESETS.items():
        typed = on_the_command_line("--preset", name)
        assert training.settled(typed) == training.settled(preset)
    words = "--preset", "reference", "--no-bf16", "--max-steps", "2000"
    options = on_the_command_line(*words)  # both are what Train has anyway
    assert (options.bf16, options.max_steps, options.n_embd) == (
        False,
        2000,
        192,
    )


def test_a_preset_makes_a_model_and_a_recipe():
    for preset in PRESETS.values():
        options = training.settled(preset)
        assert training.config_of(options, 65).vocab_size == 65
        assert training.recipe_of(options).lr == options.lr
    fast = training.config_of(PRESETS["fast"], 65)
    assert (fast.position, fast.mlp, fast.qk_norm) == ("rope", "relu2", True)


def test_warmup_fits_a_short_run_unless_it_is_typed():
    for words, warmup in (
        ("--max-steps 12", 1),
        ("--max-steps 400", 40),
        ("--max-steps 5000", 100),
        ("--max-steps 400 --warmup-steps 100", 100),
        ("--preset reference", 300),
        ("--preset reference --max-steps 1000", 100),
        ("--preset reference --max-steps 1000 --warmup-steps 300", 300),
        ("--preset fast --max-steps 30", 3),
        ("--preset fast --max-steps 30 --warmup-steps 10", 10),
    ):
        options = training.settled(on_the_command_line(*words.split()))
        assert options.warmup_steps == warmup, words


# --- a whole run -------------------------------------------------------------


def test_a_run_learns_and_leaves_everything(tiny, capsys):
    options = replace(tiny, max_steps=60, probes=3, lr=1e-2)
    assert train_gpt(options) == 0
    assert "done: 60 steps" in capsys.readouterr().out
    assert names(options.out) == {
        "options.json", "data.json", "tokenizer.json", "train.npy", "val.npy",
        "log.jsonl", "curve.svg", "best.safetensors", "checkpoints", "probes",
    }  # fmt: skip
    losses = [loss for _, loss in steps(options.out)]
    assert len(losses) == 60 and losses[-1] < losses[0] - 0.1
    assert len(names(options.out / "checkpoints")) == 2
    assert "<svg" in (options.out / "curve.svg").read_text()


def test_the_log_says_what_ran(tiny):
    train_gpt(tiny)
    lines = log.read(tiny.out / "log.jsonl")
    assert [x["step"] for x in lines if x["kind"] == "eval"] == [0, 6, 12]
    start = lines[0]
    assert start["kind"] == "start" and start["torch"] == torch.__version__
    assert start["options"]["n_embd"] == 16 and start["threads"] == 1
    rates = [x["lr"] for x in lines if x["kind"] == "step"]
    assert rates[0] == pytest.approx(5e-4) and max(rates) == 1e-3


def test_two_runs_are_equal_bytes(any_tiny):
    a, b, c = (replace(any_tiny, out=any_tiny.out / x) for x in "abc")
    train_gpt(a), train_gpt(b), train_gpt(replace(c, seed=2))
    assert equal(a.out, b.out)
    assert steps(c.out) != steps(a.out)


def test_a_batch_in_parts_is_the_same_batch(tiny):
    whole = replace(tiny, dropout=0.0, out=tiny.out / "whole")
    parts = replace(whole, micro_batch_size=3, out=tiny.out / "parts")
    train_gpt(whole), train_gpt(parts)
    for (_, a), (_, b) in zip(steps(whole.out), steps(parts.out), strict=True):
        assert a == pytest.approx(b, abs=1e-5)


def test_every_part_trains_evaluates_generates_and_ships(
    tmp_path, text, capsys
):
    """By the command line, as a person would."""
    out, ship = str(tmp_path / "run"), str(tmp_path / "ship")
    options = Train(out=out, corpus=str(text), **TINY | MODERN)
    assert main(["train", *arguments(options)]) == 0
    assert main(["eval", out]) == 0
    assert main(["export-model", out, ship]) == 0
    capsys.readouterr()
    written = set()
    for folder in (out, ship):
        for cache in ("--cache", "--no-cache"):
            words = [cache, "--tokens", "20", "--temperature", "0"]
            assert main(["generate", "abc", "--model", folder, *words]) == 0
            written.add(capsys.readouterr().out)
    assert len(written) == 1, "cached or not, shipped or not: the same text"
    config = load_model(ship)[0].config
    for name in MODERN.keys() & {f.name for f in fields(GPTConfig)}:
        assert getattr(config, name) == MODERN[name]


# --- measured ----------------------------------------------------------------


def test_measured_loss_is_that_of_chapter_3(tiny):
    train_gpt(tiny)
    model, tokenizer = load_model(tiny.out)
    ids = torch.tensor(tokenizer.encode(corpus.texts(tiny.corpus, "val")[0]))
    score = measure(Eval(tiny.out, baselines=False))
    assert score.tokens == len(ids) - 1 == score.characters
    assert score.nats == pytest.approx(evaluate(model, ids, block_size=8))
    assert score.bits_per_char == pytest.approx(score.nats / math.log(2))
    assert score.perplexity == pytest.approx(math.exp(score.nats))
    closer = measure(Eval(tiny.out, stride=2, baselines=False))
    assert closer.nats == pytest.approx(
        evaluate(model, ids, block_size=8, stride=2)
    )


def test_held_out_text_is_the_runs_own(tiny, text, tmp_path):
    """What was held out stays held out when the file changes."""
    own = tmp_path / "own.txt"
    own.write_text(text.read_text())
    train_gpt(replace(tiny, corpus=str(own)))
    before = measure(Eval(tiny.out, baselines=False))
    own.unlink()
    assert measure(Eval(tiny.out, baselines=False)) == before


@pytest.mark.parametrize("change", ["it grew", "it is gone", "another place"])
def test_a_text_that_changed_is_not_measured(
    change, tiny, text, tmp_path, monkeypatch, capsys
):
    """A run's own tokens still are; there is no text to count in, though."""
    monkeypatch.chdir(tmp_path)
    own, shipped = tmp_path / "own.txt", tmp_path / "shipped"
    own.write_text(text.read_text())
    train_gpt(replace(tiny, corpus="own.txt"))
    export_model(ExportModel(tiny.out, shipped))
    before = measure(Eval(tiny.out))
    assert len(before.baselines) == 5
    if change == "it grew":
        own.write_text(text.read_text() + "abc " * 100)
    elif change == "it is gone":
        own.unlink()
    else:  # where another file has the same name and size
        (tmp_path / "else").mkdir()
        monkeypatch.chdir(tmp_path / "else")
        (tmp_path / "else" / "own.txt").write_text(text.read_text()[::-1])
    capsys.readouterr()
    assert measure(Eval(tiny.out)) == replace(before, baselines={})
    assert "own.txt" in capsys.readouterr().err
    assert main(["eval", str(shipped)]) == 2
    assert "own.txt" in capsys.readouterr().err


def test_the_counting_baselines_are_those_of_chapter_3(tiny, capsys):
    train_gpt(tiny)
    score = measure(Eval(tiny.out))
    tokenizer = Tokenizer.load(tiny.out / "tokenizer.json")
    train, held_out = (
        torch.tensor(corpus.encode(tokenizer, corpus.texts(tiny.corpus, part)))
        for part in ("train", "val")
    )
    counted = WittenBell(train, 7, tokenizer.n_vocab).log_probs(held_out)
    best = score.baselines["7-grams"]
    assert best == pytest.approx(-counted.mean().item() / math.log(2))
    assert score.baselines["no knowledge"] == math.log2(tokenizer.n_vocab)
    assert best < score.baselines["2-grams"] < score.baselines["1-grams"]
    capsys.readouterr()
    assert main(["eval", str(tiny.out)]) == 0
    said = capsys.readouterr().out
    assert f"{best:8.4f}" in said and f"{score.bits_per_char:8.4f}" in said


def test_a_short_text_of_many_characters_is_measured(tiny, text):
    """Its 7-grams do not fit into 64 bits; its held-out text has 65 tokens."""
    text = text.with_name("many.txt")
    text.write_text("".join(map(chr, range(0x4E00, 0x4E00 + 650))))
    train_gpt(replace(tiny, corpus=str(text), probes=2))
    assert list(measure(Eval(tiny.out)).baselines) == [
        "no knowledge", "1-grams", "2-grams", "4-grams", "6-grams"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="at most the block size, 8, got 9"):
        measure(Eval(tiny.out, stride=9, baselines=False))


@pytest.mark.parametrize(("length", "longest"), [(60, 6), (50, 5), (20, 2)])
def test_n_grams_fit_into_the_held_out_text(length, longest, tiny, text):
    short = text.with_name("short.txt")
    short.write_text(some_text()[:length])
    train_gpt(replace(tiny, corpus=str(short), block_size=1))
    found = measure(Eval(tiny.out)).baselines
    assert list(found)[-1] == f"{longest}-grams"
    assert all(math.isfinite(bits) for bits in found.values())


def test_what_names_no_text_is_refused_before_it_is_loaded(
    tmp_path, monkeypatch, capsys
):
    def load(*_, **__):
        raise AssertionError("it was loaded, or even downloaded")

    monkeypatch.setattr(evaluation, "load_model", load)
    monkeypatch.chdir(tmp_path)
    for name in ("gpt2", "no-such"):
        assert main(["eval", name]) == 2
        assert name in capsys.readouterr().err


def test_the_best_weights_are_those_of_the_lowest_loss(tiny):
    train_gpt(replace(tiny, max_steps=27, lr=0.03, min_lr=0.03, eval_every=3))
    evals = [x for x in log.read(tiny.out / "log.jsonl") if x["kind"] == "eval"]
    best = min(x["loss"] for x in evals)
    assert measure(Eval(tiny.out)).nats == pytest.approx(best, abs=1e-6)
    final = measure(Eval(tiny.out, weights="last")).nats
    assert final == pytest.approx(evals[-1]["loss"], abs=1e-6) and final > best


def test_an_untrained_model_is_never_the_best(tiny, capsys):
    """A run that only gets worse has best weights, and says how bad."""
    train_gpt(replace(tiny, lr=0.5, min_lr=0.5, warmup_steps=0))
    evals = [x for x in log.read(tiny.out / "log.jsonl") if x["kind"] == "eval"]
    start, *trained = [x["loss"] for x in evals]
    assert start < min(trained), "it only got worse"
    assert f"{min(trained):.4f}" in capsys.readouterr().out
    assert measure(Eval(tiny.out)).nats == pytest.approx(min(trained))


def test_documents_are_paid_for_to_the_last_token():
    """Every character and every end of text is a target once."""
    tokenizer = BPETokenizer.train(
        some_text(), 300, special_tokens=(corpus.END,), progress=False
    )
    documents = ["abc abd", "hgf"]
    ids = corpus.encode(tokenizer, documents)
    end = tokenizer.special_tokens[corpus.END]
    assert ids[0] == end == ids[-1] and ids.count(end) == 3
    assert corpus.characters(tokenizer, documents) == 10
    text = tokenizer.decode([i for i in ids if i != end])
    assert text == "".join(documents)


# --- stop and continue -------------------------------------------------------


def interrupt_at(monkeypatch, step, failure):
    """`failure()` happens right after update number `step`."""
    real = training.Run.take_step

    def take_step(run, *rest):
        real(run, *rest)
        if run.step == step:
            failure()

    monkeypatch.setattr(training.Run, "take_step", take_step)


def uninterrupted(options):
    options = replace(options, out=options.out.with_name("uninterrupted"))
    assert train_gpt(options) == 0
    return options.out


def equal(folder, other):
    """The same losses and the same last checkpoint, bit for bit."""
    return (
        steps(folder) == steps(other)
        and last(folder).read_bytes() == last(other).read_bytes()
        and (folder / "best.safetensors").read_bytes()
        == (other / "best.safetensors").read_bytes()
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_resume_is_exact(number, any_tiny, monkeypatch):
    whole = uninterrupted(any_tiny)
    interrupt_at(monkeypatch, 7, lambda: signal.raise_signal(number))
    assert train_gpt(any_tiny) == STOPPED
    assert last(any_tiny.out).name == "step-0000007.safetensors"
    monkeypatch.undo()
    words = "--resume", "--out", str(any_tiny.out), "--device", "cpu"
    assert main(["train", *words, "--threads", "1"]) == 0
    assert equal(any_tiny.out, whole)


def raise_signals(*numbers):
    for number in numbers:
        signal.raise_signal(number)


def test_ctrl_c_under_torchrun_is_one_request(tiny, monkeypatch):
    """Ctrl-C and, from torchrun, a polite kill: saved all the same."""
    both = signal.SIGINT, signal.SIGTERM, signal.SIGTERM
    interrupt_at(monkeypatch, 7, lambda: raise_signals(*both))
    assert train_gpt(tiny) == STOPPED
    assert last(tiny.out).name == "step-0000007.safetensors"


def test_a_second_ctrl_c_stops_at_once(tiny, monkeypatch):
    both = signal.SIGINT, signal.SIGINT
    interrupt_at(monkeypatch, 7, lambda: raise_signals(*both))
    assert train_gpt(tiny) == STOPPED
    assert last(tiny.out).name == "step-0000004.safetensors"


def test_ctrl_c_before_the_first_step_saves_nothing(tiny, monkeypatch, capsys):
    whole = uninterrupted(tiny)
    real = training.Run.measure
    monkeypatch.setattr(
        training.Run,
        "measure",
        lambda run: (real(run), signal.raise_signal(signal.SIGINT)),
    )
    assert train_gpt(tiny) == STOPPED
    said = capsys.readouterr().out
    assert "saved" not in said and "--resume" in said
    assert not (tiny.out / "checkpoints").exists()
    monkeypatch.undo()
    assert train_gpt(resumed(tiny.out)) == 0
    assert equal(tiny.out, whole)


def test_a_crash_costs_only_the_steps_since_the_last_save(tiny, monkeypatch):
    whole = uninterrupted(tiny)
    interrupt_at(monkeypatch, 7, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_gpt(tiny)
    assert last(tiny.out).name == "step-0000004.safetensors"
    with open(tiny.out / "log.jsonl", "a") as file:
        file.write('{"kind": "st')  # a line that was cut short
    monkeypatch.undo()
    assert train_gpt(resumed(tiny.out)) == 0
    assert equal(tiny.out, whole)


def test_a_run_that_never_saved_can_be_resumed(tiny, monkeypatch):
    whole = uninterrupted(tiny)
    interrupt_at(monkeypatch, 1, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_gpt(tiny)
    assert not (tiny.out / "checkpoints").exists()
    monkeypatch.undo()
    assert train_gpt(resumed(tiny.out)) == 0
    assert equal(tiny.out, whole)


def test_a_damaged_checkpoint_is_passed_over(tiny, monkeypatch, capsys):
    whole = uninterrupted(tiny)
    interrupt_at(monkeypatch, 10, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_gpt(tiny)
    content = bytearray(last(tiny.out).read_bytes())
    content[-1] ^= 1
    last(tiny.out).write_bytes(content)
    monkeypatch.undo()
    assert train_gpt(resumed(tiny.out)) == 0
    assert "passed over" in capsys.readouterr().err
    assert equal(tiny.out, whole)


def test_no_usable_checkpoint_is_an_error(tiny):
    train_gpt(tiny)
    for path in (tiny.out / "checkpoints").iterdir():
        path.write_bytes(b"not one")
    with pytest.raises(CheckpointError):
        train_gpt(resumed(tiny.out))


def test_without_best_weights_readers_take_the_newest(
    tiny, monkeypatch, capsys
):
    """A run that was killed before its first measurement can be looked at."""
    interrupt_at(monkeypatch, 5, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_gpt(tiny)
    assert not (tiny.out / "best.safetensors").exists()
    capsys.readouterr()
    model, tokenizer = load_model(tiny.out)
    assert "step 4" in capsys.readouterr().err
    saved = open_training(last(tiny.out))[0]
    for p, q in zip(model.parameters(), saved.parameters(), strict=True):
        assert torch.equal(p, q)
    ids = corpus.held_out(tiny.out, tokenizer).ids
    nats = measure(Eval(tiny.out, baselines=False)).nats
    assert nats == evaluate(saved, ids, block_size=8)
    shipped = tiny.out.with_name("shipped")
    assert export_model(ExportModel(tiny.out, shipped)) == 0
    for p, q in zip(
        load_model(shipped)[0].parameters(), saved.parameters(), strict=True
    ):
        assert torch.equal(p, q.half().float())


def test_a_finished_run_can_be_made_longer(any_tiny):
    train_gpt(any_tiny)
    train_gpt(resumed(any_tiny.out, max_steps=15))
    assert [step for step, _ in steps(any_tiny.out)] == list(range(1, 16))
    assert train_gpt(resumed(any_tiny.out)) == 0, "nothing to do"


def test_a_run_cannot_be_made_shorter_than_it_is(tiny):
    train_gpt(tiny)
    before = last(tiny.out).read_bytes()
    with pytest.raises(ValueError, match="--max-steps must be at least 12"):
        train_gpt(resumed(tiny.out, max_steps=10))
    assert stored_options(tiny.out).max_steps == 12
    assert last(tiny.out).read_bytes() == before


def start(options):
    """A run in a process of its own, once it has begun to log steps."""
    process = subprocess.Popen(
        [*MINIGPT, "train", *arguments(options)],
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    path, size = options.out / "log.jsonl", -1
    if path.exists():
        size = path.stat().st_size
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and path.stat().st_size > max(size, 2000):
            break
        time.sleep(0.01)
    return process


@pytest.mark.slow
def test_three_kills_at_random_moments_lose_nothing(tiny):
    """Saving after every step, so that kills also hit saves."""
    many = replace(tiny, max_steps=800, save_every=1, eval_every=400)
    kills, options = 0, many
    while kills < 3:
        process = start(options)
        time.sleep(random.uniform(0, 0.7))
        assert process.poll() is None, "the run ended before the kill"
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
        kills += 1
        options = replace(many, resume=True)
    before = len(steps(many.out))
    assert train_gpt(options) == 0
    assert 0 < before < 800
    whole = replace(many, out=many.out.with_name("whole"), save_every=800)
    train_gpt(whole)
    assert steps(many.out) == steps(whole.out)
    assert not list(many.out.rglob("*.part"))


# --- the folder --------------------------------------------------------------


def contents(folder):
    """{path: bytes} of every file in a folder."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def no_memory(*_, **__):
    raise RuntimeError("DefaultCPUAllocator: not enough memory")


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "words",
    [
        "--corpus typo.txt",
        "--block-size 5000",
        "--tokenizer bpe --vocab-size 9999",
        "--device abacus",
        "no memory",
        "Ctrl-C",
    ],
)
def test_a_run_that_cannot_begin_changes_nothing(words, tiny, monkeypatch):
    """Not in a new place, nor in that of another run; then it can begin."""
    other = replace(tiny, out=tiny.out.with_name("other"))
    train_gpt(other)
    before = contents(other.out)
    wrong, expected = words.split(), 2
    if words == "no memory":
        monkeypatch.setattr(training, "make_optimizer", no_memory)
        wrong = []
    elif words == "Ctrl-C":
        monkeypatch.setattr(training.corpus, "prepare", interrupt)
        wrong, expected = [], STOPPED
    assert main(["train", *arguments(tiny), *wrong]) == expected
    again = ["train", *arguments(replace(other, overwrite=True, seed=3))]
    assert main([*again, *wrong]) == expected
    assert names(tiny.out.parent) == {"other"}
    assert contents(other.out) == before
    monkeypatch.undo()
    assert main(["train", *arguments(tiny)]) == 0
    assert main(again) == 0 and contents(other.out) != before


def test_memory_that_runs_out_in_a_step_is_one_line(tiny, monkeypatch, capsys):
    monkeypatch.setattr(training, "train_step", no_memory)
    assert main(["train", *arguments(tiny)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and "--micro-batch-size" in line
    monkeypatch.undo()
    assert train_gpt(resumed(tiny.out, micro_batch_size=2)) == 0


def test_a_folder_in_use_is_never_overwritten_unasked(tiny):
    train_gpt(tiny)
    before = last(tiny.out).read_bytes()
    with pytest.raises(ValueError):
        train_gpt(replace(tiny, seed=3))
    assert last(tiny.out).read_bytes() == before


def test_only_what_a_run_wrote_is_deleted(tiny):
    train_gpt(tiny)
    before = last(tiny.out).read_bytes()
    mine = [
        tiny.out / name
        for name in ("notes.txt", "checkpoints/step-mine.safetensors",
                     "sub/.draft.part", "probes/plot.png")
    ]  # fmt: skip
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    left = tiny.out / "checkpoints" / ".step-0000008.safetensors.part"
    left.write_text("a save that was killed")
    train_gpt(replace(tiny, seed=3, overwrite=True))
    assert all(path.read_text() == "mine" for path in mine)
    mine[1].unlink()
    assert last(tiny.out).read_bytes() != before and not left.exists()
    assert names(tiny.out.parent) == {"run"}


@pytest.mark.parametrize(
    "options", [None, "{}", '{"theme": "dark"}', "[1", "3"]
)
def test_what_is_not_a_run_is_never_overwritten(options, tiny):
    """Nor does a file of the name options.json make a folder a run."""
    tiny.out.mkdir()
    (tiny.out / "tokenizer.json").write_text("years of work")
    if options is not None:
        (tiny.out / "options.json").write_text(options)
    before = contents(tiny.out)
    with pytest.raises(ValueError):
        train_gpt(replace(tiny, overwrite=True))
    with pytest.raises(ValueError):
        stored_options(tiny.out)
    assert contents(tiny.out) == before


def test_a_process_killed_while_preparing_leaves_no_run(tiny, text):
    script = """
import os, sys
from minigpt.__main__ import main
from minigpt.run import training
training.keep_options = lambda *_: os._exit(9)
main(sys.argv[1:])
"""
    words = ["train", *arguments(tiny)]
    done = subprocess.run([sys.executable, "-c", script, *words], timeout=100)
    assert done.returncode == 9 and not tiny.out.exists()
    assert train_gpt(tiny) == 0
    assert names(tiny.out.parent) == {"run"}, "what it left is cleaned up"


def test_a_loss_that_is_not_finite_stops_the_run(tiny):
    wild = replace(tiny, lr=1e30, min_lr=0.0, max_steps=40, save_every=1)
    with pytest.raises(ValueError):
        train_gpt(wild)
    for p in open_training(last(tiny.out))[0].parameters():
        assert torch.isfinite(p).all()


def test_a_disk_that_fills_leaves_the_earlier_checkpoint(tiny, monkeypatch):
    train_gpt(tiny)
    before = names(tiny.out / "checkpoints")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError):
        train_gpt(resumed(tiny.out, max_steps=20))
    monkeypatch.undo()
    assert names(tiny.out / "checkpoints") == before
    assert train_gpt(resumed(tiny.out, max_steps=20)) == 0


# --- refused -----------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "--lr 0",
        "--lr nan",
        "--warmup-steps 13",
        "--block-size 500",
        "--n-embd 15",
        "--position rope --n-embd 6",
        "--n-kv-head 3",
        "--n-kv-head -1",
        "--max-steps -1",
        "--dropout 1",
        "--weight-decay -1",
        "--grad-clip 0",
        "--batch-size 0",
        "--seed 99999999999999999999",
        "--seed -1",
        "--threads -1",
        "--threads 99999",
        "--device abacus",
        "--device mps",
        "--corpus no-such-file",
        "--tokenizer bpe --vocab-size 9",
        "--tokenizer bpe --vocab-size 9999",
        "--resume",
    ],
)
def test_a_mistake_is_one_line_that_names_it(words, tiny, capsys, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    option, *value = words.split()[-2:]
    assert main(["train", *arguments(tiny), *words.split()]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    named = option[2:], option[2:].replace("-", "_"), *value
    assert any(name in line for name in named)
    assert names(tiny.out.parent) == set()


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_text_in_another_encoding_is_named(encoding, tiny, tmp_path, capsys):
    path = tmp_path / "other.txt"
    path.write_bytes(("déjà vu " * 200).encode(encoding))
    assert main(["train", *arguments(replace(tiny, corpus=str(path)))]) == 2
    assert str(path) in capsys.readouterr().err.splitlines()[-1]


def test_resuming_as_another_run_is_an_error(tiny, capsys):
    train_gpt(tiny)
    words = ["train", "--resume", "--out", str(tiny.out), "--n-embd", "128"]
    assert main(words) == 2, "128 is what Train has anyway, but it was typed"
    assert "--n-embd" in capsys.readouterr().err
    path = tiny.out / "options.json"
    path.write_text(path.read_text().replace('"seed"', '"flux"'))
    with pytest.raises(ValueError, match="another version.*flux, seed"):
        stored_options(tiny.out)


DAMAGE = {  # of a run: a file, and what is in it now
    "not JSON": ("options.json", lambda values: "{"),
    "a list": ("options.json", lambda values: "[]"),
    "null": ("options.json", lambda values: "null"),
    "a word for a number": (
        "options.json", lambda v: json.dumps(v | {"max_steps": "many"})
    ),
    "a number for a name": (
        "options.json", lambda v: json.dumps(v | {"position": 3})
    ),
    "a billion layers": (
        "options.json", lambda v: json.dumps(v | {"n_layer": 10**9})
    ),
    "a million channels": (
        "options.json", lambda v: json.dumps(v | {"n_embd": 10**6})
    ),
    "another model": ("options.json", lambda v: json.dumps(v | {"n_embd": 8})),
    "data, not JSON": ("data.json", lambda values: '{"corpus"'),
    "data, a number": ("data.json", lambda values: "3"),
    "no corpus": (
        "data.json", lambda v: json.dumps({"val": v["val"]})
    ),
    "no characters": ("data.json", lambda v: json.dumps(v | {"val": {}})),
    "a word of characters": (
        "data.json", lambda v: json.dumps(v | {"val": {"characters": "x"}})
    ),
    "no tokenizer": ("tokenizer.json", lambda values: "null"),
    "no tokens": ("val.npy", lambda values: ""),
    "text for tokens": ("train.npy", lambda values: "It was the best of times"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_run_is_one_line_and_stays_as_it_is(case, tiny, capsys):
    train_gpt(tiny)
    name, change = DAMAGE[case]
    path = tiny.out / name
    values = json.loads(path.read_text()) if path.suffix == ".json" else None
    path.write_text(change(values))
    before = path.read_bytes()
    capsys.readouterr()
    words = ["train", "--out", str(tiny.out), "--max-steps", "20"]
    assert main([*words, "--resume"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert str(tiny.out) in line or "--n-" in line or "weights" in line
    assert path.read_bytes() == before or name == "options.json"
    if name not in ("options.json", "train.npy"):
        assert main(["eval", str(tiny.out), "--no-baselines"]) == 2
        assert str(path) in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("words", ["--n-layer 1000000000", "--n-embd 1000000"])
def test_a_model_that_no_memory_holds_is_refused(words, tiny, capsys):
    assert main(["train", *arguments(tiny), *words.split()]) == 2
    assert words.split()[0] in capsys.readouterr().err.splitlines()[-1]
    assert names(tiny.out.parent) == set()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_log_that_does_not_fit_on_the_disk_is_named(tmp_path):
    path = tmp_path / "log.jsonl"
    kept = log.Log(path, last=-1)
    kept.file.close()
    kept.file = open("/dev/full", "a")  # noqa: SIM115
    with pytest.raises(OSError, match="disk is full") as error:
        kept.add("step", 1, loss=0.5)
    assert str(path) in str(error.value)
    with pytest.raises(OSError, match="disk is full"):
        kept.close()


# --- probes, export ----------------------------------------------------------


def test_probe_steps_begin_at_zero_and_end_at_the_end():
    assert probes.probe_steps(5, 1600) == [0, 25, 200, 675, 1600]
    assert probes.probe_steps(0, 100) == []
    assert probes.probe_steps(1, 100) == [100]
    assert len(probes.probe_steps(10, 9000)) == 10


def test_probes_are_the_models_own_attention(tiny, tmp_path):
    train_gpt(replace(tiny, probes=2))
    paths = sorted((tiny.out / "probes").iterdir())
    probes.merge(paths, tmp_path / "probes.safetensors")
    tensors, facts = probes.open_probes(tmp_path / "probes.safetensors")
    assert [x["step"] for x in facts] == [0, 12]
    assert all(len(x["texts"]) == 2 for x in facts)
    model = open_training(last(tiny.out))[0]
    ids, record = tensors["ids.2"][None, :8].long(), []
    model(ids, record=record)
    row, column = torch.tril_indices(8, 8)
    torch.testing.assert_close(
        tensors["attention.2"][-1, 0].float(),
        record[0][0][:, row, column],
        atol=1e-3, rtol=0,
    )  # fmt: skip


def test_an_exported_model_is_small_and_whole(tiny, tmp_path):
    train_gpt(replace(tiny, probes=2))
    out = tmp_path / "assets"
    assert export_model(ExportModel(tiny.out, out)) == 0
    assert names(out) == {
        "model.safetensors", "tokenizer.json", "data.json", "log.jsonl",
        "curve.svg", "probes.safetensors",
    }  # fmt: skip
    model, tokenizer = load_model(out)
    text = some_text()[:50]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    original, _ = load_model(tiny.out)
    for a, b in zip(model.parameters(), original.parameters(), strict=True):
        assert torch.equal(a, b.half().float())
    a, b = (
        measure(Eval(folder, baselines=False)) for folder in (out, tiny.out)
    )
    assert a.nats == pytest.approx(b.nats, abs=1e-3) and a.tokens == b.tokens


def test_an_export_in_int8_takes_half_the_bytes(tiny, tmp_path, capsys):
    train_gpt(replace(tiny, n_embd=64))
    large, small = tmp_path / "large", tmp_path / "small"
    assert main(["export-model", str(tiny.out), str(large)]) == 0
    assert main(["export-model", str(tiny.out), str(small), "--bits", "8"]) == 0
    sizes = [(x / "model.safetensors").stat().st_size for x in (large, small)]
    model = load_model(small)[0]
    n_weights = sum(p.numel() for p in model.parameters())
    assert 0.8 * n_weights < sizes[0] - sizes[1] < n_weights
    a, b = (measure(Eval(folder, baselines=False)) for folder in (large, small))
    assert a.nats == pytest.approx(b.nats, abs=5e-3) and a.tokens == b.tokens


def test_a_thinned_log_keeps_measurements_and_means():
    lines = [
        {"kind": "step", "step": i + 1, "loss": float(i)} for i in range(1200)
    ]
    lines.insert(600, {"kind": "eval", "step": 600})
    kept = log.thinned(lines)
    assert len(kept) == 401 and kept[200]["kind"] == "eval"
    assert kept[0] == {"kind": "step", "step": 3, "loss": 1.0, "steps": 3}


@pytest.mark.parametrize(("n", "most"), [(7, 3), (1201, 400), (5, 9), (4, 1)])
def test_every_step_counts_in_a_thinned_log(n, most):
    lines = [
        {"kind": "step", "step": i, "loss": i / 2} for i in range(1, n + 1)
    ]
    kept = log.thinned(lines, most)
    assert sum(x["steps"] for x in kept) == n and kept[-1]["step"] == n
    total = sum(x["loss"] * x["steps"] for x in kept)
    assert total == pytest.approx(sum(x["loss"] for x in lines))


def test_export_into_a_run_is_refused(tiny):
    train_gpt(tiny)
    before = (tiny.out / "log.jsonl").read_bytes()
    with pytest.raises(ValueError, match="is a run: choose another folder"):
        export_model(ExportModel(tiny.out, tiny.out))
    assert (tiny.out / "log.jsonl").read_bytes() == before
    assert not (tiny.out / "model.safetensors").exists()


def test_export_of_nothing_is_an_error(tmp_path):
    assert main(["export-model", str(tmp_path), str(tmp_path / "out")]) == 2
    with pytest.raises(ValueError):
        load_model(tmp_path)
    assert os.listdir(tmp_path) == []
