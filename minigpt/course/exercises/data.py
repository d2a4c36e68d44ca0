"""Chapter 2: what its exercises expect."""

import tempfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import torch

from minigpt.course.exercises import Exercise, Question
from minigpt.course.trial import alike

Doc = namedtuple("Doc", "name year author text")


def some_documents():
    """Forty documents of twenty-six authors and years, twins apart."""
    docs = [
        Doc(f"d{i}", 1900 + i * 7 % 26, f"author {i * 7 % 26 // 3}", "text")
        for i in range(40)
    ]
    return docs


def split_as(docs, groups, val=0.2, test=0.2, seed=0):
    """The three parts that `groups` lead to, as tuples of names."""
    sizes = [round(part * len(groups)) for part in (val, test)]
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(groups), generator=generator)
    chosen = order.split([*sizes, len(groups) - sum(sizes)])
    parts = [{groups[i] for i in x} for x in chosen]
    val, test, train = (
        tuple(d.name for d in docs if (d.author, d.year) in c) for c in parts
    )
    return train, val, test


def check_split(t):
    docs = some_documents()
    first = 0 if t.seed == 1 else 1 + t.seed % 39
    docs = docs[first:] + docs[:first]
    keys = [(d.author, d.year) for d in docs]
    given = "split_documents(40 documents of 26 authors and years)"
    split = t.call(
        t.answer, docs, val=0.2, test=0.2, given=given,
        errors={
            "got val=": "too few groups, or none: one for each author and year",
            "unhashable": "a list cannot be a key: use the pair "
            "(author, year), a tuple",
            "has no len": "groups must be a list: it is counted and indexed",
            "not subscriptable": "groups must be a list, so that groups[i] "
            "is one of them",
        },
    )  # fmt: skip
    got = tuple(
        tuple(d.name for d in part)
        for part in (split.train, split.val, split.test)
    )
    sizes = tuple(map(len, got))
    t.true(
        sum(sizes) >= len(docs),
        "every document is in a part",
        "documents got lost: a group is the pair (author, year), in this "
        "order, and nothing else",
        given=given,
        expected="40 documents in the three parts",
        got=sum(sizes),
    )
    parts = [
        {(d.author, d.year) for d in part}
        for part in (split.train, split.val, split.test)
    ]
    shared = sum(len(a & b) for a, b in zip(parts, parts[1:] + parts[:1]))
    t.true(
        shared == 0,
        "messages of one author and year are in one part",
        "messages of one author and year landed in two parts: each pair must "
        "be in groups once",
        given=given,
        expected="no (author, year) in two parts",
        got=shared,
    )
    t.same(
        got,
        split_as(docs, list(dict.fromkeys(keys))),
        "the parts are those of every reader of the course",
        given=given,
        mistakes={
            "the groups are sorted: the course takes them in the order in "
            "which they first appear, and other parts mean other numbers": (
                lambda: split_as(docs, sorted(set(keys)))
            ),
        },
        otherwise="the parts differ from run to run, or from the course's: a "
        "set has no order; dict.fromkeys keeps the order of first appearance",
    )


def batch_as(ids, rows, seed, x_from=0, y_from=1):
    """x, y of windows of 4, cut with a shift of either, around the end."""
    generator = torch.Generator().manual_seed(2 + seed)
    starts = torch.randint(len(ids) - 4, (rows, 1), generator=generator)
    at = starts + torch.arange(4)
    ids = torch.as_tensor(ids).long()
    return ids[(at + x_from) % len(ids)], ids[(at + y_from) % len(ids)]


