"""Chapter 1: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question

PAIR = "word[i : i + 2] == pair"
JOIN = "merged.append(pair[0] + pair[1])"
COPY = "        merged.append(word[i])\n        i += 1"
LOOP = "while i < len(word)"
ROUNDS = "for _ in range(n_merges)"
BEST = "min(counts, key=lambda pair: (-counts[pair], pair))"
UPDATE = "words = {merge_pair(word, pair): n for word, n in words.items()}"
COUNT = "self.counts[pair] += sign * self.times[i]\n"
WHERE = "self.where[pair].add(i)"
MOVE = "after[i], before[j], after[middle] = j, i, -1\n"
OFFERS = "offer(before[i])\noffer(i)"
ONE_BY_ONE = 'return "".join(t.decode({}) for t in self.look_up(ids))'
REPLACE = 'decode("utf-8", errors="replace")'

FIVE = """
seen = letters("the then than hat that").split()
words = dict(zip(map(tuple, seen), (5, 3, 2, 2, 4)))
"""
PAIRS = """
a, b = letters("ab")
n = number(3, 9)
pairs = PairCounts({(a, b, a, b): n, (b, a): 2})
"""
BYTES = """
bpe = BPETokenizer([*(bytes([b]) for b in reversed(range(256))),
                    "ë".encode(), b"the"], ["<end>"])
"""


def counted(pairs):
    """The counts of a PairCounts that are not 0."""
    return {pair: n for pair, n in pairs.counts.items() if n}


def encode(text, chunk="tokens[-1]"):
    """Case code: some tokens, and a chunk that is encoded with them."""
    return f"""tokens = letters("{text}").encode().split()
