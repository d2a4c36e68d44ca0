"""Chapter 11: what its exercises expect."""

from types import SimpleNamespace

import torch

from minigpt.course.exercises import Exercise, Question

SHAPES = {
    "must match the size": "the columns are the third dimension of "
    "(B, H, block_size, D): write to [:, :, a:b]",
    "expanded size": "the columns are the third dimension of "
    "(B, H, block_size, D): write to [:, :, a:b]",
}


def some_keys(t, T):
    """Keys and values (2, 2, T, 1) that can be told apart."""
    size = (2, 2, T, 1)
    if t.seed == 1:
        k = torch.arange(1.0, 1 + 4 * T).view(size) + 100 * (T == 1)
        return k, -k
    dice = torch.Generator().manual_seed(t.seed)
    return tuple(torch.randn(2, *size, generator=dice))


def moved_on(t, cache, want, mistakes, given):
    """`offset` is what it must be, or the cause of what it is."""
    t.same(
        cache.offset,
        want,
        "offset counts the filled columns",
        given=given,
        mistakes=mistakes,
        otherwise="`offset` must be b, the number of columns filled",
    )


def check_update(t):
    cache = t.make(t.answer, 6, given="KVCache(block_size=6)")
    k, v = some_keys(t, 3)
    given = "a new cache; update(k, v) with 3 tokens"
    got = t.call(cache.update, k, v, given=given, errors=SHAPES)
    mistakes = {
        "`offset` is still 0: move it on, or the next tokens overwrite "
        "these": 0,
        "`offset` is one too far: b is the first free column": 4,
        "`offset` is at the last filled column: it must be at the first that "
        "is free": 2,
    }
    moved_on(t, cache, 3, mistakes, given)
    t.same(
        list(got),
        [k, v],
        "the first tokens come back",
        given=given,
        mistakes={
            "the keys were kept as values too": [k, k],
            "the values were kept as keys too": [v, v],
            "keys and values are exchanged": [v, k],
        },
        otherwise="the columns do not hold what was given: write keys and "
        "values, both, into columns a to b",
    )
    check_second(t, cache, k, v)
    check_detached(t)


def check_second(t, cache, k, v):
    """A call that continues what is held."""
    box, (k1, v1) = cache.keys, some_keys(t, 1)
    given = "then update(k, v) with 1 token more"
    got = t.call(cache.update, k1, v1, given=given, errors=SHAPES)
    mistakes = {
        "`offset` counts the last call only: it must be b, all that is "
        "filled": 1,
        "`offset` moves twice: b is the old offset and the new tokens": 7,
    }
    moved_on(t, cache, 4, mistakes, given)
    t.same(
        list(got),
        [torch.cat(pair, 2) for pair in ((k, k1), (v, v1))],
        "the earlier tokens are still there",
        given=given,
        mistakes={
            "only the newest tokens are left: write into the memory that is "
            "there, at columns a to b": [k1, v1],
        },
        otherwise="the new tokens do not stand behind the old ones: they "
        "belong in columns a to b",
    )
    t.true(
        cache.keys is box and cache.keys.shape[2] == 6,
        "into the memory that was there",
        "the memory was replaced, which copies every token again: write into "
        "the columns that are there",
        given=given,
        expected="the memory of the first call, 6 columns",
        got=f"another one, {cache.keys.shape[2]} columns",
    )


def check_detached(t):
    """What is kept must not hold on to the computation before it."""
    given = "update(k, v) with k and v that carry gradients"
    cache = t.make(t.answer, 6, given=given)
    k, v = (x.requires_grad_() for x in some_keys(t, 3))
    t.call(cache.update, k, v, given=given, errors=SHAPES)
    t.true(
        not (cache.keys.requires_grad or cache.values.requires_grad),
        "what is kept carries no gradient",
        "gradients are kept, and with them all that was computed before: "
        "detach keys and values",
        given=given,
        expected="keys and values without gradients",
        got="a gradient in the cache",
    )


