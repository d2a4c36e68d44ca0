"""One head against torch's own attention, and every mask it may meet."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.attention import Head, causal_mask, masked_softmax


def grown(shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=g)


def make_head(n_embd=32, head_dim=16):
    torch.manual_seed(0)
    return Head(n_embd, head_dim)


def sdpa(head, x, allowed):
    """The oracle: torch's attention with the same three matrices."""
    q, k, v = head.query(x), head.key(x), head.value(x)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)


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


@pytest.mark.parametrize("T, S", [(5, 3), (-1, 4)])
def test_causal_mask_refuses_more_askers_than_positions(T, S):
    with pytest.raises(ValueError, match=rf"S = {S}, got {T}"):
        causal_mask(T, S)


# --- masked_softmax ------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_masked_softmax_is_the_softmax_of_what_is_allowed(T, S, seed):
    scores = 5 * grown((T, S), seed)
    mask = grown((T, S), seed + 1) > 0
    weights = masked_softmax(scores, mask)
    for t in range(T):
        seen = mask[t]
        assert torch.all(weights[t][~seen] == 0)
        if seen.any():  # an oracle that never sees the rest
            torch.testing.assert_close(
                weights[t][seen], scores[t][seen].softmax(0)
            )


def test_a_row_that_may_look_nowhere_is_zero_and_so_is_its_gradient():
    scores = grown((3, 4)).requires_grad_()
    value = grown((4, 2), 1).requires_grad_()
    mask = torch.tensor([[False] * 4, [True] * 4, [True, False] * 2])
    (masked_softmax(scores, mask) @ value).square().sum().backward()
    assert scores.grad[0].eq(0).all()
    assert scores.grad[1:].abs().sum() > 0
    assert scores.grad.isfinite().all() and value.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("score", [-6e4, 0.0, 6e4])
def test_extreme_scores_in_half_precision_stay_where_they_may(dtype, score):
    scores = torch.full((1, 3), score, dtype=dtype)
    weights = masked_softmax(scores, torch.tensor([[True, True, False]]))
    assert weights.dtype == dtype and weights[0, 2] == 0
    assert weights.isfinite().all()


def test_masked_softmax_passes_a_numerical_gradient_check():
    scores = grown((3, 4)).double().requires_grad_()
    mask = torch.tensor([[False] * 4, [True] * 4, [True, False] * 2])
    assert torch.autograd.gradcheck(
        lambda s: masked_softmax(s, mask), (scores,)
    )


def test_masked_softmax_says_what_is_wrong_with_a_mask():
    scores = grown((2, 3, 4))
    with pytest.raises(TypeError, match="bool.*got torch.float32"):
        masked_softmax(scores, torch.ones(3, 4))
    with pytest.raises(TypeError, match="bool.*got torch.int64"):
        masked_softmax(scores, torch.ones(3, 4, dtype=torch.int64))
    for shape in ((4, 3), (3, 5), (1, 2, 3, 4), (3, 3, 4)):
        with pytest.raises(ValueError, match=r"\(2, 3, 4\), got"):
            masked_softmax(scores, torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 1, 4), (1, 3, 1)])
def test_masked_softmax_takes_every_mask_that_broadcasts(shape):
    scores = grown((2, 3, 4))
    mask = grown(shape, 3) > -0.5
    full = mask.expand(2, 3, 4)
    torch.testing.assert_close(
        masked_softmax(scores, mask), masked_softmax(scores, full)
    )


# --- Head ----------------------------------------------------------------


