"""Positions against the formula, the lookup and the counting by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minigpt.attention import Head
from minigpt.position import SinusoidalPosition, token_positions

KINDS = [nn.Embedding, SinusoidalPosition]
ROWS = st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1)


# --- token_positions -----------------------------------------------------


@settings(deadline=None)
@given(ROWS)
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


@settings(deadline=None)
@given(ROWS, st.integers(1, 4))
def test_positions_in_two_calls_equal_positions_in_one(rows, cut):
    mask = torch.tensor(rows)
    first = token_positions(cut, mask[:, :cut])
    second = token_positions(5 - cut, mask)  # the mask covers all so far
    assert torch.equal(torch.cat([first, second], 1), token_positions(5, mask))


def test_a_mask_of_real_tokens_changes_nothing():
    mask = torch.ones(2, 8, dtype=torch.bool)
    assert token_positions(3, mask)[1].tolist() == [5, 6, 7]
    assert token_positions(3, start=5).tolist() == [5, 6, 7]


# --- both kinds ----------------------------------------------------------


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


@pytest.mark.parametrize("kind", KINDS)
def test_compiles_into_one_graph(kind):
    torch.manual_seed(0)
    position = kind(8, 6)
    mask = torch.tensor([[False, True, True], [True, True, True]])

    def embed(mask):
        return position(token_positions(2, mask))

    compiled = torch.compile(embed, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(mask), embed(mask))


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_without_numbers(kind):
    with torch.device("meta"):
        position = kind(8, 6)
        mask = torch.ones(2, 5, dtype=torch.bool)
        assert position(token_positions(5)).shape == (5, 6)
        assert position(token_positions(3, mask)).shape == (2, 3, 6)
    assert token_positions(5, device="meta").is_meta


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


@pytest.mark.parametrize("shape", [(5,), (2, 5), (0,)])
def test_shape_of_positions_comes_out_with_channels(shape):
    places = torch.zeros(shape, dtype=torch.int64)
    assert SinusoidalPosition(8, 6)(places).shape == (*shape, 6)


def test_a_place_outside_the_table_is_no_row():
    with pytest.raises(IndexError):
        SinusoidalPosition(8, 6)(torch.tensor([[0, 7], [8, 1]]))


def test_sinusoidal_has_nothing_to_learn_or_to_save():
    position = SinusoidalPosition(8, 6)
    assert list(position.parameters()) == []
    assert position.state_dict() == {}


def test_a_longer_table_begins_with_the_shorter():
    short, long = SinusoidalPosition(8, 6), SinusoidalPosition(64, 6)
    assert torch.equal(short.table, long.table[:8])
