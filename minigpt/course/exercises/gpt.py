"""Chapter 8: what its exercises expect."""

import math
from types import SimpleNamespace

import torch
from torch import nn

from minigpt.course.exercises import Exercise, Question


def config(**changes):
    """A small model; has the fields of GPTConfig."""
    fields = dict(
        vocab_size=11, block_size=6, n_layer=2, n_head=2, n_embd=8,
        dropout=0.0, bias=True, tied=True, norm="pre", activation="gelu",
        position="learned",
    )  # fmt: skip
    return SimpleNamespace(**(fields | changes))


class Named(nn.Module):
    """Matrices under the names that a GPT gives them."""

    def __init__(self, n=300):
        super().__init__()
        self.fc = nn.Linear(n, n)
        self.proj = nn.Linear(n, n)
        self.norm = nn.LayerNorm(n)


def check_initialise(t):
    model = Named()
    given = "a model with fc, proj and norm, n_layer = 8"
    t.call(
        t.answer, model, 8, given=given, dice=True,
        errors={"UnboundLocalError": "std must keep its value where the name "
                "does not end a branch"},
    )  # fmt: skip

    def spread(layer):
        return float(layer.weight.detach().std())

    t.true(
        math.isclose(spread(model.fc), 0.02, rel_tol=0.03),
        "ordinary matrices start at 0.02",
        "every matrix starts smaller: only those whose name ends in "
        "proj.weight end a branch",
        given=given, expected="0.02 for fc.weight", got=spread(model.fc),
    )  # fmt: skip
    got = spread(model.proj)
    causes = {
        0.02: "the matrices that end a branch start like all others: look for "
        "names that end in proj.weight",
        0.02 / math.sqrt(8): "each block has two branches: the root of "
        "2 · n_layer, not of n_layer",
        0.02 / 16: "0.02 is divided by 2 · n_layer: take the root",
        0.02 * 4: "0.02 is multiplied by the root: divide, so that the sum of "
        "many branches stays small",
        1 / 4: "0.02 is missing: 0.02 divided by the root",
    }
    found = [c for s, c in causes.items() if math.isclose(got, s, rel_tol=0.03)]
    t.true(
        math.isclose(got, 0.02 / 4, rel_tol=0.03),
        "what ends a branch starts at 0.02/√(2·n_layer)",
        found[0] if found else "the standard deviation of proj.weight is off",
        given=given, expected="0.005 for proj.weight", got=f"{got:.4f}",
    )  # fmt: skip


def a_model(t, **changes):
    c = config(**changes)
    said = ", ".join(f"{k}={v}" for k, v in changes.items())
    return t.make(t.answer, c, given=f"GPT of 2 blocks, {said}").eval()


def check_tied(t):
    given = "GPT(vocab_size=11, n_embd=8, tied=True)"
    model = a_model(t, tied=True)
    head, token = model.head.weight, model.token.weight
    t.true(
        tuple(head.shape) == (11, 8),
        "the head is (V, C)",
        "the head has another shape: nn.Linear holds its weight as (out, in), "
        "which is the token table as it is",
        given=given, expected="(11, 8)", got=str(tuple(head.shape)),
    )  # fmt: skip
    equal = torch.equal(head, token)
    t.true(
        isinstance(head, nn.Parameter) and head is token,
        "head and token table are one matrix",
        "they begin equal but are two: training would part them"
        if equal
        else "head and token table are two matrices: one must be the other, "
        "self.head.weight = self.token.weight",
        given=given, expected="one parameter", got="two",
    )  # fmt: skip
    other = a_model(t, tied=False)
    t.true(
        other.head.weight is not other.token.weight,
        "and two when tied=False",
        "they are tied although the configuration says tied=False",
        given="GPT(…, tied=False)", expected="two parameters", got="one",
    )  # fmt: skip


ERRORS = {
    "must match the size": "the shapes do not fit: x is (B, T, C), positions "
    "give (T, C) or (B, T, C)",
    "position": "the places are in `where`; the ids say what stands there, "
    "not where",
    "mat1 and mat2": "the width changed on the way: x stays (B, T, C)",
    "multiple values": "mask, cache and record are handed over by name",
    "unexpected keyword": "a block takes mask, cache and record",
}


