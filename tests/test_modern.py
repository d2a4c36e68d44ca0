"""Modern parts against torch, transformers and closed forms."""

import json
import math
import warnings
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from benches import benchmark_module
from hypothesis import given, settings
from hypothesis import strategies as st
from models import dice, some_model
from torch import nn
from torch.testing import assert_close

from minigpt.attention import causal_mask
from minigpt.cache import KVCache, new_cache
from minigpt.gpt import GPT, GPTConfig
from minigpt.modern import (
    GroupedQueryAttention,
    Muon,
    RMSNorm,
    SwiGLU,
    Together,
    alibi,
    config_from_llama,
    from_llama,
    load_llama,
    orthogonalize,
    repeat_heads,
    rms_normalize,
    rope_table,
    rotate,
    squared_relu,
)
from minigpt.multihead import MultiHeadAttention, join_heads
from minigpt.sample import Sampling, generate
from minigpt.train import Recipe, make_optimizer, parameter_groups, train_step

SMALL = GPTConfig(
    vocab_size=40, block_size=16, n_layer=2, n_head=4, n_embd=24, bias=False
)
LLAMA = replace(SMALL, norm="rms", position="rope", mlp="swiglu", n_kv_head=2)
VARIANTS = {
    "rope": replace(SMALL, position="rope"),
    "alibi": replace(SMALL, position="alibi"),
    "one head of keys": replace(SMALL, n_kv_head=1, position="none"),
    "shared heads, learned": replace(SMALL, n_kv_head=2),
    "qk-norm": replace(SMALL, qk_norm=True, position="none"),
    "all in attention": replace(
        SMALL, n_kv_head=2, qk_norm=True, position="rope"
    ),
    "alibi, shared": replace(SMALL, n_kv_head=2, position="alibi"),
    "rmsnorm": replace(SMALL, norm="rms"),
    "swiglu": replace(SMALL, mlp="swiglu"),
    "squared relu": replace(SMALL, mlp="relu2"),
    "post-norm": replace(LLAMA, order="post", bias=True),
    "modern": replace(LLAMA, qk_norm=True),
}


# RMSNorm


