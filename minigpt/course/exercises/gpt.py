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
        dropout=0.0, bias=True, tied=True, order="pre", norm="layer",
        mlp="gelu", position="learned", attention="full", n_kv_head=None,
        qk_norm=False,
    )  # fmt: skip
    return SimpleNamespace(**(fields | changes))


class Branch(nn.Module):
    """What ends in a matrix called proj."""

    def __init__(self, n=300):
        super().__init__()
        self.fc = nn.Linear(n, n)
        self.proj = nn.Linear(n, n)
        self.norm = nn.LayerNorm(n)


class Named(Branch):
    """Matrices under the names that a GPT gives them, and at the top."""

    def __init__(self):
        super().__init__()
        self.mlp = Branch()


def check_init_weights(t):
    model = Named()
    given = "a model whose mlp has fc, proj and norm, n_layer = 8"
    t.call(
        t.answer, model, 8, given=given, dice=True,
        errors={"UnboundLocalError": "std must keep its value where the name "
                "does not end a branch"},
    )  # fmt: skip

    def spread(layer):
        return float(layer.weight.detach().std())

    t.true(
        math.isclose(spread(model.mlp.fc), 0.02, rel_tol=0.03),
        "ordinary matrices start at 0.02",
        "every matrix starts smaller: only those whose name ends in "
        "proj.weight end a branch",
        given=given, expected="0.02 for mlp.fc.weight", got=spread(model.mlp.fc),
    )  # fmt: skip
    got, top = spread(model.mlp.proj), spread(model.proj)
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
    if top < 0.01:  # a matrix at the top of a model, which no GPT has
        causes[0.02] = (
            "only a name that is proj.weight and nothing more was found: in a "
            "model it is mlp.proj.weight, so look at how a name ends"
        )
    found = [c for s, c in causes.items() if math.isclose(got, s, rel_tol=0.03)]
    t.true(
        math.isclose(got, 0.02 / 4, rel_tol=0.03),
        "what ends a branch starts at 0.02/√(2·n_layer)",
        found[0] if found else "the standard deviation of proj.weight is off",
        given=given, expected="0.005 for mlp.proj.weight", got=f"{got:.4f}",
    )  # fmt: skip


def a_model(t, **changes):
    c = config(**changes)
    said = ", ".join(f"{k}={v}" for k, v in changes.items())
    return t.make(t.answer, c, given=f"GPT of 2 blocks, {said}").eval()