def check_batch(t):
    ids = torch.arange(100, 190, 3)
    given = "ids = 100, 103, … 187; block_size 4, batch_size 2"
    errors = {
        "list index": "ids is indexed with a tensor of places, all at once",
        "must match the size": "starts (B, 1) and the places within a window "
        "(T,) are added: that gives (B, T) by itself",
        "out of bounds": "a place past the end of ids was asked for: a window "
        "begins at its start, and its targets end one later",
        "unpack": "two things are asked for: x, y",
    }

    def batch(ids, rows, given):
        return t.call(
            t.answer, ids, block_size=4, batch_size=rows, given=given,
            generator=torch.Generator().manual_seed(2 + t.seed), errors=errors,
        )  # fmt: skip

    x, y = batch(ids, 2, given)
    want_x, want_y = batch_as(ids, 2, t.seed)
    t.same(
        x,
        want_x,
        "x are windows of neighbours, from the drawn starts",
        given=given,
        mistakes={
            "x and y are exchanged": want_y if alike(y, want_x) else ...,
            "the windows begin one place late: arange from 0": want_y,
            "every window is the same: add starts to the places": (
                ids[:4].expand(2, 4)
            ),
            "each row repeats its first id: the places within a window run "
            "0, 1, … T - 1": want_x[:, :1].expand(2, 4),
        },
    )
    t.same(
        y,
        want_y,
        "y are the next tokens",
        given=given,
        mistakes={
            "y is x: the target of a place is the token after it": want_x,
            "y is shifted the wrong way: it shows the token before": batch_as(
                ids, 2, t.seed, 0, -1
            )[1],
            "y is two ahead: shift by one": batch_as(ids, 2, t.seed, 0, 2)[1],
            "one was added to the ids, not to their places": want_x + 1,
            "y is shifted by a whole window": batch_as(ids, 2, t.seed, 0, 4)[1],
            "y was rolled within the window: its last entry must be new": (
                want_x.roll(-1, 1)
            ),
        },
    )
    on_disk = np.array([9, 7, 5, 3, 1, 2, 4, 6], dtype=np.uint16)
    given = "ids an array, as from a memory map: 9 7 5 3 1 2 4 6"
    x, y = batch(on_disk, 3, given)
    want_x, want_y = batch_as(on_disk, 3, t.seed)
    t.same(x, want_x, "it works on an array from a file", given=given)
    t.same(y, want_y, "and gives its next tokens too", given=given)


def check_tokens(t):
    for n_vocab, width, holds in [
        (106, 2, "two bytes hold a small vocabulary"),
        (50_257, 2, "and GPT-2's"),
        (65_536, 2, "and 65,536 tokens: ids 0 to 65,535"),
        (65_537, 4, "one token more needs four bytes"),
        (200_000, 4, "so does a larger one"),
    ]:
        given = f"three ids, n_vocab {n_vocab:,}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ids.npy"
            t.call(
                t.answer, path, [5, n_vocab - 1, 0], n_vocab, given=given,
                errors={
                    "Cannot interpret": "dtype is a type of NumPy's: np.uint16 "
                    "or np.uint32",
                    "UnboundLocalError": "dtype has no value for this size",
                },
            )  # fmt: skip
            size = np.load(path).itemsize
        expected = f"{width} bytes per id"
        cause = {
            (2, 4): "four bytes where two are enough: the file is twice as "
            "large as it needs to be",
            (4, 2): "the largest id does not fit into two bytes and would "
            "come back as another one",
            (2, 1): "one byte holds ids to 255",
            (2, 8): "eight bytes per id: 2 or 4 are asked for",
        }.get((width, size), f"{size} bytes per id")
        if width == 2 and size == 4 and n_vocab == 65_536:
            cause = (
                "off by one: 65,536 tokens have ids 0 to 65,535, which two "
                "bytes hold"
            )
        if width == 2 and size == 4 and n_vocab == 50_257:
            cause = "two bytes hold ids to 65,535, not to 32,767: no sign"
        t.true(size == width, holds, cause, given=given, expected=expected,
               got=f"{size} bytes per id")  # fmt: skip


