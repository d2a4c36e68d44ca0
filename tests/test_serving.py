"""minigpt.serving against what it replaces: the same numbers, the same text."""

import itertools
import math
import random

import numpy as np
import pytest
import torch

import minigpt.modern  # noqa: F401 (its parts can be named)
from minigpt.attention import attention, causal_mask
from minigpt.bigram import WittenBell
from minigpt.cache import new_cache
from minigpt.gpt import GPT, GPTConfig
from minigpt.sample import Sampling, generate, probabilities
from minigpt.serving import (
    BITS,
    Blocks,
    CountingDraft,
    Pool,
    Request,
    Scheduler,
    attend_in_tiles,
    attention_bytes,
    close_text,
    dequantize,
    expected_tokens,
    fork_text,
    int8_product,
    merge,
    open_text,
    pack,
    pack_model,
    paged_logits,
    prefill,
    quantize,
    round_model,
    speculate,
    tiled_attention,
    unpack,
    verify,
)

GREEDY = Sampling(temperature=0)
SIZES = dict(vocab_size=40, block_size=48, n_layer=3, n_head=4, n_embd=32)
KINDS = {
    "learned": dict(),
    "sinusoidal": dict(position="sinusoidal"),
    "rope": dict(position="rope", norm="rms", mlp="relu2", qk_norm=True),
    "shared heads": dict(position="rope", n_kv_head=2),
    "alibi": dict(position="alibi"),
    "none": dict(position="none", tied=False, bias=False),
}


