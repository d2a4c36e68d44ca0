"""minigpt.finetune against torch, closed forms and sums by hand."""

import copy
import json
import math
from pathlib import Path

import pytest
import torch
from benches import benchmark_module
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minigpt.bigram import cross_entropy
from minigpt.finetune import (
    Classifier,
    LoRA,
    add_lora,
    answer_batch,
    answers,
    freeze,
    merge,
    merge_lora,
    mixture,
    naive_bayes,
    tune,
)
from minigpt.gpt import GPT, GPTConfig
from minigpt.train import Recipe, learning_rate

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIG = GPTConfig(vocab_size=30, block_size=12, n_layer=2, n_head=2, n_embd=16)
RECIPE = Recipe(max_steps=3, warmup_steps=1, lr=1e-2, min_lr=1e-3)


def some_model(seed=0, **change):
    torch.manual_seed(seed)
    model = GPT(GPTConfig(**{**vars(CONFIG), **change}))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    return model.eval()


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def some_ids(*shape, seed=0):
    return torch.randint(30, shape, generator=dice(seed))


def batches(generator):
    ids = torch.randint(30, (4, 9), generator=generator)
    return ids[:, :-1], ids[:, 1:]


def weights(model):
    return {n: p.detach().clone() for n, p in model.named_parameters()}


def changed(before, model):
    return {n for n, p in model.named_parameters() if (p != before[n]).any()}


# ---- going on