def check_embed(t):
    model = a_model(t)
    with torch.no_grad():
        model.position.weight.normal_(
            generator=torch.Generator().manual_seed(1)
        )
    idx = torch.tensor([[3, 0, 3], [7, 7, 1]])
    given = "embed([[3, 0, 3], [7, 7, 1]])"
    got = t.call(model.embed, idx, given=given, errors=ERRORS)
    what, where = model.token(idx), model.position(torch.arange(3))
    t.same(
        got,
        what + where,
        "what stands there plus where it stands",
        given=given,
        mistakes={
            "the positions are missing: equal tokens look equal everywhere": (
                what
            ),
            "the tokens are lost: add the positions to x": where,
            "tokens and positions are multiplied: add them": what * where,
            "the ids were looked up in the table of places: use `where`": (
                lambda: what + model.position.weight[idx.clamp(max=5)]
            ),
        },
    )
    mask = torch.tensor([[True] * 3, [False, True, True]])
    given = "the same, the second sequence padded on the left"
    got = t.call(model.embed, idx, mask, given=given, errors=ERRORS)
    places = torch.tensor([[0, 1, 2], [0, 0, 1]])
    t.same(
        got,
        what + model.position(places),
        "padding shifts no place",
        given=given,
        mistakes={"padding is counted: use `where`": what + where},
    )


class Kept:
    """Stands where a cache would, and notes that it was used."""

    start, offset = 0, 0

    def __init__(self):
        self.used = 0

    def update(self, k, v, mask=None):
        self.used += 1
        return k, v, mask


def check_forward(t):
    model = a_model(t, n_layer=3)
    for p in model.parameters():  # large enough to see every part
        if p.dim() > 1:
            with torch.no_grad():
                p.mul_(20)
    idx = torch.tensor([[3, 0, 3, 9], [7, 7, 1, 2]])
    mask = torch.tensor([[True] * 4, [False, True, True, True]])
    given = "3 blocks, ids (2, 4), with mask, record and cache"
    record, kept = [], [Kept() for _ in range(3)]
    got = t.call(
        model, idx, mask=mask, record=record, given=given, errors=ERRORS,
        dice=True,
    )  # fmt: skip

    def run(x, blocks, after=lambda x, y: y, norm=model.norm, mask=mask):
        for block in blocks:
            x = after(x, block(x, mask=mask))
        return model.head(norm(x))

    x = model.embed(idx, mask)
    every = list(model.blocks)
    want = run(x, every)
    t.same(
        got, want, "through all blocks, then the last norm", given=given,
        mistakes={
            "the last norm is missing": run(x, every, norm=nn.Identity()),
            "each block adds its residual itself: x = block(x)": run(
                x, every, lambda x, y: x + y
            ),
            "the norm is used after each block: once, at the end": run(
                x, every, lambda x, y: model.norm(y), nn.Identity()
            ),
            "the norm is used after each block, and again at the end: once": (
                run(x, every, lambda x, y: model.norm(y))
            ),
            "only the last block has an effect: each reads what the one "
            "before gave": run(x, every[-1:]),
            "only the first block was used": run(x, every[:1]),
            "the first block was used every time": run(x, every[:1] * 3),
            "the blocks are used in reverse": run(x, every[::-1]),
            "no block was used": run(x, []),
            "the mask does not reach the blocks: padding is read": run(
                x, every, mask=None
            ),
        },
    )  # fmt: skip
    t.true(
        len(record) == 3, "every block records its weights",
        "record does not reach every block", given=given,
        expected="3 entries", got=len(record),
    )  # fmt: skip
    t.call(model, idx, cache=kept, given=given, errors=ERRORS, dice=True)
    used = [cache.used for cache in kept]
    t.true(
        used == [1, 1, 1], "each block has the cache of its own",
        "the caches do not reach the blocks, one each: cache=kept",
        given=given, expected="each used once", got=used,
    )  # fmt: skip


def count(c, attention, mlp):
    """The whole count, from the two parts."""
    C, norm = c.n_embd, c.n_embd * (1 + c.bias)
    total = c.n_layer * (attention(C, c.bias) + mlp(C, c.bias) + 2 * norm)
    total += c.vocab_size * C * (1 if c.tied else 2)
    total += c.block_size * C * (c.position == "learned")
    return total + norm * (c.norm == "pre")


