"""minigpt.cache: the same logits, the same tokens, the bytes it says."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from minigpt.run.decode import Decoder
from minigpt.run.fast import is_plain
from torch.utils.flop_counter import FlopCounterMode

from minigpt.cache import KVCache, cache_bytes, multiplications, new_cache
from minigpt.course.exercises import find
from minigpt.gpt import GPT, GPTConfig
from minigpt.sample import Sampling, generate, next_logits, pad_prompts

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIG = GPTConfig(vocab_size=40, block_size=16, n_layer=3, n_head=2, n_embd=16)
EVERY = {
    "-".join(map(str, x)): replace(
        CONFIG, norm=x[0], position=x[1], activation=x[2], bias=x[3], tied=x[4]
    )
    for x in product(
        ("pre", "post"),
        ("learned", "sinusoidal", "none"),
        ("gelu", "gelu_tanh", "relu"),
        (True, False),
        (True, False),
    )
}
# each value of each field, and each norm with each position
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


def test_some_configs_have_every_value():
    for field in ("norm", "position", "activation", "bias", "tied"):
        values = {getattr(config, field) for config in EVERY.values()}
        assert {getattr(config, field) for config in SOME.values()} == values
    pairs = {(c.norm, c.position) for c in SOME.values()}
    assert len(pairs) == 6


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
    for taken in (model, Decoder(model)):
        cache = new_cache(model)
        for idx in (tokens(1, 1), tokens(1, 9, seed=1), tokens(3, 6, seed=2)):
            if len(idx) > 1:
                cache = new_cache(model)
            cached = texts(taken, idx, n=24, cache=cache)  # past the context
            assert torch.equal(cached, texts(model, idx, n=24))
            for layer in cache:
                layer.reset()


@some_configs
def test_unequal_prompts_write_what_each_writes_alone(config):
    model = some_model(config)
    idx, mask = pad_prompts(PROMPTS)
    for taken in (model, Decoder(model)):
        cached = texts(taken, idx, n=20, mask=mask, cache=new_cache(model))
        assert torch.equal(cached, texts(model, idx, n=20, mask=mask))
        for row, prompt in zip(cached, PROMPTS, strict=True):
            alone = torch.tensor([prompt])
            assert torch.equal(row, texts(model, alone, n=20)[0])


@torch.no_grad()
def test_padded_logits_equal_each_row_alone():
    model = some_model()
    prompts = [[5], [7, 7, 1], [9, 8, 7, 6, 5]]
    idx, mask = pad_prompts(prompts, pad=39)
    cache = new_cache(model)
    steps = [next_logits(model, idx, mask=mask, cache=cache)]
    more = tokens(3, 4, seed=6)
    real = torch.ones(3, 1, dtype=torch.bool)
    for t in range(4):
        new = more[:, t : t + 1]
        steps.append(
            model(new, mask=real if t % 2 else None, cache=cache)[:, -1]
        )
    assert cache[0].start.flatten().tolist() == [5, 7, 9]
    for b, prompt in enumerate(prompts):
        row = torch.tensor([prompt + more[b].tolist()])
        alone = model(row)[0, len(prompt) - 1 :]
        torch.testing.assert_close(
            torch.stack([s[b] for s in steps]), alone, atol=1e-5, rtol=1e-5
        )


def test_drawn_texts_are_equal_too():
    model, idx = some_model(), tokens(2, 4)
    sampling = Sampling(0.9, 20, 0.95, 0.01, 1.2)
    found = [
        texts(
            taken, idx, n=30, sampling=sampling, cache=cache,
            generator=torch.Generator().manual_seed(3),
        )
        for taken, cache in (
            (model, None), (model, new_cache(model)),
            (Decoder(model), new_cache(model)),
        )
    ]  # fmt: skip
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


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
    idx, mask = pad_prompts(PROMPTS[:1] + PROMPTS[2:])
    texts(model, idx, mask=mask, cache=cache)
    held = [layer.keys.data_ptr() for layer in cache]
    for layer in cache:
        layer.keys.fill_(torch.nan)  # what is left may not even be read
        layer.values.fill_(torch.nan)
        layer.reset()
    other = tokens(3, 6, seed=8)
    assert torch.equal(texts(model, other, cache=cache), texts(model, other))
    assert [layer.keys.data_ptr() for layer in cache] == held


def test_a_text_can_go_on_later_with_its_cache():
    model, idx = some_model(), tokens(1, 3)
    cache = new_cache(model)
    first = texts(model, idx, n=4, cache=cache)
    longer = torch.cat([idx, first, tokens(1, 2, seed=4)], 1)
    rest = texts(model, longer, n=4, cache=cache)
    assert torch.equal(rest, texts(model, longer, n=4))


def test_each_token_passes_once():
    passed = []

    class Spy(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model, self.config = model, model.config

        def forward(self, idx, **options):
            passed.append(idx.size(1))
            return self.model(idx, **options)

    model = Spy(some_model()).eval()
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
        keys, values, mask = cache.update(k[:, :, a:b], v[:, :, a:b])
        assert torch.equal(keys, k[:, :, :b]) and mask is None
        assert torch.equal(values, v[:, :, :b])
        assert cache.offset == cache.start == b
    assert cache.keys.shape == (2, 3, 6, 4)


def test_masks_are_kept_also_where_some_calls_have_none():
    cache, k = KVCache(6), torch.randn(2, 1, 2, 4)
    assert cache.update(k, k)[2] is None
    some = torch.tensor([[False, True], [True, True]])
    expected = torch.cat([torch.ones(2, 2).bool(), some], 1)
    assert torch.equal(cache.update(k, k, some)[2], expected)
    assert cache.start.tolist() == [[3], [4]]
    assert cache.update(k, k)[2].sum(-1).tolist() == [5, 6]


@pytest.mark.parametrize(
    "wrong, said",
    [
        (torch.randn(3, 2, 1, 4), r"\(2, 2, 4\), got \(3, 2, 4\)"),
        (torch.randn(2, 1, 1, 4), r"\(2, 2, 4\), got \(2, 1, 4\)"),
        (torch.randn(2, 2, 1, 8), r"\(2, 2, 4\), got \(2, 2, 8\)"),
        (torch.randn(2, 2, 1, 4).double(), "float32.*got.*float64"),
        (torch.randn(2, 2, 1, 4, device="meta"), "cpu.*got.*meta"),
        (torch.randn(2, 2, 4, 4), "room for 3 of its 6.*got 4 more"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(wrong, said):
    cache = KVCache(6)
    k = torch.randn(2, 2, 3, 4)
    cache.update(k, k)
    with pytest.raises(ValueError, match=said):
        cache.update(wrong, wrong)
    assert cache.offset == 3 and torch.equal(cache.keys[:, :, :3], k)
    fresh = KVCache(3)
    with pytest.raises(ValueError, match="room for 3 of its 3.*got 4"):
        fresh.update(torch.randn(1, 1, 4, 2), torch.randn(1, 1, 4, 2))
    assert fresh.keys is None


@pytest.mark.parametrize(
    "change, idx, said",
    [
        ({"n_layer": 2}, tokens(1, 6), "each of the 3 blocks, got 2"),
        ({"n_head": 4}, tokens(1, 6), r"\(1, 4, 4\), got \(1, 2, 8\)"),
        ({"n_embd": 32}, tokens(1, 6), r"\(1, 2, 16\), got \(1, 2, 8\)"),
        ({}, tokens(2, 6), r"\(1, 2, 8\), got \(2, 2, 8\)"),
        ({}, tokens(1, 4), "fewer than 4; got .4."),
    ],
)
def test_a_cache_of_another_model_or_text_is_refused(change, idx, said):
    other = some_model(replace(CONFIG, **change))
    for taken in (some_model(), Decoder(some_model())):
        cache = new_cache(other)
        other(tokens(1, 4), cache=cache)
        with pytest.raises(ValueError, match=said):
            next(generate(taken, idx, n=1, cache=cache))


def test_another_precision_is_refused():
    model = some_model()
    cache = new_cache(model)
    model(tokens(1, 4), cache=cache)
    with pytest.raises(ValueError, match="float32.*got.*float64"):
        some_model().double()(tokens(1, 1), cache=cache)


def test_a_pass_that_was_interrupted_is_noticed():
    model = some_model()
    cache = new_cache(model)
    model(tokens(1, 4), cache=cache)
    cache[0].offset += 1  # as if Ctrl-C came after the first block
    with pytest.raises(ValueError, match=r"got \[4, 5\]: reset\(\) each"):
        next(generate(model, tokens(1, 8), n=1, cache=cache))


# ---- counting


@torch.no_grad()
@pytest.mark.parametrize("T, seen", [(1, 0), (7, 0), (16, 0), (1, 9), (4, 5)])
@pytest.mark.parametrize("B", [1, 3])
def test_multiplications_are_those_that_pytorch_counts(B, T, seen):
    for config in (CONFIG, replace(CONFIG, norm="post", bias=False, n_head=4)):
        model, cache = some_model(config), new_cache(some_model(config))
        if seen:
            model(tokens(B, seen), cache=cache)
        with FlopCounterMode(display=False) as counter:
            model(tokens(B, T), cache=cache)
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
    mask = torch.ones(B, 1, dtype=torch.bool)
    model(tokens(B, 1), mask=mask, cache=cache)
    marks = CONFIG.n_layer * B * CONFIG.block_size
    assert sum(layer.nbytes for layer in cache) == held + marks


def test_gpt3_needs_ten_gigabytes_for_a_text():
    gpt3 = GPTConfig(block_size=2048, n_layer=96, n_head=96, n_embd=12288)
    assert cache_bytes(gpt3, dtype=torch.float16) == 2 * 96 * 2048 * 12288 * 2


# ---- the chapter's questions, tried


def test_a_prompt_of_ten_and_five_new_tokens_pass_as_the_answer_says():
    passed, model = [], some_model()
    model.register_forward_pre_hook(lambda m, x: passed.append(x[0].size(1)))
    texts(model, tokens(1, 10), n=5, cache=new_cache(model))
    assert sum(passed) == find("cache.predict-passes").answer


@torch.no_grad()
def test_with_offset_as_start_only_rows_with_padding_change(monkeypatch):
    model = some_model()
    idx, mask = pad_prompts([[5, 6, 7], list(range(8)), [11]])
    new = tokens(3, 1)

    def after(cache):
        model(idx, mask=mask, cache=cache)
        return cache[0].start, model(new, cache=cache)

    right, logits = after(new_cache(model))
    assert right.flatten().tolist() == [3, 8, 1]
    monkeypatch.setattr(KVCache, "start", property(lambda self: self.offset))
    wrong, others = after(new_cache(model))
    assert wrong == find("cache.break-start").answer
    moved = (logits - others).abs().amax((1, 2))
    assert moved[1] < 1e-5 and moved[0] > 0.1 and moved[2] > 0.1


def test_more_heads_take_no_more_memory():
    assert find("cache.predict-heads").answer == "b"
    sizes = {cache_bytes(replace(CONFIG, n_head=n)) for n in (1, 2, 4)}
    assert len(sizes) == 1


# ---- the decoder of the command line


@torch.no_grad()
@every_config
def test_the_decoder_gives_the_models_logits(config):
    model, idx = some_model(config), tokens(2, 16)
    decoder, cache = Decoder(model), new_cache(model)
    parts = [decoder(idx[:, :3], cache=cache)]
    assert decoder.is_step(idx[:, 3:4], None, cache)
    parts += [decoder(idx[:, t : t + 1], cache=cache) for t in range(3, 16)]
    torch.testing.assert_close(
        torch.cat(parts, 1), model(idx)[:, 2:], atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(decoder(idx), model(idx)[:, -1:])
    with pytest.raises(ValueError, match="got 1 after 16 cached"):
        decoder(idx[:, :1], cache=cache)


def test_a_decoder_refuses_parts_that_it_does_not_know():
    model = some_model()
    assert is_plain(model)
    strange = GPT(CONFIG, norm=lambda n, bias: torch.nn.LayerNorm(n))
    assert not is_plain(strange)
    with pytest.raises(ValueError, match="other parts"):
        Decoder(strange)
