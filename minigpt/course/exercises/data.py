"""Chapter 2: what its exercises expect."""

from collections import namedtuple

import torch

from minigpt.course.exercises import Case, Edit, Exercise, Question

Doc = namedtuple("Doc", "author year number")
RUN = "get_batch(ids, block_size=4, batch_size={}, generator=torch.Generator())"
HUGE = "np.broadcast_to(np.uint16(7), 10**16)"  # takes no memory
DRAW = "torch.randint(n_starts, (batch_size, 1), generator=generator)"
SPAN = "torch.arange(block_size)"
XY = "x, y = ids[at], ids[at + 1]"
RETURN = "return torch.as_tensor(x).long(), torch.as_tensor(y).long()"
DTYPE = "dtype = np.uint16 if {} else np.uint32"
TEXTS = "texts = [random.sample(range(10, 99), n) for n in {}]\n"
PAD = TEXTS.format("(3, 1)") + "pad_batch(texts, bos=7, eos=8, pad_id=9)"
X, Y = "[bos, *ids]", "[*ids, eos]"


def parts(split, keys, **sizes):
    """Part -> the numbers of its documents, where keys[i] is (author, year)."""
    docs = [Doc(*key, number) for number, key in enumerate(keys)]
    every = vars(split(docs, **sizes)).items()
    return {part: [doc.number for doc in some] for part, some in every}


def steps(x, y):
    """How far ids go on in a row of x, and from x to y."""
    return x[:, 1:] - x[:, :-1], y - x


def windows(x, y):
    """The different rows of x and y, and how many of all begin with each id."""
    return torch.cat([x, y], 1).unique(dim=0), x[:, 0].bincount() / len(x)


def saved(n_vocab, ids="[5, n_vocab - 1, 0]"):
    """Case code: what is read back of ids that were saved."""
    return f"""n_vocab = {n_vocab}
path = folder() / "ids.npy"
save_tokens(path, {ids}, n_vocab)
np.load(path)"""


ROWS = """starts = torch.randint({}, (batch_size,), generator=generator)
x = torch.stack([torch.as_tensor(ids[i : i + block_size]) for i in starts])
y = torch.stack([
    torch.as_tensor(ids[i + 1 : i + block_size + 1]) for i in starts])
return x.long(), y.long()"""

