"""Chapter 1: what its exercises expect."""

from minigpt.course.exercises import Exercise, Question


def check_char(t):
    text = t.letters("hello")
    if list(text) == sorted(text):  # an answer that sorts must be seen
        text = text[::-1]
    ids = [sorted(set(text)).index(c) for c in text]
    given = f'CharTokenizer.train("{text}").encode("{text}")'
    char = t.make(t.answer.train, text, given=given)
    got = t.call(char.encode, text, given=given)
    t.same(
        got,
        ids,
        "each character became its id",
        given=given,
        mistakes={
            "these are code points, from ord: a character's id stands in "
            "self.ids": [ord(c) for c in text],
            "these are the characters still: look each up in self.ids": list(text),
            "the ids are sorted: they must stand in the order of the text": (
                sorted(ids)
            ),
            "a repeated character is missing: every character of the text "
            "gives an id, not every different one": [*dict.fromkeys(ids)],
            "these are places in the text, not ids": [0, 1, 2, 3, 4],
        },
    )  # fmt: skip
    t.same(
        t.call(char.encode, "", given='encode("")'),
        [],
        "the empty text has no ids",
        given='encode("")',
    )


def check_word(t):
    tokens = ["<pad>", "<unk>", "<bos>", "<eos>", "we", ".", "can", "t"]
    given = f'WordTokenizer({tokens[4:]} after the special ones), "We CAN\'t."'
    word = t.make(t.answer, tokens, given=given)
    got = t.call(
        word.encode,
        "We CAN't.",
        given=given,
        errors={
            "KeyError": "a word that is not in the vocabulary stops it: such a "
            "word becomes <unk>"
        },
    )
    t.same(
        got,
        [4, 6, 1, 7, 5],
        "known words got their ids, an unknown one <unk>",
        given=given,
        mistakes={
            "the text was cut at spaces only: self.split also takes "
            "punctuation off and makes small letters": lambda: [
                tokens.index(w) if w in tokens else 1
                for w in "We CAN't.".split()
            ],
            "unknown words were left out: each becomes <unk>": [4, 6, 7, 5],
            "an unknown word gave None: dict.get takes what to give instead": [
                4, 6, None, 7, 5,
            ],
            "an unknown word became <pad>, id 0, which means something else": [
                4, 6, 0, 7, 5,
            ],
            "these are the words still: look each up in self.ids": [
                "we", "can", "'", "t", ".",
            ],
            "every word became <unk>": [1] * 5,
        },
    )  # fmt: skip


def check_merge(t):
    def change(parts):
        return tuple(
            tuple(map(t.letters, p)) if isinstance(p, tuple)
            else t.letters(p) if isinstance(p, str) else p
            for p in parts
        )  # fmt: skip

    def merge(word, pair, expected, holds, mistakes=None):
        word, pair, expected = change(word), change(pair), change(expected)
        mistakes = {c: change(x) for c, x in (mistakes or {}).items()}
        given = f"merge_pair({word!r}, {pair!r})"
        got = t.call(t.answer, word, pair, given=given, errors=errors)
        return t.same(got, expected, holds, given=given, mistakes=mistakes)

    errors = {
        "IndexError": "it reads past the end of the word: at the last place "
        "there is no right neighbor",
        "sequence item 0": "it joins text only: the parts of a word can be "
        "bytes, which pair[0] + pair[1] joins too",
    }
    merge(
        ("t", "h", "a", "t"), ("t", "h"), ("th", "a", "t"), "a pair is merged",
        mistakes={
            "the second part of the pair stands there again: after a merge go "
            "on two places": ("th", "h", "a", "t"),
            "the pair is one entry, but not joined: pair[0] + pair[1]": (
                ("t", "h"), "a", "t",
            ),
            "the pair is joined the wrong way round": ("ht", "a", "t"),
            "only merged pairs are kept: what does not match is copied": (
                "th",
            ),
            "nothing was merged: are both neighbors compared with the pair, "
            "tuple with tuple?": ("t", "h", "a", "t"),
            "a part was merged because it equals the first of the pair: its "
            "neighbor must equal the second": ("th", "th"),
            "the word is empty: what is kept must be appended to merged": (),
        },
    )  # fmt: skip
    merge(
        ("t", "h", "e", "t", "h"), ("t", "h"), ("th", "e", "th"),
        "it is merged wherever it stands",
        mistakes={
            "only the first place was merged": ("th", "e", "t", "h"),
            "the last two parts were not looked at": ("th", "e"),
        },
    )  # fmt: skip
    merge(
        ("a", "a", "a"), ("a", "a"), ("aa", "a"),
        "from left to right, and no part is used twice",
        mistakes={
            "the middle part is used twice": ("aa", "aa"),
            "it merges from the right": ("a", "aa"),
        },
    )  # fmt: skip
    merge(
        (b"\xc3", b"\xab"), (b"\xc3", b"\xab"), (b"\xc3\xab",),
        "bytes are merged as text is",
    )  # fmt: skip