ranks = {{token: rank for rank, token in enumerate(tokens)}}
chunk = {chunk}
encode_chunk(chunk, ranks)"""


EXERCISES = [
    Exercise(
        "tokenizer.char",
        "CharTokenizer.encode",
        cases=(
            Case("each character became its id, in the order of the text", """
                text = letters("banana")
                CharTokenizer.train(text).encode(text)"""),
            Case("so it is with a larger vocabulary", """
                text = letters("a quick brown fox")
                CharTokenizer(" zyxwvutsrqponmlkjihgfedcba").encode(text)"""),
            Case("the empty text has no ids",
                 'CharTokenizer.train("ab").encode("")'),
        ),
        hints=(
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
            ("return [ord(c) for c in text]",
             "these are code points: a character's id is in self.ids"),
            ("return list(text)",
             "these are still the characters: look each up in self.ids"),
            ("return [self.ids[c] for c in sorted(text)]",
             "the ids are sorted: they must be in the order of the text"),
            ("return [self.ids[c] for c in dict.fromkeys(text)]",
             "a repeated character is missing: each one in the text gives an "
             "id"),
            ("return [i for i, c in enumerate(text)]",
             "these are places in the text, not ids"),
        ),
    ),
    Exercise(
        "tokenizer.word",
        "WordTokenizer.encode",
        cases=(
            Case("each word became its id", """
                text = letters("yes we can")
                WordTokenizer.train(text).encode(text)"""),
            Case("known words got their ids, an unknown one that of <unk>", """
                special = ["<pad>", "<unk>", "<bos>", "<eos>"]
                word = WordTokenizer([*special, "we", ".", "can", "t"])
                word.encode("We CAN't.")"""),
        ),
        hints=(
            "self.split cuts the text into words; self.ids knows some of them.",
            "A dictionary's get takes what to give for a missing key: "
            "self.ids.get(word, unknown).",
        ),
        right=(
            "return [\n    self.ids[w] if w in self.ids else unknown\n"
            "    for w in self.split(text)\n]",
        ),
        wrong=(
            ("return [self.ids.get(w, unknown) for w in text.split()]",
             "the text was cut at spaces only: self.split also takes "
             "punctuation off and makes letters lowercase"),
            ("return [self.ids.get(w, unknown) for w in text.lower().split()]",
             "words still have their punctuation: self.split takes it off"),
            ("return [self.ids.get(w, unknown) for w in text]",
             "the text was cut into characters: self.split gives its words"),
            ("return [self.ids[w] for w in self.split(text)]",
             "a word without an id stops it: it becomes <unk>"),
            ("return [self.ids[w] for w in self.split(text) if w in self.ids]",
             "unknown words were left out: each becomes <unk>"),
            ("return [self.ids.get(w) for w in self.split(text)]",
             "an unknown word gave None: dict.get takes what to give instead"),
            ("return [self.ids.get(w, 0) for w in self.split(text)]",
             "an unknown word became <pad>, id 0, which means something else"),
            ("return self.split(text)",
             "these are still the words: look each up in self.ids"),
            ("return [unknown for w in self.split(text)]",
             "every word became <unk>"),
        ),
    ),
    Exercise(
        "tokenizer.merge",
        "merge_pair",
        cases=(
            Case("a pair is merged",
                 'merge_pair(("t", "h", "a", "t"), ("t", "h"))'),
            Case("it is merged wherever it occurs, also at the end", """
                word = tuple(letters("thenthath"))
                merge_pair(word, word[:2])"""),
            Case("from left to right, and no part is used twice", """
                word = tuple(letters("aaabaaaa"))
                merge_pair(word, word[:2])"""),
            Case("parts can be longer than one letter", """
                a, b, c = letters("abc")
                merge_pair((a + b, c, a, b + c, a + b, c), (a, b + c))"""),
            Case("bytes are merged as text is",
                 'merge_pair((b"\\xc3", b"\\xab"), (b"\\xc3", b"\\xab"))'),
            Case("a word of one part stays as it is",
                 'merge_pair(("a",), ("a", "b"))'),
        ),
        hints=(
            "Keep a place i, from 0 on, and a list. At place i there are two "
            "cases: the pair begins here, or not.",
            "word[i : i + 2] == pair asks for the pair. If so, append "
            "pair[0] + pair[1] and go on two places, else one part and one "
            "place. At the end, make a tuple of the list.",
        ),
        right=(
            "word, i = list(word), 0\nwhile i < len(word) - 1:\n"
            "    if word[i] == pair[0] and word[i + 1] == pair[1]:\n"
            "        word[i : i + 2] = [pair[0] + pair[1]]\n    i += 1\n"
            "return tuple(word)",
        ),
        wrong=(
            (Edit("i += 2", "i += 1"),
             "the pair's second part comes again: go on by two places"),
            (Edit(JOIN, "merged.append(pair)"),
             "the pair is one entry, but not joined: pair[0] + pair[1]"),
            (Edit(JOIN, "merged.append(pair[1] + pair[0])"),
             "the pair is joined the wrong way round"),
            (Edit(COPY, "        i += 1"),
             "only merged pairs are kept: what does not match is copied"),
            (Edit(PAIR, "list(word[i : i + 2]) == pair"),
             "nothing was merged: is a tuple compared with a tuple?"),
            (Edit(PAIR, "word[i] == pair[0]"),
             "a part was merged because it equals the first of the pair: its "
             "neighbor must equal the second"),
            (Edit(LOOP, "while i < len(merged)"),
             "the result is empty: go through `word`, and append what you "
             "keep"),
            (Edit("i += 2", "return (*merged, *word[i + 2 :])"),
             "only the first place was merged"),
            (Edit(LOOP, "while i < len(word) - 1"),
             "the end of the word was not looked at"),
            (Edit(PAIR, "(word[i], word[i + 1]) == pair"),
             "it reads past the end: the last part has no right neighbor"),
            ("merged = []\nfor a, b in pairwise(word):\n"
             "    merged.append(a + b if (a, b) == pair else a)\n"
             "return tuple(merged)",
             "a loop over neighbors cannot skip the second part of a merged "
             "pair, and never copies the last part: use a place i"),
            ("merged = []\nfor i in range(len(word)):\n"
             "    if word[i : i + 2] == pair:\n        " + JOIN + "\n"
             "    elif i == 0 or word[i - 1 : i + 1] != pair:\n"
             "        merged.append(word[i])\nreturn tuple(merged)",
             "the middle part is used twice"),
            ("merged, i = [], len(word)\nwhile i > 0:\n"
             "    if i > 1 and word[i - 2 : i] == pair:\n"
             "        merged.insert(0, pair[0] + pair[1])\n        i -= 2\n"
             "    else:\n        merged.insert(0, word[i - 1])\n"
             "        i -= 1\nreturn tuple(merged)",
             "it merges from the right"),
            (Edit("pair[0] + pair[1]", '"".join(pair)'),
             "it joins text only: parts can be bytes. pair[0] + pair[1] joins "
             "both"),
            (Edit(PAIR, '"".join(word[i : i + 2]) == "".join(pair)'),
             "two pairs can join to the same text: compare part with part"),
            (Edit(COPY, "        merged.append(word[i])"),
             "the loop never ends: i must grow after a merge and after a copy"),
            (Edit(JOIN, "word[i : i + 2] = [pair[0] + pair[1]]"),
             "a tuple cannot be changed: collect the parts in a list"),
            (Edit("return tuple(merged)", 'return tuple("".join(merged))'),
             "a tuple of a joined text has its letters, not the parts"),
            (Edit("return tuple(merged)", "return merged"),
             "words are tuples, to be keys of a dictionary: tuple(merged)"),
        ),
        core=True,
    ),
    Exercise(
        "tokenizer.train",
        "train_bpe_slowly",
        cases=(
            Case("the most frequent pair is merged first", """
                a, b, c = letters("abc")
                words = {(a, b, c): 1, (c, b, c): 2, (a, b, b): 3}
                train_bpe_slowly(words, 1)"""),
            Case("the next merge sees what the first has made", """
                a, b, c = letters("abc")
                words = {(a, b, c): 4, (a, b): 3, (c, c): 1, (c, c, b): 1}
                train_bpe_slowly(words, 2)"""),
            Case("of equals, the pair that is first in the alphabet wins", """
                words = {("b", "c", "a", "b"): 1}
                train_bpe_slowly(words, 1)"""),
            Case("it stops when there is no pair left", """
                words = {tuple(letters("abc")): 2}
                train_bpe_slowly(words, 9)"""),
            Case("many merges of several words",
                 FIVE + "train_bpe_slowly(words, 8)"),
            Case("bytes are merged as text is", """
                words = count_chunks("é, été")
                train_bpe_slowly(words, 4)"""),
        ),
        hints=(
            "Each round has three steps: count_pairs(words), the best pair, "
            "and new words in which it is merged.",
            "min(counts, key=lambda pair: (-counts[pair], pair)) is the best "
            "pair. The new words are a dictionary again: "
            "{merge_pair(word, pair): n for word, n in words.items()}.",
        ),
        right=(
            "merges = []\nwhile len(merges) < n_merges:\n"
            "    counts = sorted(count_pairs(words).items())\n"
            "    if len(counts) == 0:\n        return merges\n"
            "    pair, most = counts[0]\n    for other, n in counts:\n"
            "        if n > most:\n            pair, most = other, n\n"
            "    merges.append(pair)\n    merged = {}\n"
            "    for word in words:\n"
            "        merged[merge_pair(word, pair)] = words[word]\n"
            "    words = merged\nreturn merges",
        ),
        wrong=(
            (Edit("-counts[pair], pair", "counts[pair], pair"),
             "the rarest pair was merged: min needs a minus before the count"),
            (Edit(BEST, "max(counts, key=counts.get)"),
             "a tie went to the pair that was counted first: it goes to the "
             "first in the alphabet"),
            (Edit(BEST, "max(counts, key=lambda p: (counts[p], p))"),
             "a tie went to the last in the alphabet: it goes to the first"),
            (Edit(BEST, "counts.most_common(1)[0]"),
             "most_common gives (pair, count): take the pair alone"),
            (Edit("    " + UPDATE + "\n", ""),
             "the same pair comes again: after each merge, make new words and "
             "count their pairs"),
            ("counts = count_pairs(words)\n"
             "order = sorted(counts, key=lambda pair: (-counts[pair], pair))\n"
             "return order[:n_merges]",
             "these are the best pairs at the start: merge one, count again"),
            (Edit(UPDATE, "words = {merge_pair(w, pair): 1 for w in words}"),
             "how often each word was seen got lost in the new words"),
            (Edit(UPDATE, "words = [merge_pair(w, pair) for w in words]"),
             "a list forgets how often each word was seen: make a dictionary"),
            (Edit(UPDATE, "for word, n in words.items():\n        "
                  "words[merge_pair(word, pair)] = words.pop(word)"),
             "the dictionary that was given has changed: make a new one"),
            (Edit(UPDATE, "for word, n in list(words.items()):\n        "
                  "words[merge_pair(word, pair)] = n"),
             "the old words are still there, beside the merged ones"),
            (Edit("    if not counts:\n        break\n", ""),
             "there may be no pair left, to take the best of: then stop"),
            (Edit("\nreturn merges", "\n    return merges"),
             "there is only one merge: `return` stands inside the loop"),
            (Edit(ROUNDS, "while len(merges) <= n_merges"),
             "it merges once too often"),
            (Edit(ROUNDS, "while True"), "it must stop after n_merges merges"),
            (Edit("merges.append(pair)", "merges.append(pair[0] + pair[1])"),
             "these are the new tokens: return the pairs of their parts"),
        ),
        core=True,
    ),
    Exercise(
        "tokenizer.count",
        "PairCounts._add",
        cases=(
            Case("each pair is counted as often as its words were seen",
                 PAIRS + "counted(pairs)"),
            Case("the words of each pair are remembered by number", PAIRS
                 + "{pair: set(found) for pair, found in pairs.where.items()}"),
            Case("with sign -1 a word's pairs are taken out",
                 PAIRS + "pairs._add(0, -1)\ncounted(pairs)"),
            Case("so the counts stay right while words merge", FIVE + """
