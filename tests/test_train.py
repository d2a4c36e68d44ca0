"""The recipe, part by part, against PyTorch, closed forms and itself."""

import copy
import doctest
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benches import benchmark_module
from torch import nn

import minigpt.train as module
from minigpt.bigram import cross_entropy
from minigpt.gpt import GPT, GPTConfig
from minigpt.train import (
    OPTIMIZERS,
    Recipe,
    accumulate,
    learning_rate,
    make_optimizer,
    parameter_groups,
    step_batches,
    step_seed,
    train,
    train_step,
)

SMALL = GPTConfig(vocab_size=13, block_size=8, n_layer=2, n_head=2, n_embd=16)


def small_model(**changes):
    torch.manual_seed(0)
    return GPT(GPTConfig(**(vars(SMALL) | changes)))


@pytest.fixture
def ids():
    g = torch.Generator().manual_seed(3)
    return torch.randint(13, (400,), generator=g)


def uneven_batches():
    """Two batches, the second mostly padding."""
    g = torch.Generator().manual_seed(1)
    x = torch.randint(13, (8, 8), generator=g)
    y = torch.randint(13, (8, 8), generator=g)
    y[4:, 2:] = -100
    return [(x[:4], y[:4]), (x[4:], y[4:])], (x, y)


def gradients(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# --- recipe and schedule -----------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.0}, "lr must be positive .* got lr=0.0"),
        ({"lr": math.nan}, "lr must be positive"),
        ({"min_lr": 0.1}, "min_lr between 0 and lr, got .*min_lr=0.1"),
        ({"min_lr": -0.1}, "min_lr between 0 and lr"),
        ({"warmup_steps": 1001}, "must be 0 to 1000, got 1001"),
        ({"warmup_steps": -1}, "must be 0 to 1000, got -1"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**changes)


def test_the_examples_hold():
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted >= 2


def test_the_schedule_is_that_of_pytorch():
    """LinearLR, then CosineAnnealingLR, by PyTorch's own schedulers."""
    r = Recipe(max_steps=60, warmup_steps=20, lr=0.5, min_lr=0.05)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40, 0.05)
    for step in range(20, 60):
        theirs = optimizer.param_groups[0]["lr"]
        assert learning_rate(step, r) == pytest.approx(theirs, abs=1e-9)
        optimizer.step(), cosine.step()
    climb = [learning_rate(step, r) for step in range(20)]
    assert climb == pytest.approx([0.5 * (s + 1) / 20 for s in range(20)])


def test_the_linear_way_down_is_that_of_pytorch():
    r = Recipe(
        max_steps=60, warmup_steps=20, lr=0.5, min_lr=0.05, decay="linear"
    )
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    line = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, 40)
    for step in range(20, 61):
        theirs = optimizer.param_groups[0]["lr"]
        assert learning_rate(step, r) == pytest.approx(theirs, abs=1e-9)
        optimizer.step(), line.step()


@pytest.mark.parametrize("decay", ["cosine", "linear"])
@pytest.mark.parametrize("warmup", [0, 1, 10])
def test_a_schedule_of_any_warmup_ends_at_min_lr(warmup, decay):
    r = Recipe(
        max_steps=10, warmup_steps=warmup, lr=1.0, min_lr=0.25, decay=decay
    )
    rates = [learning_rate(step, r) for step in range(11)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[-1] == (0.25 if warmup < 10 else 1.0)


# --- optimizer ---------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_every_parameter_is_in_one_group(tied):
    model = small_model(tied=tied)
    matrices, vectors = (g["params"] for g in parameter_groups(model, 0.1))
    ids = [id(p) for p in (*matrices, *vectors)]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())
    assert len(set(ids)) == len(ids)
    for name, p in model.named_parameters():
        is_vector = name.endswith("bias") or "norm" in name
        assert (id(p) in map(id, vectors)) == is_vector, name


def test_only_matrices_decay():
    model = small_model()
    before = copy.deepcopy(model)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer = make_optimizer(model, Recipe(weight_decay=0.5))
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    optimizer.step()
    for p, q in zip(model.parameters(), before.parameters(), strict=True):
        factor = 0.95 if p.dim() >= 2 else 1.0
        torch.testing.assert_close(p, q * factor)