@given(st.integers(1, 40), st.floats(1e-6, 0.5), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_rmsnorm_equals_torch_with_gradients(C, eps, seed):
    ours, theirs = RMSNorm(C, eps), nn.RMSNorm(C, eps)
    gain = dice(C, seed=seed + 1)
    x, g = dice(2, 3, C, seed=seed).requires_grad_(), dice(2, 3, C)
    outs, grads = [], []
    for norm in (ours, theirs):
        with torch.no_grad():
            norm.weight.copy_(gain)
        y = norm(x)
        outs.append(y)
        grads.append(torch.autograd.grad(y, [x, norm.weight], g))
    assert_close(*outs)
    assert_close(*grads, atol=1e-4, rtol=1e-4)
    assert_close(rms_normalize(x, eps) * gain, outs[1])


def test_rmsnorm_has_gains_only():
    norm = RMSNorm(6, bias=True)
    assert [n for n, _ in norm.named_parameters()] == ["weight"]


def test_rmsnorm_of_bfloat16_rounds_once_and_warns_of_nothing():
    norm, x = RMSNorm(64), dice(50, 64)
    with torch.no_grad():
        norm.weight.copy_(dice(64, seed=1))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rounded = norm(x.bfloat16())
        exact = norm(x.bfloat16().float())
    assert rounded.dtype == torch.bfloat16
    # the gain is rounded to 8 bits, and so is the result
    assert_close(rounded.float(), exact, atol=1e-6, rtol=2**-7)


# RoPE


def test_rotate_equals_llamas_rotary_embedding():
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    from transformers import LlamaConfig

    config = LlamaConfig(
        hidden_size=32, num_attention_heads=4, max_position_embeddings=64
    )
    where = slice(7, 12)
    q, k = dice(2, 4, 5, 8), dice(2, 2, 5, 8, seed=1)
    positions = torch.arange(64)[None, where]
    cos, sin = llama.LlamaRotaryEmbedding(config)(q, positions)
    theirs = llama.apply_rotary_pos_emb(q, k, cos, sin)
    cos, sin = (x[where] for x in rope_table(64, 8, base=10_000))
    assert cos.shape == sin.shape == (5, 4)
    assert_close((rotate(q, cos, sin), rotate(k, cos, sin)), theirs)


@given(st.integers(1, 8), st.integers(0, 500), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_scores_know_distances_only_and_lengths_stay(half, shift, seed):
    D, T = 2 * half, 7
    q, k = dice(2, 1, 2, T, D, seed=seed).double()
    tables = rope_table(shift + T, D)
    here, there = ([x[start:][:T] for x in tables] for start in (0, shift))
    a, b = rotate(q, *here), rotate(q, *there)
    assert_close(a.norm(dim=-1), q.norm(dim=-1), atol=1e-5, rtol=1e-5)
    scores = a @ rotate(k, *here).mT
    assert_close(b @ rotate(k, *there).mT, scores, atol=1e-4, rtol=1e-4)


def test_the_base_is_the_context_or_what_the_configuration_says():
    for base in (None, 500.0):
        config = replace(SMALL, position="rope", rope_base=base)
        layer = GPT(config).blocks[0].attention
        cos, sin = rope_table(16, 6, base=base or 16)
        assert_close((layer.cos, layer.sin), (cos, sin))


def test_rotate_keeps_the_dtype():
    cos, sin = rope_table(3, 4)
    x = dice(1, 2, 3, 4).bfloat16()
    assert rotate(x, cos, sin).dtype == torch.bfloat16


# Grouped heads


def test_repeat_heads_keeps_equal_ones_together():
    x = dice(2, 3, 4, 5)
    assert torch.equal(repeat_heads(x, 2), x[:, [0, 0, 1, 1, 2, 2]])
    assert torch.equal(repeat_heads(x, 1), x)


@pytest.mark.parametrize("n_kv_head", [1, 2, 4])
@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("position", ["rope", "none"])
def test_equals_torchs_grouped_attention(n_kv_head, qk_norm, position):
    torch.manual_seed(0)
    layer = GroupedQueryAttention(
        32, 4, block_size=9, n_kv_head=n_kv_head, qk_norm=qk_norm,
        position=position,
    )  # fmt: skip
    x, g = dice(2, 9, 32).requires_grad_(), dice(2, 9, 32, seed=1)
    q, k, v = (
        y.view(2, 9, -1, 8).transpose(1, 2)
        for y in layer.qkv(x).split([32, 8 * n_kv_head, 8 * n_kv_head], -1)
    )
    if qk_norm:
        q, k = (F.rms_norm(y, (8,), eps=1e-5) for y in (q, k))
    if position == "rope":
        q, k = (rotate(y, *rope_table(9, 8)) for y in (q, k))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    y = layer.proj(join_heads(y))
    ours = layer(x, mask=causal_mask(9))
    assert_close(ours, y)
    used = [p for n, p in layer.named_parameters() if "norm" not in n]
    grads = (torch.autograd.grad(out, [x, *used], g) for out in (ours, y))
    assert_close(*grads, atol=1e-4, rtol=1e-4)


def test_all_heads_without_positions_are_the_layer_of_chapter_6():
    torch.manual_seed(0)
    old = MultiHeadAttention(24, 3)
    new = GroupedQueryAttention(24, 3, block_size=7, position="none")
    new.load_state_dict(old.state_dict())
    x, records = dice(2, 7, 24), ([], [])
    outs = [
        layer(x, mask=causal_mask(7), record=record)
        for layer, record in zip((old, new), records, strict=True)
    ]
    assert_close(*outs)
    assert_close(records[0][0], records[1][0])


@pytest.mark.parametrize("position", ["rope", "alibi", "none"])
def test_fused_attention_equals_the_recorded_one(position):
    layer = GroupedQueryAttention(
        16, 4, block_size=6, n_kv_head=2, position=position
    )
    x, record = dice(2, 6, 16), []
    recorded = layer(x, mask=causal_mask(6), record=record)
    assert_close(layer(x, mask=causal_mask(6)), recorded)
    assert record[0].shape == (2, 4, 6, 6)


def test_dropout_acts_in_training_only():
    layer = GroupedQueryAttention(16, 2, block_size=6, dropout=0.5)
    x = dice(1, 6, 16)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


# ALiBi


@pytest.mark.parametrize("n_head", [1, 2, 4, 8])
def test_alibi_equals_blooms_after_softmax(n_head):
    bloom = pytest.importorskip("transformers.models.bloom.modeling_bloom")
    theirs = bloom.build_alibi_tensor(torch.ones(1, 6), n_head, torch.float32)
    theirs = theirs.view(n_head, 1, 6)  # slope times position of the key
    ours = alibi(6, 6, n_head)
    hidden = torch.full((6, 6), -torch.inf).triu(1)
    scores = dice(n_head, 6, 6) + hidden
    assert_close((scores + ours).softmax(-1), (scores + theirs).softmax(-1))


def test_alibi_by_hand():
    table = alibi(2, 4, 2)
    assert table.shape == (2, 2, 4)
    assert table[0, 1].tolist() == [-3 / 16, -2 / 16, -1 / 16, 0]
    assert table[1, 0, :3].tolist() == [-2 / 256, -1 / 256, 0]


# SwiGLU


def test_swiglu_equals_llamas_mlp():
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    from transformers import LlamaConfig

    theirs = llama.LlamaMLP(
        LlamaConfig(hidden_size=12, intermediate_size=20, num_attention_heads=2)
    )
    ours = SwiGLU(12, hidden=20, bias=False)
    gate, up = ours.fc.weight.detach().chunk(2)
    with torch.no_grad():
        theirs.gate_proj.weight.copy_(gate)
        theirs.up_proj.weight.copy_(up)
        theirs.down_proj.weight.copy_(ours.proj.weight)
    x = dice(2, 5, 12)
    assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("mlp", ["gelu", "relu2", "swiglu"])
def test_a_configuration_can_say_how_wide_the_mlp_is(mlp):
    hidden = {"gelu": 4 * 24, "relu2": 4 * 24, "swiglu": 64}[mlp]
    for n in (None, 7):
        block = GPT(replace(SMALL, mlp=mlp, n_hidden=n)).blocks[1]
        assert block.mlp.proj.weight.shape == (24, n or hidden)


def test_swiglu_has_the_weights_of_a_fourfold_mlp():
    for C in (48, 96, 192):
        got = sum(p.numel() for p in SwiGLU(C, bias=False).parameters())
        assert got == 8 * C * C
    assert SwiGLU(10).proj.in_features == 27


def test_squared_relu():
    x = torch.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    y = squared_relu(x)
    assert y.tolist() == [0, 0, 9]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [0, 0, 6]


# The whole model


LLAMAS = [  # of random models; each with something of its own
    dict(num_key_value_heads=2),
    dict(num_key_value_heads=4, tie_word_embeddings=True),
    dict(num_key_value_heads=1, intermediate_size=37, rope_theta=500_000.0),
    dict(num_hidden_layers=11, num_key_value_heads=4),  # layers 1 and 10
    dict(num_attention_heads=1, num_key_value_heads=1, hidden_size=6,
         num_hidden_layers=1, tie_word_embeddings=True),
]  # fmt: skip


def hugging(seed=0, **shape):
    """Hugging Face's Llama with random weights that have opinions."""
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(**dict(
        vocab_size=40, hidden_size=24, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=4, rms_norm_eps=1e-5,
        max_position_embeddings=64, initializer_range=0.3,
    ) | shape)  # fmt: skip
    torch.manual_seed(seed)
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 1:  # gains that are not 1
                p.add_(0.1 * torch.randn(p.shape))
    return model


def same_logits_and_text(ours, theirs, idx):
    """Logits to 1e-4, and 50 greedy tokens with either's cache."""
    with torch.no_grad():
        assert_close(ours(idx), theirs(idx).logits, atol=1e-4, rtol=0)
    start = idx[:, :10]
    by_them = theirs.generate(
        start, attention_mask=torch.ones_like(start), max_new_tokens=50,
        do_sample=False, pad_token_id=0, eos_token_id=None,
    )[:, 10:]  # fmt: skip
    greedy = Sampling(temperature=0)
    cache = new_cache(ours)
    steps = generate(ours, start, n=50, sampling=greedy, cache=cache)
    by_us = torch.stack([new for new, _ in steps], 1)
    assert torch.equal(by_us, by_them)
    assert len(set(by_us.flatten().tolist())) > 2, "too dull to prove much"


@pytest.mark.parametrize("shape", LLAMAS)
def test_the_modern_gpt_is_a_llama(shape, tmp_path):
    theirs = hugging(**shape)
    theirs.save_pretrained(tmp_path)
    ours = load_llama(tmp_path)
    idx = torch.randint(40, (2, 64), generator=torch.Generator().manual_seed(1))
    same_logits_and_text(ours, theirs, idx)
    assert ours.config.tied == shape.get("tie_word_embeddings", False)
    assert not ours.training
    n = sum(p.numel() for p in theirs.parameters())
    assert sum(p.numel() for p in ours.parameters()) == n


def test_llama_tensors_need_no_file_and_older_ones_hold_the_speeds_too():
    theirs = hugging(num_key_value_heads=2)
    config = config_from_llama(theirs.config.to_json_string())
    speeds = {"model.layers.1.self_attn.rotary_emb.inv_freq": torch.ones(3)}
    ours = from_llama(theirs.state_dict() | speeds, config)
    idx = torch.arange(20)[None]
    with torch.no_grad():
        assert_close(ours(idx), theirs(idx).logits, atol=1e-4, rtol=0)


def test_llama_config_of_older_files_and_its_defaults():
    old = {"model_type": "llama", "hidden_size": 24, "num_hidden_layers": 2,
           "num_attention_heads": 4, "vocab_size": 40, "hidden_act": "silu",
           "max_position_embeddings": 16, "intermediate_size": 64,
           "rms_norm_eps": 1e-5, "rope_scaling": None}  # fmt: skip
    plain = config_from_llama(json.dumps(old))
    assert plain == replace(
        LLAMA, n_kv_head=None, n_hidden=64, rope_base=10_000.0, tied=False
    )
    more = {"rope_theta": 5e5, "num_key_value_heads": 2, "head_dim": 6}
    config = config_from_llama(json.dumps(old | more))
    assert config == replace(plain, rope_base=5e5, n_kv_head=2)


@pytest.mark.parametrize(
    "change",
    [
        dict(model_type="gpt2"),
        dict(hidden_act="gelu"),
        dict(rms_norm_eps=1e-6),
        dict(attention_bias=True),
        dict(mlp_bias=True),
        dict(head_dim=7),
        dict(rope_interleaved=True),
        dict(rope_scaling={"rope_type": "llama3", "factor": 8.0}),
        dict(rope_parameters={"rope_type": "llama3", "rope_theta": 5e5}),
        dict(num_key_value_heads=3),
        dict(hidden_size=25),
    ],
)
def test_a_llama_that_is_not_ours_is_refused(change):
    config = hugging(num_key_value_heads=2).config
    text = config.to_json_string()
    config_from_llama(text)
    with pytest.raises(ValueError):
        config_from_llama(json.dumps(json.loads(text) | change))


def test_llama_weights_that_do_not_fit_are_refused():
    theirs = hugging(num_key_value_heads=2)
    config = config_from_llama(theirs.config.to_json_string())
    tensors = theirs.state_dict()
    less = {n: t for n, t in tensors.items() if "layers.1.mlp.up" not in n}
    with pytest.raises(KeyError, match="layers.1.mlp.up_proj"):
        from_llama(less, config)
    with pytest.raises(RuntimeError, match="blocks.1.attention.more"):
        more = {"model.layers.1.self_attn.more": torch.zeros(1)}
        from_llama(tensors | more, config)
    with pytest.raises(RuntimeError, match="blocks.1"):  # one layer too many
        from_llama(tensors, replace(config, n_layer=1))
    for part in dict(position="alibi"), dict(norm="layer"), dict(mlp="relu2"):
        with pytest.raises(ValueError):
            from_llama(tensors, replace(config, **part))


@pytest.mark.network
def test_a_real_llama():
    """Fetches 269 MB, once: our logits against those of transformers."""
    transformers = pytest.importorskip("transformers")
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        "HuggingFaceTB/SmolLM2-135M", allow_patterns=["*.json", "model.*"]
    )
    theirs = transformers.LlamaForCausalLM.from_pretrained(
        folder, dtype=torch.float32
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.encode("The capital of France is Paris. It is known for")
    ours, idx = load_llama(folder), torch.tensor([ids])
    with torch.no_grad():
        here, there = ours(idx), theirs(idx).logits
    assert torch.allclose(here.softmax(-1), there.softmax(-1), atol=1e-4)


def padded(rows, side):
    T = max(map(len, rows))
    idx = torch.zeros(len(rows), T, dtype=torch.long)
    mask = torch.zeros(len(rows), T, dtype=torch.bool)
    for b, row in enumerate(rows):
        where = slice(T - len(row), T) if side == "left" else slice(len(row))
        idx[b, where], mask[b, where] = torch.tensor(row), True
    return idx, mask


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_padding_changes_nothing(name, side):
    model = some_model(VARIANTS[name])
    rows = [[3, 1, 4, 1, 5, 9], [2, 6], [8, 9, 7, 9]]
    idx, mask = padded(rows, side)
    logits = model(idx, mask=mask)
    assert logits.isfinite().all()
    for b, row in enumerate(rows):
        alone = model(torch.tensor([row]))[0]
        assert_close(logits[b][mask[b]], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_cached_equals_uncached(name):
    model = some_model(VARIANTS[name])
    idx = torch.randint(40, (2, 16), generator=torch.Generator().manual_seed(2))
    whole, cache = model(idx), new_cache(model)
    parts = [model(idx[:, :5], cache=cache), model(idx[:, 5:8], cache=cache)]
    parts += [model(one, cache=cache) for one in idx[:, 8:].split(1, 1)]
    assert_close(torch.cat(parts, 1), whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_cached_equals_uncached_after_padding(name):
    model = some_model(VARIANTS[name])
    cache = new_cache(model)
    rows = [[3, 1, 4, 1, 5, 9], [2, 6], [8, 9, 7, 9]]
    more = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    idx, mask = padded(rows, "left")
    mask = torch.cat([mask, torch.ones(3, 3, dtype=torch.bool)], 1)
    model(idx, mask=mask[:, :6], cache=cache)
    first = model(torch.tensor(more)[:, :2], mask=mask[:, :8], cache=cache)
    rest = model(torch.tensor(more)[:, 2:], mask=mask, cache=cache)
    logits = torch.cat([first, rest], 1)
    for row, new, got in zip(rows, more, logits, strict=True):
        alone = model(torch.tensor([row + new]))[0, -3:]
        assert_close(got, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["modern", "alibi, shared"])
@torch.no_grad()
def test_a_compiled_model_gives_the_same_logits(name):
    model = some_model(VARIANTS[name])
    idx = torch.randint(40, (2, 9), generator=torch.Generator().manual_seed(3))
    fast = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert_close(fast(idx), model(idx), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["modern", "alibi, shared"])
@torch.no_grad()
def test_bfloat16_is_near_and_warns_of_nothing(name):
    model = some_model(VARIANTS[name])
    idx = torch.randint(40, (2, 9), generator=torch.Generator().manual_seed(4))
    exact = model(idx)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(idx)
    apart = (rounded.float() - exact).norm() / exact.norm()
    assert 0 < apart < 0.05


def test_a_model_without_memory_has_shapes():
    with torch.device("meta"):
        model = GPT(replace(LLAMA, qk_norm=True))
        idx = torch.zeros(2, 9, dtype=torch.long)
    assert model(idx).shape == (2, 9, 40)


@pytest.mark.parametrize("name", ["rope", "alibi", "modern"])
@torch.no_grad()
def test_order_matters_and_the_future_does_not(name):
    model = some_model(VARIANTS[name])
    idx = torch.tensor([[1, 2, 3, 4, 5, 6]])
    logits = model(idx)
    swapped = model(idx[:, [1, 0, 2, 3, 4, 5]])
    assert (swapped[0, -1] - logits[0, -1]).abs().max() > 1e-3
    later = model(torch.tensor([[1, 2, 3, 4, 5, 9]]))
    assert_close(later[:, :-1], logits[:, :-1])
    assert (later[0, -1] - logits[0, -1]).abs().max() > 1e-3


def test_the_cache_holds_fewer_heads():
    sizes = {}
    for heads in (2, 8):
        cache = KVCache(block_size=10)
        layer = GroupedQueryAttention(32, 8, block_size=10, n_kv_head=heads)
        layer(dice(3, 4, 32), cache=cache)
        assert cache.keys.shape == cache.values.shape == (3, heads, 10, 4)
        sizes[heads] = cache.nbytes
    assert sizes[8] == 4 * sizes[2]


def test_record_holds_the_weights_of_every_head():
    model, record = some_model(VARIANTS["modern"]), []
    model(torch.tensor([[1, 2, 3]]), record=record)
    assert [w.shape for w in record] == [(1, 4, 3, 3)] * 2
    assert_close(record[0].sum(-1), torch.ones(1, 4, 3))


# Muon


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_orthogonalize_bends_singular_values_only(rows, columns, seed):
    G = dice(rows, columns, seed=seed)
    U, S, V = torch.linalg.svd(G.double(), full_matrices=False)
    s = S / S.norm()
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    want = U @ torch.diag(s) @ V
    assert_close(orthogonalize(G).double(), want, atol=1e-3, rtol=1e-3)


def test_orthogonalize_gives_singular_values_of_about_one():
    s = torch.logspace(-4, 0, 400, dtype=torch.float64)  # of G's norm
    out = torch.stack([orthogonalize(of_norm_one(x))[0, 0] for x in s])
    assert out[s >= 0.0016].min() > 0.68 and out.max() < 1.21
    assert out[s < 0.0015].max() < 0.68


def of_norm_one(x):
    """diag(x, y), of norm 1."""
    return torch.diag(torch.stack([x, (1 - x * x).clamp(min=0).sqrt()]))


def test_orthogonalize_evens_out():
    for shape in ((32, 32), (8, 64), (64, 8)):
        values = torch.linalg.svdvals(orthogonalize(dice(*shape)))
        assert values.max() < 1.3
        assert values.median() > 0.65
    nothing = torch.zeros(3, 4)
    assert torch.equal(orthogonalize(nothing), nothing)


@pytest.mark.parametrize("shape", [(16, 16), (8, 24), (24, 8)])
def test_muon_follows_torchs(shape):
    moved = []
    theirs = partial(torch.optim.Muon, adjust_lr_fn="match_rms_adamw")
    for make in (Muon, theirs):
        p = nn.Parameter(dice(*shape))
        optimizer = make([p], lr=0.01, momentum=0.9, weight_decay=0.2)
        for seed in range(1, 9):
            p.grad = dice(*shape, seed=seed)
            optimizer.step()
        moved.append(p.detach() - dice(*shape))
    # theirs rounds to bfloat16
    assert (moved[0] - moved[1]).norm() < 0.02 * moved[1].norm()


def test_muon_leaves_alone_what_has_no_gradient():
    p = nn.Parameter(dice(3, 4))
    Muon([p], lr=0.1).step()
    assert torch.equal(p.detach(), dice(3, 4))


def test_matrices_of_one_shape_move_as_each_alone():
    shapes = (12, 48), (48, 12), (12, 48), (12, 12)
    together, alone = (
        [nn.Parameter(dice(*s, seed=i)) for i, s in enumerate(shapes)]
        for _ in range(2)
    )
    optimizers = [Muon(together, lr=0.1), *(Muon([p], lr=0.1) for p in alone)]
    for step in range(3):
        for i, pair in enumerate(zip(together, alone, strict=True)):
            for p in pair:
                p.grad = dice(*p.shape, seed=10 * step + i)
        for optimizer in optimizers:
            optimizer.step()
    assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_together_is_one_optimizer_for_a_training_step():
    torch.manual_seed(0)
    model = GPT(LLAMA)
    recipe = Recipe(max_steps=1, warmup_steps=0, optimizer="muon")
    both = make_optimizer(model, recipe)
    groups = both.param_groups
    every = [p for g in groups for p in g["params"]]
    assert len(every) == len(set(every)) == len(list(model.parameters()))
    inside = groups[0]["params"]
    assert all(p.dim() == 2 for p in inside)
    assert model.token.weight in set(groups[1]["params"])
    decayed = {p for g in groups if g["weight_decay"] for p in g["params"]}
    assert decayed == set(parameter_groups(model, 0.1)[0]["params"])
    before = [p.detach().clone() for p in model.parameters()]
    idx = torch.randint(40, (4, 17), generator=torch.Generator().manual_seed(0))
    batch = [(idx[:, :-1], idx[:, 1:])]
    losses = [
        train_step(model, both, batch, recipe, lr=3e-3)[0] for _ in range(20)
    ]
    assert losses[-1] < losses[0] - 0.5
    for old, new in zip(before, model.parameters(), strict=True):
        assert not torch.equal(old, new)
    assert set(both.state) == set(model.parameters())
    both.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_one_step_of_muon_is_as_long_as_it_says():
    p = nn.Parameter(torch.zeros(12, 48))
    p.grad = dice(12, 48)
    Muon([p], lr=0.1, weight_decay=0.0).step()
    root_mean_square = p.detach().square().mean().sqrt().item()
    assert math.isclose(root_mean_square, 0.2 * 0.1, rel_tol=0.3)


def test_together_keeps_the_optimizers_apart():
    a, b = (nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    both = Together(torch.optim.SGD([a], lr=1.0), torch.optim.SGD([b], lr=0.5))
    for p in (a, b):
        p.grad = torch.ones(2, 2)
    both.step()
    assert (a.detach() == 0).all() and (b.detach() == 0.5).all()


# The records, and the benchmarks behind them


ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "notebooks" / "results"


@pytest.fixture(scope="module")
def benchmarks():
    return benchmark_module("modern"), benchmark_module("speedrun")


def test_record_is_what_the_benchmark_makes(benchmarks):
    bench, _ = benchmarks
    record = json.loads((RESULTS / "modern_sotu.json").read_text("utf-8"))
    s, costs, runs = bench.Settings(), record["costs"], record["runs"]
    order = list(bench.variant_cells()["variants"](s.n_embd))
    assert record["settings"] == asdict(s)
    assert record["table"] == bench.table(runs, costs, s)
    assert [row["part"] for row in record["table"]] == order == list(costs)
    for row in record["table"]:
        rates = [lr for lr, _ in row["sweep"]]
        assert min(rates) < row["lr"] < max(rates)
        assert len(row["equal_steps"]) == len(row["equal_seconds"]) == 3


def test_a_rate_climbs_until_both_neighbors_are_worse(benchmarks):
    bench, _ = benchmarks
    for best in (0.0015, 0.006, 0.048):
        asked = []

        def score(lr, best=best, asked=asked):
            asked.append(lr)
            return abs(math.log(lr / best))

        assert bench.climb(score, 0.006) == best
        assert {best / 2, best * 2} <= set(asked)
        assert len(asked) == len(set(asked))


def test_table_of_runs(benchmarks):
    bench, _ = benchmarks
    s = replace(bench.Settings(), steps=10)
    plain = dict(part="plain", parameters=5, steps=10)
    new = plain | dict(part="new")
    runs = [
        plain | dict(lr=0.1, seed=0, val=3.0, test=9.0),
        plain | dict(lr=0.1, seed=1, val=5.0, test=9.0),
        plain | dict(lr=0.2, seed=0, val=2.0, test=2.0),
        plain | dict(lr=0.2, seed=1, val=3.0, test=2.5),
        plain | dict(lr=0.4, seed=0, val=1.0, test=9.0),  # one seed only
        new | dict(lr=0.2, seed=1, val=1.0, test=1.5),
        new | dict(lr=0.2, seed=1, val=1.0, test=1.75, steps=8),
    ]
    first, second = bench.table(runs, {"plain": 1.0, "new": 1.25}, s)
    assert first["lr"] == 0.2 and first["sweep"] == [[0.1, 4.0], [0.2, 2.5]]
    assert first["equal_steps"] == first["equal_seconds"] == [2.0, 2.5]
    assert second["equal_steps"] == [1.5]
    assert second["steps_in_the_time"] == 8
    assert second["equal_seconds"] == [1.75]


def test_every_variant_trains_and_has_the_size_of_the_others(benchmarks):
    bench, _ = benchmarks
    ids = torch.randint(9, (5_000,), generator=torch.Generator().manual_seed(0))
    s, cells = bench.Settings(), bench.variant_cells()
    variants, sizes = cells["variants"](s.n_embd), {}
    for part, changes in variants.items():
        run = bench.Run(part, 0.006, seed=1, steps=2)
        config, recipe = bench.setup(run, changes, s, 100)
        model, seconds = cells["trained"](config, recipe, ids)
        assert seconds > 0 and 1 < cells["bits"](model, ids[:500]) < 9
        sizes[part] = sum(p.numel() for p in model.parameters())
    assert max(sizes.values()) < 1.05 * min(sizes.values())
    assert sizes["SwiGLU"] < 1.002 * sizes["GPT-2's parts"]
    costs = bench.step_costs(variants, s, ids, 100, rounds=1)
    assert list(costs) == list(variants) and costs["GPT-2's parts"] == 1


def test_an_entry_of_the_race_trains_and_is_measured(benchmarks):
    _, race = benchmarks
    corpus = race.load("sotu")
    fast = race.ENTRIES[-1]
    recipe = replace(fast.recipe, max_steps=4, warmup_steps=1)
    entry = replace(fast, recipe=recipe, measurements=2)
    val = corpus.val[:1000]
    found = race.run(entry, corpus, corpus.train, val, target=9.0)
    assert [step for step, _, _ in found["curve"]] == [2, 4]
    assert found["reached"] == found["curve"][0][1] <= found["seconds"]
    assert found["nats"] == found["curve"][-1][2] < math.log(200)


def test_every_entry_has_the_shape_of_the_race(benchmarks):
    _, race = benchmarks
    shape = {"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 64}
    for entry in race.ENTRIES:
        config = asdict(race.config(entry, 50))
        assert {name: config[name] for name in shape} == shape


def test_recorded_races_hold_what_they_say(benchmarks):
    _, race = benchmarks
    assert race.ENTRIES[0].name == race.PLAIN
    for corpus, target in race.TARGETS.items():
        path = RESULTS / f"speedrun_{corpus}.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["target"] == target
        for entry in record["entries"]:
            reached = [s for _, s, nats in entry["curve"] if nats <= target]
            assert entry["reached"] == (reached[0] if reached else None)
