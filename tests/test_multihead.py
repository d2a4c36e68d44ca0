"""Many heads against the loop over heads and against PyTorch's own layers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minigpt.attention import Head, causal_mask
from minigpt.cache import KVCache
from minigpt.multihead import MultiHeadAttention, join_heads, split_heads

PADDED = torch.tensor([[True] * 6, [False, False, True, True, True, True]])


def attention(n_embd=32, n_head=4, seed=0, **options):
    torch.manual_seed(seed)
    return MultiHeadAttention(n_embd, n_head, **options)


def leaf(*shape, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, requires_grad=True)


def padding_mask(real):
    """(B, S) -> (B, 1, S, S): causal, and padding sees only itself."""
    S = real.size(1)
    allowed = causal_mask(S) & real[:, None, None, :]
    return allowed | torch.eye(S, dtype=torch.bool)


def same(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def same_gradients(a, b, at):
    """The gradients of two outputs; a weight's is a sum, so to its size."""
    g = torch.randn(a.shape, generator=torch.Generator().manual_seed(2))
    both = [torch.autograd.grad(y, at, g, retain_graph=True) for y in (a, b)]
    for mine, theirs in zip(*both, strict=True):
        assert (mine - theirs).abs().max() < 1e-5 * (1 + theirs.abs().max())


def test_split_and_join_move_whole_channels():
    x = torch.arange(24).view(1, 3, 8)  # (B, T, C)
    heads = split_heads(x, 4)
    assert heads.shape == (1, 4, 3, 2)
    for h in range(4):
        assert torch.equal(heads[0, h], x[0, :, 2 * h : 2 * h + 2])
    assert torch.equal(join_heads(heads), x)