def test_tune_is_adamw_clipped_along_the_schedule():
    recipe = Recipe(
        max_steps=5, warmup_steps=2, lr=0.02, min_lr=0.001, grad_clip=0.5
    )
    seen, mine, theirs = [], some_model().double(), some_model().double()

    def noted(generator):
        seen.append(batches(generator))
        return seen[-1]

    losses = []
    tune(mine, noted, recipe, callback=lambda step, loss: losses.append(loss))
    vectors = [p for p in theirs.parameters() if p.dim() < 2]
    matrices = [p for p in theirs.parameters() if p.dim() >= 2]
    groups = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": vectors, "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    for step, (x, y) in enumerate(seen):
        for group in adamw.param_groups:
            group["lr"] = learning_rate(step, recipe)
        adamw.zero_grad()
        loss = cross_entropy(theirs(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        adamw.step()
        assert losses[step] == pytest.approx(loss.item(), abs=1e-5)
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_tune_is_repeatable_and_depends_on_the_seed():
    runs = []
    for seed in (0, 0, 1):
        model = some_model(dropout=0.2).train()
        tune(model, batches, Recipe(max_steps=2, warmup_steps=1, seed=seed))
        runs.append(model.token.weight.detach())
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("targets", [torch.full((2, 3), -100), torch.ones(0)])
def test_a_batch_with_nothing_to_learn_is_refused(targets):
    model = some_model()
    before = weights(model)
    x = torch.zeros_like(targets).long()
    with pytest.raises(ValueError, match="-100"):
        tune(model, lambda g: (x, targets), RECIPE)
    assert not changed(before, model)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
def test_mixture_keeps_its_share_and_gives_windows(batch_size, share, seed):
    new, old = torch.arange(20), torch.arange(100, 140)
    make = mixture(new, old, share=share, block_size=5, batch_size=batch_size)
    x, y = make(dice(seed))
    assert x.shape == y.shape == (batch_size, 5)
    assert int((x >= 100).all(1).sum()) == round(share * batch_size)
    assert torch.equal(y, x + 1)  # the next token of the same text
    assert torch.equal(make(dice(seed))[0], x)


def test_mixture_refuses_texts_without_a_window():
    ids, empty = torch.arange(20), torch.zeros(0).long()
    sizes = dict(block_size=5, batch_size=4)
    for new, old, share in ((empty, ids, 0.5), (ids, empty, 0.5)):
        with pytest.raises((ValueError, AssertionError)):
            mixture(new, old, share=share, **sizes)(dice())
    x, _ = mixture(ids[:6], **sizes)(dice())  # one window fits
    assert x.tolist() == [[0, 1, 2, 3, 4]] * 4


# ---- freezing


def test_freeze_by_name_and_count():
    model = some_model()
    total = sum(p.numel() for p in model.parameters())
    assert freeze(model) == total
    left = freeze(model, "blocks.0", "norm.weight")
    still = {n for n, p in model.named_parameters() if not p.requires_grad}
    want = {n for n in weights(model) if n.startswith("blocks.0.")}
    assert still == want | {"norm.weight"}
    by_name = dict(model.named_parameters())
    assert left == total - sum(by_name[n].numel() for n in still)


def test_freeze_stops_at_the_dot():
    model = some_model(n_layer=11)
    freeze(model, "blocks.1")
    still = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert still and all(n.startswith("blocks.1.") for n in still)


def test_the_tied_head_is_the_token_table():
    model = some_model()
    freeze(model, "head")
    assert not model.token.weight.requires_grad
    untied = some_model(tied=False)
    freeze(untied, "head")
    assert untied.token.weight.requires_grad


@pytest.mark.parametrize("name", ["blocks.2", "block", "blocks.", "", "mlp"])
def test_freeze_refuses_a_name_that_is_not_there(name):
    model = some_model()
    with pytest.raises(ValueError, match="token, position, blocks, norm, head"):
        freeze(model, "token", name)
    assert all(p.requires_grad for p in model.parameters())


def test_frozen_parts_stay_to_the_bit_and_others_move():
    model = some_model()
    freeze(model, "token", "position", "blocks.0")
    before = weights(model)
    tune(model, batches, RECIPE)
    moved = changed(before, model)
    assert moved == {n for n in before if n.startswith(("blocks.1.", "norm."))}


# ---- LoRA


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rank", [1, 3, 5])
def test_lora_is_an_identity_first_and_then_a_product(bias, rank):
    torch.manual_seed(rank)
    linear = nn.Linear(5, 7, bias=bias).double()
    lora, x = LoRA(linear, rank, alpha=6.0).double(), torch.randn(4, 5).double()
    assert torch.equal(lora(x), linear(x))
    nn.init.normal_(lora.B)
    wide = linear.weight + 6.0 / rank * lora.B @ lora.A
    want = nn.functional.linear(x, wide, linear.bias)
    torch.testing.assert_close(lora(x), want)
    one = merge(lora)
    assert type(one) is nn.Linear and one.weight.dtype == torch.float64
    assert (one.bias is None) != bias
    torch.testing.assert_close(one(x), want)


def test_only_a_and_b_get_gradients_and_they_are_right():
    torch.manual_seed(0)
    lora = LoRA(nn.Linear(4, 3), 2).double()
    nn.init.normal_(lora.B)
    x = torch.randn(5, 4).double()
    lora(x).square().sum().backward()
    learns = {n for n, p in lora.named_parameters() if p.grad is not None}
    assert learns == {"A", "B"}

    def loss(A, B):
        parts = {"A": A, "B": B}
        return torch.func.functional_call(lora, parts, (x,)).square().sum()

    assert torch.autograd.gradcheck(loss, (lora.A, lora.B))


LAYERS = ("attention.qkv", "attention.proj", "mlp.fc", "mlp.proj")


@pytest.mark.parametrize("layers", [LAYERS, ("qkv",), ("blocks.1.mlp.fc",)])
def test_a_model_with_lora_counts_learns_and_merges(layers):
    model = some_model().double()
    before, idx = copy.deepcopy(model), some_ids(3, 8)
    n = add_lora(model, 2, layers=layers)
    assert n == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert torch.equal(model(idx), before(idx))
    tune(model.float(), batches, Recipe(max_steps=4, warmup_steps=0, lr=0.1))
    model.double()
    learned = {n for n, p in model.named_parameters() if p.requires_grad}
    assert {n.rpartition(".")[2] for n in learned} == {"A", "B"}
    for name, p in model.named_parameters():
        if name not in learned:
            old = before.get_parameter(name.replace(".linear.", "."))
            assert torch.equal(p, old.float().double())
    unmerged = model(idx)
    assert (unmerged - before(idx)).abs().max() > 1e-2
    assert merge_lora(model) == len(learned) // 2
    assert (model(idx) - unmerged).abs().max() < 1e-6
    assert model.state_dict().keys() == before.state_dict().keys()
    assert merge_lora(model) == 0


def test_lora_parameters_counted():
    C, L, r = CONFIG.n_embd, CONFIG.n_layer, 3
    assert add_lora(some_model(), r) == L * r * (C + 3 * C)
    assert add_lora(some_model(), r, layers=LAYERS) == L * r * 16 * C


@pytest.mark.parametrize(
    "layers", [["head"], ["qkv", "norm1"], ["blocks.2.mlp.fc"], ["kv"]]
)
def test_add_lora_refuses_a_layer_that_is_not_there(layers):
    model = some_model()
    with pytest.raises(ValueError, match=layers[-1]):
        add_lora(model, 2, layers=layers)
    assert not any(isinstance(m, LoRA) for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_an_untied_head_can_have_lora():
    model = some_model(tied=False)
    assert add_lora(model, 2, layers=["head"]) == 2 * (16 + 30)


# ---- a classifier


def test_classifier_is_a_mean_and_a_layer():
    model, idx = some_model(), some_ids(3, 8)
    classifier = Classifier(model, 4)
    assert torch.equal(classifier(idx), torch.zeros(3, 4))
    nn.init.normal_(classifier.layer.weight)
    mean = sum(model.hidden(idx)[:, t] for t in range(8)) / 8
    want = mean @ classifier.layer.weight.T
    torch.testing.assert_close(classifier(idx), want, rtol=1e-4, atol=1e-5)


def test_tune_trains_a_classifier_with_its_body_frozen():
    classifier = Classifier(some_model(), 2)
    assert freeze(classifier, "body") == 2 * 16 + 2
    before, x = weights(classifier), some_ids(16, 8)
    y, losses = (x[:, 3] < 15).long(), []
    tune(
        classifier,
        lambda g: (x, y),
        Recipe(max_steps=60, warmup_steps=1, lr=0.3, min_lr=0.1),
        callback=lambda step, loss: losses.append(loss),
    )
    assert changed(before, classifier) == {"layer.weight", "layer.bias"}
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert losses[-1] < losses[0] / 2


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 5), st.integers(1, 7), st.integers(0, 999))
def test_naive_bayes_is_bayes(n_classes, V, seed):
    N, k = 3 * n_classes, 0.5
    counts = torch.randint(4, (N, V), generator=dice(seed)).double()
    labels = torch.arange(N) % n_classes
    weight, bias = naive_bayes(counts, labels, n_classes, k=k)
    for c in range(n_classes):
        rows = [counts[i] for i in range(N) if labels[i] == c]
        total = sum(float(row.sum()) for row in rows)
        for v in range(V):
            seen = sum(float(row[v]) for row in rows)
            p = (seen + k) / (total + k * V)
            assert weight[v, c].item() == pytest.approx(math.log(p))
        assert bias[c].item() == pytest.approx(math.log(1 / n_classes))


def test_naive_bayes_counts_the_shares_of_classes():
    counts, labels = torch.ones(4, 2), torch.tensor([0, 0, 0, 1])
    bias = naive_bayes(counts, labels, 2)[1]
    torch.testing.assert_close(bias.exp(), torch.tensor([0.75, 0.25]))


# ---- instructions

ids = st.lists(st.integers(1, 29), min_size=1, max_size=5)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=5))
def test_targets_are_the_answers_and_their_end(pairs):
    x, y = answer_batch(pairs, end=0)
    assert x.shape == y.shape
    for row, target, (prompt, answer) in zip(x, y, pairs, strict=True):
        n, m = len(prompt), len(answer)
        assert row[: n + m].tolist() == [*prompt, *answer]
        assert target[n - 1 : n + m].tolist() == [*answer, 0]
        assert (target[: n - 1] == -100).all()
        assert (target[n + m :] == -100).all()