def check_tied(t):
    given = "GPT(vocab_size=11, n_embd=8, tied=True)"
    model = a_model(t, tied=True)
    t.true(
        isinstance(model.head, nn.Linear),
        "the head is a layer of its own",
        "the head has become the table itself, which takes ids and not "
        "vectors: tie their weights, not the layers",
        given=given, expected="nn.Linear", got=type(model.head).__name__,
    )  # fmt: skip
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
    "index out of range": "the positions are in `where`; the ids say which "
    "tokens they are, not where",
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
        "which token it is plus where it is",
        given=given,
        mistakes={
            "the positions are missing: equal tokens look equal everywhere": (
                what
            ),
            "the tokens are lost: add the positions to x": where,
            "tokens and positions are multiplied: add them": what * where,
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

    offset = 0

    def __init__(self):
        self.used = 0

    def update(self, k, v):
        self.used += 1
        return k, v


def check_hidden(t):
    model = a_model(t, n_layer=3)
    for p in model.parameters():  # large enough to see every part
        if p.dim() > 1:
            with torch.no_grad():
                p.mul_(20)
    idx = torch.tensor([[3, 0, 3, 9], [7, 7, 1, 2]])
    mask = torch.tensor([[True] * 4, [False, True, True, True]])
    given = "3 blocks, ids (2, 4), with mask, record and cache"
    record, kept = [], [Kept() for _ in range(3)]
    errors = {
        "must match": "the blocks need `allowed`: `mask` says which tokens "
        "are real, not who may attend to whom",
        **ERRORS,
    }
    got = t.call(
        model.hidden, idx, mask=mask, record=record, given=given,
        errors=errors, dice=True,
    )  # fmt: skip
    past = torch.ones(4, 4, dtype=torch.bool).tril()
    allowed = past & mask[:, None, None] | torch.eye(4, dtype=torch.bool)

    def run(x, blocks, after=lambda x, y: y, norm=model.norm, mask=allowed):
        for block in blocks:
            x = after(x, block(x, mask=mask))
        return norm(x)

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
            "the mask does not reach the blocks: they read padding and the "
            "future": run(x, every, mask=None),
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


LOOP = "for block, kept in zip(self.blocks, caches, strict=True):\n    "
CALL = "block(x, mask=allowed, cache=kept, record=record)"
END = "\nreturn self.norm(x)"
PROJ = 'if name.endswith("proj.weight"):\n    std = '

EXERCISES = [
    Exercise(
        "gpt.init_weights",
        "init_weights",
        check_init_weights,
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
            (
                'if name == "proj.weight":\n'
                "    std = 0.02 / math.sqrt(2 * n_layer)",
                "how a name ends",
            ),
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
            ("if c.tied:\n    self.head = self.token", "not the layers"),
        ),
    ),
    Exercise(
        "gpt.embed",
        "GPT.embed",
        check_embed,
        (
            "`where` holds the positions; self.position makes vectors of them.",
            "Add them to x, the vectors of the tokens.",
        ),
        right=("x = torch.add(self.position(where), x)",),
        wrong=(
            ("x = self.position(where)", "the tokens are lost"),
            ("x = x * self.position(where)", "are multiplied"),
            ("pass", "equal tokens look equal"),
            (
                "x = x + self.position(torch.arange(idx.size(1)))",
                "padding is counted",
            ),
            ("x = x + self.position(idx)", "not where"),
        ),
    ),
    Exercise(
        "gpt.hidden",
        "GPT.hidden",
        check_hidden,
        (
            "Each block reads what the one before gave; the stream is normed "
            "once, at the end.",
            "Go through zip(self.blocks, caches): x = block(x, mask=allowed, "
            "cache=kept, record=record). Then return self.norm(x).",
        ),
        right=(
            "for i, block in enumerate(self.blocks):\n"
            "    x = block(x, mask=allowed, cache=caches[i], record=record)\n"
            "return self.norm(x)",
        ),
        wrong=(
            (LOOP + "x = " + CALL + "\nreturn x", "last norm is missing"),
            (LOOP + "x = x + " + CALL + END, "itself"),
            (
                LOOP + "x = self.norm(" + CALL + ")\nreturn x",
                "after each block: once",
            ),
            (
                LOOP + "x = block(x, cache=kept, record=record)" + END,
                "does not reach the blocks: they",
            ),
            (
                LOOP
                + "x = block(x, mask=mask, cache=kept, record=record)"
                + END,
                "need `allowed`",
            ),
            (
                LOOP + "x = block(x, mask=allowed, cache=kept)" + END,
                "record does not reach",
            ),
            (
                LOOP + "x = block(x, mask=allowed, record=record)" + END,
                "caches do not reach",
            ),
            (LOOP + "y = " + CALL + "\nreturn self.norm(y)", "only the last"),
            (LOOP + "x = " + CALL + "\nx = self.norm(x)", "returns None"),
        ),
        core=True,
    ),
    Question(
        "gpt.count",
        1330,
        "12 · 10² in matrices, 9 · 10 in biases, 4 · 10 in the norms",
        (
            "How many matrices of C × C has attention? And of C × 4C the MLP? "
            "Every linear layer has as many biases as outputs.",
            "Attention: 4C² and 4C biases. MLP: 8C² and 4C + C biases. Each "
            "norm: C gains and C biases.",
        ),
        wrong={
            1200: "those are the matrices; biases and norms are missing",
            1290: "the two norms are missing",
            1310: "a norm has a bias besides its gain",
            1220: "attention has four matrices: queries, keys, values and the "
            "projection",
            920: "the MLP has two matrices: C × 4C and back",
            1320: "C biases are missing: attention has 3C and C of them, the "
            "MLP 4C and C",
            1360: "the MLP has a bias of 5C: 8C would be two of the wide layer",
            1240: "the biases of the linear layers are missing",
        },
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