def check_count(t):
    words = {("a", "b", "a", "b"): 3, ("b", "a"): 2}
    given = f"PairCounts({words})"
    pairs = t.make(t.answer, words, given=given)
    ab, ba = ("a", "b"), ("b", "a")
    t.same(
        {p: n for p, n in pairs.counts.items() if n},
        {ab: 6, ba: 5},
        "each pair is counted as often as its words were seen",
        given=f"{given}.counts",
        mistakes={
            "a word seen three times counts three times: self.times[i]": {
                ab: 2, ba: 2,
            },
            "an earlier count was overwritten: add to it, +=": {ab: 3, ba: 2},
            "it is counted with the wrong sign: sign is 1 here": {
                ab: -6, ba: -5,
            },
            "nothing was counted": {},
        },
    )  # fmt: skip
    t.same(
        {p: set(w) for p, w in pairs.where.items()},
        {ab: {0}, ba: {0, 1}},
        "the words of each pair are remembered by number",
        given=f"{given}.where",
        mistakes={
            "nobody will find the words of a pair: add i to self.where[pair]": (
                {}
            ),
            "the words themselves are remembered, expected their numbers i": {
                ab: {("a", "b", "a", "b")},
                ba: set(words),
            },
        },
    )
    given += "._add(0, -1)"
    t.call(pairs._add, 0, -1, given=given)
    t.same(
        {p: n for p, n in pairs.counts.items() if n},
        {ba: 2},
        "with sign -1 a word's pairs are taken out",
        given=f"{given}, then counts",
        mistakes={
            "they were counted once more: multiply by sign": {ab: 12, ba: 8},
            "they were taken out once, not as often as the word was seen": {
                ab: 4, ba: 4,
            },
        },
    )  # fmt: skip


def replay(chunk, ranks, *, link=True, forget=True, left=True, right=True):
    """Merge by rank in a linked list; each fault can be switched on."""
    stop = len(chunk)
    after, before = [*range(1, stop + 1), 0], [*range(-1, stop)]
    heap = []

    def offer(i):
        j = after[after[i]]
        if i >= 0 and chunk[i:j] in ranks:
            heap.append((ranks[chunk[i:j]], i, j))

    for i in range(stop):
        offer(i)
    while heap:
        heap.sort()
        _, i, j = heap.pop(0)
        middle = after[i]
        if after[middle] == j:
            after[i] = j
            if link:
                before[j] = i
            if forget:
                after[middle] = -1
            if left:
                offer(before[i])
            if right:
                offer(i)
    return [ranks[chunk[i:j]] for i, j in enumerate(after) if j > 0]


RANKS = {bytes([b]): b for b in range(256)}
for each in "th the ab bc de cde xy wxy qq qqqq".split():
    RANKS[each.encode()] = len(RANKS)