def check_multiplications(t):
    L, C, V, T, S = 3, 2, 5, 4, 6
    if t.seed > 1:
        L, V, T = 3 + t.seed % 2, 5 + t.seed % 3, 4 + t.seed % 5
        C, S = 4, T + 3
    config = SimpleNamespace(
        n_layer=L, n_embd=C, vocab_size=V, n_head=2, block_size=16
    )
    given = f"{L} blocks, {C} channels, {V} tokens; T = {T}, S = {S}"
    got = t.call(
        t.answer, config, T, S, given=given,
        errors={
            "AttributeError": "config has n_layer, n_embd and vocab_size",
        },
    )  # fmt: skip

    def count(linear=12 * C * C, pairs=2 * S * C, head=V * C, blocks=L):
        return T * (blocks * (linear + pairs) + head)

    want = count()
    t.same(
        got,
        want,
        "every product is counted once",
        given=given,
        mistakes={
            "the head is missing: V · C for each token": count(head=0),
            "the head stands once, after the last block": T
            * (L * (12 * C * C + 2 * S * C + V * C)),
            "that is one block: there are n_layer": count(blocks=1),
            "that is for one token: T pass": want // T,
            "attention's two products are missing: 2 · S · C": count(pairs=0),
            "only one of attention's products is there: queries with keys, "
            "and weights with values": count(pairs=S * C),
            "each token meets S keys, not T": count(pairs=2 * T * C),
            "attention is counted over the whole text: S keys for each of T "
            "tokens": count(pairs=2 * S * S * C),
            "the MLP is missing: C × 4C and 4C × C": count(4 * C * C),
            "queries, keys, values and the projection are missing: C × 3C and "
            "C × C": count(8 * C * C),
            "the output projection of attention is missing: C × C": count(
                11 * C * C
            ),
            "queries, keys and values count three times: C × 3C": count(
                10 * C * C
            ),
            "additions are counted too: multiplications only": 2 * want,
        },
        otherwise="the number is another one: add up C × 3C, C × C, C × 4C and "
        "4C × C, then S keys and S values, for each block; then the head",
    )


def check_bytes(t):
    L, C, S, B = 3, 10, 7, 5
    if t.seed > 1:
        L, C, S = 3 + 2 * (t.seed % 3), 10 + 2 * (t.seed % 7), 11
    config = SimpleNamespace(
        n_layer=L, n_embd=C, block_size=S, n_head=2, vocab_size=13
    )
    given = f"{L} blocks, {C} channels, block_size {S}; one text, float32"
    errors = {
        "AttributeError": "config has n_layer, n_embd and block_size; a dtype "
        "has itemsize",
    }
    got = t.call(t.answer, config, given=given, errors=errors)
    numbers = 2 * L * C * S
    t.same(
        got,
        numbers * 4,
        "four bytes for each number",
        given=given,
        mistakes={
            "keys or values are missing: both are kept": numbers * 2,
            "that is how many numbers there are: bytes are asked for": numbers,
            "those are bits: a number takes dtype.itemsize bytes": numbers * 32,
            "that is one block: each keeps its own": numbers * 4 // L,
            "that is one token: there is room for block_size": numbers * 4 // S,
            "heads share the channels: C numbers for a token, whatever "
            "n_head": numbers * 8,
        },
        otherwise="the number is another one: keys and values, blocks, tokens "
        "and channels, each number dtype.itemsize bytes",
    )
    given = f"the same, {B} texts, float16"
    got = t.call(t.answer, config, B, torch.float16, given=given)
    t.same(
        got,
        numbers * B * 2,
        "for every text and every dtype",
        given=given,
        mistakes={
            "batch_size has no effect: each text has its own keys": numbers * 2,
            "dtype has no effect: float16 takes 2 bytes": numbers * B * 4,
        },
    )


WRITE = "self.keys[:, :, a:b] = k.detach()\nself.values[:, :, a:b] = v.detach()"
TAKE = "C = config.n_embd\nS = config.block_size\n"

