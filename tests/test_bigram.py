"""minigpt/bigram.py against torch, closed forms and counting by hand."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minigpt.bigram import (
    AddK,
    BigramLM,
    NgramCounts,
    WittenBell,
    bits_per_char,
    count_bigrams,
    cross_entropy,
    evaluate,
    evaluating,
    fit,
    pack_ngrams,
    sample_tokens,
    windows,
)

V = 5
texts = st.lists(st.integers(0, V - 1), min_size=8, max_size=60)


def tensor(*ids):
    return torch.tensor(ids)


# --- counting


@given(texts)
def test_pairs_are_counted(ids):
    counts = count_bigrams(torch.tensor(ids), V)
    wanted = Counter(pairwise(ids))
    assert counts.shape == (V, V) and counts.sum() == len(ids) - 1
    for a in range(V):
        for b in range(V):
            assert counts[a, b] == wanted[a, b]


@pytest.mark.parametrize("ids", [(0, 5), (1, -1)])
def test_an_id_outside_the_vocabulary_is_not_another_pair(ids):
    with pytest.raises(ValueError, match="0 to 4"):
        count_bigrams(tensor(*ids), V)


# --- the loss


@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 4)])
def test_cross_entropy_is_the_mean_surprise(shape):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(*shape, V, generator=generator)
    targets = torch.randint(V, shape, generator=generator)
    picked = logits.softmax(-1).gather(-1, targets[..., None])
    assert torch.isclose(cross_entropy(logits, targets), -picked.log().mean())


def test_minus_100_does_not_count():
    logits, targets = torch.randn(2, 3, V), torch.tensor([[1, 2, -100]] * 2)
    wanted = cross_entropy(logits[:, :2], targets[:, :2])
    assert torch.isclose(cross_entropy(logits, targets), wanted)


def test_targets_of_another_shape_are_refused():
    with pytest.raises(AssertionError):  # six of each, in another order
        cross_entropy(torch.zeros(2, 3, V), torch.zeros(3, 2).long())


def test_cross_entropy_takes_slices_and_has_the_gradient_of_softmax():
    logits = torch.randn(2, 4, V).double().requires_grad_()
    targets = torch.randint(V, (2, 4))
    cross_entropy(logits[:, :-1], targets[:, 1:]).backward()
    one_hot = F.one_hot(targets[:, 1:], V)
    wanted = (logits[:, :-1].softmax(-1) - one_hot) / 6
    torch.testing.assert_close(logits.grad[:, :-1], wanted)
    assert logits.grad[:, -1].eq(0).all()


def test_bits_per_char():
    assert bits_per_char(math.log(2), 10, 10) == pytest.approx(1)
    assert bits_per_char(math.log(8), 10, 30) == pytest.approx(1)


# --- the model, and how it is judged


def test_the_model_is_its_table():
    model = BigramLM(V)
    idx = tensor(3, 1, 3)[None]
    assert model(idx).shape == (1, 3, V)
    assert torch.equal(model(idx)[0, 2], model.table.weight[3])


def spans():
    """n, block_size, stride with stride <= block_size."""
    sizes = st.tuples(st.integers(2, 40), st.integers(1, 45))
    return sizes.flatmap(
        lambda s: st.tuples(st.just(s[0]), st.just(s[1]), st.integers(1, s[1]))
    )


@given(spans())
@settings(deadline=None)
def test_windows_have_every_token_but_the_first_as_a_target_once(sizes):
    n, block_size, stride = sizes
    ids = torch.arange(100, 100 + n)
    x, y = windows(ids, block_size=block_size, stride=stride)
    assert x.shape == y.shape == (len(x), min(block_size, n - 1))
    counted = y != -100
    assert y[counted].tolist() == ids[1:].tolist(), "in order, none twice"
    assert torch.equal(x[counted] + 1, y[counted])
    assert torch.equal(x, x[:, :1] + torch.arange(x.shape[1]))
    context = counted.int().argmax(1)  # tokens before the first that counts
    assert all(context[1:] >= min(block_size, n - 1) - stride)


def test_a_stride_that_would_skip_tokens_is_refused():
    for stride in (0, -1, 5):
        with pytest.raises(AssertionError):
            windows(torch.arange(20), block_size=4, stride=stride)


class Remembers(nn.Module):
    """Logits that depend on all tokens so far, unlike a bigram's."""

    def forward(self, idx):
        return F.one_hot(idx, V).float().cumsum(1)