def check_encode(t):
    errors = {
        "IndexError": "a place outside the chunk was asked for: offer takes "
        "where a pair begins",
        "KeyError": "the list of parts is torn: after[i] must say where the "
        "merged part ends",
    }
    for chunk, holds in [
        (b"th", "two bytes became one token"),
        (b"the", "a merged part merges with what follows"),
        (b"wxy", "and with what stands before"),
        (b"qqqqq", "from left to right"),
        (b"abcde", "a part that was merged away is not merged again"),
        (b"the wxy abcde the qqqq", "a longer chunk"),
    ]:
        given = f"encode_chunk({chunk}, ranks)"
        got = t.call(t.answer, chunk, RANKS, given=given, errors=errors)
        mistakes = {
            "after a merge the part and what follows it are a new pair: "
            "offer(i)": lambda c=chunk: replay(c, RANKS, right=False),
            "the part behind must know that its left neighbor begins at i "
            "now: before[j]": lambda c=chunk: replay(c, RANKS, link=False),
            "the place in the middle is no part any more, and a pair on the "
            "heap still uses it: after[middle] = -1": lambda c=chunk: replay(
                c, RANKS, forget=False
            ),
            "after a merge the part before and this one are a new pair: "
            "offer(before[i])": lambda c=chunk: replay(c, RANKS, left=False),
            "no new pairs were offered": lambda c=chunk: replay(
                c, RANKS, left=False, right=False
            ),
            "nothing was merged: after[i] must become j": list(chunk),
        }
        expected = replay(chunk, RANKS)
        t.same(got, expected, holds, given=given, mistakes=mistakes)


def check_decode(t):
    tokens = [bytes([b]) for b in range(256)]
    given = f"decode({[*'ë!'.encode()]})"
    errors = {
        "UnicodeDecodeError": "bytes that are not UTF-8 stop it: they become "
        'U+FFFD with errors="replace"',
        "sequence item 0": "the tokens are bytes: join them with a bytes "
        'string, b""',
    }
    bpe = t.make(t.answer, tokens, given="BPETokenizer(256 single bytes)")
    got = t.call(bpe.decode, [*"ë!".encode()], given=given, errors=errors)
    t.same(
        got,
        "ë!",
        "bytes became text",
        given=given,
        mistakes={
            "each token was decoded alone, but a character can be spread over "
            "several: join the bytes first": "\ufffd\ufffd!",
            "half characters vanish, and with them whole ones: join the bytes "
            "first, then decode": "!",
            "this is the text of a bytes object: use its method decode": str(
                "ë!".encode()
            ),
            "each byte became one character, as in Latin-1: the text is "
            "UTF-8": "ë!".encode().decode("latin-1"),
            "the bytes were joined, but not decoded": "ë!".encode(),
        },
    )
    half = [*"a👍".encode()][:4]
    given = f"decode({half}), three of four bytes of an emoji"
    got = t.call(bpe.decode, half, given=given, errors=errors)
    t.same(
        got,
        "a\ufffd",
        "half a character became \ufffd, without an error",
        given=given,
        mistakes={
            'bytes that are not UTF-8 vanished: errors="replace" leaves a '
            "sign that something was there": "a",
        },
    )


BYTE_BY_BYTE = """\
return "".join(
    t.decode("utf-8", errors="replace") for t in self.look_up(ids)
)"""