def check_pad(t):
    add = 0 if t.seed == 1 else 10 * (1 + t.seed % 50)
    texts = [[1 + add, 2 + add, 3 + add], [4 + add]]
    given = f"pad_batch({texts}, bos=7, eos=8, pad_id=9)"

    def rows(lists):
        """The table, with the ids 1 to 4 moved as in the texts."""
        z = torch.tensor(lists)
        return z if z.dtype == torch.bool else torch.where(
            (z > 0) & (z < 5), z + add, z
        )  # fmt: skip

    x, targets, mask = t.call(
        t.answer, texts, bos=7, eos=8, pad_id=9,
        given=given,
        errors={
            "unpack": "pad gives two things, the ids and their mask",
            "'mask' is not defined": "pad also gives the mask: x, mask = …",
            "concatenate": "a special token is a number, not a list: "
            "[bos, *ids]",
            "dtype=torch.int64": "each row must be a list of ids: "
            "[bos, *ids] for ids in sequences",
        },
    )  # fmt: skip
    t.same(
        x,
        rows([[7, 1, 2, 3], [7, 4, 9, 9]]),
        "x begins with <bos> and ends before <eos>, then padding",
        given=f"{given}, x",
        mistakes={
            "x is what comes next: the input begins with <bos>": rows(
                [[1, 2, 3, 8], [4, 8, 9, 9]]
            ),
            "x misses <bos>: the first token is predicted from something": (
                rows([[1, 2, 3], [4, 9, 9]])
            ),
            "the input ends with <eos>, but nothing comes after it": rows(
                [[7, 1, 2, 3, 8], [7, 4, 8, 9, 9]]
            ),
            "the padding is on the left: fill up on the right": rows(
                [[7, 1, 2, 3], [9, 9, 7, 4]]
            ),
            "x is filled up with -100, which is no token: with pad_id": rows(
                [[7, 1, 2, 3], [7, 4, -100, -100]]
            ),
        },
    )
    t.same(
        targets,
        rows([[1, 2, 3, 8], [4, 8, -100, -100]]),
        "targets are the next tokens, end with <eos>, and -100 on padding",
        given=f"{given}, targets",
        mistakes={
            "the targets are the inputs: they begin one token later": rows(
                [[7, 1, 2, 3], [7, 4, -100, -100]]
            ),
            "the targets miss <eos>: the model would never learn to stop": rows(
                [[1, 2, 3], [4, -100, -100]]
            ),
            "padding has a target: the model would be graded on it": rows(
                [[1, 2, 3, 8], [4, 8, 9, 9]]
            ),
        },
    )
    t.same(
        mask,
        rows([[True] * 4, [True, True, False, False]]),
        "the mask is True on real tokens",
        given=f"{given}, mask",
    )


X = "x, mask = pad([[bos, *ids] for ids in sequences], pad_id)\n"
Y = "targets, _ = pad([[*ids, eos] for ids in sequences], -100)"
AT = "at = starts + torch.arange(block_size)"

