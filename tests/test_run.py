"""`python -m minigpt train`: exact, resumable, and clear when refused."""

import json
import math
import platform
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields, replace

import pytest
import torch
import torch.nn.functional as F
from minigpt.run.decode import Decoder, quick
from minigpt.run.fast import FastGPT, FusedAttention, fused_gpt, keep_memory
from safetensors.torch import load_file

from minigpt import multihead
from minigpt.bigram import WittenBell, cross_entropy, evaluate
from minigpt.block import MLP, Block, LayerNorm
from minigpt.cache import new_cache
from minigpt.data import open_tokens
from minigpt.gpt import GPT, GPTConfig
from minigpt.multihead import MultiHeadAttention
from minigpt.run import Eval, ExportModel, Train, corpus, log, loop, probes
from minigpt.run import options as run_options
from minigpt.run.export import export_model, load_model
from minigpt.run.measure import evaluate as measure
from minigpt.train import Recipe

MINIGPT = [sys.executable, "-m", "minigpt"]
TINY = {
    "tokenizer": "char", "block_size": 8, "n_layer": 1, "n_head": 2,
    "n_embd": 16, "dropout": 0.1, "steps": 12, "batch_size": 4,
    "micro_batch": 4, "warmup": 2, "eval_every": 6, "save_every": 4,
    "threads": 1, "device": "cpu",
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


def steps(folder):
    """(step, loss) of every update in a run's log."""
    lines = log.read(folder / "log.jsonl")
    return [(x["step"], x["loss"]) for x in lines if x["kind"] == "step"]


def last(folder):
    return max((folder / "checkpoints").iterdir())


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


def test_every_choice_is_an_option():
    names = {f.name for f in fields(Train)}
    model = {f.name for f in fields(GPTConfig)} - {"vocab_size"}
    assert model <= names and {f.name for f in fields(Recipe)} <= names


def test_options_become_config_and_recipe(tiny):
    options = replace(tiny, tied=False, norm="post", peak=0.5, seed=9)
    config = run_options.config(options, 33)
    assert (config.vocab_size, config.tied, config.norm) == (33, False, "post")
    recipe = run_options.recipe(options)
    assert (recipe.peak, recipe.seed, recipe.steps) == (0.5, 9, 12)


def test_help_names_every_option_and_its_default():
    run = subprocess.run(
        [*MINIGPT, "train", "--help"],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    shown = " ".join(run.stdout.split())
    for field in fields(Train):
        assert "--" + field.name.replace("_", "-") in shown, field.name
    assert shown.count("(default: ") == len(fields(Train))


def test_a_preset_yields_to_what_is_given():
    options = Train(preset="reference", seed=7)
    options = run_options.with_preset(options)
    assert (options.n_layer, options.n_embd, options.seed) == (6, 192, 7)
    run_options.check(options)


def test_what_is_typed_counts_even_if_it_is_the_default(tiny, monkeypatch):
    plain = Train(preset="reference", bf16=False)
    assert run_options.with_preset(plain).bf16 is True
    words = ["minigpt", "train", "--preset", "reference", "--no-bf16"]
    monkeypatch.setattr(sys, "argv", words)
    assert run_options.with_preset(plain).bf16 is False
    assert run_options.with_preset(plain).n_embd == 192
    monkeypatch.setattr(sys, "argv", ["minigpt", "train", "--steps=2000"])
    again = run_options.merged(run_options.stored(tiny), Train(resume=True))
    assert again.steps == 2000 and again.n_embd == 16
    monkeypatch.setattr(sys, "argv", ["minigpt", "train", "--n-embd", "128"])
    with pytest.raises(ValueError, match="--n-embd is 16 in this run"):
        run_options.merged(run_options.stored(tiny), Train(resume=True))


# --- a whole run -------------------------------------------------------------


def test_a_run_learns_and_leaves_everything(tiny, capsys):
    options = replace(tiny, steps=60, probes=3, peak=1e-2)
    assert loop.run(options) == 0
    assert "done: 60 steps" in capsys.readouterr().out
    names = {p.name for p in options.out.iterdir()}
    assert names == {
        "options.json", "data.json", "tokenizer.json", "train.tokens",
        "val.tokens", "log.jsonl", "curve.svg", "best.safetensors",
        "checkpoints", "probes",
    }  # fmt: skip
    losses = [loss for _, loss in steps(options.out)]
    assert len(losses) == 60 and losses[-1] < losses[0] - 0.1
    assert len(list((options.out / "checkpoints").iterdir())) == 2
    assert "<svg" in (options.out / "curve.svg").read_text()


def test_the_log_says_what_ran(tiny):
    loop.run(tiny)
    lines = log.read(tiny.out / "log.jsonl")
    assert [x["step"] for x in lines if x["kind"] == "eval"] == [0, 6, 12]
    start = lines[0]
    assert start["kind"] == "start" and start["torch"] == torch.__version__
    assert start["options"]["n_embd"] == 16 and start["threads"] == 1
    rates = [x["rate"] for x in lines if x["kind"] == "step"]
    assert rates[0] == pytest.approx(5e-4) and max(rates) == 1e-3


def test_two_runs_are_equal_bytes(tiny):
    other = replace(tiny, out=tiny.out.with_name("other"))
    loop.run(tiny), loop.run(other)
    assert steps(tiny.out) == steps(other.out)
    assert last(tiny.out).read_bytes() == last(other.out).read_bytes()
    third = replace(tiny, out=tiny.out.with_name("third"), seed=2)
    loop.run(third)
    assert steps(third.out) != steps(tiny.out)


def test_measured_loss_is_that_of_chapter_3(tiny):
    loop.run(tiny)
    model, _ = load_model(tiny.out)
    ids = torch.tensor(open_tokens(tiny.out / "val.tokens").astype("int64"))
    n = (len(ids) - 1) // 8 * 8 + 1  # whole windows only
    score = measure(Eval(tiny.out, baselines=False))
    assert score.tokens == len(ids) - 1 == score.characters
    whole = evaluate(model, ids[:n], block_size=8)
    assert score.nats == pytest.approx(whole, rel=2e-2)
    assert score.bits_per_char == pytest.approx(score.nats / math.log(2))
    assert score.perplexity == pytest.approx(math.exp(score.nats))


def test_eval_stands_beside_the_counting_baselines(tiny, capsys):
    loop.run(tiny)
    capsys.readouterr()
    assert Eval(tiny.out).run() == 0
    said = capsys.readouterr().out
    score = measure(Eval(tiny.out))
    assert f"{score.bits_per_char:8.4f} bits per character\n" in said
    tokenizer = corpus.load_tokenizer(tiny.out)
    train, held_out = (
        torch.tensor(corpus.encode(tokenizer, corpus.texts(tiny.corpus, part)))
        for part in ("train", "val")
    )
    counted = WittenBell(train, 7, tokenizer.n_vocab).log_probs(held_out)
    best = score.baselines["7-grams"]
    assert best == pytest.approx(-counted.mean().item() / math.log(2))
    assert score.baselines["no knowledge"] == math.log2(tokenizer.n_vocab)
    assert best < score.baselines["2-grams"] < score.baselines["1-grams"]
    assert f"{best:8.4f} bits per character by counting, 7-grams" in said


def test_the_best_weights_are_those_of_the_lowest_loss(tiny):
    loop.run(replace(tiny, steps=30, peak=1e-2, eval_every=3))
    evals = [x for x in log.read(tiny.out / "log.jsonl") if x["kind"] == "eval"]
    score = measure(Eval(tiny.out))
    best = min(x["loss"] for x in evals)
    assert score.nats == pytest.approx(best, abs=1e-6)


# --- stop and go on ----------------------------------------------------------


def interrupt_at(monkeypatch, step, failure):
    """`failure()` happens right after update number `step`."""
    real = loop.one_step

    def one_step(this, *rest):
        real(this, *rest)
        if this.step == step:
            failure()

    monkeypatch.setattr(loop, "one_step", one_step)


@pytest.fixture
def uninterrupted(tiny):
    options = replace(tiny, out=tiny.out.with_name("uninterrupted"))
    loop.run(options)
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
def test_ctrl_c_saves_and_resume_is_exact(
    number, tiny, uninterrupted, monkeypatch, capsys
):
    interrupt_at(monkeypatch, 7, lambda: signal.raise_signal(number))
    assert loop.run(tiny) == loop.STOPPED
    said = capsys.readouterr().out
    assert "stopped after step 7 of 12" in said
    assert f"train --out {tiny.out} --resume" in said
    assert last(tiny.out).name == "step-0000007.safetensors"
    monkeypatch.undo()
    assert loop.run(Train(out=tiny.out, resume=True, threads=1)) == 0
    assert equal(tiny.out, uninterrupted)


def raise_signals(*numbers):
    for number in numbers:
        signal.raise_signal(number)


def test_ctrl_c_under_torchrun_is_one_request(tiny, monkeypatch):
    """Ctrl-C and, from torchrun, a polite kill: saved all the same."""
    both = signal.SIGINT, signal.SIGTERM, signal.SIGTERM
    interrupt_at(monkeypatch, 7, lambda: raise_signals(*both))
    assert loop.run(tiny) == loop.STOPPED
    assert last(tiny.out).name == "step-0000007.safetensors"


def test_a_second_ctrl_c_stops_at_once(tiny, monkeypatch, capsys):
    both = signal.SIGINT, signal.SIGINT
    interrupt_at(monkeypatch, 7, lambda: raise_signals(*both))
    assert loop.run(tiny) == loop.STOPPED
    assert "stopped at once; what was saved" in capsys.readouterr().out
    assert last(tiny.out).name == "step-0000004.safetensors"


def test_a_crash_costs_only_the_steps_since_the_last_save(
    tiny, uninterrupted, monkeypatch
):
    interrupt_at(monkeypatch, 7, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.run(tiny)
    assert last(tiny.out).name == "step-0000004.safetensors"
    with open(tiny.out / "log.jsonl", "a") as file:
        file.write('{"kind": "st')  # a line that was cut short
    monkeypatch.undo()
    assert loop.run(Train(out=tiny.out, resume=True, threads=1)) == 0
    assert equal(tiny.out, uninterrupted)


def test_a_damaged_checkpoint_is_passed_over(
    tiny, uninterrupted, monkeypatch, capsys
):
    interrupt_at(monkeypatch, 10, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.run(tiny)
    content = bytearray(last(tiny.out).read_bytes())
    content[-1] ^= 1
    last(tiny.out).write_bytes(content)
    monkeypatch.undo()
    assert loop.run(Train(out=tiny.out, resume=True, threads=1)) == 0
    assert "passed over" in capsys.readouterr().err
    assert equal(tiny.out, uninterrupted)


def test_no_usable_checkpoint_is_an_error(tiny):
    loop.run(tiny)
    for path in (tiny.out / "checkpoints").iterdir():
        path.write_bytes(b"not one")
    with pytest.raises(ValueError, match="no checkpoint .* can be used"):
        loop.run(Train(out=tiny.out, resume=True))


def test_a_finished_run_can_be_made_longer(tiny):
    loop.run(tiny)
    loop.run(Train(out=tiny.out, resume=True, threads=1, steps=15))
    assert [step for step, _ in steps(tiny.out)] == list(range(1, 16))


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
    many = replace(tiny, steps=1500, save_every=1, eval_every=500)
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
    assert loop.run(options) == 0
    assert 0 < before < 1500
    whole = replace(many, out=many.out.with_name("whole"), save_every=1500)
    loop.run(whole)
    assert steps(many.out) == steps(whole.out)
    assert not list(many.out.rglob("*.part"))


# --- refused -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peak": 0.0}, "peak must be positive"),
        ({"peak": math.nan}, "peak must be positive"),
        ({"warmup": 13}, "warmup must be between 0 and steps=12, got 13"),
        ({"block_size": 5000}, "needs a longer text: the train part"),
        ({"block_size": 500}, "needs a longer text: the val part"),
        ({"n_embd": 15}, "--n-embd must be a multiple of --n-head"),
        ({"batch_size": 6}, "--batch-size 6 cannot be shared out"),
        ({"steps": -1}, "warmup must be between|--steps must be positive"),
        ({"dropout": 1.0}, "--dropout must be at least 0 and below 1"),
        ({"corpus": "no-such-file"}, "one of sotu, tinyshakespeare or"),
        ({"tokenizer": "bpe", "n_vocab": 9}, "n_vocab must be at least"),
    ],
)
def test_bad_input_is_named(tiny, changes, message):
    with pytest.raises(ValueError, match=message):
        loop.run(replace(tiny, **changes))


def test_a_folder_in_use_is_never_overwritten_unasked(tiny):
    loop.run(tiny)
    before = last(tiny.out).read_bytes()
    with pytest.raises(ValueError, match="--resume, or .* --overwrite"):
        loop.run(replace(tiny, seed=3))
    assert last(tiny.out).read_bytes() == before
    loop.run(replace(tiny, seed=3, overwrite=True))
    assert last(tiny.out).read_bytes() != before


def test_what_is_not_a_run_is_never_overwritten(tiny):
    tiny.out.mkdir()
    (tiny.out / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="not a run; it is left alone"):
        loop.run(replace(tiny, overwrite=True))
    assert (tiny.out / "thesis.tex").read_text() == "years of work"


def test_nothing_to_resume_is_an_error(tiny):
    with pytest.raises(ValueError, match="no run to resume"):
        loop.run(replace(tiny, resume=True))


def test_resuming_as_another_run_is_an_error(tiny):
    loop.run(tiny)
    with pytest.raises(ValueError, match="--n-embd is 16 in this run"):
        loop.run(Train(out=tiny.out, resume=True, n_embd=32))


def test_options_of_another_version_are_named(tiny):
    loop.run(tiny)
    path = tiny.out / "options.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"flux": 3}))
    with pytest.raises(ValueError, match="another version.*flux"):
        loop.run(Train(out=tiny.out, resume=True))


def test_a_loss_that_is_not_finite_stops_the_run(tiny):
    wild = replace(tiny, peak=1e30, floor=0.0, steps=40, save_every=1)
    with pytest.raises(ValueError, match="last good.*Try a lower --peak"):
        loop.run(wild)
    kept = last(tiny.out)
    model = torch.cat(
        [p.flatten() for p in loop.state.open_any(kept)[0].parameters()]
    )
    assert torch.isfinite(model).all()


def test_a_disk_that_fills_leaves_the_earlier_checkpoint(tiny, monkeypatch):
    loop.run(tiny)
    names = sorted(p.name for p in (tiny.out / "checkpoints").iterdir())

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    longer = Train(out=tiny.out, resume=True, threads=1, steps=20)
    with pytest.raises(OSError, match="disk is full|No space left"):
        loop.run(longer)
    monkeypatch.undo()
    after = sorted(p.name for p in (tiny.out / "checkpoints").iterdir())
    assert after == names
    assert loop.run(longer) == 0


# --- parts -------------------------------------------------------------------


def test_fused_attention_is_the_taught_one():
    torch.manual_seed(0)
    taught, fused = MultiHeadAttention(24, 3), FusedAttention(24, 3)
    fused.load_state_dict(taught.state_dict())
    x = torch.randn(2, 9, 24, requires_grad=True)
    torch.testing.assert_close(fused(x), taught(x))
    gradients = [
        torch.autograd.grad(m(x).square().sum(), x)[0] for m in (taught, fused)
    ]
    torch.testing.assert_close(*gradients)
    record = []
    fused(x, record=record)
    assert record[0].shape == (2, 3, 9, 9), "the taught way when asked"


def test_fused_attention_in_bfloat16_is_the_taught_one():
    """As near as bfloat16 can tell, forward and backward."""
    torch.manual_seed(0)
    taught, fused = MultiHeadAttention(24, 3), FusedAttention(24, 3)
    fused.load_state_dict(taught.state_dict())
    x = torch.randn(2, 9, 24)
    with torch.autocast("cpu", torch.bfloat16):
        pairs = [m(x) for m in (fused, taught)]
    assert pairs[0].dtype == torch.bfloat16
    torch.testing.assert_close(*pairs, atol=0.01, rtol=0.02)
    for y in pairs:
        y.float().square().sum().backward()
    gradients = [m.qkv.weight.grad for m in (fused, taught)]
    error = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert 0 < error < 0.02
    moved = x.clone()
    moved[:, 6:] += 1
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fused(moved)[:, :6], pairs[0][:, :6]), "causal"


def pair_of_models(**options):
    """One configuration as `GPT` and as `FastGPT`, with equal weights."""
    c = GPTConfig(11, 8, 2, 3, 12, **options)
    module_by_module = fused_gpt(c)
    fast = FastGPT(c)
    fast.load_state_dict(module_by_module.state_dict())
    for model in (module_by_module, fast):
        for p in model.parameters():  # biases and gains that tell
            with torch.no_grad():
                p += 0.1 * torch.linspace(-1, 1, p.numel()).view(p.shape)
    return module_by_module, fast


SHAPES = [
    {},
    {"bias": False},
    {"norm": "post", "position": "sinusoidal", "activation": "relu"},
    {"position": "none", "tied": False, "activation": "gelu_tanh"},
]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_the_fast_model_is_the_taught_one_bit_for_bit(options, precision):
    """Logits and all gradients, in both precisions that a run may have."""
    pair = pair_of_models(**options)
    idx = torch.randint(11, (4, 7), generator=torch.Generator().manual_seed(0))
    half = precision == torch.bfloat16
    with torch.autocast("cpu", precision, enabled=half):
        logits = [model(idx) for model in pair]
    assert torch.equal(*logits) and logits[0].shape == (4, 7, 11)
    for each in logits:
        cross_entropy(each.float(), idx).backward()
    for (name, p), q in zip(
        pair[0].named_parameters(), pair[1].parameters(), strict=True
    ):
        assert torch.equal(p.grad, q.grad), name
        assert p.grad.abs().sum() > 0, name


def test_the_fast_model_calls_no_module_of_a_block():
    """Otherwise nothing would be gained, and the test above proves nothing."""
    _, fast = pair_of_models()
    called = []
    for block in fast.blocks:
        for module in block.modules():
            module.register_forward_hook(lambda *_: called.append(1))
    idx = torch.zeros(1, 3, dtype=torch.long)
    fast(idx)
    assert not called
    fast(idx, record=[])
    assert called, "the taught way when asked"


def test_the_fast_model_is_the_taught_one_when_asked_for_more():
    pair = pair_of_models(dropout=0.5)
    idx = torch.randint(11, (2, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[0, :3] = False
    records = [], []
    for model, record in zip(pair, records, strict=True):
        model.eval()
        model(idx, record=record)
    assert all(map(torch.equal, *records)) and len(records[0]) == 2
    assert torch.equal(*(m(idx, mask=mask) for m in pair))
    caches = [new_cache(model) for model in pair]
    steps = [
        torch.cat([m(idx[:, :4], cache=c), m(idx[:, 4:], cache=c)], 1)
        for m, c in zip(pair, caches, strict=True)
    ]
    assert torch.equal(*steps)
    dropped = []
    for model in pair:
        torch.manual_seed(3)
        dropped.append(model.train()(idx))
    assert torch.equal(*dropped)
    assert torch.equal(*(model.eval()(idx) for model in pair))
    assert not torch.allclose(dropped[1], pair[1].eval()(idx))


def test_the_fast_model_refuses_what_the_taught_one_refuses():
    _, fast = pair_of_models()
    for wrong in (
        torch.zeros(2, 9, dtype=torch.long),
        torch.zeros(7, dtype=torch.long),
        torch.zeros(2, 0, dtype=torch.long),
        torch.full((2, 7), 11),
        torch.zeros(2, 7),
    ):
        with pytest.raises(ValueError):
            fast(wrong)
    assert fast(torch.zeros(0, 4, dtype=torch.long)).shape == (0, 4, 11)


def another_mlp(self, x):
    return self.proj(self.fc(x).relu().square())


def nearly_the_mlp(self, x):
    return self.proj(F.gelu(self.fc(x), approximate="tanh"))


def dropping_mlp(self, x):
    return self.proj(F.dropout(F.gelu(self.fc(x)), 0.1, self.training))


def renamed_mlp(self, n_embd, *, activation, bias, dropout):
    torch.nn.Module.__init__(self)
    self.up = torch.nn.Linear(n_embd, n_embd)
    self.forward = self.up.forward


def another_block(self, x, *, mask=None, cache=None, record=None):
    keys = {"mask": mask, "cache": cache, "record": record}
    y = self.norm1(x)
    return x + self.attention(y, **keys) + self.mlp(y)


def gained_block(self, norm1, attention, norm2, mlp, *, order):
    BLOCK_INIT(self, norm1, attention, norm2, mlp, order=order)
    self.gain = torch.nn.Parameter(torch.ones(1))
    plain = self.forward
    self.forward = lambda x, **keys: x + self.gain * (plain(x, **keys) - x)


def renamed_block(self, norm1, attention, norm2, mlp, *, order):
    torch.nn.Module.__init__(self)
    self.first, self.second = attention, mlp
    self.forward = lambda x, **_: x + self.second(x + self.first(x))


def norm_without_eps(self, n_embd, bias=True):
    LAYER_NORM_INIT(self, n_embd, bias=bias)
    del self.eps
    self.forward = lambda x: self.weight * F.normalize(x, dim=-1)


def another_attention(self, x, *, mask=None, cache=None, record=None):
    if cache is not None:
        cache.update(x[:, None], x[:, None], mask)
    return self.proj(x.cumsum(1))


def window(T, S=None, device=None):
    S = T if S is None else S
    band = torch.ones(T, S, dtype=torch.bool, device=device)
    return band.tril(S - T).triu(S - T - 5)


BLOCK_INIT, LAYER_NORM_INIT = Block.__init__, LayerNorm.__init__
CHANGES = {  # what -> (where, name, instead); which quick kinds still fit
    "square": (MLP, "forward", another_mlp),
    "nearly": (MLP, "forward", nearly_the_mlp),
    "dropping": (MLP, "forward", dropping_mlp),
    "renamed MLP": (MLP, "__init__", renamed_mlp),
    "parallel": (Block, "forward", another_block),
    "gain": (Block, "__init__", gained_block),
    "renamed block": (Block, "__init__", renamed_block),
    "no eps": (LayerNorm, "__init__", norm_without_eps),
    "attention": (MultiHeadAttention, "forward", another_attention),
    "window": (multihead, "causal_mask", window),
}
SEEN_WHEN_WRITING = set(CHANGES) - {"dropping"}  # it is off, as it should be


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_takes_a_changed_part_as_it_is(tiny, change, monkeypatch, capsys):
    """Who edits a cell of chapters 4 to 8 trains and asks what it says."""
    options = replace(tiny, n_layer=3, dropout=0.0)
    fast = loop.new_model(options, 20, talks=True)
    assert type(fast) is FastGPT and not capsys.readouterr().err
    monkeypatch.setattr(*CHANGES[change])
    model = loop.new_model(options, 20, talks=True)
    assert type(model) is GPT
    assert "training them as they are" in capsys.readouterr().err
    again = loop.new_model(replace(options, fused=False), 20, talks=True)
    assert not capsys.readouterr().err
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)
    fused = any(isinstance(m, FusedAttention) for m in model.modules())
    assert fused is (change not in ("attention", "window"))


def test_a_run_takes_another_attention_by_default(tiny, monkeypatch):
    """The class that chapter 8 names, not a part of it, has changed."""

    class Mine(MultiHeadAttention):
        def forward(self, x, **keys):
            return 2 * super().forward(x, **keys)

    monkeypatch.setitem(GPT.__init__.__kwdefaults__, "attention", Mine)
    model = loop.new_model(replace(tiny, dropout=0.0), 20, talks=True)
    assert type(model) is GPT and type(model.blocks[0].attention) is Mine


@pytest.mark.parametrize("change", CHANGES)
def test_writing_takes_a_changed_part_as_it_is(change, monkeypatch):
    torch.manual_seed(0)
    c = GPTConfig(11, 8, 2, 2, 8)
    assert type(quick(GPT(c))) is type(quick(FastGPT(c))) is Decoder
    monkeypatch.setattr(*CHANGES[change])
    model = GPT(c)
    with torch.no_grad():
        for p in model.parameters():  # as if trained: a gain that is not 1
            p += 0.5 * torch.randn(p.shape)
    expected = GPT if change in SEEN_WHEN_WRITING else Decoder
    assert type(quick(model)) is expected


def test_writing_takes_other_parts_as_they_are():
    c = GPTConfig(11, 8, 2, 2, 8)
    assert type(quick(GPT(c, norm=torch.nn.LayerNorm))) is GPT
    one = GPT(replace(c, block_size=1))
    assert quick(one) is one, "never a second token: nothing to gain"


@pytest.mark.parametrize("bf16", [False, True])
def test_a_run_without_dropout_is_that_of_the_modules(
    tiny, bf16, tmp_path, monkeypatch
):
    """The same weights, bit for bit, stopped and resumed on the way."""
    options = replace(tiny, dropout=0.0, n_layer=2, bf16=bf16)
    loop.run(replace(options, steps=7))
    assert loop.run(Train(out=tiny.out, resume=True, threads=1, steps=12)) == 0
    kind = "minigpt.run.loop.quickest"
    monkeypatch.setattr(kind, lambda config: fused_gpt)
    by_modules = replace(options, out=tmp_path / "modules", steps=7)
    loop.run(by_modules)
    longer = Train(out=by_modules.out, resume=True, threads=1, steps=12)
    assert loop.run(longer) == 0
    said = [
        [x["model"] for x in log.read(o.out / "log.jsonl") if "model" in x]
        for o in (options, by_modules)
    ]
    assert said == [["FastGPT", "FastGPT"], ["GPT", "GPT"]]
    last_weights = [load_file(last(o.out)) for o in (options, by_modules)]
    for name, p in last_weights[0].items():
        assert torch.equal(p, last_weights[1][name]), name


def test_memory_is_kept_where_glibc_is():
    glibc = platform.libc_ver()[0] == "glibc"
    assert keep_memory() is glibc


def test_fused_attention_drops_outputs_only():
    torch.manual_seed(0)
    fused = FusedAttention(24, 3, dropout=0.5).train()
    x = torch.randn(4, 9, 24)
    with torch.no_grad():
        dropped, whole = fused(x), fused.eval()(x)
    kept = dropped != 0
    assert 0.4 < kept.float().mean() < 0.6
    torch.testing.assert_close(dropped[kept], 2 * whole[kept])


def test_documents_are_paid_for_to_the_last_token(tmp_path):
    """Every character and every end of text is a target once."""
    tokenizer = corpus.BPETokenizer.train(
        some_text(), 300, special_tokens=(corpus.END,), progress=False
    )
    documents = ["abc abd", "hgf"]
    ids = corpus.encode(tokenizer, documents)
    end = tokenizer.special_tokens[corpus.END]
    assert ids[0] == end
    assert ids.count(end) == 3 and ids[-1] == end
    assert corpus.characters(tokenizer, documents) == 10
    text = tokenizer.decode([i for i in ids if i != end])
    assert text == "".join(documents)


def test_probe_steps_begin_at_zero_and_end_at_the_end():
    assert probes.probe_steps(5, 1600) == [0, 25, 200, 675, 1600]
    assert probes.probe_steps(0, 100) == []
    assert probes.probe_steps(1, 100) == [100]
    assert len(probes.probe_steps(10, 9000)) == 10


def test_probes_are_the_models_own_attention(tiny, tmp_path):
    loop.run(replace(tiny, probes=2))
    paths = sorted((tiny.out / "probes").iterdir())
    probes.merge(paths, tmp_path / "probes.safetensors")
    tensors, facts = probes.open_probes(tmp_path / "probes.safetensors")
    assert [x["step"] for x in facts] == [0, 12]
    assert all(len(x["texts"]) == 2 for x in facts)
    model, _ = loop.state.open_any(last(tiny.out))
    ids, record = tensors["ids.2"][None, :8].long(), []
    model(ids, record=record)
    row, column = torch.tril_indices(8, 8)
    torch.testing.assert_close(
        tensors["attention.2"][-1, 0].float(),
        record[0][0][:, row, column],
        atol=1e-3, rtol=0,
    )  # fmt: skip


def test_an_exported_model_is_small_and_whole(tiny, tmp_path):
    loop.run(replace(tiny, probes=2))
    out = tmp_path / "assets"
    names = {p.name for p in export_model(tiny.out, out)}
    assert names == {
        "model.safetensors", "tokenizer.json", "data.json", "log.jsonl",
        "curve.svg", "probes.safetensors",
    }  # fmt: skip
    model, tokenizer = load_model(out)
    text = some_text()[:50]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    original, _ = load_model(tiny.out)
    for a, b in zip(model.parameters(), original.parameters(), strict=True):
        assert torch.equal(a, b.half().float())
    assert measure(Eval(out)).nats == pytest.approx(
        measure(Eval(tiny.out)).nats, abs=1e-3
    )


def test_a_thinned_log_keeps_measurements_and_means():
    from minigpt.run.export import thinned

    lines = [
        {"kind": "step", "step": i + 1, "loss": float(i)} for i in range(1200)
    ]
    kept = thinned([*lines[:600], {"kind": "eval", "step": 600}, *lines[600:]])
    assert len(kept) == 401 and kept[200]["kind"] == "eval"
    assert kept[0] == {"kind": "step", "step": 3, "loss": 1.0, "steps": 3}


@pytest.mark.parametrize("kind", [FastGPT, fused_gpt])
def test_the_model_runs_on_any_device(kind, monkeypatch):
    """No tensor is made on the CPU behind the model's back."""
    checks = "gpt.check_input", "run.fast.check_input"
    for check in *checks, "position.check_positions":
        monkeypatch.setattr(f"minigpt.{check}", lambda *_, **__: None)
    monkeypatch.setattr(  # without its look at values, which meta has not
        "minigpt.multihead.masked_softmax",
        lambda scores, mask: scores.masked_fill(~mask, -1e9).softmax(-1),
    )
    with torch.device("meta"):
        model = kind(GPTConfig(11, 8, 2, 2, 8))
    idx = torch.zeros(2, 8, dtype=torch.long, device="meta")
    assert model(idx).shape == (2, 8, 11)
    assert model(idx, record=[]).is_meta


def test_export_of_nothing_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="not a run"):
        ExportModel(tmp_path, tmp_path / "out").run()
    with pytest.raises(ValueError, match="no model"):
        tmp_path.joinpath("x").mkdir()
        load_model(tmp_path / "x")
