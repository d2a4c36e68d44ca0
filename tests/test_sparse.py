"""Long texts, small caches and experts, against transformers and loops."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benches import benchmark_module
from hypothesis import given, settings
from hypothesis import strategies as st
from models import dice, some_model
from torch.testing import assert_close

from minigpt.attention import attention, causal_mask
from minigpt.bigram import evaluate
from minigpt.block import MLP
from minigpt.cache import new_cache
from minigpt.gpt import GPT, GPTConfig
from minigpt.modern import GroupedQueryAttention, rope_table, rotate
from minigpt.run.checkpoint import open_model, save_model
from minigpt.sample import Sampling, generate
from minigpt.sparse import (
    LatentAttention,
    MixtureOfExperts,
    RollingCache,
    SparseConfig,
    WindowAttention,
    context_bytes,
    rebuild,
    rope_speeds,
    window_mask,
)

ROOT = Path(__file__).parents[1]
SMALL = SparseConfig(
    vocab_size=40, block_size=24, n_layer=2, n_head=4, n_embd=32, bias=False,
    position="rope",
)  # fmt: skip
VARIANTS = {
    "window": replace(SMALL, window=5),
    "window, shared heads, qk-norm": replace(
        SMALL, window=5, n_kv_head=2, qk_norm=True
    ),
    "window, alibi": replace(SMALL, window=5, position="alibi"),
    "window, no positions": replace(SMALL, window=5, position="none"),
    "latent": replace(SMALL, n_latent=12),
    "latent, biases": replace(SMALL, n_latent=12, bias=True),
    "experts": replace(SMALL, mlp="experts"),
    "window, experts": replace(SMALL, window=5, mlp="experts"),
}
WINDOWS = {k: c for k, c in VARIANTS.items() if c.window}
every_window = pytest.mark.parametrize(
    "config", WINDOWS.values(), ids=WINDOWS.keys()
)
every_variant = pytest.mark.parametrize(
    "config", VARIANTS.values(), ids=VARIANTS.keys()
)


def some_ids(B, T):
    g = torch.Generator().manual_seed(1)
    return torch.randint(40, (B, T), generator=g)


# Longer texts


@pytest.mark.parametrize("how, kind", [("interpolate", "linear"),
                                       ("base", "dynamic")])  # fmt: skip
def test_speeds_are_those_of_transformers(how, kind):
    utils = pytest.importorskip("transformers.modeling_rope_utils")
    from transformers import LlamaConfig

    factor = 8.0 if kind == "linear" else 1.0  # dynamic: 512 of 64 places
    config = LlamaConfig(
        hidden_size=64, num_attention_heads=4, max_position_embeddings=64,
        rope_parameters={
            "rope_type": kind, "factor": factor, "rope_theta": 64.0,
        },
    )  # fmt: skip
    theirs, _ = utils.ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=512)
    assert_close(rope_speeds(16, 64, 8.0, how).float(), theirs)


@given(st.integers(2, 20), st.floats(1.0, 50.0))
@settings(max_examples=25, deadline=None)
def test_the_ends_of_both_ways_to_stretch(half, stretch):
    plain = rope_speeds(2 * half, 100)
    base = plain / rope_speeds(2 * half, 100, stretch, "base")
    assert_close(base[0].item(), 1.0)
    assert_close(base[-1].item(), stretch)
    assert (base.diff() >= -1e-9).all()
    even = plain / rope_speeds(2 * half, 100, stretch, "interpolate")
    assert_close(even, torch.full_like(even, stretch))


@every_variant
def test_rebuilt_longer_it_says_the_same_about_short_texts(config):
    model, idx = some_model(config), some_ids(2, 20)
    longer = rebuild(model, block_size=50)
    assert longer.config == replace(config, block_size=50)
    assert_close(longer(idx), model(idx), atol=1e-4, rtol=1e-4)
    assert longer(some_ids(1, 50)).isfinite().all()


def test_learned_positions_get_rows_at_the_end():
    model = some_model(replace(SMALL, position="learned"))
    longer = rebuild(model, block_size=30)
    assert torch.equal(longer.position.weight[:24], model.position.weight)
    assert longer.position.weight.shape == (30, 32)
    before = model.token.weight.clone()
    longer.token.weight.data.zero_()  # a copy: the first model keeps its own
    assert torch.equal(model.token.weight, before)


def test_interpolated_places_are_those_between():
    """With twice the length, place 2t has the angles that place t had."""
    model = some_model(SMALL)
    longer = rebuild(model, "interpolate", block_size=48)
    for block, old in zip(longer.blocks, model.blocks, strict=True):
        assert_close(block.attention.cos[::2], old.attention.cos)
        assert_close(block.attention.sin[::2], old.attention.sin)


# Windows


@given(st.integers(1, 9), st.integers(0, 9), st.integers(1, 12))
@settings(max_examples=50, deadline=None)
def test_window_mask_by_its_definition(T, past, window):
    S = T + past
    expected = [
        [0 <= S - T + i - j < window for j in range(S)] for i in range(T)
    ]
    assert window_mask(T, S, window).tolist() == expected


def test_window_attention_is_chapter_15s_with_a_band():
    config = replace(SMALL, window=5, n_kv_head=2)
    ours = WindowAttention(config)
    theirs = GroupedQueryAttention(
        32, 4, block_size=24, n_kv_head=2, bias=False
    )
    theirs.load_state_dict(ours.state_dict())
    x = dice(2, 24, 32).requires_grad_()
    record = [], []
    a = ours(x, mask=causal_mask(24), record=record[0])
    b = theirs(x, mask=window_mask(24, 24, 5), record=record[1])
    assert_close(a, b)
    assert_close(*(r[0] for r in record))
    g = dice(2, 24, 32, seed=1)
    assert_close(*(torch.autograd.grad(y, x, g)[0] for y in (a, b)))


@every_variant
def test_cached_text_is_uncached_text(config):
    model, prompt = some_model(config), some_ids(3, 4)
    greedily = Sampling(temperature=0)
    texts = [
        torch.stack([new for new, _ in generate(
            model, prompt, n=30, sampling=greedily, **options)])
        for options in ({}, {"cache": new_cache(model)})
    ]  # fmt: skip
    assert torch.equal(*texts)  # past block_size too


@torch.no_grad()
def in_pieces(model, idx, caches, sizes):
    return torch.cat([model(x, cache=caches) for x in idx.split(sizes, 1)], 1)


@every_window
@pytest.mark.parametrize("sizes", [1, [9, 1, 3, 1, 10]])
def test_a_cache_that_forgets_changes_nothing(config, sizes):
    model, idx = some_model(config), some_ids(2, 24)
    caches = [RollingCache(5) for _ in model.blocks]
    found = in_pieces(model, idx, caches, sizes)
    assert_close(found, model(idx).detach(), atol=1e-4, rtol=1e-4)
    held = sum(cache.nbytes for cache in caches) // 2  # two texts
    assert held == context_bytes(config, 24)
    assert {cache.offset for cache in caches} == {4}


@every_window
def test_it_reads_texts_without_end(config):
    model, idx = some_model(config), some_ids(1, 100)
    caches = [RollingCache(5) for _ in model.blocks]
    found = in_pieces(model, idx, caches, 1)
    with torch.no_grad():
        whole = rebuild(model, block_size=100)(idx)
    assert_close(found, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sinks", [0, 1, 3])
def test_sinks_by_gathering_columns(sinks):
    """Each token attends to the sinks and its window, placed side by side."""
    layer = WindowAttention(replace(SMALL, window=24))
    x, cache = dice(2, 20, 32), RollingCache(5, sinks)
    with torch.no_grad():
        found = [layer(token, cache=cache) for token in x.split(1, 1)]
        for t, y in enumerate(found):
            window = range(max(sinks, t - 4), t + 1)
            columns = [*range(min(sinks, t + 1)), *window]
            columns = sorted(set(columns))
            alone = layer(x[:, columns], mask=causal_mask(len(columns)))
            assert_close(y[:, 0], alone[:, -1], atol=1e-5, rtol=1e-5)
    assert cache.offset == 4 + sinks


def test_a_reset_cache_is_as_new():
    model, idx = some_model(VARIANTS["window"]), some_ids(1, 12)
    caches = [RollingCache(5) for _ in model.blocks]
    first = in_pieces(model, idx, caches, 1)
    for cache in caches:
        cache.reset()
    assert torch.equal(in_pieces(model, idx, caches, 1), first)


# Latent keys


def test_latent_attention_equals_deepseeks():
    """Transformers' layer turns neighbors, ours halves; its norm is off."""
    theirs = pytest.importorskip(
        "transformers.models.deepseek_v2.modeling_deepseek_v2"
    )
    from transformers import DeepseekV2Config

    H, D, R, r = 4, 8, 12, 4
    config = DeepseekV2Config(
        hidden_size=32, num_attention_heads=H, num_key_value_heads=H,
        q_lora_rank=None, kv_lora_rank=R, qk_nope_head_dim=D,
        qk_rope_head_dim=r, v_head_dim=D, attention_bias=False,
        attn_implementation="eager", rope_parameters={
            "rope_type": "default", "rope_theta": 24.0},
    )  # fmt: skip
    layer = theirs.DeepseekV2Attention(config, 0)
    layer.kv_a_layernorm = torch.nn.Identity()
    ours = LatentAttention(replace(SMALL, n_latent=R))
    neighbors = torch.arange(r).view(2, r // 2).T.flatten()  # 0 2 1 3
    with torch.no_grad():
        q, row = ours.qkv.weight.split(ours.widths)
        q = q.view(H, D + r, 32)
        q = torch.cat([q[:, :D], q[:, D:][:, neighbors]], 1)
        row = torch.cat([row[:R], row[R:][neighbors]])
        up = ours.up.weight.view(2, H, D, R).transpose(0, 1)
        layer.q_proj.weight.copy_(q.flatten(0, 1))
        layer.kv_a_proj_with_mqa.weight.copy_(row)
        layer.kv_b_proj.weight.copy_(up.flatten(0, 2))
        layer.o_proj.weight.copy_(ours.proj.weight)
    x, T = dice(2, 10, 32), 10
    where = torch.arange(T)[None]
    angles = theirs.DeepseekV2RotaryEmbedding(config)(x, where)
    hidden = torch.zeros(T, T).masked_fill(~causal_mask(T), -torch.inf)
    expected = layer(x, hidden[None, None], position_embeddings=angles)[0]
    assert_close(ours(x, mask=causal_mask(T)), expected, atol=1e-5, rtol=1e-5)


def test_latent_keys_by_loops_with_gradients():
    config = replace(SMALL, n_latent=12, bias=True)
    layer, x = LatentAttention(config), dice(1, 7, 32).requires_grad_()
    rows, (cos, sin) = layer.qkv(x)[0], rope_table(24, 4)
    ys = []
    for h in range(4):
        own = rows[:, 12 * h : 12 * h + 12]
        q, k, v = [], [], []
        for t in range(7):
            here = (cos[t : t + 1], sin[t : t + 1])
            latent, short = rows[t, 48:60], rows[t, 60:]
            both = layer.up(latent).view(2, 4, 8)
            turn = lambda z, a=here: rotate(z.view(1, 1, 1, 4), *a).flatten()  # noqa: E731
            q.append(torch.cat([own[t, :8], turn(own[t, 8:])]))
            k.append(torch.cat([both[0, h], turn(short)]))
            v.append(both[1, h])
        q, k, v = (torch.stack(z) for z in (q, k, v))
        ys.append(attention(q, k, v, causal_mask(7)))
    expected = layer.proj(torch.cat(ys, -1))[None]
    found, g = layer(x, mask=causal_mask(7)), dice(1, 7, 32, seed=1)
    assert_close(found, expected, atol=1e-5, rtol=1e-5)
    grads = [torch.autograd.grad(y, x, g, retain_graph=True)[0]
             for y in (found, expected)]  # fmt: skip
    assert_close(*grads, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "fields", [{}, {"n_kv_head": 1}, {"n_kv_head": 2}, {"n_latent": 12}]
)
def test_the_bytes_of_a_cache_are_those_it_has(fields):
    config = replace(SMALL, **fields)
    model = some_model(config)
    cache = new_cache(model)
    with torch.no_grad():
        model(some_ids(1, 3), cache=cache)
    held = sum(layer.nbytes for layer in cache)
    assert held == context_bytes(config, config.block_size)
    assert held == 2 * context_bytes(config, config.block_size, torch.float16)


# Experts


def by_loops(moe, x):
    """Token by token: the best by score and bias, each times its score."""
    ys = []
    for token in x.flatten(0, -2):
        scores = torch.sigmoid(moe.router.weight @ token)
        order = (scores + moe.bias).detach().tolist()
        ranked = sorted(range(len(order)), key=lambda e: -order[e])  # noqa: B023
        best = ranked[: moe.top]
        ys.append(sum(scores[e] * moe.experts[e](token) for e in best))
    return torch.stack(ys).view_as(x)


@pytest.mark.parametrize("top", [1, 2, 4])
def test_experts_by_loops_with_gradients(top):
    torch.manual_seed(0)
    moe = MixtureOfExperts(8, n_expert=4, top=top).eval()
    moe.bias.data = dice(4)
    x, g = dice(2, 5, 8).requires_grad_(), dice(2, 5, 8, seed=1)
    wanted = [x, *(p for p in moe.parameters() if p.requires_grad)]
    found, grads = [], []
    for y in (moe(x), by_loops(moe, x)):
        found.append(y)
        grads.append(torch.autograd.grad(y, wanted, g, allow_unused=True))
    assert_close(*found)
    for a, b in zip(*grads, strict=True):
        assert_close(a, torch.zeros_like(a) if b is None else b)


def test_one_expert_is_an_mlp_times_its_score():
    moe, x = MixtureOfExperts(8, n_expert=1, top=1), dice(2, 3, 8)
    mlp = MLP(8)
    mlp.load_state_dict(moe.experts[0].state_dict())
    assert_close(moe(x), moe.router(x).sigmoid() * mlp(x))


def test_the_bias_moves_in_training_only_and_evens_the_loads():
    torch.manual_seed(0)
    moe = MixtureOfExperts(8, n_expert=4, top=1, balance=0.01)
    x = dice(1, 400, 8) + 1
    loads = lambda: moe.route(x)[0].flatten().bincount(minlength=4)  # noqa: E731
    first = loads()
    moe.eval()(x)
    assert moe.bias.eq(0).all()
    moe.train()(x)
    assert_close(moe.bias.data, 0.01 * (100 - first).sign().float())
    for _ in range(100):
        moe(x)
    assert first.max() > 180 and loads().max() < 130 and loads().min() > 70


def test_the_router_of_one_expert_learns():
    moe = MixtureOfExperts(8, top=1)
    moe(dice(1, 20, 8)).square().sum().backward()
    assert moe.router.weight.grad.abs().max() > 0
    assert moe.bias.grad is None


def test_a_checkpoint_keeps_the_bias(tmp_path):
    config = GPTConfig(
        vocab_size=9, block_size=8, n_layer=1, n_head=1, n_embd=8,
        mlp="experts",
    )  # fmt: skip
    model = GPT(config)
    model.blocks[0].mlp.bias.data = dice(8)
    save_model(tmp_path / "model.safetensors", model, dtype=torch.float32)
    again, _ = open_model(tmp_path / "model.safetensors")
    idx = torch.arange(8)[None]
    assert torch.equal(again.eval()(idx), model.eval()(idx))


# The configuration


@pytest.mark.parametrize(
    "fields, kind",
    [
        ({}, "grouped"),
        ({"position": "learned"}, "full"),
        ({"window": 3}, "window"),
        ({"n_latent": 12}, "latent"),
    ],
)
def test_the_fields_call_for_an_attention(fields, kind):
    assert replace(SMALL, **fields).attention == kind


@pytest.mark.parametrize("fields", [{"window": 3}, {"position": "alibi"}])
def test_latent_keys_need_rope_and_the_whole_past(fields):
    with pytest.raises(AssertionError):
        GPT(replace(SMALL, n_latent=12, **fields))


# The benchmark


@pytest.fixture(scope="module")
def benchmark():
    return benchmark_module("sparse")


def test_bits_by_place_are_the_mean_of_the_whole(benchmark):
    model = some_model(replace(SMALL, block_size=32))
    texts = some_ids(3, 33)
    with torch.no_grad():
        bits = benchmark.by_place(model(texts[:, :-1]), texts)
    nats = [evaluate(model, text, block_size=32) for text in texts]
    assert_close(sum(bits) / 2, sum(nats) / 3 / math.log(2), atol=1e-3, rtol=0)


@pytest.mark.parametrize("optimum", [1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 32e-3])
def test_the_search_for_a_rate_goes_on_at_an_end(benchmark, optimum):
    class Record:
        asked = []

        def get(self, run, final):
            self.asked.append(run.lr)
            return {"val": abs(math.log(run.lr / optimum))}

    assert benchmark.best_rate(Record(), "RoPE", (1,)) == optimum
    ends = {benchmark.RATES[0], benchmark.RATES[-1], *Record.asked}
    assert {optimum / 2, optimum * 2} <= ends | {5e-4, 64e-3}


def test_a_run_has_its_own_steps_or_those_of_the_settings(benchmark):
    s = benchmark.Settings(n_embd=16, steps=3, batch_size=2)
    ids = some_ids(1, 500)[0]
    run = benchmark.Run("2 of 8", 1e-3, 1)
    one, two, three = (
        benchmark.train_model(replace(run, budget=n), s, ids, 40)
        for n in (1, 3, None)
    )
    assert not one.training and one.blocks[0].mlp.bias.abs().max() > 0
    weights = [m.head.weight for m in (one, two, three)]
    assert weights[1].equal(weights[2]) and not weights[0].equal(weights[1])


def test_costs_are_relative_to_the_dense_model(benchmark):
    s = benchmark.Settings(n_embd=16, batch_size=2)
    costs = benchmark.step_costs(s, some_ids(1, 500)[0], 40)
    assert costs["RoPE"] == 1 and costs.keys() > benchmark.MIXTURES.keys()


def test_kinds_are_counted_once_for_each_expert(benchmark):
    config = replace(SMALL, mlp="experts", block_size=8)
    model, texts = some_model(config), some_ids(4, 9)

    class Letters:
        def decode(self, ids):
            return "".join("aB .b"[i % 5] for i in ids)

        def encode(self, text):
            return [ord(c) % 40 for c in text]

    found = benchmark.who(model, texts, Letters())
    table = torch.tensor(found["tables"][0])
    assert table.sum() == 2 * 32  # two experts for each of 4 x 8 tokens
    names = found["kinds"]
    assert names == ["capital", "consonant", "mark", "space", "vowel"]
    letters = Letters().decode(texts[:, :8].flatten().tolist())
    assert table.sum(1).tolist() == [
        2 * sum(benchmark.kind(c) == name for c in letters) for name in names
    ]
    assert len(found["experts"][1]) == len(found["text"])


class Symbols:
    """A tokenizer of 40 symbols."""

    n_vocab = 40

    def decode(self, ids):
        return "".join(chr(48 + i) for i in ids)

    def encode(self, text):
        return [ord(c) % 40 for c in text]


@pytest.fixture
def record(benchmark, tmp_path):
    """An empty record of tiny models, with a random text."""
    s = benchmark.Settings(n_embd=16, steps=2, more_steps=6, batch_size=2)
    made = benchmark.Record(tmp_path / "record.json", s, (1,), fresh=False)
    ids, texts = some_ids(1, 2000)[0], some_ids(2, 513)
    made.data = None, ids, ids[:600], texts, Symbols()
    return made


@pytest.mark.parametrize(
    "variant",
    [pytest.param("RoPE", marks=pytest.mark.slow), "ALiBi", "latent", "2 of 8"],
)
def test_a_final_run_is_measured_and_never_repeated(
    benchmark, record, variant, monkeypatch
):
    run = benchmark.Run(variant, 1e-3, 1)
    entry = record.get(run, final=True)
    lengths = [len(bits) for bits in entry.get("by_place", {}).values()]
    assert lengths == [32] * {"RoPE": 10, "ALiBi": 1}.get(variant, 0)
    assert ("loads" in entry) == ("who" in entry) == (variant == "2 of 8")
    for loads in entry.get("loads", []):
        assert_close(sum(loads), 1.0)
    again = benchmark.Record(record.path, record.s, (1,), fresh=False)
    monkeypatch.setattr(benchmark, "train_model", None)  # would be an error
    assert again.get(run, final=True) == entry


RECORD = ROOT / "notebooks" / "results" / "sparse.json"


def test_every_recorded_variant_has_three_seeds_at_its_best_rate(benchmark):
    record = json.loads(RECORD.read_text())
    for name in benchmark.VARIANTS:
        mine = [r for r in record["runs"] if r["variant"] == name]
        rates = {}
        for r in mine:
            if not r["budget"]:
                rates.setdefault(r["lr"], []).append(r["val"])
        assert {len(seeds) for seeds in rates.values()} == {3}
        tried = {lr: sum(seeds) for lr, seeds in rates.items()}
        final = [r for r in mine if r["final"] and not r["budget"]]
        assert len(tried) >= 3 and len(final) == 3, name
        best = min(tried, key=tried.get)
        assert {r["lr"] for r in final} == {best}
        assert {r["steps"] for r in final} == {record["settings"]["steps"]}
        inside = min(tried) < best < max(tried)
        assert inside or best in (benchmark.RATES[0], benchmark.RATES[-1])
