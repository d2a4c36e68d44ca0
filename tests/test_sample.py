"""minigpt.sample against transformers' logits processors and definitions."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from minigpt.cache import new_cache
from minigpt.data import pad
from minigpt.gpt import GPT, GPTConfig
from minigpt.sample import (
    Sampling,
    choose,
    draw,
    generate,
    greedy,
    min_p,
    next_logits,
    probabilities,
    repetition_penalty,
    stream_text,
    temperature,
    top_k,
    top_p,
)
from minigpt.tokenizer import BPETokenizer, CharTokenizer

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIG = GPTConfig(vocab_size=30, block_size=12, n_layer=2, n_head=2, n_embd=16)
GREEDY = Sampling(temperature=0)


def some_model(config=CONFIG):
    torch.manual_seed(0)
    model = GPT(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.3)
    return model


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def some_logits(B=4, V=50, seed=0):
    return 3 * torch.randn(B, V, generator=dice(seed))


def texts(model, idx, n=8, **options):
    options.setdefault("sampling", GREEDY)
    steps = list(generate(model, idx, n=n, **options))
    return torch.stack([new for new, _ in steps], 1)


# ---- each function against transformers


@pytest.mark.parametrize("seed", range(5))
def test_functions_equal_transformers(seed):
    logits = some_logits(seed=seed)
    ids = torch.randint(50, (4, 9), generator=dice(seed))
    for ours, theirs in (
        (temperature(logits, 0.7), TemperatureLogitsWarper(0.7)),
        (temperature(logits, 3.0), TemperatureLogitsWarper(3.0)),
        (top_k(logits, 1), TopKLogitsWarper(1)),
        (top_k(logits, 7), TopKLogitsWarper(7)),
        (top_k(logits, 50), TopKLogitsWarper(50)),
        (top_p(logits, 0.05), TopPLogitsWarper(0.05)),
        (top_p(logits, 0.9), TopPLogitsWarper(0.9)),
        (min_p(logits, 0.02), MinPLogitsWarper(0.02)),
        (min_p(logits, 0.5), MinPLogitsWarper(0.5)),
        (
            repetition_penalty(logits, ids, 1.3),
            RepetitionPenaltyLogitsProcessor(1.3),
        ),
        (
            repetition_penalty(logits, ids, 0.8),
            RepetitionPenaltyLogitsProcessor(0.8),
        ),
    ):
        expected = theirs(ids, logits.clone())
        assert torch.equal(ours.isinf(), expected.isinf()), theirs
        torch.testing.assert_close(ours, expected)


def test_the_order_is_penalty_temperature_top_k_top_p_min_p():
    logits = some_logits(B=8)
    ids = torch.randint(50, (8, 5), generator=dice())
    expected = logits.clone()
    for step in (
        RepetitionPenaltyLogitsProcessor(1.5),
        TemperatureLogitsWarper(1.6),
        TopKLogitsWarper(20),
        TopPLogitsWarper(0.8),
        MinPLogitsWarper(0.1),
    ):
        expected = step(ids, expected)
    ours = probabilities(logits, Sampling(1.6, 20, 0.8, 0.1, 1.5), ids)
    torch.testing.assert_close(ours, expected.softmax(-1))
    other = temperature(top_p(logits, 0.8), 1.6).softmax(-1)
    same_knobs = probabilities(logits, Sampling(1.6, top_p=0.8))
    assert not torch.allclose(other, same_knobs, atol=1e-2)


def test_none_of_them_changes_its_input():
    logits = some_logits()
    before = logits.clone()
    sampling = Sampling(0.5, 10, 0.5, 0.2, 2.0)
    probabilities(logits, sampling, torch.zeros(4, 3, dtype=torch.long))
    temperature(logits, 0)
    assert torch.equal(logits, before)


# ---- each function against its definition

rows = st.lists(
    st.integers(-40, 40).map(lambda i: i / 8), min_size=1, max_size=40
).map(lambda row: torch.tensor([row], dtype=torch.float64))
shares = st.sampled_from([0.01, 0.1, 0.3, 0.5, 0.75, 0.9, 0.999, 1.0])
knobs = st.builds(
    Sampling,
    st.sampled_from([0, 0.001, 0.3, 1.0, 2.5, 100.0]),
    st.none() | st.just(1),
    st.none() | shares,
    st.none() | shares,
    st.sampled_from([0.5, 1.0, 1.2, 10.0]),
)


@settings(max_examples=300, deadline=None)
@given(rows, knobs)
def test_probabilities_are_a_distribution(logits, sampling):
    for dtype in (torch.float64, torch.float32):
        row = logits.to(dtype)
        p = probabilities(row, sampling, torch.tensor([[0]]))
        assert (p >= 0).all() and p.sum().item() == pytest.approx(1, abs=1e-5)
        if sampling.penalty == 1:
            assert p[0, row.argmax()] == p.max()


@settings(max_examples=300, deadline=None)
@given(rows, st.data())
def test_top_k_keeps_the_k_best_and_of_equals_the_first(logits, data):
    V = logits.size(1)
    k = data.draw(st.integers(1, V))
    row = logits[0].tolist()
    best = sorted(range(V), key=lambda i: (-row[i], i))[:k]
    kept = top_k(logits, k)[0]
    assert kept.isfinite().nonzero().flatten().tolist() == sorted(best)
    assert torch.equal(kept[best], logits[0, best])


@settings(max_examples=300, deadline=None)
@given(rows, shares)
def test_top_p_keeps_the_smallest_set_that_reaches_p(logits, p):
    probs = logits.softmax(-1)[0]
    kept = top_p(logits, p)[0].isfinite()
    n, slack = int(kept.sum()), 1e-9
    best = probs.sort(descending=True).values
    assert n >= 1 and best[:n].sum() >= p - slack
    assert n == 1 or best[: n - 1].sum() < p + slack  # one fewer is too few
    if n < len(best):  # nobody outside is likelier than one inside
        assert probs[kept].min() >= probs[~kept].max()


@settings(max_examples=300, deadline=None)
@given(rows, shares)
def test_min_p_keeps_what_reaches_the_bar(logits, p):
    probs = logits.softmax(-1)[0]
    kept = min_p(logits, p)[0].isfinite()
    assert torch.equal(kept, probs >= p * probs.max())
    assert kept[probs.argmax()]


@settings(max_examples=200, deadline=None)
@given(rows, st.sampled_from([1.0, 1.1, 2.0, 50.0]), st.data())
def test_a_penalty_lowers_what_was_seen_and_nothing_else(logits, x, data):
    V = logits.size(1)
    seen = data.draw(st.sets(st.integers(0, V - 1), max_size=5))
    ids = torch.tensor([[-1, *seen, *seen]])  # padding, and all twice
    after = repetition_penalty(logits, ids, x)[0]
    for i, (old, new) in enumerate(zip(logits[0], after, strict=True)):
        wanted = old
        if i in seen:
            wanted = old / x if old > 0 else old * x
        assert new == wanted and (x < 1 or new <= old)


@given(rows, st.sampled_from([0.25, 2.0]))
def test_temperature_is_a_power_of_the_ratio(logits, t):
    p, q = logits.softmax(-1)[0], temperature(logits, t).softmax(-1)[0]
    expected = (p[0] / p.max()) ** (1 / t)
    torch.testing.assert_close(q[0] / q.max(), expected)


@pytest.mark.parametrize("V", [1, 2, 7, 16, 100, 50257])
def test_greedy_takes_the_lowest_id_of_equals(V):
    logits = torch.zeros(3, V)
    logits[1, V // 2 :] = 5
    logits[2, V - 1 :] = 5
    assert greedy(logits).tolist() == [0, V // 2, V - 1]
    p = probabilities(logits, GREEDY)
    assert p.argmax(-1).tolist() == [0, V // 2, V - 1]
    assert p.sum(-1).tolist() == p.amax(-1).tolist() == [1, 1, 1]


def test_top_p_of_one_keeps_even_what_rounding_would_lose():
    logits = torch.linspace(0, -30, 5000)[None]
    assert top_p(logits, 1.0).isfinite().all()


def test_rows_of_a_batch_do_not_touch():
    logits = some_logits(B=6)
    sampling = Sampling(0.8, 20, 0.9, 0.05)
    together = probabilities(logits, sampling)
    for row, alone in zip(together, logits.split(1), strict=True):
        assert torch.equal(row, probabilities(alone, sampling)[0])


# ---- drawing


def test_draws_follow_the_distribution():
    p = some_logits(B=1, V=20).softmax(-1)[0]
    n = 50_000
    share = draw(p.expand(n, -1), dice()).bincount(minlength=20) / n
    assert ((share - p).abs() <= 5 * (p * (1 - p) / n).sqrt() + 1e-5).all()


def test_a_seed_decides_and_what_is_cut_never_comes():
    p = probabilities(some_logits(), Sampling(top_k=3))
    p = p.expand(500, 4, 50)
    ids = draw(p, dice(1))
    assert ids.shape == (500, 4) and torch.equal(ids, draw(p, dice(1)))
    assert not torch.equal(ids, draw(p, dice(2)))
    assert (p.gather(-1, ids[..., None]) > 0).all()


def test_choose_gives_the_probability_of_what_it_chose():
    logits = some_logits()
    sampling = Sampling(0.9, top_p=0.8, penalty=1.2)
    seen = torch.randint(50, (4, 6), generator=dice())
    ids, p = choose(logits, sampling, seen, dice(3))
    probs = probabilities(logits, sampling, seen)
    assert torch.equal(ids, draw(probs, dice(3)))
    assert torch.equal(p, probs[torch.arange(4), ids])
    for penalty in (1.0, 4.0):
        knobs = replace(GREEDY, penalty=penalty)
        ids, p = choose(logits, knobs, seen)
        assert torch.equal(ids, probabilities(logits, knobs, seen).argmax(-1))
        assert p.tolist() == [1, 1, 1, 1]


# ---- bad input


@pytest.mark.parametrize(
    "name, value",
    [
        ("temperature", -0.1),
        ("temperature", 1e-5),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", 0),
        ("top_k", -1),
        ("top_k", 2.0),
        ("top_k", True),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_p", math.nan),
        ("min_p", 0.0),
        ("min_p", -0.5),
        ("min_p", 2.0),
        ("penalty", 0.0),
        ("penalty", -1.0),
        ("penalty", math.inf),
        ("penalty", math.nan),
    ],
)
def test_a_setting_without_sense_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value}"):
        Sampling(**{name: value})


def test_more_than_the_vocabulary_keeps_all_of_it():
    logits = some_logits()
    assert torch.equal(top_k(logits, 51), logits)


@pytest.mark.parametrize(
    "shape, mask",
    [
        ((1, 0), None),
        ((0, 3), None),
        ((5,), None),
        ((1, 13), None),  # block_size is 12
        ((1, 2), torch.ones(1, 2)),  # no truth values
        ((1, 2), torch.ones(1, 3, dtype=torch.bool)),
        ((1, 2), torch.tensor([[True, False]])),  # padded on the right
        ((2, 2), torch.tensor([[True, True], [False, False]])),  # no token
    ],
)
def test_a_prompt_that_cannot_be_continued_is_refused(shape, mask):
    idx = torch.zeros(shape, dtype=torch.long)
    with pytest.raises(ValueError):
        next(generate(some_model(), idx, n=1, mask=mask))


# ---- writing


def test_generate_is_the_plain_loop():
    model, idx = some_model(), torch.tensor([[3, 1, 4]])
    sampling = Sampling(0.8, 10, 0.9, 0.01, 1.1)
    steps = list(
        generate(model, idx, n=20, sampling=sampling, generator=dice(5))
    )
    assert len(steps) == 20
    g = dice(5)
    for new, p in steps:
        with torch.no_grad():
            logits = model(idx[:, -CONFIG.block_size :])[:, -1]
        probs = probabilities(logits, sampling, idx)
        expected = draw(probs, g)
        assert torch.equal(new, expected)
        torch.testing.assert_close(p, probs[0, expected])
        idx = torch.cat([idx, new[:, None]], 1)


def test_generate_yields_as_it_goes_and_leaves_the_prompt_alone():
    model, idx = some_model(), torch.tensor([[3, 1, 4]])
    steps = generate(model, idx, n=10**9)
    new, p = next(steps)
    assert new.shape == p.shape == (1,) and not p.requires_grad
    assert torch.is_grad_enabled() and idx.tolist() == [[3, 1, 4]]
    assert list(generate(model, idx, n=0)) == []


def test_stop_tokens_end_rows_and_then_the_batch():
    model = some_model()
    idx = torch.randint(30, (3, 4), generator=dice(2))
    free = texts(model, idx, n=8)
    stop = {free[0, 1].item(), free[1, 4].item(), free[2, 2].item()}
    steps = list(generate(model, idx, n=8, sampling=GREEDY, stop=stop))
    found = torch.stack([new for new, _ in steps], 1)
    ends = []
    for row, was in zip(found.tolist(), free.tolist(), strict=True):
        end = next(i for i, x in enumerate(was) if x in stop)
        assert row[: end + 1] == was[: end + 1]
        assert set(row[end:]) == {was[end]}
        ends.append(end)
    assert len(steps) == max(ends) + 1 < 8
    assert steps[-1][1][ends.index(min(ends))] == 1


def test_a_row_of_a_padded_batch_writes_what_it_writes_alone():
    model = some_model()
    prompts = [[5], list(range(12)), [7, 7, 1], [9, 8, 7, 6, 5]]
    idx, mask = pad(prompts, 29, left=True)
    assert mask.sum(-1).tolist() == [1, 12, 3, 5]
    steps = list(generate(model, idx, mask=mask, n=16, sampling=GREEDY))
    for b, row in enumerate(prompts):
        alone = generate(model, torch.tensor([row]), n=16, sampling=GREEDY)
        for (new, _), (single, _) in zip(steps, alone, strict=True):
            assert new[b] == single[0]
    other, _ = pad(prompts, 0, left=True)  # nobody looks at the padding
    assert torch.equal(
        texts(model, other, mask=mask, n=16), texts(model, idx, mask=mask, n=16)
    )


def test_a_penalty_does_not_count_padding():
    model = some_model()
    idx, mask = pad([[5, 6], [7]], 3, left=True)
    logits = next_logits(model, idx, mask=mask)
    (new, p), *_ = generate(
        model, idx, mask=mask, n=1, sampling=Sampling(penalty=9.0),
        generator=dice(),
    )  # fmt: skip
    for b, seen in enumerate(([5, 6], [7])):
        probs = probabilities(
            logits[b : b + 1], Sampling(penalty=9.0), torch.tensor([seen])
        )
        assert p[b] == pytest.approx(probs[0, new[b]].item())


def test_beyond_the_context_the_window_slides():
    model = some_model()
    idx = torch.randint(30, (2, 20), generator=dice(4))
    torch.testing.assert_close(
        next_logits(model, idx), model(idx[:, -12:])[:, -1]
    )


def test_dropout_rests_while_writing_and_the_mode_comes_back():
    model = some_model(replace(CONFIG, dropout=0.5)).train()
    idx = torch.tensor([[1, 2, 3]])
    first, second = texts(model, idx), texts(model, idx)
    assert torch.equal(first, second) and model.training
    steps = generate(model, idx, n=5)
    next(steps)
    assert all(m.training for m in model.modules())
    model.eval()
    assert torch.equal(texts(model, idx), first) and not model.training


PROMPT = torch.randint(30, (1, 3), generator=dice(7))
LONGER = torch.randint(30, (1, 9), generator=dice(8))


@pytest.mark.parametrize("first, then", [(PROMPT, LONGER), (LONGER, PROMPT)])
@pytest.mark.parametrize("n", [1, 4, 20])
def test_a_used_cache_writes_what_a_new_one_writes(first, then, n):
    model = some_model()
    cache = new_cache(model)
    texts(model, first, n=n, cache=cache)
    if n == 1:  # as if Ctrl-C had come in the middle of a pass
        cache[0].offset += 1
    used, new, without = (
        list(generate(model, then, n=8, generator=dice(3), cache=c))
        for c in (cache, new_cache(model), None)
    )
    for (ids, p), (same, q), (also, r) in zip(used, new, without, strict=True):
        assert torch.equal(ids, same) and torch.equal(p, q)
        assert torch.equal(ids, also)
        torch.testing.assert_close(p, r)


# ---- streaming

BPE = BPETokenizer.train("the cat sat on the mat " * 9, 266, progress=False)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_streamed_text_is_the_text_and_never_half_a_character(text):
    ids = BPE.encode(text)
    parts = list(stream_text(BPE, ids))
    assert "".join(parts) == text
    if "\ufffd" not in text:
        assert all("\ufffd" not in part for part in parts)
    assert "" not in parts


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 265), max_size=12))
def test_any_ids_stream_to_what_they_decode_to(ids):
    assert "".join(stream_text(BPE, ids)) == BPE.decode(ids)


def test_a_broken_end_is_shown_at_the_end():
    ids = BPE.encode("né")[:-1]
    assert list(stream_text(BPE, ids)) == ["n", "\ufffd"]
    tokenizer = CharTokenizer.train("abc")
    assert list(stream_text(tokenizer, iter([0, 2]))) == ["a", "c"]
    assert list(stream_text(tokenizer, [])) == []
