"""Many heads against the loop over heads and against PyTorch's own layers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minigpt.attention import Head, causal_mask
from minigpt.multihead import (
    MultiHeadAttention,
    check_input,
    join_heads,
    split_heads,
)


class Remember:
    """A cache of the fewest lines: it returns all it was given."""

    def __init__(self):
        self.held = []

    def update(self, k, v, mask):
        self.held.append((k, v, mask))
        k, v, mask = zip(*self.held, strict=True)
        mask = None if mask[0] is None else torch.cat(mask, dim=1)
        return torch.cat(k, dim=2), torch.cat(v, dim=2), mask


def attention(n_embd=32, n_head=4, seed=0, **options):
    torch.manual_seed(seed)
    return MultiHeadAttention(n_embd, n_head, **options)


def leaf(*shape, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, requires_grad=True)


def same(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_split_and_join_move_whole_channels():
    x = torch.arange(24).view(1, 3, 8)  # (B, T, C)
    heads = split_heads(x, 4)
    assert heads.shape == (1, 4, 3, 2)
    assert heads.is_contiguous()
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
    same(ours(x), loop)
    g = torch.randn(2, 5, 16)
    same(*(torch.autograd.grad(y, x, g)[0] for y in (ours(x), loop)))


def sdpa(ours, x, **how):
    q, k, v = (split_heads(t, ours.n_head) for t in ours.qkv(x).chunk(3, -1))
    y = F.scaled_dot_product_attention(q, k, v, **how)
    return ours.proj(join_heads(y))


@pytest.mark.parametrize("n_embd, n_head, T", [(64, 4, 64), (24, 3, 7)])
def test_equals_sdpa_forward_and_backward(n_embd, n_head, T):
    ours, x = attention(n_embd, n_head), leaf(3, T, n_embd)
    g = torch.randn(3, T, n_embd)
    at = [x, *ours.parameters()]
    out = [ours(x), sdpa(ours, x, is_causal=True)]
    same(*out)
    both = [torch.autograd.grad(y, at, g) for y in out]
    for mine, theirs in zip(*both, strict=True):
        # a weight's gradient sums B·T products: compare to its own size
        assert (mine - theirs).abs().max() < 1e-5 * (1 + theirs.abs().max())


def test_equals_sdpa_with_padding():
    ours, x = attention(), leaf(2, 6, 32)
    mask = torch.tensor([[True] * 6, [False, False, True, True, True, True]])
    allowed = causal_mask(6) & mask[:, None, None, :]
    theirs = sdpa(ours, x, attn_mask=allowed)
    same(ours(x, mask=mask)[mask], theirs[mask])


def test_equals_the_layer_of_torch():
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
    y = ours(x, record=record)
    out, weights = theirs(
        x, x, x, attn_mask=~causal_mask(9), average_attn_weights=False
    )
    same(y, out)
    same(record[0], weights)
    g = torch.randn(2, 9, 48)
    same(*(torch.autograd.grad(z, x, g)[0] for z in (y, out)))


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_do_not_depend_on_the_number_of_heads(bias):
    def count(n_head):
        layer = attention(32, n_head, bias=bias)
        return sum(p.numel() for p in layer.parameters())

    assert {count(h) for h in (1, 2, 8, 32)} == {4 * 32**2 + 4 * 32 * bias}


def test_no_token_sees_a_later_one():
    ours, x = attention(), leaf(1, 8, 32).detach()
    before = ours(x)
    x[0, 5] += 1
    moved = (ours(x) - before).abs().amax(-1)[0]
    assert (moved[:5] == 0).all() and (moved[5:] > 0).all()


def test_no_token_sees_padding():
    ours, x = attention(), leaf(2, 6, 32).detach()
    mask = torch.tensor([[True] * 4 + [False] * 2, [False] * 3 + [True] * 3])
    before = ours(x, mask=mask)
    x[~mask] += 3
    assert torch.equal(ours(x, mask=mask)[mask], before[mask])


def test_a_row_that_sees_nothing_is_the_bias_and_trains_without_nan():
    ours, x = attention(), leaf(2, 4, 32)
    mask = torch.tensor([[True] * 4, [False] * 4])
    record = []
    y = ours(x, mask=mask, record=record)
    assert (record[0][1] == 0).all()
    assert torch.equal(y[1], ours.proj.bias.expand(4, 32))
    y.sum().backward()
    assert all(p.grad.isfinite().all() for p in ours.parameters())
    assert x.grad.isfinite().all() and (x.grad[1] == 0).all()


def test_recorded_weights_are_causal_and_sum_to_one():
    record = []
    attention()(leaf(2, 5, 32), record=record)
    (weights,) = record
    assert weights.shape == (2, 4, 5, 5)
    same(weights.sum(-1), torch.ones(2, 4, 5))
    assert (weights.triu(1) == 0).all()


@pytest.mark.parametrize("sizes", [[1] * 6, [4, 1, 1], [2, 4], [6]])
def test_with_a_cache_as_all_at_once(sizes):
    ours, x = attention(), leaf(2, 6, 32)
    cache = Remember()
    parts = [ours(part, cache=cache) for part in x.split(sizes, dim=1)]
    same(torch.cat(parts, dim=1), ours(x))


def test_with_a_cache_and_padding_as_all_at_once():
    ours, x = attention(), leaf(2, 6, 32)
    mask = torch.tensor([[True] * 6, [False, False, True, True, True, True]])
    cache = Remember()
    parts = [
        ours(part, mask=part_mask, cache=cache)
        for part, part_mask in zip(
            x.split(2, dim=1), mask.split(2, dim=1), strict=True
        )
    ]
    same(torch.cat(parts, dim=1), ours(x, mask=mask))


def test_dropout_acts_in_training_only():
    ours, x = attention(dropout=0.5), leaf(1, 5, 32)
    assert not torch.equal(ours(x), ours(x))
    ours.eval()
    plain = attention()
    plain.load_state_dict(ours.state_dict())
    assert torch.equal(ours(x), plain(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_number_types(dtype):
    ours, x = attention().to(dtype), leaf(1, 5, 32).to(dtype)
    mask = torch.tensor([[False, True, True, True, True]])
    y = ours(x, mask=mask)
    assert y.dtype == dtype and y.isfinite().all()


@pytest.mark.parametrize("n_embd, n_head", [(32, 3), (32, 0), (32, -4), (2, 4)])
def test_heads_must_share_the_channels_evenly(n_embd, n_head):
    said = f"got n_embd={n_embd} and n_head={n_head}"
    with pytest.raises(ValueError, match=said):
        MultiHeadAttention(n_embd, n_head)


@pytest.mark.parametrize(
    "x, mask, error, said",
    [
        (torch.zeros(4, 8), None, ValueError, r"\(B, T, 8\), got \(4, 8\)"),
        (torch.zeros(1, 4, 9), None, ValueError, r"got \(1, 4, 9\)"),
        (torch.zeros(1, 4, 8).long(), None, TypeError, "embedding first"),
        (
            torch.zeros(2, 4, 8),
            torch.ones(2, 5).bool(),
            ValueError,
            r"\(2, 4\), got \(2, 5\)",
        ),
        (
            torch.zeros(2, 4, 8),
            torch.ones(4, 4).bool(),
            ValueError,
            r"got \(4, 4\)",
        ),
        (torch.zeros(2, 4, 8), torch.ones(2, 4), TypeError, "float32"),
    ],
)
def test_bad_input_is_refused_in_words(x, mask, error, said):
    with pytest.raises(error, match=said):
        check_input(x, mask, 8)
    with pytest.raises(error, match=said):
        attention(8, 2)(x, mask=mask)


def test_arguments_are_left_as_they_were():
    ours, x = attention(), leaf(2, 5, 32).detach()
    mask = torch.tensor([[True] * 5, [False] + [True] * 4])
    copies = x.clone(), mask.clone()
    ours(x, mask=mask)
    assert torch.equal(x, copies[0]) and torch.equal(mask, copies[1])