pairs, merged = PairCounts(words), []
for _ in range(5):
    merged.append(pairs.best())
    pairs.merge(merged[-1])
merged, pairs.words, counted(pairs)"""),
        ),
        hints=(
            "Two things are kept for each pair: how often it occurs, and in "
            "which words.",
            "self.counts[pair] grows by sign times how often word i was seen, "
            "self.times[i]; self.where[pair] is a set of word numbers.",
        ),
        right=(
            "self.counts.update({pair: sign * self.times[i]})\n"
            "self.where[pair] |= {i}",
            COUNT + "if sign > 0:\n    " + WHERE + "\nelse:\n"
            "    self.where[pair].discard(i)",
        ),
        wrong=(
            ("self.counts[pair] += sign\n" + WHERE,
             "a word seen three times counts three times: self.times[i]"),
            ("self.counts[pair] = sign * self.times[i]\n" + WHERE,
             "an earlier count was overwritten: add to it, +="),
            ("self.counts[pair] -= sign * self.times[i]\n" + WHERE,
             "it is counted with the wrong sign: with sign 1 a count grows"),
            (WHERE, "nothing was counted: self.counts[pair] must change"),
            ("self.counts[pair] += self.times[i]\n" + WHERE,
             "they were counted once more: multiply by sign"),
            ("self.counts[pair] += self.times[i] if sign > 0 else -1\n"
             + WHERE,
             "they were taken out once, not as often as the word was seen"),
            ("self.counts[pair] += sign * self.times[pair]\n" + WHERE,
             "self.times is numbered as the words are: self.times[i]"),
            (COUNT,
             "nobody will find a pair's words: add i to self.where[pair]"),
            (COUNT + "self.where[pair].add(self.words[i])",
             "the words themselves are remembered, expected their numbers i"),
            (COUNT + "self.where[pair] = {i}",
             "only the last word of a pair is remembered: add i to the set"),
            (COUNT + "if sign > 0:\n    " + WHERE + "\nelse:\n"
             "    self.where[pair].remove(i)",
             "i may be gone already, since a pair can be in a word twice: "
             "`add` alone is enough, a number too many does no harm"),
        ),
    ),
    Exercise(
        "tokenizer.encode",
        "encode_chunk",
        cases=(
            Case("two bytes became one token", encode("t h th")),
            Case("a merged part merges with what follows",
                 encode("t h e th the")),
            Case("and with what comes before", encode("w x y xy wxy")),
            Case("also where that has several bytes",
                 encode("a b c d ab cd abcd")),
            Case("from left to right",
                 encode("q qq qqqq", "number(2, 4) * tokens[-1] + tokens[0]")),
            Case("a part that was merged away is not merged again",
                 encode("a b c ab abc bc", "tokens[4]")),
            Case("a longer chunk",
                 encode("a b c ab bc abc aa ba cc cca aab",
                        'b"".join(random.choices(tokens[:3], k=24))')),
        ),
        hints=(
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
            (MOVE + "offer(before[i])",
             "a merged part and what follows it are a new pair: offer(i)"),
            (MOVE, "no new pairs were offered"),
            ("after[i], after[middle] = j, -1\n" + OFFERS,
             "the part before can have several bytes: before[j] = i remembers "
             "where it begins, for offer(before[i])"),
            (MOVE + "offer(i)",
             "the part before it and a merged part are a new pair: "
             "offer(before[i])"),
            ("after[i], before[j] = j, i\n" + OFFERS,
             "the middle is no part anymore, but a pair on the heap still "
             "uses it: after[middle] = -1"),
            ("after[i], before[j], after[middle] = j, i, 0\n" + OFFERS,
             "0 is a place, where an outdated pair can be merged: use -1"),
            ("after[i], after[j], after[middle] = j, i, -1\n" + OFFERS,
             "the list of parts is torn: after[j] is the end of the next "
             "part, and before[j] the start of this one"),
            (OFFERS,
             "the loop never ends: after[i] must become j, or the same pair "
             "is offered again"),
            ("pass", "nothing was merged: after[i] must become j"),
        ),
        core=True,
    ),
    Exercise(
        "tokenizer.decode",
        "BPETokenizer.decode",
        cases=(
            Case("bytes became text", BYTES + """
