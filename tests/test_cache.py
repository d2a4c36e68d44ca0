"""minigpt.cache: the same logits, the same tokens, the bytes it says."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from minigpt.cache import KVCache, cache_bytes, multiplications, new_cache
from minigpt.course.exercises import find
from minigpt.data import pad
from minigpt.gpt import GPT, GPTConfig
from minigpt.position import token_positions
from minigpt.sample import Sampling, generate, next_logits

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIG = GPTConfig(vocab_size=40, block_size=16, n_layer=3, n_head=2, n_embd=16)
EVERY = {
    "-".join(map(str, x)): replace(
        CONFIG, order=x[0], position=x[1], mlp=x[2], bias=x[3], tied=x[4]
    )
    for x in product(
        ("pre", "post"),
        ("learned", "sinusoidal", "none"),
        ("gelu", "gelu_tanh", "relu"),
        (True, False),
        (True, False),
    )
}
# each value of each field, and each order with each position
SOME = {name: EVERY[name] for name in list(EVERY)[::7]}
every_config = pytest.mark.parametrize("config", EVERY.values(), ids=EVERY)
some_configs = pytest.mark.parametrize("config", SOME.values(), ids=SOME)


PROMPTS = [[5], list(range(16)), [7, 7, 1], [9, 8, 7, 6, 5]]


def some_model(config=CONFIG):
    torch.manual_seed(0)
    model = GPT(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.3)
    return model


def tokens(B, T, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(40, (B, T), generator=g)


def texts(model, idx, n=10, **options):
    options.setdefault("sampling", Sampling(temperature=0))
    return torch.stack([x for x, _ in generate(model, idx, n=n, **options)], 1)


# ---- cached = uncached


@torch.no_grad()
@every_config
def test_logits_in_any_pieces_equal_all_at_once(config):
    model, idx = some_model(config), tokens(2, 16)
    whole = model(idx)
    for pieces in ([16], [1] * 16, [5, 1, 1, 1, 8], [3, 6, 7]):
        cache, parts = new_cache(model), []
        for part in idx.split(pieces, 1):
            parts.append(model(part, cache=cache))
        torch.testing.assert_close(
            torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5
        )
        assert [layer.offset for layer in cache] == [16] * 3


@some_configs
def test_texts_are_equal_token_for_token(config):
    model = some_model(config)
    for idx in (tokens(1, 1), tokens(1, 9, seed=1), tokens(3, 6, seed=2)):
        cached = texts(model, idx, n=24, cache=new_cache(model))
        assert torch.equal(cached, texts(model, idx, n=24))  # past the context


@some_configs
def test_unequal_prompts_write_what_each_writes_alone(config):
    model = some_model(config)
    idx, mask = pad(PROMPTS, 0, left=True)
    cached = texts(model, idx, n=20, mask=mask, cache=new_cache(model))
    assert torch.equal(cached, texts(model, idx, n=20, mask=mask))
    for row, prompt in zip(cached, PROMPTS, strict=True):
        alone = torch.tensor([prompt])
        assert torch.equal(row, texts(model, alone, n=20)[0])


@torch.no_grad()
def test_padded_logits_equal_each_row_alone():
    model = some_model()
    prompts = [[5], [7, 7, 1], [9, 8, 7, 6, 5]]
    idx, mask = pad(prompts, 39, left=True)
    cache = new_cache(model)
    steps = [next_logits(model, idx, mask=mask, cache=cache)]
    more = tokens(3, 4, seed=6)
    for new in more.split(1, 1):
        mask = torch.cat([mask, mask.new_ones(3, 1)], 1)
        steps.append(model(new, mask=mask, cache=cache)[:, -1])
    assert token_positions(1, mask).flatten().tolist() == [4, 6, 8]
    for b, prompt in enumerate(prompts):
        row = torch.tensor([prompt + more[b].tolist()])
        alone = model(row)[0, len(prompt) - 1 :]
        torch.testing.assert_close(
            torch.stack([s[b] for s in steps]), alone, atol=1e-5, rtol=1e-5
        )


def test_drawn_texts_are_equal_too():
    model, idx = some_model(), tokens(2, 4)
    sampling = Sampling(0.9, 20, 0.95, 0.01, 1.2)
    plain, cached = (
        texts(
            model, idx, n=30, sampling=sampling, cache=cache,
            generator=torch.Generator().manual_seed(3),
        )
        for cache in (None, new_cache(model))
    )  # fmt: skip
    assert torch.equal(plain, cached)


@torch.no_grad()
def test_past_the_context_the_window_is_computed_again():
    model, idx = some_model(), tokens(1, 20)
    cache = new_cache(model)
    for T in range(1, 21):
        logits = next_logits(model, idx[:, :T], cache=cache)
        alone = model(idx[:, max(0, T - 16) : T])[:, -1]
        torch.testing.assert_close(logits, alone, atol=1e-5, rtol=1e-5)
        assert cache[0].offset == min(T, 16)


def test_after_reset_nothing_of_the_first_text_is_left():
    model = some_model()
    cache = new_cache(model)
    idx, mask = pad(PROMPTS[:1] + PROMPTS[2:], 0, left=True)
    texts(model, idx, mask=mask, cache=cache)
    held = [layer.keys.data_ptr() for layer in cache]
    for layer in cache:
        layer.keys.fill_(torch.nan)  # what is left may not even be read
        layer.values.fill_(torch.nan)
        layer.reset()
    other = tokens(3, 6, seed=8)
    assert torch.equal(texts(model, other, cache=cache), texts(model, other))
    assert [layer.keys.data_ptr() for layer in cache] == held


def passes(model):
    """A list that gets, for each pass, how many tokens are looked up."""
    passed = []
    model.token.register_forward_pre_hook(
        lambda table, args: passed.append(args[0].size(1))
    )
    return passed


@torch.no_grad()
def test_a_text_can_go_on_later_with_its_cache():
    model, idx = some_model(), tokens(1, 9)
    cache, passed = new_cache(model), passes(model)
    for T in (3, 8, 9):
        cached = next_logits(model, idx[:, :T], cache=cache)
        alone = model(idx[:, :T])[:, -1]
        torch.testing.assert_close(cached, alone, atol=1e-5, rtol=1e-5)
    assert passed[::2] == [3, 5, 1]  # between them, the passes of `alone`


def test_each_token_passes_once():
    model = some_model()
    passed = passes(model)
    texts(model, tokens(1, 5), n=14, cache=new_cache(model))
    assert passed == [5] + [1] * 11 + [16] * 2  # the window slides at the end


def test_gradients_are_not_kept():
    model, cache = some_model(), None
    cache = new_cache(model)
    assert model(tokens(1, 4), cache=cache).requires_grad
    assert not cache[0].keys.requires_grad


# ---- the cache alone


def test_update_gives_all_that_came():
    cache = KVCache(6)
    k, v = torch.randn(2, 2, 3, 5, 4)  # (2, B, H, T, D)
    for a, b in ((0, 2), (2, 3), (3, 5)):
        keys, values = cache.update(k[:, :, a:b], v[:, :, a:b])
        assert torch.equal(keys, k[:, :, :b])
        assert torch.equal(values, v[:, :, :b])
        assert cache.offset == b
    assert cache.keys.shape == (2, 3, 6, 4)


@torch.no_grad()
@pytest.mark.parametrize(
    "change, shape",
    [
        ({"n_layer": 2}, (1, 1)),
        ({"n_layer": 4}, (1, 1)),
        ({"n_head": 4}, (1, 1)),
        ({"n_embd": 32}, (1, 1)),
        ({}, (3, 1)),  # another batch
        ({}, (1, 13)),  # no room
    ],
)
def test_a_cache_that_does_not_fit_does_not_pass_silently(change, shape):
    other = some_model(replace(CONFIG, **change))
    cache = new_cache(other)
    other(tokens(1, 4), cache=cache)
    with pytest.raises((AssertionError, RuntimeError, ValueError)):
        some_model()(tokens(*shape), cache=cache)


@torch.no_grad()
def test_a_cache_of_three_texts_is_not_for_one():
    model = some_model()
    cache = new_cache(model)
    model(tokens(3, 4), cache=cache)
    with pytest.raises(AssertionError):  # PyTorch would repeat the one
        model(tokens(1, 1), cache=cache)


# ---- counting


@torch.no_grad()
@pytest.mark.parametrize("T, seen", [(1, 0), (7, 0), (16, 0), (1, 9), (4, 5)])
@pytest.mark.parametrize("B", [1, 3])
def test_multiplications_are_those_that_pytorch_counts(B, T, seen):
    for config in (CONFIG, replace(CONFIG, order="post", bias=False, n_head=4)):
        model, cache = some_model(config), new_cache(some_model(config))
        if seen:
            model(tokens(B, seen), cache=cache)
        with FlopCounterMode(display=False) as counter:
            model(tokens(B, T), cache=cache, record=[])
        expected = B * multiplications(config, T, seen + T)
        assert counter.get_total_flops() == 2 * expected


@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_memory_is_what_the_formula_says(B, dtype):
    model, cache = some_model().to(dtype), new_cache(some_model())
    assert sum(layer.nbytes for layer in cache) == 0
    for n in (3, 1, 1):
        model(tokens(B, n), cache=cache)
        held = sum(layer.nbytes for layer in cache)
        assert held == cache_bytes(CONFIG, B, dtype)
    stores = [layer.keys.untyped_storage().nbytes() for layer in cache]
    assert 2 * sum(stores) == held


def test_gpt3_needs_ten_gigabytes_for_a_text():
    gpt3 = GPTConfig(block_size=2048, n_layer=96, n_head=96, n_embd=12288)
    assert cache_bytes(gpt3, dtype=torch.float16) == 2 * 96 * 2048 * 12288 * 2


# ---- the chapter's questions, tried


def test_a_prompt_of_ten_and_five_new_tokens_pass_as_the_answer_says():
    model = some_model()
    passed = passes(model)
    texts(model, tokens(1, 10), n=5, cache=new_cache(model))
    assert sum(passed) == find("cache.predict-passes").answer


@torch.no_grad()
def test_without_the_mask_only_rows_with_padding_change():
    model = some_model()
    idx, mask = pad([[5, 6, 7], list(range(8)), [11]], 0, left=True)
    longer = torch.cat([mask, mask.new_ones(3, 1)], 1)
    found = []
    for given in (longer, None):
        cache = new_cache(model)
        model(idx, mask=mask, cache=cache)
        found.append(model(tokens(3, 1), mask=given, cache=cache))
    assert token_positions(1, longer).flatten().tolist() == [3, 8, 1]
    wrong = token_positions(1, start=8).item()
    assert wrong == find("cache.break-mask").answer
    logits, others = found
    moved = (logits - others).abs().amax((1, 2))
    assert moved[1] < 1e-5 and moved[0] > 0.1 and moved[2] > 0.1


def test_more_heads_take_no_more_memory():
    assert find("cache.predict-heads").answer == "b"
    sizes = {cache_bytes(replace(CONFIG, n_head=n)) for n in (1, 2, 4)}
    assert len(sizes) == 1
