"""Attention against torch's own, a loop over queries and finite differences."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.attention import Head, attention, attention_weights, causal_mask

SIZES = [(1, 1), (5, 5), (2, 5), (1, 7), (4, 3)]  # T, S
MASKS = ["none", "bool", "bool for each sequence", "float"]


def grown(*shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=g)


def make_mask(kind, T, S):
    """A mask of this kind in which every query sees something."""
    if kind == "none":
        return None
    if kind == "float":
        return grown(T, S, seed=3)
    shape = (T, S) if kind == "bool" else (2, T, S)
    mask = grown(*shape, seed=4) > 0
    mask[..., 0] = True
    return mask


def loop(q, k, v, mask=None):
    """The oracle: each query alone, in double precision, allowed keys only."""
    q, k, v = q.double(), k.double(), v.double()
    B, T, D = q.shape
    out = torch.zeros(B, T, v.size(-1), dtype=torch.float64)
    for b in range(B):
        for t in range(T):
            scores, seen = k[b] @ q[b, t] / D**0.5, slice(None)
            if mask is not None:
                row = mask.expand(B, T, k.size(1))[b, t]
                if row.dtype == torch.bool:
                    seen = row
                else:
                    scores = scores + row
            out[b, t] = scores[seen].softmax(0) @ v[b, seen]
    return out.float()


# --- causal_mask ---------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 9), st.integers(0, 9))
def test_causal_mask_lets_a_query_see_itself_and_its_past(T, more):
    S = T + more
    mask = causal_mask(T, S)
    assert mask.shape == (T, S) and mask.dtype == torch.bool
    for t in range(T):
        for s in range(S):
            assert mask[t, s] == (s <= more + t)


def test_causal_mask_is_square_without_a_past():
    assert causal_mask(2).tolist() == [[True, False], [True, True]]


# --- attention_weights ---------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_weights_are_the_softmax_of_what_is_allowed(T, S, seed):
    q, k = 3 * grown(T, 4, seed=seed), 3 * grown(S, 4, seed=seed + 1)
    mask = grown(T, S, seed=seed + 2) > 0
    mask[:, 0] = True
    weights = attention_weights(q, k, mask)
    for t in range(T):
        seen = mask[t]
        assert torch.all(weights[t][~seen] == 0)
        wanted = (k[seen] @ q[t] / 2).softmax(0)
        torch.testing.assert_close(weights[t][seen], wanted)


def test_a_mask_of_numbers_is_added_to_the_scores():
    q, k, bias = grown(3, 4), grown(5, 4, seed=1), grown(3, 5, seed=2)
    wanted = (q @ k.T / 2 + bias).softmax(-1)
    torch.testing.assert_close(attention_weights(q, k, bias), wanted)
    mask = causal_mask(3, 5)
    bias = torch.zeros(3, 5).masked_fill(~mask, -torch.inf)
    assert torch.equal(
        attention_weights(q, k, bias), attention_weights(q, k, mask)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_to_the_mask(dtype):
    q, k = 30 * grown(3, 4).to(dtype), 30 * grown(3, 4, seed=1).to(dtype)
    weights = attention_weights(q, k, causal_mask(3))
    assert weights.dtype == dtype and weights.isfinite().all()
    assert weights.triu(1).eq(0).all()


# --- attention -----------------------------------------------------------


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("T, S", SIZES)
@pytest.mark.parametrize("recorded", [True, False])
def test_attention_equals_a_loop_over_queries(T, S, kind, recorded):
    q, k, v = grown(2, T, 4), grown(2, S, 4, seed=1), grown(2, S, 3, seed=2)
    mask = make_mask(kind, T, S)
    out = attention(q, k, v, mask, [] if recorded else None)
    torch.testing.assert_close(out, loop(q, k, v, mask))


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("T, S", SIZES)
def test_written_out_equals_torch_with_its_gradients(T, S, kind):
    shapes = [(2, T, 16), (2, S, 16), (2, S, 8)]
    leaves = [grown(*s, seed=i).requires_grad_() for i, s in enumerate(shapes)]
    mask = make_mask(kind, T, S)
    ours = attention(*leaves, mask, [])
    theirs = F.scaled_dot_product_attention(*leaves, attn_mask=mask)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    wanted = grown(*ours.shape, seed=9)
    for a, b in zip(
        torch.autograd.grad(ours, leaves, wanted),
        torch.autograd.grad(theirs, leaves, wanted),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("kind", MASKS)
def test_gradients_are_those_of_finite_differences(kind, recorded):
    q, k, v = (
        grown(2, n, 3, seed=n).double().requires_grad_() for n in (3, 4, 4)
    )
    mask = make_mask(kind, 3, 4)
    mask = mask.double() if kind == "float" else mask
    assert torch.autograd.gradcheck(
        lambda *qkv: attention(*qkv, mask, [] if recorded else None), (q, k, v)
    )


def test_heads_in_front_are_independent():
    q, k, v = (grown(2, 3, 5, 4, seed=i) for i in range(3))  # (B, H, T, D)
    mask, record = causal_mask(5), []
    out = attention(q, k, v, mask, record)
    assert out.shape == (2, 3, 5, 4) and record[0].shape == (2, 3, 5, 5)
    for h in range(3):
        alone = attention(q[:, h], k[:, h], v[:, h], mask, [])
        torch.testing.assert_close(out[:, h], alone)


@pytest.mark.parametrize("record", [None, []])
def test_new_tokens_after_old_ones_give_the_last_rows_of_all(record):
    q, k, v = (grown(1, 6, 4, seed=i) for i in range(3))
    whole = attention(q, k, v, causal_mask(6), record)
    for T in (1, 2, 6):
        new = attention(q[:, -T:], k, v, causal_mask(T, 6), record)
        torch.testing.assert_close(new, whole[:, -T:])


def test_an_argument_is_not_changed():
    given = [grown(2, 3, 4, seed=i) for i in range(3)] + [causal_mask(3)]
    before = [x.clone() for x in given]
    attention(*given, [])
    attention(*given)
    assert all(map(torch.equal, given, before))


# --- Head ----------------------------------------------------------------


@pytest.fixture
def head():
    torch.manual_seed(0)
    return Head(32, 16)


@pytest.mark.parametrize("T", [1, 2, 7, 64])
@pytest.mark.parametrize("recorded", [True, False])
def test_head_equals_torch_forward_and_gradients(head, T, recorded):
    x = grown(3, T, 32).requires_grad_()
    ours = head(x, [] if recorded else None)
    q, k, v = (f.weight for f in (head.query, head.key, head.value))
    theirs = F.scaled_dot_product_attention(
        x @ q.T, x @ k.T, x @ v.T, is_causal=True
    )
    assert ours.shape == (3, T, 16)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    wanted = grown(*ours.shape, seed=2)
    leaves = [x, *head.parameters()]
    for a, b in zip(
        torch.autograd.grad(ours, leaves, wanted),
        torch.autograd.grad(theirs, leaves, wanted),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("record", [None, []])
def test_a_later_token_changes_nothing_earlier(head, record):
    x = grown(1, 8, 32)
    changed = x.clone()
    changed[:, 5:] += 10
    before, after = head(x, record), head(changed, record)
    assert torch.equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().amin() > 0


def test_record_receives_the_causal_weights(head):
    x, record = grown(2, 5, 32), []
    out = head(x, record)
    torch.testing.assert_close(out, head(x))
    (weights,) = record
    assert weights.shape == (2, 5, 5) and weights.triu(1).eq(0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 5))
    torch.testing.assert_close(weights @ head.value(x), out)


@pytest.mark.parametrize("recorded", [True, False])
def test_head_compiles_into_one_graph(head, recorded):
    def forward(x):
        return head(x, [] if recorded else None)

    x = grown(2, 5, 32)
    compiled = torch.compile(forward, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), head(x))
    compiled(x).sum().backward()
    assert head.value.weight.grad.abs().sum() > 0


def test_head_needs_no_numbers_to_tell_shapes():
    with torch.device("meta"):
        head, x, record = Head(32, 16), torch.empty(2, 5, 32), []
    assert head(x).shape == (2, 5, 16) and head(x).is_meta
    assert head(x, record).is_meta and record[0].shape == (2, 5, 5)


def test_a_large_head_without_scaling_would_saturate():
    torch.manual_seed(0)
    head, x, record = Head(64, 512), grown(4, 8, 64), []
    for layer in (head.query, head.key):  # queries and keys of variance 1
        torch.nn.init.normal_(layer.weight, std=64**-0.5)
    head(x, record)
    unscaled = (head.query(x) @ head.key(x).mT)[:, -1].softmax(-1)
    assert record[0][:, -1].amax(-1).mean() < 0.6
    assert unscaled.amax(-1).mean() > 0.8
