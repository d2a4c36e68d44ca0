"""minigpt.lens: patterns by hand, the lens at its end, heads switched off."""

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from benches import benchmark_module

from minigpt.attention import causal_mask
from minigpt.gpt import GPT, GPTConfig
from minigpt.lens import (
    PATTERNS,
    ablated,
    ablation_costs,
    duplicate_token,
    every_head,
    first_token,
    head_scores,
    hooked,
    induction,
    logit_lens,
    mean_outputs,
    pattern_score,
    positional_part,
    previous_token,
    record_attention,
    residual_stream,
    token_losses,
    uniform_attention,
)

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).parents[1]
CONFIG = GPTConfig(vocab_size=30, block_size=16, n_layer=3, n_head=2, n_embd=8)
VARIANTS = [
    {},
    {"order": "post"},
    {"position": "sinusoidal", "tied": False},
    {"bias": False, "mlp": "relu"},
    {"dropout": 0.5},
]


def some_model(**changes):
    torch.manual_seed(0)
    model = GPT(GPTConfig(**(vars(CONFIG) | changes)))
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.3)
    return model


def tokens(B=3, T=10, seed=0, V=30):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(V, (B, T), generator=g)


def hooks_of(model):
    return [
        hook
        for m in model.modules()
        for hook in (*m._forward_hooks, *m._forward_pre_hooks)
    ]


# ---- patterns: against definitions spelled out in loops


def places(name, ids, t):
    """Where a pattern looks from t, in plain words."""
    if name == "previous":
        return {t - 1} & set(range(t))
    if name == "first":
        return {0} if t else set()
    if name == "duplicate":
        return {s for s in range(t) if ids[s] == ids[t]}
    return {s + 1 for s in range(t) if ids[s] == ids[t]}


@pytest.mark.parametrize("name", PATTERNS)
def test_pattern_names_the_places_of_its_definition(name):
    for seed in range(5):
        ids = tokens(1, 12, seed, V=5)[0]
        where = PATTERNS[name](ids)
        assert where.shape == (12, 12) and where.dtype == torch.bool
        for t in range(12):
            found = set(where[t].nonzero().flatten().tolist())
            assert found == places(name, ids.tolist(), t)


def test_patterns_of_a_batch_are_those_of_its_texts():
    ids = tokens(4, 9, V=4)
    for pattern in (duplicate_token, induction):
        for row, where in zip(ids, pattern(ids), strict=True):
            assert torch.equal(pattern(row), where)
    for pattern in (previous_token, first_token):
        assert torch.equal(pattern(ids), pattern(ids[0]))


def test_no_pattern_looks_ahead_and_one_token_has_none():
    ids = tokens(2, 16, V=3)
    for pattern in PATTERNS.values():
        assert not pattern(ids).triu(1).any()
        assert not pattern(ids[:, :1]).any()


# ---- scores: on attention made by hand


def by_hand(rows, T):
    """{t: {s: weight}} -> (T, T), the other rows at token 0."""
    head = torch.zeros(T, T)
    head[:, 0] = 1.0
    for t, row in rows.items():
        head[t] = 0.0
        for s, weight in row.items():
            head[t, s] = weight
    return head


def test_scores_of_heads_made_by_hand():
    ids = torch.tensor([7, 3, 9, 7, 3])  # 7 and 3 come again
    inducing = by_hand({3: {1: 1.0}, 4: {2: 1.0}}, 5)
    assert pattern_score(inducing, induction(ids)) == 1
    assert pattern_score(inducing, duplicate_token(ids)) == 0
    copying = by_hand({3: {0: 0.25, 2: 0.75}, 4: {1: 0.5, 3: 0.5}}, 5)
    assert pattern_score(copying, duplicate_token(ids)) == (0.25 + 0.5) / 2
    assert pattern_score(copying, previous_token(ids)) == pytest.approx(
        (1 + 0 + 0.75 + 0.5) / 4  # row 1 looks at token 0, row 2 too
    )
    assert pattern_score(copying, first_token(ids)) == pytest.approx(
        (1 + 1 + 0.25 + 0) / 4
    )


def test_a_row_without_a_place_does_not_count():
    ids = torch.tensor([1, 2, 3, 4, 5, 1])  # only the last row
    head = by_hand({5: {1: 0.5, 0: 0.5}}, 6)
    assert pattern_score(head, induction(ids)) == 0.5