def some_model(**changes):
    """A GPT whose random weights make some tokens much likelier."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(**(SIZES | changes))).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.3)
    return model


def some_ids(n, seed=1, vocab_size=40):
    dice = torch.Generator().manual_seed(seed)
    return torch.randint(vocab_size, (n,), generator=dice).tolist()


def alone(model, ids, n, sampling=GREEDY, seed=0):
    """What `generate` writes, without a cache or company."""
    steps = generate(
        model, torch.tensor([ids]), n=n, sampling=sampling,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    return [new.item() for new, _ in steps]


# --- tiles -------------------------------------------------------------------


@pytest.mark.parametrize("T, S, tile", [
    (1, 1, 4), (7, 7, 3), (8, 8, 4), (5, 12, 4), (1, 9, 2), (6, 6, 64),
    (16, 31, 5),
])  # fmt: skip
@pytest.mark.parametrize("causal", [True, False])
def test_tiles_give_attention_and_its_gradients(T, S, tile, causal):
    torch.manual_seed(T)
    q, k, v = (
        torch.randn(2, 3, n, 8, dtype=torch.float64, requires_grad=True)
        for n in (T, S, S)
    )
    mask = causal_mask(T, S) if causal else None
    want = attention(q, k, v, mask, record=[])
    got = tiled_attention(q, k, v, tile=tile, causal=causal)
    torch.testing.assert_close(got, want, atol=1e-12, rtol=0)
    dy = torch.randn_like(want)
    for a, b in zip(
        torch.autograd.grad(got, (q, k, v), dy),
        torch.autograd.grad(want, (q, k, v), dy),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_tiled_gradients_by_finite_differences():
    torch.manual_seed(0)
    inputs = torch.randn(3, 1, 5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: tiled_attention(*x, tile=2), (inputs,)
    )


def test_tiles_in_float32_and_with_large_scores():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 50, 16)
    want = attention(q, k, v, causal_mask(50))
    assert (tiled_attention(q, k, v, tile=16) - want).abs().max() < 1e-6
    want = attention(300 * q, k, v, causal_mask(50))
    got = tiled_attention(300 * q, k, v, tile=7)
    assert got.isfinite().all()
    torch.testing.assert_close(got, want, atol=1e-4, rtol=0)


def test_merged_parts_are_the_softmax_in_any_order():
    torch.manual_seed(0)
    scores, v = 40 * torch.randn(6), torch.randn(6, 3)
    parts = [(s.view(1), torch.ones(1), x) for s, x in zip(scores, v)]
    for _ in range(5):
        random.Random(_).shuffle(parts)
        so_far = parts[0]
        for part in parts[1:]:
            so_far = merge(so_far, part)
        m, total, mix = so_far
        torch.testing.assert_close(mix / total, scores.softmax(0) @ v)
        torch.testing.assert_close(m + total.log(), scores.logsumexp(0)[None])


def test_what_tiles_cannot_do_is_refused():
    q = torch.randn(4, 2)
    for options in ({"tile": 0}, {"tile": -3}):
        with pytest.raises(ValueError, match="got tile"):
            tiled_attention(q, q, q, **options)
    with pytest.raises(ValueError, match="4 queries and 3 keys"):
        tiled_attention(q, q[:3], q[:3])
    assert tiled_attention(q, q[:3], q[:3], causal=False).shape == (4, 2)


def test_bytes_are_those_of_the_loops():
    T, D = 96, 8
    for tile in (8, 16, 40):
        moved = 2 * T * D  # queries in, results out
        for _ in range(0, T, tile):
            moved += sum(2 * min(tile, T - j) * D for j in range(0, T, tile))
        assert attention_bytes(T, D, tile) == 4 * moved
    qk, softmax, mix = 2 * T * D + T * T, 2 * T * T, T * T + 2 * T * D
    assert attention_bytes(T, D, itemsize=2) == 2 * (qk + softmax + mix)


def test_the_largest_tensor_of_the_tiles_is_a_tile():
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        most = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if torch.is_tensor(out):
                self.most = max(self.most, out.numel())
            return out

    q, k, v = torch.randn(3, 256, 8)
    with Largest() as naive:
        attention(q, k, v, causal_mask(256), record=[])
    with Largest() as small:
        attend_in_tiles(q, k, v, 32, True)
    assert naive.most == 256**2 and small.most <= max(256 * 8, 32**2)


# --- bits --------------------------------------------------------------------


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("group", [None, 8, 24])
def test_rounding_moves_no_number_by_more_than_half_a_step(bits, group):
    torch.manual_seed(0)
    w = torch.randn(50, 48) * torch.logspace(-2, 3, 50)[:, None]
    q, scale = quantize(w, bits, group)
    most = 2 ** (bits - 1) - 1
    assert q.dtype == torch.int8 and q.shape == w.shape
    assert scale.dtype == torch.half and scale.shape == (
        50,
        48 // (group or 48),
    )
    assert (q.view(*scale.shape, -1).abs().amax(-1) == most).all()
    step = scale.float().repeat_interleave(group or 48, 1)
    error = (dequantize(q, scale) - w).abs()
    assert (error <= 0.501 * step + most * 2**-11 * step).all()


def test_whole_numbers_survive_rounding_exactly():
    w = torch.arange(-127.0, 128.0).repeat(4, 1)
    w = w * torch.tensor([1.0, 0.5, 2.0**-6, 64.0])[:, None]
    assert torch.equal(dequantize(*quantize(w, 8)), w)


def test_rows_of_zeros_and_of_tiny_numbers_stay_near_zero():
    w = torch.zeros(3, 4)
    w[1], w[2, 0] = 1e-9, 1e-5
    for bits in BITS:
        again = dequantize(*quantize(w, bits))
        assert torch.equal(again[:2], torch.zeros(2, 4))
        assert (again - w).abs().max() < 1e-5 and again.isfinite().all()


@pytest.mark.parametrize("bits", BITS)
def test_every_number_survives_packing(bits):
    half = 2 ** (bits - 1)
    torch.manual_seed(0)
    q = torch.randint(-half, half, (5, 48)).to(torch.int8)
    packed = pack(q, bits)
    assert packed.dtype == torch.uint8 and packed.shape == (5, 6 * bits)
    assert torch.equal(unpack(packed, bits), q)


def test_packed_bits_are_in_numpys_order():
    """Least significant bit first, as in `numpy.packbits`."""
    torch.manual_seed(0)
    for bits in BITS:
        half = 2 ** (bits - 1)
        q = torch.randint(-half, half, (3, 24)).to(torch.int8)
        codes = (q.numpy().astype(int) + half)[..., None] >> np.arange(bits) & 1
        stream = codes.reshape(3, -1).astype(np.uint8)
        want = np.packbits(stream, axis=1, bitorder="little")
        assert (pack(q, bits).numpy() == want).all()


def test_bits_and_groups_that_do_not_fit_are_refused():
    w = torch.randn(3, 12)
    for bits in (1, 5, 7, 16, 0, "4"):
        with pytest.raises(ValueError, match="bits must be one of"):
            quantize(w, bits)
    for group in (5, 0, -4, 24):
        with pytest.raises(ValueError, match="group must divide 12 columns"):
            quantize(w, 4, group)
    with pytest.raises(ValueError, match="multiple of 8 columns, got 12"):
        pack(quantize(w, 3)[0], 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits, group", [(8, None), (4, 16), (3, 8)])
def test_a_packed_model_is_the_rounded_one(kind, bits, group):
    model = some_model(**KINDS[kind])
    before = {name: p.clone() for name, p in model.named_parameters()}
    small, rounded = (f(model, bits, group) for f in (pack_model, round_model))
    idx = torch.tensor([some_ids(20)])
    with torch.no_grad():
        want = rounded(idx)
        torch.testing.assert_close(small(idx), want, atol=1e-5, rtol=1e-5)
        assert (model(idx) - want).abs().max() > 1e-3
    assert alone(small, some_ids(5), 9) == alone(rounded, some_ids(5), 9)
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name])


def test_a_packed_model_takes_the_bytes_of_its_bits():
    model = some_model()
    matrices = sum(p.numel() for p in model.parameters() if p.dim() == 2)
    rest = sum(p.numel() for p in model.parameters() if p.dim() != 2)
    for bits, group in ((8, None), (4, 16), (2, 8)):
        small = pack_model(model, bits, group)
        held = {x.data_ptr(): x.nbytes for x in small.state_dict().values()}
        groups = sum(
            p.size(0) * p.size(1) // (group or p.size(1))
            for p in model.parameters()
            if p.dim() == 2
        )
        assert (
            sum(held.values()) == matrices * bits // 8 + 2 * groups + 4 * rest
        )


@pytest.mark.parametrize("rows", [1, 7])
def test_a_product_of_whole_numbers(rows):
    torch.manual_seed(0)
    x, w = 3 * torch.randn(rows, 48), torch.randn(20, 48)
    q, scale = quantize(w, 8)
    rounded = dequantize(*quantize(x, 8))
    want = rounded.double() @ dequantize(q, scale).double().T
    torch.testing.assert_close(int8_product(x, q, scale).double(), want)


# --- a draft -----------------------------------------------------------------


def counted(order=3, V=7, n=400, seed=0):
    ids = some_ids(n, seed, V)
    return WittenBell(np.array(ids), order, V)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_draft_is_the_table_of_chapter_3(order):
    V = 7
    table = counted(order, V)
    draft = CountingDraft(table)
    for ids in ([], [3], [1, 2], [6, 6, 6], [0, 5, 2, 4, 1, 3]):
        got = draft.logits(ids)
        assert got.shape == (V,) and got.exp().sum().item() == pytest.approx(1)
        seen = ids[max(0, len(ids) - order + 1) :]
        for token in range(V):
            want = table.log_probs([*seen, token], min(order, len(seen) + 1))
            assert got[token].item() == pytest.approx(want[-1], abs=1e-5)


def outcomes(p, q, k):
    """All that `verify` can return for drafts from q, with their chances.

    p and q are functions of a prefix (tuple) -> (V,).
    """
    found = {}
    V = len(p(()))
    for drafted in itertools.product(range(V), repeat=k):
        chance = math.prod(
            q(drafted[:i])[t].item() for i, t in enumerate(drafted)
        )
        for i, token in enumerate(drafted):
            here, there = p(drafted[:i]), q(drafted[:i])
            accept = min(1.0, (here[token] / there[token]).item())
            rest = (here - there).clamp(min=0)
            if accept < 1:
                for t in range(V):
                    text = (*drafted[:i], t)
                    part = (rest[t] / rest.sum()).item() * (1 - accept)
                    found[text] = found.get(text, 0) + chance * part
            chance *= accept
        for t in range(V):
            text = (*drafted, t)
            found[text] = found.get(text, 0) + chance * p(drafted)[t].item()
    return found


def rule(seed, V=3):
    """A function of a prefix -> (V,), different for each."""

    def probs(prefix):
        number = sum((t + 1) * 5**i for i, t in enumerate(prefix))
        dice = torch.Generator().manual_seed(1000 * seed + number)
        return (2 * torch.randn(V, generator=dice).double()).softmax(0)

    return probs


def extended(found, p, length):
    """Texts of different lengths, each continued by p to the same length."""
    full = {}
    for text, chance in found.items():
        for more in itertools.product(range(3), repeat=length - len(text)):
            whole, x = text, chance
            for t in more:
                x *= p(whole)[t].item()
                whole = (*whole, t)
            full[whole] = full.get(whole, 0) + x
    return full


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [1, 2, 3])
def test_accept_and_correct_give_exactly_the_models_distribution(seed, k):
    """By enumeration of every draft and every outcome, for three tokens."""
    p, q = rule(seed), rule(seed + 50)
    full = extended(outcomes(p, q, k), p, k + 1)
    for text, chance in full.items():
        want = math.prod(p(text[:i])[t].item() for i, t in enumerate(text))
        assert chance == pytest.approx(want, abs=1e-12)


def test_verify_returns_those_outcomes_as_often():
    """The function itself, drawn 30,000 times, against the enumeration."""
    p, q, k, n = rule(1), rule(51), 2, 30_000
    want = outcomes(p, q, k)
    dice = torch.Generator().manual_seed(5)
    seen = dict.fromkeys(want, 0)
    for _ in range(n):
        drafted = ()
        for _ in range(k):
            drafted += (
                torch.multinomial(q(drafted), 1, generator=dice).item(),
            )
        ps = torch.stack([p(drafted[:i]) for i in range(k + 1)])
        qs = torch.stack([q(drafted[:i]) for i in range(k)])
        seen[tuple(verify(ps, qs, list(drafted), dice))] += 1
    chi2 = sum(
        (seen[x] - n * w) ** 2 / (n * w) for x, w in want.items() if w > 0
    )
    degrees = sum(w > 0 for w in want.values()) - 1
    assert chi2 < degrees + 4 * math.sqrt(2 * degrees)
    assert all(seen[x] == 0 for x, w in want.items() if w == 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 2, 5])
def test_greedy_text_is_the_same_also_past_the_context(kind, k):
    model = some_model(**KINDS[kind])
    table = WittenBell(np.array(alone(model, [1, 2], 90) * 2), 3, 40)
    for prompt in ([3], some_ids(20, 5), some_ids(48, 6)):
        steps = speculate(
            model, CountingDraft(table), torch.tensor([prompt]), n=40, k=k,
            sampling=GREEDY,
        )  # fmt: skip
        rounds = list(steps)
        written = [t for _, new in rounds for t in new]
        assert written == alone(model, prompt, 40)
        assert all(1 <= len(new) <= len(d) + 1 <= k + 1 for d, new in rounds)
    # the table has counted what the model writes: some drafts are accepted
    assert kind != "learned" or len(rounds) <= 40


def test_drawn_text_is_distributed_as_the_models():
    """Chi-square over all texts of three tokens, drawn 4,000 times."""
    model = some_model(vocab_size=3)
    draft = CountingDraft(counted(2, 3, 60))
    prompt, n, sampling = [0, 2, 1], 4000, Sampling(temperature=1.5)
    dice = torch.Generator().manual_seed(2)
    seen = {}
    for _ in range(n):
        steps = speculate(
            model, draft, torch.tensor([prompt]), n=3, k=2,
            sampling=sampling, generator=dice,
        )  # fmt: skip
        text = tuple(t for _, new in steps for t in new)
        seen[text] = seen.get(text, 0) + 1
    chi2 = cells = 0
    for text in itertools.product(range(3), repeat=3):
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *text]]))[0]
        p = probabilities(logits[len(prompt) - 1 : -1], sampling)
        want = n * p[range(3), list(text)].prod().item()
        if want > 1:
            chi2 += (seen.get(text, 0) - want) ** 2 / want
            cells += 1
    assert cells > 5 and chi2 < cells + 4 * math.sqrt(2 * cells)


def test_a_perfect_draft_is_always_accepted():
    class Itself:
        vocab_size = 40

        def logits(self, ids):
            return model(torch.tensor([ids]))[0, -1]

    model = some_model()
    for sampling in (GREEDY, Sampling(), Sampling(temperature=0.7, top_k=5)):
        rounds = list(
            speculate(
                model, Itself(), torch.tensor([[1, 2, 3]]), n=20, k=4,
                sampling=sampling,
                generator=torch.Generator().manual_seed(0),
            )
        )  # fmt: skip
        assert [len(new) for _, new in rounds] == [5, 5, 5, 5]


def test_expected_tokens_by_simulation():
    dice = random.Random(0)
    for a, k in ((0.5, 2), (0.9, 5), (0.0, 3)):
        total = 0
        for _ in range(20_000):
            total += 1
            for _ in range(k):
                if dice.random() >= a:
                    break
                total += 1
        assert expected_tokens(a, k) == pytest.approx(total / 20_000, rel=0.02)
    assert expected_tokens(1, 4) == 5


def test_what_speculation_cannot_use_is_refused():
    model, idx = some_model(), torch.tensor([[1, 2]])
    draft = CountingDraft(counted(2, 40))
    bad = {
        "the model's 40 tokens, got 7": (CountingDraft(counted()), idx, {}),
        "k=0": (draft, idx, {"k": 0}),
        "penalty=1.2": (draft, idx, {"sampling": Sampling(penalty=1.2)}),
        "2 prompts": (draft, idx.repeat(2, 1), {}),
        "1 to 48 tokens": (draft, torch.zeros(1, 49, dtype=torch.long), {}),
    }
    for told, (table, ids, options) in bad.items():
        with pytest.raises(ValueError, match=told):
            next(speculate(model, table, ids, n=3, **options))


# --- pages -------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 4, 7, 64])
def test_pages_give_the_logits_of_the_plain_cache(kind, size):
    model = some_model(**KINDS[kind])
    pool = Pool(model.config, -(-60 // size) + 9, size)
    prompts = [some_ids(n, n) for n in (3, 11, 1)]
    texts, caches = [], []
    for ids in prompts:
        text, logits = prefill(model, pool, ids, chunk=4)
        caches.append(new_cache(model))
        with torch.no_grad():
            want = model(torch.tensor([ids]), cache=caches[-1])[:, -1]
        torch.testing.assert_close(logits, want, atol=1e-4, rtol=1e-4)
        texts.append(text)
    for new in ([[5], [6], [7]], [[1], [1], [1]], [[0], [39], [2]]):
        logits = paged_logits(model, pool, texts, torch.tensor(new))
        for row, token, cache in zip(logits, new, caches):
            with torch.no_grad():
                want = model(torch.tensor([token]), cache=cache)[0, -1]
            torch.testing.assert_close(row, want, atol=1e-4, rtol=1e-4)


def test_a_fork_shares_until_it_writes():
    model = some_model()
    pool = Pool(model.config, 12, 4)
    text, _ = prefill(model, pool, some_ids(10))
    other = fork_text(pool, text)
    assert other.table == text.table and len(pool.free) == 9
    assert [pool.users[b] for b in text.table] == [2, 2, 2]
    a = paged_logits(model, pool, [text], torch.tensor([[1]]))
    assert other.table[:2] == text.table[:2] and other.table[2] != text.table[2]
    assert len(pool.free) == 8
    b = paged_logits(model, pool, [other], torch.tensor([[2]]))
    assert len(pool.free) == 8  # the last block has one user now
    for logits, token in ((a, 1), (b, 2)):
        with torch.no_grad():
            want = model(torch.tensor([[*some_ids(10), token]]))[:, -1]
        torch.testing.assert_close(logits, want, atol=1e-4, rtol=1e-4)
    close_text(pool, text)
    close_text(pool, other)
    assert len(pool.free) == 12 and not any(pool.users)


def test_a_common_beginning_is_computed_once():
    model = some_model()
    pool = Pool(model.config, 12, 4)
    start = some_ids(9)
    first, _ = prefill(model, pool, [*start, 1])
    second = open_text(pool, [*start, 2])
    assert second.ids == start[:8] and second.table == first.table[:2]
    assert open_text(pool, start[:8]).ids == start[:4]  # one token must pass
    close_text(pool, first)
    third, logits = prefill(model, pool, [*start, 3])  # from free blocks
    assert third.table[:2] == second.table
    with torch.no_grad():
        want = model(torch.tensor([[*start, 3]]))[:, -1]
    torch.testing.assert_close(logits, want, atol=1e-4, rtol=1e-4)


def test_what_a_free_block_held_is_forgotten_when_it_is_taken():
    blocks = Blocks(2, 4)
    a, b = blocks.take(), blocks.take()
    blocks.remember([1, 2, 3, 4], a)
    with pytest.raises(MemoryError, match="all 2 blocks"):
        blocks.take()
    blocks.drop(b)
    blocks.drop(a)
    assert blocks.share(a) == a and blocks.users == [1, 0]
    blocks.drop(a)
    assert [blocks.take(), blocks.take()] == [b, a]
    assert blocks.known == {} and blocks.holds == {}


# --- a scheduler -------------------------------------------------------------


def requests(count, seed=0, sampling=GREEDY, longest=20):
    dice = random.Random(seed)
    common = some_ids(8, 99)
    found = []
    for i in range(count):
        ids = some_ids(dice.randint(1, longest), i)
        if i % 3 == 0:
            ids = common + ids
        found.append(Request(ids, dice.randint(1, 15), sampling, seed=i))
    return found


def run(scheduler, arrivals):
    """Requests arrive, {step: requests}; -> how many steps it took."""
    steps = 0
    while arrivals or scheduler.waiting or scheduler.running:
        for request in arrivals.pop(steps, ()):
            scheduler.add(request)
        scheduler.step()
        steps += 1
    return steps


@pytest.mark.parametrize("kind", ["learned", "rope", "shared heads"])
@pytest.mark.parametrize("blocks", [15, 60])
@pytest.mark.parametrize("continuous", [True, False])
def test_everybody_gets_what_they_would_get_alone(kind, blocks, continuous):
    """Also where blocks run out, and some have to wait again."""
    model = some_model(**KINDS[kind])
    for sampling in (GREEDY, Sampling(temperature=0.8, top_k=10, penalty=1.3)):
        pool = Pool(model.config, blocks, 4)
        scheduler = Scheduler(model, pool, max_batch=5, continuous=continuous)
        asked = requests(12, sampling=sampling)
        run(scheduler, {0: asked[:7], 3: asked[7:9], 30: asked[9:]})
        for r in asked:
            want = alone(model, r.ids, r.n, sampling, r.seed)
            assert (r.written, r.finished) == (want, "length")
        assert len(pool.free) == blocks and not any(pool.users)


def test_a_request_ends_at_a_stop_token_or_at_the_end_of_the_context():
    model = some_model()
    ids = some_ids(45)
    long = Request(ids, 100, GREEDY)
    want = alone(model, ids, 4)
    early = Request(ids, 100, GREEDY, stop=(want[2],))
    scheduler = Scheduler(model, Pool(model.config, 12, 8))
    run(scheduler, {0: [long, early]})
    assert (long.written, long.finished) == (want, "length")
    assert want.index(want[2]) == len(early.written)
    assert early.finished == "stop"


def test_continuous_batching_needs_fewer_steps():
    model = some_model()
    steps = {}
    for continuous in (True, False):
        pool = Pool(model.config, 60, 8)
        scheduler = Scheduler(model, pool, max_batch=4, continuous=continuous)
        steps[continuous] = run(scheduler, {0: requests(16, seed=3)})
    assert steps[True] < 0.9 * steps[False]


def test_a_request_that_can_never_run_is_refused():
    model = some_model()
    scheduler = Scheduler(model, Pool(model.config, 3, 8))
    for bad in (
        Request([], 3), Request(some_ids(49), 3), Request([1], 0),
        Request(some_ids(20), 10),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="got"):
            scheduler.add(bad)
    assert scheduler.step() == []


def test_a_cancelled_request_leaves_its_blocks():
    model = some_model()
    scheduler = Scheduler(model, Pool(model.config, 20, 8), max_batch=1)
    first, second = Request([1, 2, 3], 9, GREEDY), Request([4], 9, GREEDY)
    scheduler.add(first)
    scheduler.add(second)
    scheduler.step()
    scheduler.cancel(first)
    scheduler.cancel(second)
    assert scheduler.step() == [] and len(scheduler.pool.free) == 20
    scheduler.cancel(first)  # twice is once
