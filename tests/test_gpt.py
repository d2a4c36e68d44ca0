"""minigpt.gpt against closed forms, its own faster ways, and bad input.

It is compared with Hugging Face's GPT-2 in test_pretrained.py.
"""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.bigram import cross_entropy, evaluate, fit
from minigpt.block import LayerNorm
from minigpt.cache import new_cache
from minigpt.data import get_batch, load_text
from minigpt.gpt import GPT, PARTS, GPTConfig, attention_mask, count_parameters
from minigpt.tokenizer import CharTokenizer

SMALL = GPTConfig(vocab_size=11, block_size=8, n_layer=3, n_head=2, n_embd=12)
GPT2 = GPTConfig(mlp="gelu_tanh")
YEAR_2017 = replace(
    SMALL, order="post", mlp="relu", position="sinusoidal", tied=False
)
VARIANTS = {
    "default": SMALL,
    "2017": YEAR_2017,
    "GPT-2": replace(SMALL, mlp="gelu_tanh"),
    "no positions": replace(SMALL, position="none"),
    "no bias": replace(SMALL, bias=False),
}
every_variant = pytest.mark.parametrize(
    "config", VARIANTS.values(), ids=VARIANTS.keys()
)


def build(config, seed=0):
    torch.manual_seed(seed)
    return GPT(config).eval()


def loud(config):
    """Weights so large that every part shows in the logits."""
    model = build(config)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.4) if p.dim() > 1 else p.add_(0.1)
    return model


def tokens(B, T, V=11, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(V, (B, T), generator=g)


# ---- the configuration


@pytest.mark.parametrize(
    "name, value",
    [
        ("vocab_size", 0),
        ("block_size", -1),
        ("n_layer", 0),
        ("n_head", 0),
        ("n_embd", -8),
        ("n_hidden", 0),
        ("rope_base", -1.0),
        ("order", "none"),
        ("norm", "batch"),
        ("mlp", "tanh"),
        ("position", "rotary"),
    ],
)
def test_config_names_the_field_and_what_it_got(name, value):
    with pytest.raises(ValueError, match=f"{name} must .*got {value!r}"):
        GPTConfig(**{name: value})


@pytest.mark.parametrize(
    "sizes", [{"n_embd": 100}, {"n_kv_head": 5}, {"n_kv_head": 24}]
)
def test_config_wants_heads_that_divide(sizes):
    with pytest.raises(ValueError, match="must divide"):
        GPTConfig(**sizes)


def test_config_is_frozen_and_comparable():
    with pytest.raises(AttributeError):
        SMALL.n_layer = 4
    assert replace(SMALL) == SMALL and hash(replace(SMALL)) == hash(SMALL)


# ---- how many parameters


@pytest.mark.parametrize(
    "L, H, C, published",
    [
        (12, 12, 768, 124_439_808),
        (24, 16, 1024, 354_823_168),
        (36, 20, 1280, 774_030_080),
        (48, 25, 1600, 1_557_611_200),
    ],
)
def test_gpt2_sizes_are_the_published_ones(L, H, C, published):
    config = replace(GPT2, n_layer=L, n_head=H, n_embd=C)
    assert count_parameters(config) == published


def test_gpt3_is_175_billion_within_one_percent():
    config = replace(GPT2, block_size=2048, n_layer=96, n_head=96, n_embd=12288)
    assert abs(count_parameters(config) / 175e9 - 1) < 0.01


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 20),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([4, 8]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["pre", "post"]),
    st.sampled_from(["learned", "sinusoidal", "none"]),
)
def test_every_variant_has_as_many_numbers_as_the_formula(
    V, T, L, H, D, bias, tied, order, where
):
    C = H * D
    config = GPTConfig(
        V, T, L, H, C, bias=bias, tied=tied, order=order, position=where
    )
    norm = C * (1 + bias)
    attention, mlp = 4 * C * C + bias * 4 * C, 8 * C * C + bias * 5 * C
    total = L * (attention + mlp + 2 * norm) + V * C * (2 - tied)
    total += T * C * (where == "learned") + norm * (order == "pre")
    assert count_parameters(config) == total
    assert sum(p.numel() for p in GPT(config).parameters()) == total


def test_counting_leaves_chance_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    count_parameters(SMALL)
    assert torch.equal(torch.get_rng_state(), before)


# ---- the forward pass


@every_variant
def test_the_future_changes_nothing(config):
    model, idx = build(config), tokens(2, 8)
    other = idx.clone()
    other[:, 5:] = (idx[:, 5:] + 1) % 11
    before, after = model(idx), model(other)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().amax(-1).min() > 1e-6


@every_variant
def test_shapes_for_every_length(config):
    model = build(config)
    for B, T in ((1, 1), (3, 5), (2, 8)):
        assert model(tokens(B, T)).shape == (B, T, 11)
    assert model(tokens(2, 4).int()).shape == (2, 4, 11)