def test_score_of_uniform_attention_is_what_can_be_counted():
    ids = torch.tensor([4, 5, 4, 5, 4])
    even = uniform_attention(5)
    assert torch.allclose(even.sum(-1), torch.ones(5))
    assert pattern_score(even, previous_token(ids)) == pytest.approx(
        (1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4
    )
    assert pattern_score(even, induction(ids)) == pytest.approx(
        (1 / 3 + 1 / 4 + 2 / 5) / 3
    )


def test_scores_of_many_heads_are_those_of_each():
    model, ids = some_model().eval(), tokens(4, 12, V=5)
    weights = record_attention(model, ids)
    scores = head_scores(weights, ids)
    assert set(scores) == set(PATTERNS)
    for name, pattern in PATTERNS.items():
        assert scores[name].shape == (3, 2)
        each = [
            pattern_score(weights[2, b, 1], pattern(ids[b])) for b in range(4)
        ]
        assert scores[name][2, 1] == pytest.approx(sum(each).item() / 4)


def test_a_text_without_a_place_to_look_scores_nan():
    ids = torch.tensor([[1, 1, 2], [1, 2, 3]])  # only the first has a place
    scores = pattern_score(uniform_attention(3), duplicate_token(ids))
    assert scores.isnan().tolist() == [False, True]
    assert pattern_score(uniform_attention(1), first_token(ids[0, :1])).isnan()


def test_weights_of_other_texts_do_not_pass_silently():
    ids = torch.tensor([[1, 1, 2], [1, 2, 1]])
    for shape in ((1, 3, 1, 3, 3), (1, 1, 3, 3)):
        with pytest.raises(AssertionError):
            head_scores(torch.zeros(shape), ids)


def test_positional_part_keeps_position_and_nothing_else():
    ids = tokens(1, 12, V=4)[0]
    where = previous_token(ids)
    head = by_hand({t: {t - 1: 1.0} for t in range(1, 12)}, 12)
    part = positional_part(head)
    assert pattern_score(part, where) == pytest.approx(1)
    weights = torch.rand(2, 3, 7, 7).tril()
    part = positional_part(weights)
    for d in range(7):
        mean = weights.diagonal(-d, -2, -1).mean(-1)
        for line in part.diagonal(-d, -2, -1).unbind(-1):
            torch.testing.assert_close(line, mean)
    assert not part.triu(1).any()


# ---- records, stream, lens


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_lens_ends_where_the_model_does(changes):
    model, ids = some_model(**changes), tokens()
    training = model.training
    lens, stream = logit_lens(model, ids), residual_stream(model, ids)
    assert model.training == training and not hooks_of(model)
    assert lens.shape == (4, 3, 10, 30) and stream.shape == (4, 3, 10, 8)
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(lens[-1], model(ids))
        torch.testing.assert_close(stream[0], model.embed(ids))
        x, mask = stream[0], causal_mask(ids.size(1))
        for block, after in zip(model.blocks, stream[1:], strict=True):
            x = block(x, mask=mask)
            torch.testing.assert_close(x, after)


def test_records_are_of_the_run_that_gave_the_logits():
    model, ids = some_model(dropout=0.5), tokens()
    weights = record_attention(model, ids)
    assert weights.shape == (3, 3, 2, 10, 10) and model.training
    assert not weights.requires_grad
    assert torch.equal(weights, record_attention(model, ids))
    record = []
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(model(ids), model(ids, record=record))
    assert torch.equal(torch.stack(record), weights)


def test_hooks_go_also_when_something_fails():
    model = some_model()
    handle = model.register_forward_hook(lambda m, x, out: None)
    with pytest.raises(RuntimeError), hooked([handle]):
        raise RuntimeError("no")
    with pytest.raises(ValueError), ablated(model, [(0, 0)]):
        raise ValueError("no")
    with pytest.raises(ValueError):
        residual_stream(model, tokens(T=17))  # too long
    assert not hooks_of(model)


# ---- ablation: against weights that are really taken out


def cut(model, heads):
    """A copy whose heads write nothing, by zero columns of proj."""
    copy = GPT(model.config).eval()
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        for layer, head in heads:
            weight = copy.blocks[layer].attention.proj.weight
            weight[:, head * 4 : (head + 1) * 4] = 0
    return copy


@torch.no_grad()
@pytest.mark.parametrize(
    "heads", [[], [(0, 1)], [(2, 0), (0, 0)], [(1, 0), (1, 1)]], ids=str
)
def test_ablated_model_is_one_without_those_weights(heads):
    model, ids = some_model().eval(), tokens()
    plain = model(ids)
    with ablated(model, heads) as same:
        assert same is model
        torch.testing.assert_close(model(ids), cut(model, heads)(ids))
    assert torch.equal(model(ids), plain) and not hooks_of(model)


@torch.no_grad()
def test_mean_outputs_and_ablation_by_them():
    model, ids = some_model().eval(), tokens(4, 12)
    means = mean_outputs(model, ids)
    assert means.shape == (3, 2, 4)
    attention = model.blocks[0].attention
    x = model.blocks[0].norm1(model.embed(ids))
    record = []
    attention(x, mask=causal_mask(12), record=record)
    values = attention.qkv(x)[..., 16:]  # (B, T, C)
    for h in range(2):
        own = record[0][:, h] @ values[..., 4 * h : 4 * h + 4]
        torch.testing.assert_close(means[0, h], own.mean((0, 1)))
    same = tokens(1, 1).expand(2, 1)  # one token: every mean is the value
    exact = mean_outputs(model, same)
    with ablated(model, every_head(model), exact):
        got = model(same)
    torch.testing.assert_close(got, model(same))


def test_costs_are_differences_of_losses():
    model, ids = some_model().eval(), tokens(5, 12)
    x, y = ids[:, :-1], ids[:, 1:]
    groups = [[], [(0, 0)], every_head(model)]
    costs = ablation_costs(model, groups, x, y)
    assert costs.shape == (3, 2) and costs[0].tolist() == [0, 0]
    with torch.no_grad():
        without = cut(model, every_head(model))
        rise = torch.stack([
            F.cross_entropy(without(a[None])[0], b)
            - F.cross_entropy(model(a[None])[0], b)
            for a, b in zip(x, y, strict=True)
        ])  # fmt: skip
    assert costs[2, 0] == pytest.approx(rise.mean().item(), abs=1e-5)
    assert costs[2, 1] == pytest.approx(rise.std().item() / 5**0.5, abs=1e-5)


def test_token_losses_skip_what_does_not_count():
    model, ids = some_model(), tokens(2, 6)
    x, y = ids[:, :-1], ids[:, 1:].clone()
    y[0, 2] = -100
    losses = token_losses(model, x, y)
    assert losses.shape == (2, 5) and losses[0, 2] == 0 and model.training
    logits = model.eval()(x)
    one = F.cross_entropy(logits[1, 3], y[1, 3])
    assert losses[1, 3] == pytest.approx(one.item(), abs=1e-6)


@pytest.mark.parametrize("head", [(3, 0), (0, 2), (0, -1)])
def test_a_head_that_is_not_there_changes_nothing(head):
    model = some_model()
    with pytest.raises(AssertionError), ablated(model, [(0, 0), head]):
        pass
    assert not hooks_of(model)


def test_every_head_once():
    heads = every_head(some_model())
    assert heads == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


# ---- the record


@pytest.fixture(scope="module")
def benchmark():
    return benchmark_module("induction")


@pytest.fixture(scope="module")
def record():
    path = ROOT / "notebooks" / "results" / "induction.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_record_holds_the_runs_of_the_benchmark(benchmark, record):
    every = benchmark.every(seeds=3)
    assert [run["name"] for run in record["runs"]] == [r.name for r in every]


def test_one_layer_counts_back_and_guesses(record):
    """Of 13 periods, no run of one layer tells which; two layers do."""
    best = {
        layers: min(r["test"] for r in record["runs"] if r["n_layer"] == layers)
        for layers in (1, 2)
    }
    assert best[2] < 0.7
    assert best[1] == pytest.approx(math.log(13), abs=0.15)


def test_one_layer_had_at_least_the_seconds_of_two(record):
    seconds = {
        budget: [
            run["seconds"]
            for run in record["runs"]
            if (run["n_layer"], run["steps"]) == budget
        ]
        for budget in ((1, 1600), (2, 800))
    }
    assert sum(seconds[1, 1600]) > sum(seconds[2, 800])