@given(spans(), st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_evaluate_is_the_mean_over_tokens_one_by_one(sizes, batch_size):
    n, block_size, stride = sizes
    ids = torch.randint(V, (n,), generator=torch.Generator().manual_seed(n))
    T, starts = min(block_size, n - 1), [0]
    while starts[-1] + T < n - 1:
        starts.append(min(starts[-1] + stride, n - 1 - T))
    total = 0.0
    for i in range(1, n):  # the first window that has token i as a target
        start = next(s for s in starts if i <= s + T)
        logits = Remembers()(ids[None, start:i])[0, -1]
        total -= logits.log_softmax(0)[ids[i]].item()
    got = evaluate(
        Remembers(),
        ids,
        block_size=block_size,
        stride=stride,
        batch_size=batch_size,
    )
    assert got == pytest.approx(total / (n - 1), rel=1e-5)


def test_evaluate_is_without_dropout_and_leaves_the_mode():
    torch.manual_seed(0)
    model = nn.Sequential(BigramLM(V), nn.Dropout(0.5))
    ids = torch.arange(20) % V
    first = evaluate(model, ids, block_size=4)
    assert first == evaluate(model, ids, block_size=4) and model.training
    model.eval()
    evaluate(model, ids, block_size=4)
    assert not model.training


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_puts_the_mode_back_also_after_an_error(training):
    model = nn.Sequential(nn.Dropout()).train(training)
    with pytest.raises(KeyError), evaluating(model) as inside:
        assert inside is model and not model[0].training
        raise KeyError
    assert model.training is model[0].training is training


# --- learning


def test_learning_ends_at_the_counted_table():
    """All pairs in every batch: the minimum is the table of frequencies."""
    torch.manual_seed(0)
    ids = torch.randint(3, (400,))
    counts = count_bigrams(ids, 3).float()
    table = counts / counts.sum(1, keepdim=True)
    entropy = -table[ids[:-1], ids[1:]].log().mean().item()
    model, whole = BigramLM(3), (ids[None, :-1], ids[None, 1:])
    fit(model, lambda: whole, steps=300, lr=0.1)
    losses = fit(model, lambda: whole, steps=100, lr=0.001)
    assert losses[-1] == pytest.approx(entropy, abs=5e-4)
    assert losses[-1] >= entropy - 1e-6
    learned = model.table.weight.softmax(-1)
    assert torch.allclose(learned, table, atol=0.01)


def test_fit_reports_each_step():
    seen, ids = [], torch.arange(10) % V
    losses = fit(
        BigramLM(V),
        lambda: (ids[None, :-1], ids[None, 1:]),
        steps=3,
        callback=lambda step, loss: seen.append((step, loss)),
    )
    assert seen == list(enumerate(losses)) and len(losses) == 3


def test_fit_trains_in_training_mode():
    modes = []

    class Spy(BigramLM):
        def forward(self, idx):
            modes.append(self.training)
            return super().forward(idx)

    ids = torch.arange(10) % V
    batch = ids[None, :-1], ids[None, 1:]
    fit(Spy(V).eval(), lambda: batch, steps=1)
    assert modes == [True]


# --- writing


def test_samples_follow_the_probabilities():
    model = BigramLM(3)
    p = torch.tensor([[0.5, 0.0, 0.5], [0.1, 0.9, 0.0], [0.25, 0.25, 0.5]])
    model.table.weight.data = p.log()
    start = torch.arange(3).repeat(20_000)[:, None]
    out = sample_tokens(model, start, 1, torch.Generator().manual_seed(0))
    got = torch.zeros(3, 3)
    got.index_put_((out[:, 0], out[:, 1]), torch.tensor(1.0), accumulate=True)
    assert torch.allclose(got / 20_000, p, atol=0.015)
    assert (got[p == 0] == 0).all()


def test_samples_repeat_with_the_seed_and_keep_the_start():
    torch.manual_seed(0)
    model, start = BigramLM(V), tensor(2, 3)[None]
    runs = [
        sample_tokens(model, start, 9, torch.Generator().manual_seed(s))
        for s in (1, 1, 2)
    ]
    assert runs[0].shape == (1, 11) and torch.equal(runs[0][:, :2], start)
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_block_size_cuts_what_the_model_sees():
    lengths = []

    class Spy(BigramLM):
        def forward(self, idx):
            lengths.append(idx.shape[1])
            return super().forward(idx)

    sample_tokens(Spy(V), tensor(1, 2)[None], 4, block_size=3)
    assert lengths == [2, 3, 3, 3]


def test_samples_are_without_dropout_and_leave_the_mode():
    model = nn.Sequential(BigramLM(V), nn.Dropout(0.5))
    model[0].table.weight.data = 50 * torch.eye(V).roll(1, 1)  # i, then i + 1
    out = sample_tokens(model, tensor(0)[None], 20)
    assert torch.equal(out[0], torch.arange(21) % V) and model.training


# --- n-grams, against dictionaries


@given(texts, st.integers(1, 4))
def test_packing_is_one_to_one(ids, n):
    packed = pack_ngrams(ids, n, V)
    grams = [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
    as_text = ["".join(map(str, g)) for g in grams]
    assert packed.tolist() == [int(text, V) for text in as_text]


@pytest.mark.parametrize(
    "ids, n, vocab",
    [([1, 2], 0, 5), ([1, 5], 1, 5), ([1, -1], 1, 5), ([1] * 30, 28, 5)],
)
def test_numbers_that_would_not_be_one_to_one_are_refused(ids, n, vocab):
    with pytest.raises(ValueError, match="must be"):
        pack_ngrams(ids, n, vocab)


def by_dictionary(ids, n):
    grams = Counter(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1))
    total, kinds = Counter(), Counter()
    for gram, count in grams.items():
        total[gram[:-1]] += count
        kinds[gram[:-1]] += 1
    return grams, total, kinds


@given(texts, texts, st.integers(1, 4))
@settings(deadline=None)
def test_counts_equal_those_of_a_dictionary(train, other, n):
    grams, total, kinds = by_dictionary(train, n)
    seen = NgramCounts(train, n, V)(other)
    asked = [tuple(other[i : i + n]) for i in range(len(other) - n + 1)]
    assert seen[0].tolist() == [grams[g] for g in asked]
    assert seen[1].tolist() == [total[g[:-1]] for g in asked]
    assert seen[2].tolist() == [kinds[g[:-1]] for g in asked]


def witten_bell_by_recursion(train, gram):
    """p(last | the rest) straight from the formula."""
    if not gram:
        return 1 / V
    grams, total, kinds = by_dictionary(train, len(gram))
    shorter = witten_bell_by_recursion(train, gram[1:])
    context = gram[:-1]
    if not kinds[context]:
        return shorter
    mass = grams[gram] + kinds[context] * shorter
    return mass / (total[context] + kinds[context])


@given(texts, st.integers(1, 4))
@settings(deadline=None, max_examples=30)
def test_witten_bell_equals_its_formula(train, order):
    other = [0, 1, 4, 4, 2, 3, 0, 1]
    got = np.exp(WittenBell(train, order, V).log_probs(other))
    grams = [tuple(other[i : i + order]) for i in range(9 - order)]
    wanted = [witten_bell_by_recursion(train, gram) for gram in grams]
    assert got == pytest.approx(wanted)


@given(texts, st.integers(1, 4))
@settings(deadline=None, max_examples=30)
def test_probabilities_sum_to_one(train, order):
    for model in (WittenBell(train, order, V), AddK(train, order, V, k=0.5)):
        for context in ([0, 0, 0], [4, 3, 2], train[:3]):
            p = [np.exp(model.log_probs([*context, c])[-1]) for c in range(V)]
            assert sum(p) == pytest.approx(1) and min(p) > 0


def test_a_shorter_order_is_the_model_of_that_order():
    train, other = [0, 1, 2, 3, 4, 0, 1, 3] * 4, [0, 1, 3, 2, 4]
    long, short = WittenBell(train, 4, V), WittenBell(train, 2, V)
    assert np.array_equal(long.log_probs(other, 2), short.log_probs(other))


def test_add_k_of_order_two_is_the_smoothed_table():
    ids = tensor(0, 1, 2, 0, 1, 4, 4, 3)
    counts = count_bigrams(ids, V) + 0.5
    p = counts / counts.sum(1, keepdim=True)
    got = AddK(ids, 2, V, k=0.5).log_probs(ids)
    assert got == pytest.approx(p[ids[:-1], ids[1:]].log().numpy(), rel=1e-5)


@pytest.mark.parametrize("order", [0, 3, -1])
def test_an_order_that_was_not_counted_is_refused(order):
    with pytest.raises(AssertionError):
        WittenBell([0, 1, 2], 2, V).log_probs([0, 1, 2], order)