def test_a_recipe_names_its_optimizer(monkeypatch):
    def sgd(model, recipe):
        return torch.optim.SGD(model.parameters(), lr=recipe.lr)

    monkeypatch.setitem(OPTIMIZERS, "sgd", sgd)
    made = make_optimizer(small_model(), Recipe(optimizer="sgd", lr=0.5))
    assert type(made) is torch.optim.SGD and made.defaults["lr"] == 0.5


def test_fused_is_the_plain_loop():
    models = small_model(), small_model()
    for model, fused in zip(models, (True, False), strict=True):
        groups = parameter_groups(model, 0.1)
        optimizer = torch.optim.AdamW(groups, lr=1e-2, fused=fused)
        for _ in range(3):
            accumulate(model, uneven_batches()[0])
            optimizer.step()
    # A weight moves by about 0.03; where gradients vanish, noise decides.
    torch.testing.assert_close(*map(weights, models), atol=1e-4, rtol=0)


# --- batches -----------------------------------------------------------------


def test_a_steps_windows_follow_from_seed_and_step(ids):
    r = Recipe(batch_size=6, micro_batch_size=4)
    first = step_batches(ids, 7, r, block_size=8)
    again = step_batches(ids, 7, r, block_size=8)
    assert [len(x) for x, _ in first] == [4, 2]
    for (x, y), (a, b) in zip(first, again, strict=True):
        assert torch.equal(x, a) and torch.equal(y, b)
        assert torch.equal(x[:, 1:], y[:, :-1]), "targets are one on"
    for other in (Recipe(batch_size=6, seed=1), Recipe(batch_size=6)):
        x = step_batches(ids, 7 + (other.seed == 0), other, block_size=8)[0][0]
        assert not torch.equal(x[:4], first[0][0])


def test_micro_batches_do_not_change_the_windows(ids):
    whole = step_batches(ids, 3, Recipe(batch_size=8), block_size=8)
    parts = step_batches(
        ids, 3, Recipe(batch_size=8, micro_batch_size=2), block_size=8
    )
    assert torch.equal(torch.cat([x for x, _ in parts]), whole[0][0])


def test_seeds_are_distinct_and_fit():
    seeds = {
        step_seed(s, t, r)
        for s in range(20) for t in range(200) for r in range(4)
    }  # fmt: skip
    assert len(seeds) == 20 * 200 * 4
    torch.manual_seed(step_seed(2**40, 10**9, 10**5))


# --- gradients ---------------------------------------------------------------


def test_pieces_give_the_gradient_of_the_whole():
    pieces, (x, y) = uneven_batches()
    one, many = small_model(), small_model()
    loss = cross_entropy(one(x), y)
    loss.backward()
    assert accumulate(many, pieces) == pytest.approx(loss.item(), abs=1e-6)
    torch.testing.assert_close(gradients(many), gradients(one))
    plain = small_model()
    for a, b in pieces:
        (cross_entropy(plain(a), b) / 2).backward()
    off = (gradients(plain) - gradients(one)).norm()
    assert off > 0.05 * gradients(one).norm(), "unequal pieces do matter"


def test_the_gradient_is_that_of_finite_differences():
    model = small_model().double()
    (x, y), weight = uneven_batches()[1], model.blocks[0].mlp.fc.weight
    accumulate(model, [(x, y)])
    found, step = weight.grad[2, 3].item(), 1e-6
    with torch.no_grad():
        losses = []
        for sign in (1, -1):
            weight[2, 3] += sign * step
            losses.append(cross_entropy(model(x), y).item())
            weight[2, 3] -= sign * step
    slope = (losses[0] - losses[1]) / (2 * step)
    assert found == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_bf16_changes_the_loss_a_little_and_the_weights_not_their_type():
    full, half = small_model(), small_model()
    batches = uneven_batches()[0]
    a, b = accumulate(full, batches), accumulate(half, batches, bf16=True)
    assert a != b and abs(a - b) < 0.02
    assert {p.grad.dtype for p in half.parameters()} == {torch.float32}
    cosine = torch.cosine_similarity(gradients(full), gradients(half), dim=0)
    assert cosine > 0.99