EXERCISES = [
    Exercise(
        "data.split",
        "split_documents",
        cases=(
            Case("messages of one author and year are in one part", """
                keys = [("Nixon", 1973), ("Adams", 1797), ("Nixon", 1974),
                        ("Nixon", 1973), ("Bush", 1989), ("Ford", 1974)]
                parts(split_documents, keys, val=0.2, test=0.4)"""),
            Case("the parts are those of every reader of the course", """
                years = [number(1950, 1959) for _ in range(40)]
                keys = [("ABC"[number(0, 2)], year) for year in years]
                parts(split_documents, keys, val=0.2, test=0.3)"""),
        ),
        hints=(
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
            ("groups = [(d.author, d.year) for d in docs]",
             "messages of one author and year are in two parts: each pair "
             "must be in groups once"),
            ("groups = sorted({(d.author, d.year) for d in docs})",
             "the groups are sorted: the course takes them in the order in "
             "which they first appear, and other parts mean other numbers"),
            ("groups = list({(d.author, d.year) for d in docs})",
             "the parts differ from run to run: a set has no order; "
             "dict.fromkeys keeps the order of first appearance"),
            ("groups = list(dict.fromkeys(d.author for d in docs))",
             "documents got lost: a group is the pair (author, year), in this "
             "order, and nothing else"),
            ("groups = {(d.author, d.year) for d in docs}",
             "groups must be a list, so that groups[i] is one of them"),
            ("groups = dict.fromkeys((d.author, d.year) for d in docs)",
             "a dictionary has no groups[0]: make a list of its keys"),
            ("groups = ((d.author, d.year) for d in docs)",
             "groups must be a list: it is counted and indexed"),
            ("groups = []\nfor d in docs:\n"
             "    if [d.author, d.year] not in groups:\n"
             "        groups.append([d.author, d.year])",
             "a list cannot be a key: use the pair (author, year), a tuple"),
            ("groups = []",
             "too few groups, or none: one for each author and year"),
        ),
    ),
    Exercise(
        "data.batch",
        "get_batch",
        cases=(
            Case("of five ids there is one window of four, and the targets "
                 "are one place later",
                 "ids = torch.randperm(90)[:5]\n" + RUN.format(3)),
            Case("a window is four neighbors, also within a longer text",
                 "ids = number(2, 9) * torch.arange(1000)\n"
                 f"steps(*{RUN.format(2)})"),
            Case("each window is equally likely, the last one too",
                 "ids = torch.randperm(90)[:9]\n"
                 f"windows(*{RUN.format(1000)})", atol=0.1),
            Case("the same seed gives the same batch, another seed another", """
                ids, dice = torch.randperm(90), torch.Generator()
                def batch(seed):
                    return get_batch(ids, block_size=4, batch_size=8,
                                     generator=dice.manual_seed(seed))[0]
                [torch.equal(batch(1), batch(seed)) for seed in (1, 2)]"""),
            Case("an array of two-byte ids, as in a file, gives int64 too",
                 "ids = np.array([9, 50_256, 7, 40_000, 3], dtype=np.uint16)\n"
                 + RUN.format(3)),
            Case("a file of any size works: only its windows are read",
                 RUN.format(3).replace("ids", HUGE)),
        ),
        hints=(
            "First all places (B, T) at once: each row counts on from its "
            "start. Then x is what is there. How many starts are there in 5 "
            "ids, for windows of 4?",
            "starts = torch.randint(len(ids) - block_size, (batch_size, 1), "
            "generator=generator) is a column; starts + torch.arange("
            "block_size) is (B, T). Call it at: then x is ids[at], and y is "
            "ids[at + 1].",
        ),
        right=(
            "n = block_size + 1\nstarts = torch.randint(\n"
            "    len(ids) - n + 1, (batch_size,), generator=generator)\n"
            "rows = [torch.tensor(ids[s : s + n].tolist())\n"
            "        for s in starts.tolist()]\n"
            "both = torch.stack(rows)\nreturn both[:, :-1], both[:, 1:]",
            Edit(DRAW, "(n_starts * torch.rand(batch_size, 1, generator=generator"
                 ")).long()"),
        ),
        wrong=(
            (Edit("at + 1", "at"),
             "y is x: the target of a place is the token after it"),
            (Edit("at + 1", "at - 1"),
             "y is shifted the wrong way: it shows the token before"),
            (Edit("at + 1]", "at] + 1"),
             "one was added to the ids, not to their places"),
            (Edit("x, y =", "y, x ="), "x and y are exchanged"),
            (Edit(XY, "x = ids[at]\ny = x.roll(-1, 1)"),
             "y was rolled within the window: its last entry must be new"),
            (Edit("at + 1", "(at + 1) % (len(ids) - 1)"),
             "the last token is never a target: nothing has to be wrapped"),
            (Edit("at + 1", "at + 2"), "y is two ahead: shift by one"),
            (Edit("at + 1", "at + block_size"),
             "y is shifted by a whole window"),
            (Edit("n_starts, (", "n_starts + 1, ("),
             "a place after the last of ids was asked for: there are len(ids) "
             "- block_size starts, and a window begins at its start"),
            (ROWS.format("len(ids) - block_size + 1"),
             "the last window has no target for its last token, so the rows "
             "differ in length: there are len(ids) - block_size starts"),
            (ROWS.format("len(ids) - block_size").replace("(batch_size,)",
                                                          "batch_size"),
             "the size is a tuple: torch.randint(high, (batch_size,), …)"),
            (Edit("n_starts, (", "len(ids), ("),
             "a window begins too late to fit: there are len(ids) - "
             "block_size starts"),
            (Edit("n_starts, (", "n_starts - 1, ("),
             "the last window is never drawn: torch.randint leaves out its "
             "upper bound"),
            (Edit("=generator", "=torch.Generator()"),
             "every batch is the same: draw from the generator passed in"),
            (Edit(", generator=generator", ""),
             "a seed must repeat the batch: hand over the generator"),
            (Edit("starts + " + SPAN, SPAN + ".expand(batch_size, -1)"),
             "every window is the same: add starts to the places"),
            (Edit("(batch_size, 1), generator=generator)",
                  "(1,), generator=generator).expand(batch_size, 1)"),
             "all windows begin at one place: draw batch_size starts"),
            (Edit(SPAN, "torch.zeros(block_size).long()"),
             "each row repeats its first id: add places 0, 1, … T - 1"),
            (Edit("(batch_size, 1)", "(batch_size,)"),
             "starts (B,) and places (T,) cannot be added: with starts (B, 1) "
             "that gives (B, T)"),
            (Edit(" + " + SPAN, ""),
             "these are only the first tokens: a window has block_size"),
            (Edit(XY, "ids = list(ids)\n" + XY),
             "a list takes no tensor of places: leave ids as it is"),
            (Edit(RETURN, "return torch.as_tensor(x), torch.as_tensor(y)"),
             "the ids are still two bytes each: .long() makes int64 of them"),
            (Edit(RETURN, "return x.long(), y.long()"),
             "an array has no .long(): torch.as_tensor makes it a tensor"),
            (Edit(XY, "ids = torch.as_tensor(ids).long()\n" + XY),
             "all of ids became int64, which may not fit into memory: make "
             "int64 of x and y alone"),
            (Edit(XY, "ids = np.array(ids)\n" + XY),
             "all of ids was copied, which may not fit into memory: take x and "
             "y from it as it is"),
            (Edit(RETURN, "return torch.as_tensor(x).long()"),
             "two things are asked for: x, y"),
        ),
        core=True,
    ),
    Exercise(
        "data.tokens",
        "save_tokens",
        cases=(
            Case("two bytes hold a small vocabulary", saved("number(100, 200)")),
            Case("and one of a few thousand", saved("number(2_000, 32_000)")),
            Case("and GPT-2's", saved("50_257")),
            Case("and 65,536 tokens: ids 0 to 65,535", saved("65_536")),
            Case("one token more needs four bytes", saved("65_537")),
            Case("so does a larger one, whatever ids there are",
                 saved("number(70_000, 200_000)", "[5, 7, 0]")),
        ),
        hints=(
            "How many different ids can two bytes, 16 bits, tell apart?",
            "2**16 = 65,536 of them, from 0 to 65,535. More need np.uint32.",
        ),
        right=(
            "dtype = np.uint32 if n_vocab - 1 > 0xFFFF else np.uint16",
            'dtype = "uint16"\nif n_vocab > 65_536:\n    dtype = "uint32"',
        ),
        wrong=(
            (DTYPE.format("n_vocab < 2**16"),
             "off by one: 65,536 tokens have ids 0 to 65,535"),
            (DTYPE.format("n_vocab <= 2**15"),
             "two bytes hold ids to 65,535, not to 32,767: no sign"),
            (DTYPE.format("n_vocab <= 256"),
             "one byte holds ids to 255; two bytes hold them to 65,535"),
            (DTYPE.format("max(ids) < 2**16"),
             "other ids can be larger than these: let n_vocab decide"),
            ("dtype = np.uint16",
             "the largest id does not fit and would come back as another one"),
            ("dtype = np.uint32",
             "four bytes where two are enough: the file is twice as large"),
            ("dtype = np.uint8 if n_vocab <= 2**8 else np.uint16",
             "one byte per id: 2 or 4 are asked for"),
            ("dtype = np.int64", "eight bytes per id: 2 or 4 are asked for"),
            ("dtype = torch.uint16 if n_vocab <= 2**16 else torch.uint32",
             "dtype is a type of NumPy's: np.uint16 or np.uint32"),
            ("if n_vocab <= 2**16:\n    dtype = np.uint16",
             "dtype has no value for a large vocabulary"),
        ),
    ),
    Exercise(
        "data.pad",
        "pad_batch",
        cases=(
            Case("x begins with <bos> and ends before <eos>, then padding",
                 PAD + "[0]"),
            Case("targets are the next tokens, end with <eos>, and -100 on "
                 "padding", PAD + "[1]"),
            Case("the mask is True on real tokens",
                 PAD.replace("(3, 1)", "(2, 0, 4)")),
            Case("also where one id means all three, as with GPT-2",
                 TEXTS.format("(2, 3)")
                 + "pad_batch(texts, bos=5, eos=5, pad_id=5)"),
        ),
        hints=(
            "Write one row by hand: the input begins with <bos>, and below "
            "each of its tokens is the one that comes next.",
            "The rows of x are [bos, *ids], those of targets [*ids, eos]. "
            "pad gives the ids and the mask.",
        ),
        right=(
            "rows = [[bos] + ids + [eos] for ids in sequences]\n"
            "x, mask = pad([row[:-1] for row in rows], pad_id)\n"
            "return x, pad([row[1:] for row in rows], -100)[0], mask",
        ),
        wrong=(
            (Edit(X, Y), "x is what comes next: the input begins with <bos>"),
            (Edit(X, "ids"),
             "x misses <bos>: the first token is predicted from something"),
            (Edit(X, "[bos, *ids, eos]"),
             "the input ends with <eos>, but nothing comes after it"),
            ("both, mask = pad([[bos, *ids, eos] for ids in sequences], pad_id)"
             "\nreturn both[:, :-1], both[:, 1:], mask[:, 1:]",
             "shorter rows of x still have <eos>: pad x and targets each "
             "alone"),
            (Edit("pad_id)", "pad_id, left=True)"),
             "the padding is on the left: fill up on the right"),
            (Edit("pad_id)", "-100)"),
             "x is filled up with -100, which is no token: with pad_id"),
            (Edit(Y, X),
             "the targets are the inputs: they begin one token later"),
            (Edit(Y, "ids"),
             "the targets miss <eos>: the model would never learn to stop"),
            (Edit("-100)", "pad_id)"),
             "padding has a target: the model would be graded on it"),
            (Edit("-100)", "pad_id)\ntargets[targets == pad_id] = -100"),
             "a real <eos> can have the id of the padding: pad with -100"),
            (Edit("return", "mask = x != pad_id\nreturn"),
             "a real token can have the id of the padding: pad has the mask"),
            (Edit("x, mask =", "x ="), "pad also gives the mask: x, mask = …"),
            (Edit("x, mask =", "x, targets, mask ="),
             "pad gives two things, the ids and their mask"),
            (Edit(X, "bos + ids"),
             "a special token is a number, not a list: [bos, *ids]"),
            (Edit(X, "[bos, ids]"),
             "a row must be a list of ids: [bos, *ids] for ids in sequences"),
            (Edit("return x, targets, mask", "return x, mask, targets"),
             "the order is x, targets, mask"),
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
]  # fmt: skip