def test_the_loss_is_that_of_the_answers_alone():
    model = some_model().double()
    pairs = [([3, 4, 5], [6]), ([7], [8, 9, 10]), ([1, 2], [3, 4])]
    x, y = answer_batch(pairs, end=0)
    logits = model(x).detach().requires_grad_()
    loss = cross_entropy(logits, y)
    loss.backward()
    assert not logits.grad[y == -100].any()
    nats = []
    for prompt, answer in pairs:
        for i, token in enumerate([*answer, 0]):
            seen = torch.tensor([[*prompt, *answer[:i]]])
            nats.append(-model(seen)[0, -1].log_softmax(-1)[token])
    torch.testing.assert_close(loss.detach(), torch.stack(nats).mean().detach())


def test_answers_in_a_batch_are_those_given_alone_and_stop():
    model = some_model()
    prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 9]]
    free = [answers(model, [p], end=-1, n=5)[0] for p in prompts]
    assert answers(model, prompts, end=-1, n=5) == free
    assert all(len(row) == 5 for row in free)
    end = free[0][2]
    stopped = answers(model, prompts, end=end, n=5)
    for row, whole in zip(stopped, free, strict=True):
        until = whole.index(end) if end in whole else 5
        assert row == whole[:until]


# ---- the record, and the benchmark behind it

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def benchmark():
    return benchmark_module("finetune")