text = letters("zo") + "ë!"
ids = [bpe.ids[bytes([b])] for b in text.encode()]
bpe.decode(ids)"""),
            Case("half a character became \ufffd, without an error", BYTES + """
ids = [bpe.ids[bytes([b])] for b in "a👍".encode()[:4]]
bpe.decode(ids)"""),
            Case("a token can have several bytes, and be special",
                 BYTES + "bpe.decode([257, 256, bpe.ids[b'n'], 258])"),
            Case("an id that no token has raises ValueError",
                 BYTES + "bpe.decode([-1])"),
        ),
        hints=(
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
            (Edit(REPLACE, "decode()"),
             'bytes that are not UTF-8 stop it: errors="replace"'),
            (Edit(REPLACE, 'decode("utf-8", errors="ignore")'),
             'bytes that are not UTF-8 vanished: errors="replace" leaves a '
             "sign that something was there"),
            (ONE_BY_ONE.format(""),
             "a token can be half a character: join the bytes, then decode"),
            (ONE_BY_ONE.format('errors="replace"'),
             "each token was decoded alone, but a character can be spread "
             "over several: join the bytes first"),
            (ONE_BY_ONE.format('errors="ignore"'),
             "half characters vanish, and with them whole ones: join the "
             "bytes first"),
            (Edit(REPLACE, 'decode("latin-1")'),
             "each byte became a character, as in Latin-1: it is UTF-8"),
            (Edit(REPLACE, 'decode("ascii", errors="replace")'),
             "ASCII knows 128 characters only: the text is UTF-8"),
            (f'return b"".join(self.tokens[i] for i in ids).{REPLACE}',
             "an id of -1 would count from the end: look_up refuses what is no "
             "id"),
            (f"return bytes(ids).{REPLACE}",
             "ids are not bytes: self.look_up gives the token of each"),
            ('return "".join(self.look_up(ids))',
             'the tokens are bytes: join them with a bytes string, b""'),
            ('return str(b"".join(self.look_up(ids)))',
             "this is the text of a bytes object: use its method decode"),
            ('return b"".join(self.look_up(ids))',
             "the bytes were joined, but not decoded"),
        ),
    ),
    Question(
        "tokenizer.predict-space",
        "b",
        "GPT-2's tokens begin with the space, ` the`: a space at the end of "
        "the prompt would be a token of its own, which is rare in text",
        (
            "Encode both prompts and look at the last token.",
            "Which token would the next word begin with?",
        ),
        wrong={
            "a": "then the next word would have to begin without its space, "
            "which is rare within a text: encode ` the` and `the`",
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
]  # fmt: skip