EXERCISES = [
    Exercise(
        "data.split",
        "split_documents",
        check_split,
        (
            "Which messages must not be torn apart? Those with the same "
            "author and year.",
            "dict.fromkeys(pairs) keeps each pair (d.author, d.year) once, in "
            "the order in which it first appears; make a list of it.",
        ),
        right=(
            "groups = []\nfor d in docs:\n"
            "    if (d.author, d.year) not in groups:\n"
            "        groups.append((d.author, d.year))",
        ),
        wrong=(
            ("groups = [(d.author, d.year) for d in docs]", "in two parts"),
            (
                "groups = sorted({(d.author, d.year) for d in docs})",
                "sorted",
            ),
            (
                "groups = list(dict.fromkeys((d.author, d.year) for d in "
                "docs))[::-1]",
                "order of first appearance",
            ),
            (
                "groups = list(dict.fromkeys(d.author for d in docs))",
                "got lost",
            ),
            ("groups = {(d.author, d.year) for d in docs}", "groups[i]"),
            ("groups = []", "too few groups"),
        ),
    ),
    Exercise(
        "data.batch",
        "get_batch",
        check_batch,
        (
            "First all places (B, T) at once: each row counts on from its "
            "start. Then x is what stands there.",
            "starts is (B, 1) and torch.arange(block_size) is (T,): their sum "
            "is (B, T). The next token stands at at + 1.",
        ),
        right=(
            (
                "at = torch.stack([starts[:, 0] + t for t in "
                "range(block_size)], 1)",
                None,
            ),
            (
                "at = starts + torch.arange(block_size + 1)",
                "x, y = ids[at[:, :-1]], ids[at[:, 1:]]",
            ),
        ),
        wrong=(
            ((None, "x, y = ids[at], ids[at]"), "y is x"),
            ((None, "x, y = ids[at], ids[at - 1]"), "wrong way"),
            ((None, "x, y = ids[at], ids[at] + 1"), "not to their places"),
            ((None, "x, y = ids[at + 1], ids[at]"), "exchanged"),
            (("at = starts", None), "the shape is (2, 1)"),
            (
                ("at = torch.arange(block_size).expand(batch_size, -1)", None),
                "every window is the same",
            ),
            (
                ("at = starts + torch.zeros(block_size).long()", None),
                "repeats its first id",
            ),
        ),
        core=True,
        blanks=2,
    ),
    Exercise(
        "data.tokens",
        "save_tokens",
        check_tokens,
        (
            "How many different ids can two bytes, 16 bits, tell apart?",
            "2**16 = 65,536 of them, from 0 to 65,535. More need np.uint32.",
        ),
        right=("dtype = np.uint32 if n_vocab - 1 > 0xFFFF else np.uint16",),
        wrong=(
            (
                "dtype = np.uint16 if n_vocab < 2**16 else np.uint32",
                "off by one",
            ),
            ("dtype = np.uint16", "come back as another"),
            ("dtype = np.uint32", "twice as large"),
            ("dtype = 16 if n_vocab <= 2**16 else 32", "a type of NumPy's"),
            (
                "dtype = np.uint16 if n_vocab <= 2**15 else np.uint32",
                "no sign",
            ),
            ("dtype = np.uint8 if n_vocab <= 2**8 else np.uint16", "one byte"),
            ("dtype = np.int64", "eight bytes"),
        ),
    ),
    Exercise(
        "data.pad",
        "pad_batch",
        check_pad,
        (
            "Write one row by hand: the input begins with <bos>, and below "
            "each of its tokens is the one that comes next.",
            "The rows of x are [bos, *ids], those of targets [*ids, eos]. "
            "pad gives the ids and the mask.",
        ),
        right=(
            "rows = [[bos, *ids, eos] for ids in sequences]\n"
            "x, mask = pad([row[:-1] for row in rows], pad_id)\n"
            "targets = pad([row[1:] for row in rows], -100)[0]",
        ),
        wrong=(
            (X + Y.replace("[*ids, eos]", "[bos, *ids]"), "are the inputs"),
            (
                X.replace("[bos, *ids]", "[*ids, eos]") + Y,
                "is what comes next",
            ),
            (X.replace("[bos, *ids]", "ids") + Y, "misses <bos>"),
            (X.replace("*ids]", "*ids, eos]") + Y, "ends with <eos>"),
            (X.replace("pad_id", "pad_id, left=True") + Y, "on the left"),
            (X.replace("pad_id", "-100") + Y, "is no token"),
            (X + Y.replace("[*ids, eos]", "ids"), "miss <eos>"),
            (X + Y.replace("-100", "pad_id"), "padding has a target"),
            (X.replace("x, mask", "x") + Y, "also gives the mask"),
        ),
    ),
    Question(
        "data.predict-windows",
        936,
        "a window needs 64 tokens and one more for its last target, so it can "
        "begin at places 0 to 935",
        (
            "The last window still needs a next token for its last place.",
            "Windows may overlap: count the places where one can begin.",
        ),
        wrong={
            937: "the last of these windows has no token after it",
            935: "one too few: places 0 to 935 are 936 places",
            1000: "a window that begins near the end would run out of text",
            15: "windows may overlap: one can begin at nearly every place",
        },
    ),
    Question(
        "data.break-shift",
        0,
        "the target is the last token of the input, so a model only has to "
        "copy: every prediction is right and nothing was learned",
        (
            "Write down x and y for the word `data`, without the shift.",
            "The target at each place would be the very token it sees there.",
        ),
        wrong={
            1000: "copying would be wrong if y were the next tokens; without "
            "the shift y is x",
            500: "nothing is left to chance: the target is in the input",
        },
        within=0.01,
    ),
]