@pytest.fixture(scope="module")
def chapter(benchmark):
    return benchmark.run_cells()


def test_a_coin_changes_its_side_with_every_change(chapter):
    for thought in (False, True):
        for _, question, answer in chapter["coins"](20, 0, thought=thought):
            side, states = "up", []
            for move in question.removeprefix("coin up: ")[:-2].split():
                if move == "change":
                    side = {"up": "down", "down": "up"}[side]
                states.append(side)
            assert answer.split() == (states if thought else states[-1:])


def test_tested_questions_are_in_no_batch(chapter):
    tested = {question for _, question, _ in chapter["coins"](400, seed=1)}
    tested = set(sorted(tested)[:128])
    batch = chapter["lessons"](chapter["coins"], tested)
    tokenizer, seen = chapter["tokenizer"], set()
    for seed in range(5):
        x, targets = batch(dice(seed))
        for row, wanted in zip(x.tolist(), targets.tolist()):
            start = next(t for t, y in enumerate(wanted) if y != -100)
            seen.add(tokenizer.decode(row[: start + 1]))
    assert len(seen) > 40 and not seen & tested


def test_tuning_on_the_log_learns_it(benchmark, chapter):
    before = chapter["bits"](chapter["base"])
    for how in ("all weights", "LoRA, rank 4"):
        found = benchmark.tune_on_log(
            chapter, 6, {how: 1.0}, how=how, budget="steps", lr=1e-3, seed=0
        )
        assert found["log"] < before[0] - 0.1 and found["steps"] == 6


def test_equal_seconds_are_more_steps_where_steps_are_faster(
    benchmark, chapter
):
    speed = {benchmark.ALONE: 1.0, benchmark.STEPS: 2.0}
    for how, steps in (benchmark.SECONDS, 4), (benchmark.STEPS, 2):
        found = benchmark.tune_on_coins(
            chapter, 2, speed, how=how, lr=1e-3, seed=0
        )
        assert found["steps"] == steps and 0 <= found["right"] <= 1


@pytest.mark.parametrize("part", ["log", "coins"])
def test_record_holds_every_run_of_the_benchmark(benchmark, part):
    path = ROOT / "notebooks" / "results" / "finetune.json"
    runs = json.loads(path.read_text(encoding="utf-8"))[part]
    for trial in benchmark.trials(part):
        found = [run for run in runs if trial.items() <= run.items()]
        assert len(found) == 1 and found[0]["steps"] > 0