def test_without_positions_order_is_lost():
    model = build(replace(SMALL, n_layer=1, position="none"))
    idx = torch.tensor([[1, 2, 3, 4], [3, 1, 2, 4]])
    a, b = model(idx)[:, -1]
    torch.testing.assert_close(a, b)
    a, b = build(replace(SMALL, n_layer=1))(idx)[:, -1]
    assert not torch.allclose(a, b)


def test_sinusoidal_embeddings_are_scaled_as_in_the_paper():
    model, idx = build(YEAR_2017), tokens(1, 8)
    expected = math.sqrt(12) * model.token(idx) + model.position(
        torch.arange(8)
    )
    torch.testing.assert_close(model.embed(idx), expected)


@every_variant
def test_the_recorded_pass_is_the_fused_one(config):
    model, idx, record = loud(config), tokens(2, 5), []
    torch.testing.assert_close(model(idx, record=record), model(idx))
    assert [tuple(w.shape) for w in record] == [(2, 2, 5, 5)] * 3
    for w in record:
        torch.testing.assert_close(w.sum(-1), torch.ones(2, 2, 5))
        assert w.triu(1).eq(0).all()


def test_hidden_is_what_the_head_reads():
    model, idx = build(SMALL), tokens(2, 5)
    assert torch.equal(model.head(model.hidden(idx)), model(idx))


@every_variant
def test_token_by_token_equals_all_at_once(config):
    model, idx, cache = loud(config), tokens(2, 8), None
    cache = new_cache(model)
    parts = [model(idx[:, :3], cache=cache)]
    parts += [model(idx[:, t : t + 1], cache=cache) for t in range(3, 6)]
    parts += [model(idx[:, 6:], cache=cache)]
    torch.testing.assert_close(torch.cat(parts, 1), model(idx))
    with pytest.raises(ValueError, match="1 to 8 tokens .*got 9"):
        model(idx[:, :1], cache=cache)


@every_variant
def test_token_by_token_behind_padding(config):
    """The mask covers the cached tokens too; positions skip the padding."""
    model, idx = loud(config), tokens(2, 8)
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[0, :2] = False
    cache = new_cache(model)
    parts = [model(idx[:, :4], mask=mask[:, :4], cache=cache)]
    for t in range(4, 8):
        one, so_far = idx[:, t : t + 1], mask[:, : t + 1]
        parts.append(model(one, mask=so_far, cache=cache))
    whole = model(idx, mask=mask)
    torch.testing.assert_close(torch.cat(parts, 1)[mask], whole[mask])
    alone = model(idx[:1, 2:])[0]
    torch.testing.assert_close(whole[0, 2:], alone)


# ---- other ways to run it


def test_one_graph_compiles():
    model, idx = loud(SMALL), tokens(2, 8)
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[0, :3] = False
    torch._dynamo.reset()
    quick = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(quick(idx), model(idx))
    torch.testing.assert_close(quick(idx, mask=mask), model(idx, mask=mask))


@every_variant
def test_a_model_without_memory_gives_shapes(config):
    with torch.device("meta"):
        model = GPT(config)
        idx = torch.zeros(2, 4, dtype=torch.int64)
        mask = torch.ones(2, 4, dtype=torch.bool)
        logits = model(idx, mask=mask)
    assert logits.shape == (2, 4, 11) and logits.device.type == "meta"


@every_variant
def test_bfloat16_is_finite_and_close(config):
    model, idx = build(config).train(), tokens(2, 8)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(idx)
        loss = cross_entropy(logits, tokens(2, 8, seed=1))
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    torch.testing.assert_close(logits.float(), model(idx), atol=0.02, rtol=0.05)


# ---- padding


@every_variant
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing_for_real_tokens(config, side):
    model, idx = loud(config), tokens(1, 5)
    pad = torch.zeros(1, 3, dtype=torch.int64)
    real = torch.ones(1, 5, dtype=torch.bool)
    order = 1 if side == "right" else -1
    padded = torch.cat([idx, pad][::order], 1)
    mask = torch.cat([real, pad.bool()][::order], 1)
    logits = model(padded, mask=mask)[mask]
    torch.testing.assert_close(logits, model(idx)[0])


@every_variant
def test_a_row_of_padding_is_never_nan(config):
    model, idx = build(config).train(), tokens(3, 6)
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[1] = False
    mask[2, :4] = False
    logits = model(idx, mask=mask)
    targets = idx.masked_fill(~mask, -100)
    cross_entropy(logits, targets).backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_padding_attends_to_itself_and_nobody_to_padding():
    mask = torch.tensor([[True, True, False], [False, False, True]])
    found = attention_mask(3, 3, mask).int().tolist()
    assert found[0] == [[[1, 0, 0], [1, 1, 0], [1, 1, 1]]]
    assert found[1] == [[[1, 0, 0], [0, 1, 0], [0, 0, 1]]]
    assert attention_mask(1, 3) is None
    assert torch.equal(
        attention_mask(2, 3, mask), attention_mask(3, 3, mask)[:, :, 1:]
    )


# ---- bad input