EXERCISES = [
    Exercise(
        "tokenizer.char",
        "CharTokenizer.encode",
        check_char,
        (
            "self.ids is a dictionary: it holds the id of each character.",
            "Go through the text, look up self.ids[c] for each c, and return "
            "the list.",
        ),
        right=(
            "return list(map(self.ids.get, text))",
            "found = []\nfor c in text:\n    found.append(self.ids[c])\n"
            "return found",
        ),
        wrong=(
            ("return [ord(c) for c in text]", "code points"),
            ("return [self.ids[c] for c in sorted(text)]", "sorted"),
            ("return [self.ids[c] for c in dict.fromkeys(text)]", "repeated"),
            ("return list(text)", "characters still"),
            ("return (self.ids[c] for c in text)", "generator"),
            ("[self.ids[c] for c in text]", "`return` missing"),
        ),
    ),
    Exercise(
        "tokenizer.word",
        "WordTokenizer.encode",
        check_word,
        (
            "self.split cuts the text into words; self.ids knows some of them.",
            "A dictionary's get takes what to give for a missing key: "
            "self.ids.get(word, unknown).",
        ),
        right=(
            "return [\n    self.ids[w] if w in self.ids else unknown\n"
            "    for w in self.split(text)\n]",
        ),
        wrong=(
            (
                "return [self.ids.get(w, unknown) for w in text.split()]",
                "cut at spaces",
            ),
            (
                "return [self.ids[w] for w in self.split(text) if w in "
                "self.ids]",
                "left out",
            ),
            ("return [self.ids[w] for w in self.split(text)]", "stops it"),
            ("return [self.ids.get(w) for w in self.split(text)]", "None"),
            ("return [self.ids.get(w, 0) for w in self.split(text)]", "<pad>"),
        ),
    ),
    Exercise(
        "tokenizer.merge",
        "merge_pair",
        check_merge,
        (
            "At place i there are two cases: the pair begins here, or not.",
            "word[i : i + 2] == pair asks for the pair. If so, append "
            "pair[0] + pair[1] and go on two places, else one part and one "
            "place.",
        ),
        right=(
            "if i + 1 < len(word) and (word[i], word[i + 1]) == pair:\n"
            "    merged += [pair[0] + pair[1]]\n    i += 1\n"
            "else:\n    merged += [word[i]]\ni += 1",
        ),
        wrong=(
            (
                "if word[i : i + 2] == pair:\n"
                "    merged.append(pair[0] + pair[1])\n"
                "else:\n    merged.append(word[i])\ni += 1",
                "two places",
            ),
            (
                "if word[i : i + 2] == pair:\n    merged.append(pair)\n"
                "    i += 2\nelse:\n    merged.append(word[i])\n    i += 1",
                "not joined",
            ),
            (
                "if word[i : i + 2] == pair:\n"
                "    merged.append(pair[0] + pair[1])\n    i += 2\n"
                "else:\n    i += 1",
                "is copied",
            ),
            (
                "if word[i : i + 2] == pair:\n"
                "    merged.append(pair[0] + pair[1])\n    i += 2\n"
                "else:\n    merged.append(word[i])",
                "never ends",
            ),
            (
                "if word[i] == pair[0] and word[i + 1] == pair[1]:\n"
                "    merged.append(pair[0] + pair[1])\n    i += 2\n"
                "else:\n    merged.append(word[i])\n    i += 1",
                "past the end",
            ),
            (
                "if word[i : i + 2] == list(pair):\n"
                "    merged.append(pair[0] + pair[1])\n    i += 2\n"
                "else:\n    merged.append(word[i])\n    i += 1",
                "nothing was merged",
            ),
            (
                "if word[i : i + 2] == pair and not merged:\n"
                "    merged.append(pair[0] + pair[1])\n    i += 2\n"
                "else:\n    merged.append(word[i])\n    i += 1",
                "only the first place",
            ),
            (
                "if word[i : i + 2] == pair:\n"
                '    merged.append("".join(pair))\n    i += 2\n'
                "else:\n    merged.append(word[i])\n    i += 1",
                "text only",
            ),
        ),
        core=True,
    ),
    Exercise(
        "tokenizer.count",
        "PairCounts._add",
        check_count,
        (
            "Two things are kept for each pair: how often it stands there, "
            "and in which words.",
            "self.counts[pair] grows by sign times how often word i was seen, "
            "self.times[i]; self.where[pair] is a set of word numbers.",
        ),
        right=(
            "self.counts.update({pair: sign * self.times[i]})\n"
            "self.where[pair] |= {i}",
        ),
        wrong=(
            (
                "self.counts[pair] += sign\nself.where[pair].add(i)",
                "self.times[i]",
            ),
            (
                "self.counts[pair] = sign * self.times[i]\n"
                "self.where[pair].add(i)",
                "overwritten",
            ),
            (
                "self.counts[pair] += self.times[i]\nself.where[pair].add(i)",
                "multiply by sign",
            ),
            ("self.counts[pair] += sign * self.times[i]", "nobody will find"),
            (
                "self.counts[pair] += sign * self.times[i]\n"
                "self.where[pair].add(self.words[i])",
                "their numbers",
            ),
        ),
    ),
    Exercise(
        "tokenizer.encode",
        "encode_chunk",
        check_encode,
        (
            "Draw the parts of `the` as a chain: which numbers change when "
            "the part at i swallows the part at middle? And which two pairs "
            "are new?",
            "The part at i ends at j now, the part at j has its left "
            "neighbor at i, and middle is no part (-1). New pairs begin at "
            "before[i] and at i.",
        ),
        right=(
            "after[i] = j\nbefore[j] = i\nafter[middle] = -1\n"
            "for place in (i, before[i]):\n    offer(place)",
        ),
        wrong=(
            (
                "after[i], before[j], after[middle] = j, i, -1\n"
                "offer(before[i])",
                "what follows it are a new pair",
            ),
            (
                "after[i], before[j], after[middle] = j, i, -1\noffer(i)",
                "the part before and this one",
            ),
            (
                "after[i], after[middle] = j, -1\noffer(before[i])\noffer(i)",
                "before[j]",
            ),
            (
                "after[i], before[j] = j, i\noffer(before[i])\noffer(i)",
                "after[middle] = -1",
            ),
            ("offer(before[i])\noffer(i)", "never ends"),
            ("pass", "nothing was merged"),
        ),
        core=True,
    ),
    Exercise(
        "tokenizer.decode",
        "BPETokenizer.decode",
        check_decode,
        (
            "self.look_up(ids) gives tokens, and tokens are bytes: first make "
            "one bytes object of them.",
            'b"".join(…) joins; decode takes the encoding and what to do with '
            'errors: "replace".',
        ),
        right=(
            "joined = bytes().join(self.look_up(ids))\n"
            'return str(joined, "utf-8", "replace")',
        ),
        wrong=(
            ('return b"".join(self.look_up(ids)).decode("utf-8")', "stop it"),
            (
                'return b"".join(self.look_up(ids)).decode("utf-8", "ignore")',
                "vanished",
            ),
            (BYTE_BY_BYTE, "decoded alone"),
            ('return b"".join(self.look_up(ids)).decode("latin-1")', "Latin-1"),
            ('return "".join(self.look_up(ids))', "bytes string"),
            ('return str(b"".join(self.look_up(ids)))', "method decode"),
            ('return b"".join(self.look_up(ids))', "not decoded"),
        ),
    ),
    Question(
        "tokenizer.predict-space",
        "b",
        "GPT-2's tokens begin with the space, ` the`: a space at the end of "
        "the prompt would be a token of its own, which rarely stood there",
        (
            "Encode both prompts and look at the last token.",
            "Which token would the next word begin with?",
        ),
        wrong={
            "a": "then the next word would have to begin without its space, "
            "and words within a text seldom do: encode ` the` and `the`",
            "c": "the two prompts have different ids: encode both",
        },
    ),
    Question(
        "tokenizer.break-ties",
        "c",
        "two people who train on the same text would get different ids",
        (
            "Nothing is wrong with either vocabulary on its own.",
            "Think of a model that was trained with the other vocabulary.",
        ),
        wrong={
            "a": "every byte is still a token, so every text can be encoded",
            "b": "decoding joins bytes, in whatever order they were merged",
        },
    ),
]
