"""Chapter 11: what its exercises expect."""

from copy import copy  # noqa: F401

from minigpt.course.exercises import Case, Edit, Exercise, Question

TEXTS = """
k, v = torch.randn(2, 2, 3, 4, 2)
cache = KVCache(7)
"""
THREE = TEXTS + "cache.update(k[:, :, :3], v[:, :, :3])\n"
FOURTH = "cache.update(k[:, :, 3:], v[:, :, 3:])"
SIZES = """
L, C, V, S = number(2, 5), 2 * number(2, 5), number(7, 12), number(13, 19)
config = SimpleNamespace(
    n_layer=L, n_embd=C, vocab_size=V, block_size=S, n_head=2)
"""
MAKE = """\
if self.keys is None:
    self.keys = k.new_empty(B, H, self.block_size, D)
    self.values = v.new_empty(B, H, self.block_size, D)
"""
SAME = 'assert len(self.keys) == B, "every batch needs a cache of its own"'
WRITE = "self.keys[:, :, a:b] = k.detach()\nself.values[:, :, a:b] = v.detach()"
GIVE = "return self.keys[:, :, :b], self.values[:, :, :b]"

EXERCISES = [
    Exercise(
        "cache.kvcache", "KVCache", core=True,
        cases=(
            Case("a new cache is empty and has no memory yet", """
                size = number(5, 9)
                cache = KVCache(size)
                cache.block_size, cache.keys, cache.values, cache.offset"""),
            Case("update returns as many columns as there are tokens", """
                k = torch.arange(1.0, 7.0).view(1, 2, 3, 1)
                cache = KVCache(6)
                tuple(x.shape for x in cache.update(k, -k))"""),
            Case("the first tokens come back", """
                k = torch.arange(1.0, 7.0).view(1, 2, 3, 1)
                cache = KVCache(6)
                tuple(cache.update(k, -k))""", gradients=False),
            Case("offset counts the filled columns", THREE + "cache.offset"),
            Case("a second call leaves the earlier tokens where they are",
                 THREE + f"[x[:, :, :3] for x in {FOURTH}]", gradients=False),
            Case("the new token comes after them",
                 THREE + f"(*{FOURTH}, cache.offset)", gradients=False),
            Case("it is written into the memory that was there", THREE +
                 "before = copy(cache)\n" + FOURTH + "\n"
                 "cache.keys is before.keys, cache.values is before.values"),
            Case("what is kept carries no gradient", """
                k, v = torch.randn(2, 2, 3, 4, 2, requires_grad=True)
                cache = KVCache(6)
                cache.update(k, v)
                cache.keys.requires_grad, cache.values.requires_grad"""),
            Case("reset empties the cache and keeps the memory", THREE +
                 "before = copy(cache)\ncache.reset()\n"
                 "cache.offset, cache.keys is before.keys"),
            Case("after a reset, only the new text is there",
                 THREE + f"cache.reset()\n(*{FOURTH}, cache.offset)",
                 gradients=False),
            Case("an empty cache takes no memory", "KVCache(6).nbytes"),
            Case("a used cache takes the memory of all its columns",
                 THREE + "cache.nbytes"),
            Case("the memory has the dtype of keys and values", TEXTS
                 + "cache.update(k.double(), v.double())\n"
                 "str(cache.keys.dtype), str(cache.values.dtype)"),
            Case("a batch of another size is an AssertionError",
                 THREE + "cache.update(k[:1, :, 3:], v[:1, :, 3:])"),
        ),
        hints=("Columns are the third dimension. The new ones are a to b, from "
               "a = self.offset to b = a + T.",
               "k.new_empty(B, H, self.block_size, D) allocates with the dtype "
               "and device of k. Then self.keys[:, :, a:b] = k.detach(), the "
               "same for the values, and self.offset = b."),
        right=(
            ("self.block_size, self.offset = block_size, 0\n"
             "self.keys, self.values = None, None",
             "self.offset *= 0",
             "if self.keys is None:\n    return 0\n"
             "return self.keys.nbytes + self.values.nbytes",
             "if self.keys is None:\n"
             "    shape = (*k.shape[:2], self.block_size, k.shape[3])\n"
             "    self.keys = torch.zeros(shape, dtype=k.dtype)\n"
             "    self.values = torch.zeros(shape, dtype=v.dtype)\n"
             "assert self.keys.shape[0] == k.shape[0]\n"
             "a = self.offset\nself.offset += k.size(2)\n"
             "with torch.no_grad():\n"
             "    self.keys[:, :, a : self.offset] = k\n"
             "    self.values[:, :, a : self.offset] = v\n"
             "return (self.keys[:, :, : self.offset],\n"
             "        self.values[:, :, : self.offset])"),
            Edit(WRITE, "self.keys.narrow(2, a, T).copy_(k.detach())\n"
                 "self.values.narrow(2, a, T).copy_(v.detach())"),
        ),
        wrong=(
            (("block_size = block_size\nkeys = values = None\noffset = 0",
              None, None, None),
             "these are local names: an attribute is written self.offset"),
            (Edit("None\nself.offset = 0", "None"),
             "offset is missing: a new cache starts with 0 filled columns"),
            (Edit("self.keys = self.values = None",
                  "self.keys, self.values = [], []"),
             "keys and values are None until update has seen their sizes"),
            (Edit("self.offset = b", "pass"),
             "`offset` is still 0, so the next tokens would overwrite these"),
            (Edit("self.offset = b", "self.offset = T"),
             "`offset` counts the last call only: it must be b"),
            (Edit("self.offset = b", "self.offset += b"),
             "`offset` moves twice: b is the old offset and the new tokens"),
            (Edit("self.offset = b", "self.offset = b + 1"),
             "`offset` is one too far: b is the first free column"),
            (Edit("self.offset = b", "self.offset = b - 1"),
             "`offset` is at the last filled column, not at the first free "
             "one"),
            (Edit("[:, :, a:b]", "[:, a:b]"),
             "columns are the third dimension: write to [:, :, a:b]"),
            (Edit(WRITE, WRITE.replace("v.detach", "k.detach")),
             "the keys were kept as values too"),
            (Edit(WRITE, WRITE.replace("k.detach", "v.detach")),
             "the values were kept as keys too"),
            (Edit(GIVE, "return self.values[:, :, :b], self.keys[:, :, :b]"),
             "keys and values are exchanged"),
            (Edit(WRITE, WRITE.split("\n")[0]),
             "the values are not written: columns a to b of both tensors"),
            (Edit(GIVE, "return self.keys, self.values"),
             "this is the whole memory: return the filled columns, [:, :, :b]"),
            (Edit(GIVE, "return k, v"),
             "only the new tokens come back: return all columns up to b"),
            (Edit(GIVE, GIVE.replace(":b", ":a")),
             "the new tokens are missing: return the columns up to b"),
            (Edit(WRITE, WRITE.replace("a:b", ":T")),
             "the new tokens overwrite the first: write to columns a to b"),
            (Edit(MAKE, MAKE.split("\n", 1)[1].replace("    ", "")),
             "every call allocates anew: do it only where self.keys is None"),
            (Edit(MAKE, MAKE.replace("self.block_size", "T")),
             "there is room for the first call only: block_size columns"),
            (Edit(WRITE, "self.keys, self.values = k.detach(), v.detach()"),
             "only the newest tokens are left: write them to columns a to b"),
            (Edit(WRITE, "self.keys = torch.cat([self.keys[:, :, :a], "
                  "k.detach()], 2)\nself.values = torch.cat("
                  "[self.values[:, :, :a], v.detach()], 2)"),
             "the memory was replaced, which copies every token again: write "
             "into the columns that are there"),
            (Edit(WRITE, WRITE.replace(".detach()", "")),
             "gradients are kept, and with them all that was computed before: "
             "detach keys and values"),
            (Edit(MAKE, MAKE.replace("k.new_empty(", "torch.zeros(")
                  .replace("v.new_empty(", "torch.zeros(")),
             "the memory is always float32: new_empty takes the dtype of k"),
            (Edit(SAME, "pass"),
             "one text was copied into every row: assert the batch size"),
            ((None, "self.offset = 0\nself.keys = self.values = None", None, None),
             "the memory is gone: reset only moves the offset back"),
            ((None, "self.keys.zero_()\nself.values.zero_()", None, None),
             "the columns still count as filled: reset sets offset to 0"),
            (Edit(" if x is not None", ""),
             "before the first update there is nothing to count: 0"),
            (Edit("x.nbytes", "x.numel()"),
             "these are numbers, not bytes: a tensor has nbytes"),
            (Edit("(self.keys, self.values)", "(self.keys,)"),
             "the values take memory too"),
            (Edit("x.nbytes", "x[:, :, : self.offset].nbytes"),
             "these are the filled columns: memory is held for all of them"),
        ),
    ),
    Exercise(
        "cache.multiplications", "multiplications",
        cases=(
            Case("every product is counted once", """
                config = SimpleNamespace(n_layer=3, n_embd=2, vocab_size=5)
                multiplications(config, 4, 6)"""),
            Case("so it is for any sizes", SIZES +
                 "multiplications(config, 1, S), multiplications(config, S, S)"),
        ),
        hints=("A token through a matrix of a × b weights takes a · b "
               "multiplications. Which matrices does it meet?",
               "In each block 12 · C² for the matrices, S · C for the scores "
               "and S · C for the mix; at the end V · C; all of it T times."),
        right=(
            "linear = 3 * C * C + C * C + C * 4 * C + 4 * C * C\n"
            "attention = S * C + S * C\n"
            "total = config.n_layer * T * (linear + attention)\n"
            "return total + T * config.vocab_size * C",
        ),
        wrong=(
            (Edit(" + config.vocab_size * C", ""),
             "the head is missing: V · C for each token"),
            (Edit("block + config.vocab_size * C",
                  "(block + config.vocab_size * C)"),
             "the head comes once, after the last block"),
            (Edit("config.n_layer * block", "block"),
             "that is one block: there are n_layer"),
            (Edit("T * (config.n_layer", "(config.n_layer"),
             "that is for one token: T pass"),
            (Edit(" + 2 * S * C", ""),
             "attention's two products are missing: 2 · S · C"),
            (Edit("2 * S * C", "S * C"),
             "only one of attention's products is there: queries with keys, "
             "and weights with values"),
            (Edit("2 * S * C", "2 * T * C"), "each token meets S keys, not T"),
            (Edit("2 * S * C", "2 * S * S * C"),
             "attention is counted over the whole text: S keys for each of T "
             "tokens"),
            (Edit("12", "4"), "the MLP is missing: C × 4C and 4C × C"),
            (Edit("12", "8"),
             "attention's matrices are missing: C × 3C and C × C"),
            (Edit("12", "11"),
             "the output projection of attention is missing: C × C"),
            (Edit("12", "10"),
             "queries, keys and values count three times: C × 3C"),
            (Edit("return T", "return 2 * T"),
             "additions are counted too: multiplications only"),
        ),
    ),
    Exercise(
        "cache.bytes", "cache_bytes",
        cases=(
            Case("four bytes for each number of float32",
                 SIZES + "cache_bytes(config)"),
            Case("for every text and every dtype",
                 SIZES + "B = number(3, 6)\n"
                 "cache_bytes(config, B, torch.float16)"),
        ),
        hints=("Keys and values, for every block, every token there is room "
               "for, every channel.",
               "2 · n_layer · block_size · n_embd numbers for each text, each "
               "of dtype.itemsize bytes."),
        right=(
            "C, S = config.n_embd, config.block_size\n"
            "boxes = config.n_layer * [2 * batch_size * S * C]\n"
            "return sum(boxes) * torch.finfo(dtype).bits // 8",
        ),
        wrong=(
            (Edit("2 * config", "config"),
             "keys or values are missing: both are kept"),
            (Edit(" * dtype.itemsize", ""),
             "that is how many numbers there are: bytes are asked for"),
            (Edit("dtype.itemsize", "torch.finfo(dtype).bits"),
             "those are bits: a number takes dtype.itemsize bytes"),
            (Edit("config.n_layer * ", ""),
             "that is one block: each keeps its own"),
            (Edit("config.block_size * ", ""),
             "that is one token: there is room for block_size"),
            (Edit("2 * config", "2 * config.n_head * config"),
             "heads share the channels: C numbers for a token, whatever "
             "n_head"),
            (Edit("batch_size * numbers", "numbers"),
             "batch_size has no effect: each text has its own keys"),
            (Edit("dtype.itemsize", "4"),
             "dtype has no effect: float16 takes 2 bytes"),
        ),
    ),
    Question(
        "cache.predict-passes", 14,
        "10 in the prefill, then one for each new token but the last, whose "
        "logits nobody asks for",
        ("The chapter counted 27 for a prompt of 8 and 20 new tokens.",
         "Each token passes once. Does the last one have to pass at all?"),
        wrong={15: "the last new token need not pass: nothing comes after it",
               60: "10 + 11 + 12 + 13 + 14 is what it takes without a cache",
               5: "the prompt must pass once too",
               4: "the prompt must pass once too, all 10 of it"},
    ),
    Question(
        "cache.break-mask", 8,
        "8 columns are filled, so it gets position 8, as if its padding were "
        "text; only the row without padding is right",
        ("How many columns of the cache does the prefill fill?",
         "`offset` counts columns, padding included."),
        wrong={1: "that is what it should get: without a mask padding counts "
                "too",
               7: "that is the last column filled: the next one is asked for",
               0: "the prompt has filled columns already",
               3: "3 is the length of another prompt: all rows have one "
                "`offset`"},
    ),
    Question(
        "cache.predict-heads", "b",
        "twice as many heads, each half as wide: a token keeps C numbers "
        "either way",
        ("What is head_dim when n_head doubles?",
         "The memory is (B, H, block_size, D), and H · D = C."),
        wrong={"a": "a head is half as wide, but there are twice as many",
               "c": "there are twice as many heads, each half as wide"},
        words=("the same", "same"),
    ),
]  # fmt: skip