EXERCISES = [
    Exercise(
        "cache.update",
        "KVCache.update",
        check_update,
        (
            "Columns are the third dimension, and the new ones are a to b. "
            "Three lines: keys, values, offset.",
            "self.keys[:, :, a:b] = k.detach(), the same for the values, and "
            "self.offset = b.",
        ),
        right=(
            "with torch.no_grad():\n"
            "    self.keys[:, :, a:b] = k\n"
            "    self.values[:, :, a:b] = v\n"
            "self.offset += k.size(2)",
            "self.keys.narrow(2, a, T).copy_(k.detach())\n"
            "self.values.narrow(2, a, T).copy_(v.detach())\n"
            "self.offset = b",
        ),
        wrong=(
            (WRITE, "still 0"),
            (WRITE + "\nself.offset = k.size(2)", "last call only"),
            (WRITE + "\nself.offset += b", "moves twice"),
            (
                "self.keys[:, :, a:b] = k\nself.values[:, :, a:b] = v\n"
                "self.offset = b",
                "gradients are kept",
            ),
            (
                "self.keys[:, a:b] = k.detach()\n"
                "self.values[:, a:b] = v.detach()\nself.offset = b",
                "third dimension",
            ),
            (
                "self.keys[:, :, a:b] = k.detach()\n"
                "self.values[:, :, a:b] = k.detach()\nself.offset = b",
                "as values too",
            ),
            (
                "self.keys, self.values = k.detach(), v.detach()\n"
                "self.offset = b",
                "only the newest",
            ),
            (
                "self.keys = torch.cat([self.keys[:, :, :a], k.detach()], 2)\n"
                "self.values = torch.cat(\n"
                "    [self.values[:, :, :a], v.detach()], 2\n"
                ")\nself.offset = b",
                "memory was replaced",
            ),
            (
                "self.keys[:, :, : b - a] = k.detach()\n"
                "self.values[:, :, : b - a] = v.detach()\nself.offset = b",
                "behind the old ones",
            ),
            (
                "self.keys[:, :, a:b] = k.detach()\nself.offset = b",
                "write keys and values",
            ),
        ),
        core=True,
    ),
    Exercise(
        "cache.multiplications",
        "multiplications",
        check_multiplications,
        (
            "A token through a matrix of a × b weights takes a · b "
            "multiplications. Which matrices does it meet?",
            "In each block 12 · C² for the matrices, S · C for the scores and "
            "S · C for the mix; at the end V · C; all of it T times.",
        ),
        right=(
            "linear = 3 * C * C + C * C + C * 4 * C + 4 * C * C\n"
            "attention = S * C + S * C\n"
            "total = config.n_layer * T * (linear + attention)\n"
            "return total + T * config.vocab_size * C",
        ),
        wrong=(
            ("return T * config.n_layer * (12 * C * C + 2 * S * C)", "head is"),
            (
                "return T * (config.n_layer * 12 * C * C "
                "+ config.vocab_size * C)",
                "two products are missing",
            ),
            (
                "return T * (config.n_layer * (12 * C * C + S * C) "
                "+ config.vocab_size * C)",
                "only one of attention's",
            ),
            (
                "return T * (config.n_layer * (12 * C * C + 2 * T * C) "
                "+ config.vocab_size * C)",
                "S keys, not T",
            ),
            (
                "return T * (config.n_layer * (4 * C * C + 2 * S * C) "
                "+ config.vocab_size * C)",
                "MLP is missing",
            ),
            (
                "return config.n_layer * (12 * C * C + 2 * S * C) "
                "+ config.vocab_size * C",
                "T pass",
            ),
            (
                "return 2 * T * (config.n_layer * (12 * C * C + 2 * S * C) "
                "+ config.vocab_size * C)",
                "additions",
            ),
        ),
    ),
    Exercise(
        "cache.bytes",
        "cache_bytes",
        check_bytes,
        (
            "Keys and values, for every block, every token there is room for, "
            "every channel.",
            "2 · n_layer · block_size · n_embd numbers for each text, each of "
            "dtype.itemsize bytes.",
        ),
        right=(
            TAKE + "boxes = config.n_layer * [2 * batch_size * S * C]\n"
            "return sum(boxes) * torch.finfo(dtype).bits // 8",
        ),
        wrong=(
            (
                TAKE
                + "return batch_size * config.n_layer * S * C * dtype.itemsize",
                "both are kept",
            ),
            (
                TAKE + "return batch_size * 2 * config.n_layer * S * C",
                "bytes are asked for",
            ),
            (
                TAKE + "return 2 * config.n_layer * S * C * dtype.itemsize",
                "batch_size has no effect",
            ),
            (
                TAKE + "return batch_size * 2 * config.n_layer * S * C * 4",
                "dtype has no effect",
            ),
            (
                TAKE + "return batch_size * 2 * S * C * dtype.itemsize",
                "each keeps its own",
            ),
            (
                TAKE + "n = 2 * config.n_layer * config.n_head * S * C\n"
                "return batch_size * n * dtype.itemsize",
                "heads share",
            ),
        ),
    ),
    Question(
        "cache.predict-passes",
        14,
        "10 in the prefill, then one for each new token but the last, whose "
        "logits nobody asks for",
        (
            "The chapter counted 27 for a prompt of 8 and 20 new tokens.",
            "Each token passes once. Does the last one have to pass at all?",
        ),
        wrong={
            15: "the last new token need not pass: nothing comes after it",
            60: "10 + 11 + 12 + 13 + 14 is what it takes without a cache",
            5: "the prompt must pass once too",
            4: "the prompt must pass once too, all 10 of it",
        },
    ),
    Question(
        "cache.break-mask",
        8,
        "8 columns are filled, so it gets position 8, as if its padding were "
        "text; only the row without padding is right",
        (
            "How many columns of the cache does the prefill fill?",
            "`offset` counts columns, padding included.",
        ),
        wrong={
            1: "that is what it should get: without a mask padding counts too",
            7: "that is the last column filled: the next one is asked for",
            0: "the prompt has filled columns already",
            3: "3 is the length of another prompt: all rows have one `offset`",
        },
    ),
    Question(
        "cache.predict-heads",
        "b",
        "twice as many heads, each half as wide: a token keeps C numbers "
        "either way",
        (
            "What is head_dim when n_head doubles?",
            "A box is (B, H, block_size, D), and H · D = C.",
        ),
        wrong={
            "a": "a head is half as wide, but there are twice as many",
            "c": "there are twice as many heads, each half as wide",
        },
        words=("the same", "same"),
    ),
]
