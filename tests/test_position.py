"""Positions against the formula, the lookup and the counting by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.attention import Head
from minigpt.position import (
    LearnedPosition,
    SinusoidalPosition,
    token_positions,
)

KINDS = [LearnedPosition, SinusoidalPosition]


# --- token_positions -----------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1))
def test_positions_count_real_tokens(rows):
    counted = token_positions(5, torch.tensor(rows))
    assert counted.dtype == torch.int64 and counted.shape == (len(rows), 5)
    for row, places in zip(rows, counted.tolist(), strict=True):
        real = [p for p, is_real in zip(places, row, strict=True) if is_real]
        assert real == list(range(len(real)))
        assert all(0 <= p < 5 for p in places)


def test_positions_without_a_mask_are_the_row():
    assert token_positions(4).tolist() == [0, 1, 2, 3]
    assert token_positions(2, start=6).tolist() == [6, 7]
    assert token_positions(0).tolist() == []


@pytest.mark.parametrize(
    "start", [torch.tensor([3, 7]), torch.tensor([[3], [7]])]
)
def test_positions_go_on_where_each_sequence_stopped(start):
    assert token_positions(2, start=start).tolist() == [[3, 4], [7, 8]]
    mask = torch.tensor([[True, True], [False, True]])
    assert token_positions(2, mask, start).tolist() == [[3, 4], [7, 7]]


def test_positions_in_two_calls_equal_positions_in_one():
    mask = torch.tensor([[False, True, True, True], [True, True, True, False]])
    first = token_positions(3, mask[:, :3])
    seen = mask[:, :3].sum(1)
    second = token_positions(1, mask[:, 3:], seen)
    both, whole = torch.cat([first, second], 1), token_positions(4, mask)
    assert torch.equal(both[mask], whole[mask])


@pytest.mark.parametrize(
    "mask, error, said",
    [
        (torch.ones(2, 4), TypeError, "bool.*torch.float32"),
        (torch.ones(2, 3).bool(), ValueError, r"T = 4, got \(2, 3\)"),
        (torch.ones(4).bool(), ValueError, r"T = 4, got \(4,\)"),
    ],
)
def test_positions_say_what_is_wrong_with_a_mask(mask, error, said):
    with pytest.raises(error, match=said):
        token_positions(4, mask)


# --- both kinds ----------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5,), (2, 5), (0,)])
def test_shape_of_positions_comes_out_with_channels(kind, shape):
    places = torch.zeros(shape, dtype=torch.int64)
    assert kind(8, 6)(places).shape == (*shape, 6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [8, 100, -1])
def test_a_place_outside_the_table_is_named(kind, wrong):
    with pytest.raises(ValueError, match=f"block_size is 8.*got {wrong}"):
        kind(8, 6)(torch.tensor([[0, 7], [wrong, 1]]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_positions_of_another_dtype_are_refused(kind, dtype):
    with pytest.raises(TypeError, match=f"int64, got {dtype}"):
        kind(8, 6)(torch.ones(3, dtype=dtype))


@pytest.mark.parametrize("kind", KINDS)
def test_a_padded_sequence_gets_the_vectors_it_has_alone(kind):
    position = kind(8, 6)
    mask = torch.tensor([[False, False, True, True, True]])
    padded = position(token_positions(5, mask))
    assert torch.equal(padded[0, 2:], position(token_positions(3)))


@pytest.mark.parametrize("kind", KINDS)
def test_with_positions_a_head_sees_order(kind):
    torch.manual_seed(0)
    head, x, position = Head(16, 16), torch.randn(1, 8, 16), kind(8, 16)
    order = torch.tensor([4, 0, 6, 2, 5, 1, 3, 7])
    where = position(token_positions(8))
    torch.testing.assert_close(head(x)[0, -1], head(x[:, order])[0, -1])
    moved = head(x + where)[0, -1] - head(x[:, order] + where)[0, -1]
    assert moved.abs().max() > 0.01


# --- learned -------------------------------------------------------------


def test_learned_is_a_one_hot_product_forward_and_backward():
    torch.manual_seed(0)
    position, places = (
        LearnedPosition(8, 6),
        torch.tensor([[3, 0, 3], [7, 1, 2]]),
    )
    hot = F.one_hot(places, 8).float()
    torch.testing.assert_close(position(places), hot @ position.weight)
    wanted = torch.randn(2, 3, 6)
    (ours,) = torch.autograd.grad(position(places), position.weight, wanted)
    theirs = torch.einsum("btv,btc->vc", hot, wanted)
    torch.testing.assert_close(ours, theirs)
    assert ours[4:7].eq(0).all()  # places nobody looked up


# --- sinusoidal ----------------------------------------------------------


@pytest.mark.parametrize("n_embd", [2, 6, 128])
def test_sinusoidal_is_the_formula_of_the_paper(n_embd):
    table = SinusoidalPosition(300, n_embd)(torch.arange(300))
    assert table.dtype == torch.float32
    for t in (0, 1, 7, 299):
        for i in range(0, n_embd, 2):
            angle = t / 10_000 ** (i / n_embd)
            assert math.isclose(table[t, i], math.sin(angle), abs_tol=1e-6)
            assert math.isclose(table[t, i + 1], math.cos(angle), abs_tol=1e-6)


def test_sinusoidal_is_exact_far_out_too():
    t = 100_000
    table = SinusoidalPosition(t + 1, 4)(torch.tensor([t]))[0]
    wanted = [f(a) for a in (t, t / 100) for f in (math.sin, math.cos)]
    torch.testing.assert_close(table, torch.tensor(wanted), atol=1e-6, rtol=0)


@settings(deadline=None)
@given(st.integers(0, 63), st.integers(0, 63), st.integers(0, 63))
def test_the_dot_product_depends_on_the_distance_alone(a, b, shift):
    table = SinusoidalPosition(128, 16).table
    here, there = table[a] @ table[b], table[a + shift] @ table[b + shift]
    assert math.isclose(here, there, abs_tol=1e-5)
    assert math.isclose(table[a] @ table[a], 8, abs_tol=1e-5)


@pytest.mark.parametrize("n_embd", [1, 33, 0])
def test_sinusoidal_needs_pairs(n_embd):
    with pytest.raises(ValueError, match=f"even.*got {n_embd}"):
        SinusoidalPosition(8, n_embd)


def test_sinusoidal_has_nothing_to_learn_or_to_save():
    position = SinusoidalPosition(8, 6)
    assert list(position.parameters()) == []
    assert position.state_dict() == {}


def test_a_longer_table_begins_with_the_shorter():
    short, long = SinusoidalPosition(8, 6), SinusoidalPosition(64, 6)
    assert torch.equal(short.table, long.table[:8])