@pytest.mark.parametrize(
    "idx, said",
    [
        (torch.tensor([[1, 2], [3, 11]]), "0 to 10, got 1 to 11"),
        (torch.tensor([[1, -1]]), "0 to 10, got -1 to 1"),
        (torch.zeros(1, 9, dtype=torch.int64), "1 to 8 tokens .*got 9"),
        (torch.zeros(1, 0, dtype=torch.int64), "got 0"),
        (torch.zeros(4, dtype=torch.int64), r"\(B, T\), got .*\(4,\)"),
        (torch.zeros(1, 2, 3, dtype=torch.int64), r"got .*\(1, 2, 3\)"),
    ],
)
def test_wrong_ids_are_told(idx, said):
    with pytest.raises(ValueError, match=said):
        build(SMALL)(idx)


@pytest.mark.parametrize(
    "mask",
    [torch.ones(2, 4), torch.ones(2, 5).bool(), torch.ones(4).bool()],
    ids=["dtype", "shape", "rank"],
)
def test_wrong_masks_are_told(mask):
    with pytest.raises(ValueError, match=r"torch.bool \(2, 4\), got"):
        build(SMALL)(tokens(2, 4), mask=mask)


# ---- the start


def test_loss_at_the_start_is_log_v():
    config = replace(SMALL, vocab_size=500, n_embd=64, block_size=64)
    x, y = tokens(8, 64, 500), tokens(8, 64, 500, seed=1)
    loss = cross_entropy(build(config)(x), y).item()
    assert abs(loss - math.log(500)) < 0.05


def test_standard_deviations_at_the_start():
    config = replace(SMALL, n_embd=96, n_layer=8, vocab_size=300)
    ends = 0
    for name, p in build(config).named_parameters():
        if name.endswith("bias"):
            assert p.eq(0).all()
        elif p.dim() == 1:
            assert p.eq(1).all()
        else:
            end = name.endswith("proj.weight")
            expected = 0.02 / math.sqrt(16) if end else 0.02
            assert abs(p.std().item() / expected - 1) < 0.1, name
            ends += end
    assert ends == 16


def test_tied_head_is_the_token_table():
    tied, untied = build(SMALL), build(replace(SMALL, tied=False))
    assert tied.head.weight is tied.token.weight
    assert untied.head.weight is not untied.token.weight
    logits = tied(tokens(1, 4))
    with torch.no_grad():
        tied.token.weight[3] += 1
    assert not torch.allclose(logits[..., 3], tied(tokens(1, 4))[..., 3])


def test_dropout_works_in_training_only():
    model, idx = build(replace(SMALL, dropout=0.5)), tokens(1, 8)
    assert torch.equal(model(idx), model(idx))
    model.train()
    assert not torch.allclose(model(idx), model(idx))


def test_a_new_name_is_a_new_part(monkeypatch):
    class Norm(LayerNorm):
        pass

    monkeypatch.setitem(PARTS["norm"], "mine", Norm)
    model = build(replace(SMALL, norm="mine"))
    assert [type(m) for m in model.modules()].count(Norm) == 7
    torch.testing.assert_close(model(tokens(2, 8)), build(SMALL)(tokens(2, 8)))


@pytest.mark.parametrize(
    "name, function",
    [
        ("gelu", F.gelu),
        ("gelu_tanh", partial(F.gelu, approximate="tanh")),
        ("relu", F.relu),
    ],
)
def test_names_of_mlps_are_their_functions(name, function):
    mlp = loud(replace(SMALL, mlp=name)).blocks[0].mlp
    x = torch.linspace(-3, 3, 24).view(2, 12)
    torch.testing.assert_close(mlp(x), mlp.proj(function(mlp.fc(x))))


# ---- learning, and numbers that hold


@pytest.mark.parametrize("config", [SMALL, YEAR_2017], ids=["2019", "2017"])
def test_held_out_loss_falls_on_real_text(config):
    text = load_text("sotu", "train")[:200_000]
    held = load_text("sotu", "val")[:20_000]
    tokenizer = CharTokenizer.train(text + held)
    ids, val = (torch.tensor(tokenizer.encode(t)) for t in (text, held))
    config = replace(
        config, vocab_size=tokenizer.n_vocab, n_embd=32, block_size=16
    )
    batches = partial(
        get_batch,
        ids,
        block_size=16,
        batch_size=32,
        generator=torch.Generator().manual_seed(0),
    )
    model = build(config)
    before = evaluate(model, val, block_size=16)
    fit(model, batches, steps=150, lr=3e-3)
    after = evaluate(model, val, block_size=16)
    assert before > 4.2 and after < 2.7


def test_threads_change_nothing_that_counts():
    config = replace(SMALL, n_embd=64, vocab_size=100, block_size=32)
    model, idx = build(config), tokens(8, 32, 100)
    before, results = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(model(idx))
    torch.set_num_threads(before)
    torch.testing.assert_close(*results, atol=1e-6, rtol=1e-5)


def test_every_parameter_gets_a_gradient():
    for config in VARIANTS.values():
        model = build(config)
        cross_entropy(model(tokens(2, 8)), tokens(2, 8, seed=1)).backward()
        assert all(p.grad is not None for p in model.parameters())