def four(C, bias):
    return 4 * C * C + 4 * C * bias


def eight(C, bias):
    return 8 * C * C + 5 * C * bias


def check_count(t):
    for changes, holds in [
        (dict(bias=False, n_embd=10), "without biases"),
        (dict(bias=True, n_embd=10), "with biases"),
        (dict(bias=True, n_layer=5, n_embd=12), "of any shape"),
    ]:
        c = config(**changes)
        given = f"n_layer={c.n_layer}, n_embd={c.n_embd}, bias={c.bias}"
        got = t.call(
            t.answer, c, given=given,
            errors={"UnboundLocalError": "both names are asked for: attention "
                    "and mlp"},
        )  # fmt: skip
        t.same(
            int(got) if isinstance(got, float) and got == int(got) else got,
            count(c, four, eight),
            holds,
            given=given,
            mistakes={
                "attention has four matrices: queries, keys, values and the "
                "projection": count(c, lambda C, b: 3 * C * C, eight),
                "attention has four matrices: three with biases of queries, "
                "keys and values are not all": count(
                    c, lambda C, b: 3 * C * C + 3 * C * b, eight
                ),
                "the MLP has two matrices of C · 4C": count(
                    c, four, lambda C, b: 4 * C * C + 4 * C * b
                ),
                "C biases are missing: attention has 3C and C of them, the "
                "MLP 4C and C": count(
                    c, four, lambda C, b: 8 * C * C + 4 * C * b
                ),
                "the biases are missing": count(
                    c, lambda C, b: 4 * C * C, lambda C, b: 8 * C * C
                ),
                "the biases are counted although bias=False": count(
                    c, lambda C, b: 4 * C * C + 4 * C,
                    lambda C, b: 8 * C * C + 5 * C,
                ),
                "the MLP has a bias of 5C: 8C would be two of the wide layer": (
                    count(c, four, lambda C, b: 8 * C * C + 8 * C * b)
                ),
            },
        )  # fmt: skip


ATT = "attention = 4 * C * C + c.bias * 4 * C\n"
MLP = "mlp = 8 * C * C + c.bias * 5 * C"
LOOP = "for block, kept in zip(self.blocks, caches, strict=True):\n    "
CALL = "block(x, mask=mask, cache=kept, record=record)"
PROJ = 'if name.endswith("proj.weight"):\n    std = '