@pytest.mark.parametrize("T", [1, 2, 7, 64])
@pytest.mark.parametrize("head_dim", [1, 16, 128])
def test_head_equals_torch_forward_and_gradients(T, head_dim):
    head = make_head(32, head_dim)
    x = grown((3, T, 32)).requires_grad_()
    ours, theirs = head(x), sdpa(head, x, causal_mask(T))
    assert ours.shape == (3, T, head_dim)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    wanted = grown(ours.shape, 2)
    leaves = [x, *head.parameters()]
    for a, b in zip(
        torch.autograd.grad(ours, leaves, wanted),
        torch.autograd.grad(theirs, leaves, wanted),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_head_equals_torch_with_padded_keys():
    head, x = make_head(), grown((2, 6, 32))
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    allowed = causal_mask(6) & mask[:, None, :]
    torch.testing.assert_close(
        head(x, mask=mask), sdpa(head, x, allowed), atol=1e-5, rtol=0
    )


def test_a_later_token_changes_nothing_earlier():
    head, x = make_head(), grown((1, 8, 32))
    changed = x.clone()
    changed[:, 5:] += 10
    before, after = head(x), head(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().amin() > 0


@pytest.mark.parametrize("left", [True, False])
def test_padding_does_not_matter(left):
    head, x = make_head(), grown((1, 4, 32))
    junk = 100 * grown((1, 3, 32), 9)
    padded = torch.cat([junk, x] if left else [x, junk], 1)
    real = torch.tensor([[False] * 3 + [True] * 4])
    real = real if left else real.flip(1)
    out = head(padded, mask=real)
    torch.testing.assert_close(out[real], head(x)[0])
    if left:
        assert out[:, :3].eq(0).all()


def test_a_batch_of_padding_gives_zeros_and_zero_gradients():
    head, x = make_head(), grown((2, 3, 32))
    out = head(x, mask=torch.zeros(2, 3, dtype=torch.bool))
    assert out.eq(0).all()
    out.sum().backward()
    for p in head.parameters():
        assert p.grad.eq(0).all()


def test_record_gets_the_weights_and_costs_nothing_otherwise():
    head, x, record = make_head(), grown((2, 5, 32)), []
    assert torch.equal(head(x, record=record), head(x))
    (weights,) = record
    assert weights.shape == (2, 5, 5)
    assert weights.triu(1).eq(0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 5))


def test_an_argument_is_not_changed():
    head, x = make_head(), grown((2, 5, 32))
    mask = torch.tensor([[True] * 5, [False] + [True] * 4])
    x_before, mask_before = x.clone(), mask.clone()
    head(x, mask=mask)
    assert torch.equal(x, x_before) and torch.equal(mask, mask_before)


@pytest.mark.parametrize(
    "x, error, said",
    [
        (torch.zeros(2, 5, dtype=torch.int64), TypeError, "torch.int64"),
        (torch.zeros(2, 5, 31), ValueError, r"\(B, T, 32\), got \(2, 5, 31\)"),
        (torch.zeros(5, 32), ValueError, r"\(B, T, 32\), got \(5, 32\)"),
    ],
)
def test_head_says_what_is_wrong_with_x(x, error, said):
    with pytest.raises(error, match=said):
        make_head()(x)


@pytest.mark.parametrize(
    "mask, error, said",
    [
        (torch.ones(5, dtype=torch.bool), ValueError, r"\(2, 5\), got \(5,\)"),
        (torch.ones(2, 4).bool(), ValueError, r"\(2, 5\), got \(2, 4\)"),
        (torch.ones(2, 5), TypeError, "bool.*torch.float32"),
    ],
)
def test_head_says_what_is_wrong_with_a_mask(mask, error, said):
    with pytest.raises(error, match=said):
        make_head()(grown((2, 5, 32)), mask=mask)


def test_a_large_head_without_scaling_would_saturate():
    head, x, record = make_head(64, 512), grown((4, 8, 64)), []
    for layer in (head.query, head.key):  # queries and keys of variance 1
        torch.nn.init.normal_(layer.weight, std=64**-0.5)
    head(x, record=record)
    unscaled = masked_softmax(head.query(x) @ head.key(x).mT, causal_mask(8))
    assert record[0][:, -1].amax(-1).mean() < 0.6
    assert unscaled[:, -1].amax(-1).mean() > 0.8