@pytest.mark.parametrize("clip", [1e-3, 1e3])
def test_clipping_shortens_and_keeps_the_direction(clip):
    batches, model = uneven_batches()[0], small_model()
    accumulate(model, batches)
    before = gradients(model)
    r = Recipe(grad_clip=clip)
    _, norm = train_step(model, make_optimizer(model, r), batches, r, lr=0)
    after = gradients(model)
    assert norm == pytest.approx(before.norm().item(), rel=1e-5)
    assert after.norm() == pytest.approx(min(clip, norm), rel=1e-3)
    assert torch.cosine_similarity(before, after, dim=0) > 0.9999


def test_a_step_uses_the_rate_and_forgets_old_gradients():
    batches, model = uneven_batches()[0], small_model()
    r = Recipe(weight_decay=0.0)
    optimizer = make_optimizer(model, r)
    before = weights(model)
    for p in model.parameters():
        p.grad = torch.full_like(p, 1e6)
    train_step(model, optimizer, batches, r, lr=1e-3)
    moved = (weights(model) - before).abs()
    assert moved.max() == pytest.approx(1e-3, rel=1e-2)


def test_a_gradient_that_is_no_number_changes_no_weight():
    model, r = small_model(), Recipe()
    with torch.no_grad():
        model.token.weight[0, 0] = math.inf
    before = weights(model)
    with pytest.raises(FloatingPointError, match="loss is nan|loss is inf"):
        optimizer = make_optimizer(model, r)
        train_step(model, optimizer, uneven_batches()[0], r, lr=1.0)
    assert torch.equal(weights(model), before)


# --- the loop ----------------------------------------------------------------


def test_two_runs_are_equal_bytes_dropout_included(ids):
    r = Recipe(max_steps=6, warmup_steps=2, batch_size=4)
    one, two, other = (small_model(dropout=0.2) for _ in range(3))
    train(one, ids, r, block_size=8)
    torch.rand(99)  # chance elsewhere in the program has no say
    train(two, ids, r, block_size=8)
    assert weights(one).numpy().tobytes() == weights(two).numpy().tobytes()
    train(other, ids, replace(r, seed=1), block_size=8)
    assert not torch.equal(weights(one), weights(other))


def test_a_text_that_repeats_is_learned(ids):
    period = torch.arange(400) % 5
    losses, model = [], small_model()

    def note(step, loss, lr, norm):
        losses.append((step, loss))
        assert lr == learning_rate(step, r) and norm > 0

    r = Recipe(max_steps=80, warmup_steps=8, lr=1e-2, min_lr=1e-3, batch_size=8)
    train(model, period, r, block_size=8, callback=note)
    assert [step for step, _ in losses] == list(range(80))
    assert losses[0][1] > 2.4 and losses[-1][1] < 0.1


# --- the records, and the benchmarks behind them -----------------------------

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def benchmarks():
    return benchmark_module("search"), benchmark_module("passes")


def record(name):
    path = ROOT / "notebooks" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_records_hold_every_run_of_the_benchmarks(benchmarks):
    search, passes = benchmarks
    found = record("search_sotu")
    names = [t["name"] for t in found["trials"]]
    wanted = search.trials(found["arguments"]["steps"])
    assert sorted(names) == sorted(t.name for t in wanted)
    names = [t["name"] for t in record("passes_sotu")["trials"]]
    assert sorted(names) == sorted(t.name for t in passes.trials())


def test_equal_seconds_are_equal_steps_within_a_shape(benchmarks):
    found = record("search_sotu")
    seconds, speed = found["arguments"]["seconds"], found["seconds_a_step"]
    for trial in found["trials"]:
        if trial["part"] != "equal steps":
            shape = f"{trial['n_embd']} channels, {trial['n_layer']} blocks"
            assert trial["steps"] == round(seconds / speed[shape])


def test_texts_are_as_long_as_the_passes_and_copies_say(benchmarks):
    _, passes = benchmarks
    ids, lower = torch.arange(1000), torch.arange(1000, 2000)
    four = passes.text_of(passes.Trial(4), ids, lower)
    assert torch.equal(four, ids[:250])
    copies = passes.text_of(passes.Trial(1, text=passes.COPIES), ids, lower)
    assert len(copies) == 1000 and (copies < 10).sum() == 910
    both = passes.text_of(passes.Trial(4, text=passes.LOWER), ids, lower)
    assert both.tolist() == [*range(250), *range(1000, 1250)]