EXERCISES = [
    Exercise(
        "gpt.initialise",
        "initialise",
        check_initialise,
        (
            "Which matrices end a branch? Their names end in proj.weight.",
            "For these, std = 0.02 / math.sqrt(2 * n_layer).",
        ),
        right=(
            'ends = name.split(".")[-2:] == ["proj", "weight"]\n'
            "std *= (2 * n_layer) ** -0.5 if ends else 1.0",
        ),
        wrong=(
            (PROJ + "0.02 / math.sqrt(n_layer)", "not of n_layer"),
            (PROJ + "0.02 / (2 * n_layer)", "take the root"),
            ("std = 0.02 / math.sqrt(2 * n_layer)", "every matrix"),
            ("pass", "like all others"),
            (PROJ + "0.02 * math.sqrt(2 * n_layer)", "is multiplied"),
            (PROJ + "1 / math.sqrt(2 * n_layer)", "0.02 is missing"),
        ),
    ),
    Exercise(
        "gpt.tied",
        "GPT.__init__",
        check_tied,
        (
            "A parameter can have two names: nn.Linear's weight is (V, C), as "
            "the token table is.",
            "Where c.tied: self.head.weight = self.token.weight.",
        ),
        right=("if c.tied:\n    self.token.weight = self.head.weight",),
        wrong=(
            (
                "if c.tied:\n    self.head.weight.data = "
                "self.token.weight.data.clone()",
                "are two matrices",
            ),
            ("self.head.weight = self.token.weight", "tied=False"),
            (
                "if c.tied:\n    self.head.weight = nn.Parameter(\n"
                "        self.token.weight.detach().T.clone())",
                "another shape",
            ),
        ),
    ),
    Exercise(
        "gpt.embed",
        "GPT.embed",
        check_embed,
        (
            "`where` holds the places; self.position makes vectors of them.",
            "Add them to x, the vectors of the tokens.",
        ),
        right=("x = torch.add(self.position(where), x)",),
        wrong=(
            ("x = self.position(where)", "the tokens are lost"),
            ("x = x * self.position(where)", "are multiplied"),
            ("pass", "equal tokens look equal"),
            ("x = x + self.position(torch.arange(T))", "padding is counted"),
            ("x = x + self.position(idx)", "not where"),
        ),
    ),
    Exercise(
        "gpt.forward",
        "GPT.forward",
        check_forward,
        (
            "Each block reads what the one before gave; the stream is normed "
            "once, at the end.",
            "Go through zip(self.blocks, caches): x = block(x, mask=mask, "
            "cache=kept, record=record). Then x = self.norm(x).",
        ),
        right=(
            "for i, block in enumerate(self.blocks):\n"
            "    x = block(x, mask=mask, cache=caches[i], record=record)\n"
            "x = self.norm(x)",
        ),
        wrong=(
            (LOOP + "x = " + CALL, "last norm is missing"),
            (LOOP + "x = x + " + CALL + "\nx = self.norm(x)", "itself"),
            (
                LOOP + "x = self.norm(" + CALL + ")",
                "after each block: once",
            ),
            (
                LOOP + "x = block(x, cache=kept, record=record)\n"
                "x = self.norm(x)",
                "does not reach the blocks: padding",
            ),
            (
                LOOP + "x = block(x, mask=mask, cache=kept)\nx = self.norm(x)",
                "record does not reach",
            ),
            (
                LOOP + "x = block(x, mask=mask, record=record)\n"
                "x = self.norm(x)",
                "caches do not reach",
            ),
            (
                LOOP + "y = " + CALL + "\nx = self.norm(y)",
                "only the last block",
            ),
        ),
        core=True,
    ),
    Exercise(
        "gpt.count",
        "count_parameters",
        check_count,
        (
            "How many matrices of C × C has attention? And of C × 4C the MLP? "
            "Every linear layer has as many biases as outputs.",
            "Attention: 4C² and 4C biases. MLP: 8C² and 4C + C biases. "
            "c.bias is True or False, which count as 1 and 0.",
        ),
        right=(
            "def linear(n, m):\n    return n * m + (m if c.bias else 0)\n"
            "attention = linear(C, 3 * C) + linear(C, C)\n"
            "mlp = linear(C, 4 * C) + linear(4 * C, C)",
        ),
        wrong=(
            (ATT + "mlp = 8 * C * C + c.bias * 4 * C", "C biases are missing"),
            (
                "attention = 4 * C * C\nmlp = 8 * C * C",
                "the biases are missing",
            ),
            (
                "attention = 3 * C * C + c.bias * 3 * C\n" + MLP,
                "has four matrices",
            ),
            (ATT + "mlp = 4 * C * C + c.bias * 4 * C", "two matrices of"),
            (
                "attention = 4 * C * C + 4 * C\nmlp = 8 * C * C + 5 * C",
                "although bias=False",
            ),
            (ATT + "mlp = 8 * C * C + c.bias * 8 * C", "a bias of 5C"),
        ),
        core=True,
    ),
    Question(
        "gpt.predict-width",
        4,
        "the matrices are C × C and C × 4C: twice the width is four times "
        "the numbers, up to the biases",
        (
            "Both sides of each matrix grow.",
            "Compare 12 · C² for C = 64 and for C = 128.",
        ),
        wrong={
            2: "that is doubling n_layer: here both sides of a matrix grow",
            8: "a matrix has two sides, not three",
            16: "12 · C² grows with the square, not with its square",
        },
        within=0.1,
    ),
    Question(
        "gpt.predict-start",
        math.log(50257),
        "it starts undecided, with nearly equal logits: ln 50,257 is 10.82",
        (
            "What probability does a model without an opinion give to each "
            "of 50,257 tokens?",
            "The loss is -ln of it.",
        ),
        wrong={
            math.log2(50257): "these are bits; the loss is in nats",
            0: "that would be to be sure, and right, from the start",
            4.66: "that is the start of the model of characters, ln 106",
        },
        within=0.05,
    ),
]