@pytest.mark.parametrize("n_head", [1, 2, 4])
def test_equals_heads_in_a_loop(n_head):
    ours = attention(16, n_head, bias=False)
    heads = [Head(16, 16 // n_head) for _ in range(n_head)]
    rows = [h.query for h in heads] + [h.key for h in heads]
    rows += [h.value for h in heads]
    with torch.no_grad():
        ours.qkv.weight.copy_(torch.cat([layer.weight for layer in rows]))
    x = leaf(2, 5, 16)
    loop = torch.cat([h(x) for h in heads], dim=-1) @ ours.proj.weight.T
    batched = ours(x, mask=causal_mask(5))
    same(batched, loop)
    same_gradients(batched, loop, [x])


def sdpa(ours, x, **how):
    q, k, v = (split_heads(t, ours.n_head) for t in ours.qkv(x).chunk(3, -1))
    y = F.scaled_dot_product_attention(q, k, v, **how)
    return ours.proj(join_heads(y))


@pytest.mark.parametrize("n_embd, n_head, T", [(64, 4, 64), (24, 3, 7)])
@pytest.mark.parametrize("record", [None, []], ids=["fused", "written out"])
@pytest.mark.parametrize("causal", [True, False])
def test_equals_sdpa_forward_and_backward(n_embd, n_head, T, record, causal):
    ours, x = attention(n_embd, n_head), leaf(3, T, n_embd)
    mask = causal_mask(T) if causal else None
    y = ours(x, mask=mask, record=record)
    theirs = sdpa(ours, x, is_causal=causal)
    same(y, theirs)
    same_gradients(y, theirs, [x, *ours.parameters()])


@pytest.mark.parametrize("record", [None, []], ids=["fused", "written out"])
def test_a_mask_of_numbers_is_added_to_the_scores(record):
    ours, x, mask = attention(), leaf(2, 6, 32), leaf(4, 6, 6, seed=3)
    y = ours(x, mask=mask, record=record)
    theirs = sdpa(ours, x, attn_mask=mask)
    same(y, theirs)
    same_gradients(y, theirs, [x, mask])


@pytest.mark.parametrize("record", [None, []], ids=["fused", "written out"])
def test_padding_is_as_if_it_were_not_there(record):
    ours, x = attention(), leaf(2, 6, 32)
    y = ours(x, mask=padding_mask(PADDED), record=record)
    same(y[0], ours(x[:1], mask=causal_mask(6))[0])
    same(y[1, 2:], ours(x[1:, 2:], mask=causal_mask(4))[0])
    y.sum().backward()
    assert all(p.grad.isfinite().all() for p in ours.parameters())


@pytest.mark.parametrize("mask", [None, causal_mask(9)])
def test_equals_the_layer_of_torch(mask):
    ours, x = attention(48, 6), leaf(2, 9, 48)
    theirs = nn.MultiheadAttention(48, 6, batch_first=True)
    own = ours.state_dict()
    names = {"in_proj_": "qkv.", "out_proj.": "proj."}
    theirs.load_state_dict(
        {
            a + kind: own[b + kind]
            for a, b in names.items()
            for kind in ("weight", "bias")
        }
    )
    record = []
    y = ours(x, mask=mask, record=record)
    hidden = None if mask is None else ~mask
    out, weights = theirs(x, x, x, attn_mask=hidden, average_attn_weights=False)
    same(y, out)
    same(record[0], weights)
    same_gradients(y, out, [x])


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_do_not_depend_on_the_number_of_heads(bias):
    def count(n_head):
        layer = attention(32, n_head, bias=bias)
        return sum(p.numel() for p in layer.parameters())

    assert {count(h) for h in (1, 2, 8, 32)} == {4 * 32**2 + 4 * 32 * bias}


@pytest.mark.parametrize("mask", [None, causal_mask(8)])
def test_the_mask_decides_who_sees_whom(mask):
    ours, x = attention(), leaf(1, 8, 32).detach()
    before = ours(x, mask=mask)
    x[0, 5] += 1
    moved = (ours(x, mask=mask) - before).abs().amax(-1)[0] > 1e-6
    assert moved.tolist() == [mask is None] * 5 + [True] * 3


def test_recorded_weights_are_causal_and_sum_to_one():
    record = []
    attention()(leaf(2, 5, 32), mask=causal_mask(5), record=record)
    (weights,) = record
    assert weights.shape == (2, 4, 5, 5)
    same(weights.sum(-1), torch.ones(2, 4, 5))
    assert (weights.triu(1) == 0).all()


@pytest.mark.parametrize("sizes", [[1] * 6, [4, 1, 1], [2, 4], [6]])
@pytest.mark.parametrize("padded", [False, True])
def test_with_a_cache_as_all_at_once(sizes, padded):
    ours, x = attention(), leaf(2, 6, 32)
    mask = padding_mask(PADDED) if padded else causal_mask(6)
    cache, parts = KVCache(block_size=8), []
    for part in x.split(sizes, dim=1):
        S = cache.offset + part.size(1)
        rows = mask[..., cache.offset : S, :S]  # (..., T, S)
        parts.append(ours(part, mask=rows, cache=cache))
    same(torch.cat(parts, dim=1), ours(x, mask=mask))


def test_one_new_token_needs_no_mask():
    ours, x, cache = attention(), leaf(2, 6, 32), KVCache(block_size=6)
    ours(x[:, :5], mask=causal_mask(5), cache=cache)
    last = ours(x[:, 5:], cache=cache)
    same(last, ours(x, mask=causal_mask(6))[:, 5:])


def test_heads_are_told_where_the_first_token_is():
    class Spy(MultiHeadAttention):
        def heads(self, x, start=0):
            starts.append(start)
            return super().heads(x, start)

    starts, cache, layer = [], KVCache(block_size=6), Spy(32, 4)
    for T in (3, 2):
        layer(leaf(1, T, 32), cache=cache)
    layer(leaf(1, 3, 32))
    assert starts == [0, 3, 0]


def test_dropout_acts_in_training_only():
    ours, x = attention(dropout=0.5), leaf(1, 5, 32)
    assert (ours(x) == 0).any()
    ours.eval()
    plain = attention()
    plain.load_state_dict(ours.state_dict())
    assert torch.equal(ours(x), plain(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_number_types(dtype):
    ours, x = attention().to(dtype), leaf(1, 5, 32).to(dtype)
    y = ours(x, mask=causal_mask(5))
    assert y.dtype == dtype
    theirs = attention()(x.float(), mask=causal_mask(5))
    torch.testing.assert_close(y.float(), theirs, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("record", [False, True])
def test_compiles_into_one_graph(record):
    ours, x = attention(), leaf(2, 6, 32)

    def layer(x, mask):
        weights = [] if record else None
        return ours(x, mask=mask, record=weights), weights

    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    mask = padding_mask(PADDED)
    (y, weights), (wanted, own) = compiled(x, mask), layer(x, mask)
    same(y, wanted)
    same_gradients(y, wanted, [x, *ours.parameters()])
    if record:
        same(weights[0], own[0])


def test_shapes_without_numbers():
    with torch.device("meta"):
        layer, x, record = MultiHeadAttention(32, 4), torch.empty(2, 6, 32), []
        assert layer(x, mask=causal_mask(6)).shape == (2, 6, 32)
        assert layer(x, record=record).is_meta
    assert record[0].shape == (2, 4, 6, 6)


def test_arguments_are_left_as_they_were():
    ours, x = attention(), leaf(2, 6, 32).detach()
    mask = padding_mask(PADDED)
    copies = x.clone(), mask.clone()
    ours(x, mask=mask, record=[])
    assert torch.equal(x, copies[0]) and torch.equal(mask, copies[1])
