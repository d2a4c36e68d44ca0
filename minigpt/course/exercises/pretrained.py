"""Chapter 13: what its exercises expect."""

import re
from types import SimpleNamespace

import torch

from minigpt.course.exercises import Exercise, Question

NAME = re.compile(r"(?:wte|wpe|ln_f|lm_head|h\.\d+)\.[\w.]*\w")


def check_name(t):
    for name, want, holds in (
        ("token.weight", "wte.weight", "the first word is translated"),
        ("blocks.10.mlp.fc.bias", "h.10.mlp.c_fc.bias", "what is in no list "
         "stays: mlp, bias, the number"),
        ("blocks.3.norm1.weight", "h.3.ln_1.weight", "norm1 is not norm"),
        ("blocks.0.attention.qkv.bias", "h.0.attn.c_attn.bias", "every word "
         "is translated"),
    ):  # fmt: skip
        given = f"gpt2_name({name!r})"
        got = t.call(
            t.answer, name, given=given,
            errors={"KeyError": "a word that is not in WORDS stays as it is: "
                    "WORDS.get(word, word)"},
        )  # fmt: skip
        words = want.split(".")
        first, *rest = name.split(".")
        t.same(
            got,
            want,
            holds,
            given=given,
            mistakes={
                "the whole name is looked up: translate word by word": name,
                "the dots between the words are missing": "".join(words),
                "these are the words: join them with dots": words,
                "only the first word is translated": ".".join(
                    [words[0], *rest]
                ),
            },
        )


def numbers(t, *shape):
    """Random numbers, other ones by seed."""
    dice = torch.Generator().manual_seed(t.seed)
    return torch.randn(*shape, generator=dice)


def check_turn(t):
    table = numbers(t, 5, 3)
    given = "wte.weight, a table of 5 rows and 3 columns"
    got = t.call(t.answer, "wte.weight", table, given=given)
    t.same(
        got, table, "a table of rows to look up stays", given=given,
        mistakes={"the token table is turned too: its rows are looked up, "
                  "here and there": table.t()},
    )  # fmt: skip
    for layer, shape, note in (
        ("attn.c_attn", (6, 2), "the wide matrix of attention"),
        ("mlp.c_proj", (2, 8), "a matrix of the MLP"),
        ("attn.c_proj", (3, 3), "a square one"),
    ):
        name, w = f"h.11.{layer}.weight", numbers(t, *shape)
        given = f"{name}, {note}, shape {shape}"
        got = t.call(t.answer, name, w, given=given)
        missed = {
            "attn.c_attn": "nothing is turned",
            "mlp.c_proj": "the MLP's matrices are Conv1D too, not only those "
            "of attention",
            "attn.c_proj": "a square matrix must be turned too, though its "
            "shape does not show it",
        }
        t.same(
            got, w.t(), f"turned: {note}", given=given,
            mistakes={
                missed[layer]: w,
                "the shape is right and the numbers are not in their places: "
                "transposing is not reshaping": w.reshape(shape[::-1]),
            },
        )  # fmt: skip
    for name in ("h.0.attn.c_attn.bias", "h.0.ln_1.weight"):
        v = numbers(t, 4)
        given = f"{name}, four numbers"
        got = t.call(t.answer, name, v, given=given)
        t.same(got, v, f"{name.split('.', 2)[2]} stays", given=given)


def check_names(t):
    long = {
        "transformer.wte.weight": (7, 4),
        "transformer.h.0.attn.c_attn.bias": (12,),
        "transformer.h.0.attn.bias": (1, 1, 5, 5),
        "transformer.h.0.attn.masked_bias": (),
        "transformer.h.10.attn.bias": (1, 1, 5, 5),
        "transformer.h.10.ln_1.bias": (4,),
        "transformer.h.10.attn.rotary": (1, 1, 2, 2),
        "lm_head.weight": (7, 4),
    }
    given = "eight tensors: weights, masks, and h.10.attn.rotary"
    tensors = {name: torch.zeros(shape) for name, shape in long.items()}
    got = t.call(
        lambda: t.answer(dict(tensors)), given=given,
        errors={"must be str": "name is text, tensor is what it names"},
    )  # fmt: skip
    t.true(
        isinstance(got, dict), "a dictionary comes back",
        "plain_names must give a dictionary", given=given,
        expected="a dictionary", got=got,
    )  # fmt: skip
    every = [name.removeprefix("transformer.") for name in long]
    masks = [n for n in every if re.search(r"attn\.(masked_)?bias", n)]
    want = [n for n in every if n not in masks or "c_" in n]

    def without(*parts):
        return sorted(n for n in want if not any(p in n for p in parts))

    t.same(
        sorted(got),
        sorted(want),
        "the masks are gone, everything else is there",
        given=given,
        mistakes={
            "the masks are still there": sorted(every),
            "nothing is kept": [],
            "c_attn.bias is a weight, though it ends like a mask: look at "
            "whole words": without("c_attn"),
            "every bias is gone: only the masks of blocks go": without("bias"),
            "masked_bias is still there": sorted(
                [*want, "h.0.attn.masked_bias"]
            ),
            "only the first block's masks are gone": sorted(
                [*want, "h.10.attn.bias"]
            ),
            "h.10.attn.rotary is gone: what is unknown must stay, so that it "
            "is refused later": without("rotary"),
            "the masks were kept and the weights dropped": sorted(
                set(every) - set(want)
            ),
            "the long names came back: `name` is the plain one": sorted(
                n for n in long if n.removeprefix("transformer.") in want
            ),
        },
    )
    t.true(
        all(got[n].shape == (7, 4) for n in ("wte.weight", "lm_head.weight")),
        "each name has its own tensor", "the tensors got exchanged",
        given=given, expected="wte.weight of shape (7, 4)",
        got=got["wte.weight"],
    )  # fmt: skip


def config(**changes):
    """A small GPT-2; has the fields of GPTConfig."""
    fields = dict(
        vocab_size=7, block_size=5, n_layer=2, n_head=2, n_embd=4,
        dropout=0.0, bias=True, tied=True, norm="pre",
        activation="gelu_tanh", position="learned",
    )  # fmt: skip
    return SimpleNamespace(**(fields | changes))


def shapes_of(c):
    """What GPT-2's file holds, as {name: [sides]}."""
    C = c.n_embd
    found = {"wte.weight": [c.vocab_size, C], "wpe.weight": [c.block_size, C]}
    for i in range(c.n_layer):
        for layer, shape in {
            "ln_1": [C], "attn.c_attn": [C, 3 * C], "attn.c_proj": [C, C],
            "ln_2": [C], "mlp.c_fc": [C, 4 * C], "mlp.c_proj": [4 * C, C],
        }.items():  # fmt: skip
            found[f"h.{i}.{layer}.weight"] = shape
            found[f"h.{i}.{layer}.bias"] = shape[-1:]
    return found | {"ln_f.weight": [C], "ln_f.bias": [C]}


def verdict(answer, shapes, c):
    """What `check_layout` says about shapes: a message, or nothing."""
    try:
        answer(shapes, c)
    except ValueError as error:
        return str(error)
    return ""


def check_check(t):
    c = config(n_embd=2 + 2 * t.seed)
    whole = shapes_of(c)
    errors = {
        "KeyError": "shapes[name] fails where the name is missing: ask first "
        "whether it is there",
    }
    for kind, good in (
        ("lists, as a file gives them", whole),
        ("tuples", {n: tuple(s) for n, s in whole.items()}),
    ):
        given = f"every tensor, shapes as {kind}"
        got = t.call(verdict, t.answer, good, c, given=given, errors=errors)
        t.true(
            not got,
            f"a whole file is accepted, shapes as {kind}",
            "a file that fits is refused: compare tuple(shapes[name]) with "
            "shape, a list is never equal to a tuple",
            given=given, expected="no error", got=got,
        )  # fmt: skip
    spoilt = dict(whole)
    for name in ("h.1.mlp.c_fc.bias", "h.0.ln_2.weight"):
        del spoilt[name]
    wide = whole | {"h.1.attn.c_proj.weight": [c.n_embd, c.n_embd + 1]}
    last = whole | {"ln_f.bias": [c.n_embd - 1]}
    for shapes, name, given, missed in (
        (spoilt, "h.0.ln_2.weight", "h.0.ln_2.weight and "
         "h.1.mlp.c_fc.bias are missing", "a missing tensor is accepted"),
        (wide, "h.1.attn.c_proj.weight", "h.1.attn.c_proj.weight is too "
         "wide", "another shape is accepted"),
        (last, "ln_f.bias", "ln_f.bias, the last, is too short",
         "the last tensor is not looked at: go through all of them"),
    ):  # fmt: skip
        got = t.call(verdict, t.answer, shapes, c, given=given, errors=errors)
        t.true(
            bool(got), f"refused: {given}", missed,
            given=given, expected=f"a ValueError that names {name}", got=got,
        )  # fmt: skip
        named = NAME.findall(got)
        cause = "the message does not say which tensor: put `name` in it"
        if named:
            cause = "the message names another tensor than the first"
        t.true(
            name in named[:1], f"{name} is named", cause,
            given=given, expected=f"a message with {name}", got=got,
        )  # fmt: skip


def check_config(t):
    c = config(vocab_size=24, block_size=9 + t.seed, n_layer=12, n_embd=12)
    shapes = shapes_of(c)
    given = (
        f"wte (24, 12), wpe ({c.block_size}, 12), blocks h.0 to h.11, 3 heads"
    )
    no_int = "a size must be one whole number"
    got = t.call(
        t.answer, shapes, 3, given=given,
        errors={
            "block_size must be a whole number": f"block_size: {no_int}, the "
            "first side of wpe.weight",
            "must be a whole number": f"{no_int}, got something else",
            "UnboundLocalError": "the blank must make vocab_size, n_embd, "
            "block_size and n_layer",
            "NameError": "the blank must make vocab_size, n_embd, "
            "block_size and n_layer",
        },
    )  # fmt: skip
    T = c.block_size
    found = [got.vocab_size, got.block_size, got.n_layer, got.n_embd]
    t.same(
        found,
        [24, T, 12, 12],
        "vocabulary, positions, blocks, channels",
        given=given + " -> vocab_size, block_size, n_layer, n_embd",
        mistakes={
            "the last block is h.11, and that makes twelve: add 1": [
                24, T, 11, 12],
            "the numbers of blocks were compared as text, where 9 comes "
            "after 11: int(...)": [24, T, 10, 12],
            "tensors were counted, not blocks: each block has twelve": [
                24, T, 144, 12],
            "the sides of wte.weight are exchanged: it has a row for each "
            "token": [12, T, 12, 24],
            "block_size is the number of rows of wpe.weight": [24, 12, 12, 12],
            "block_size was taken from the token table": [24, 24, 12, 12],
        },
    )  # fmt: skip


def check_load(t):
    from minigpt.gpt import GPTConfig

    c = GPTConfig(7, 5, 2, 2, 4, activation="gelu_tanh")
    dice = torch.Generator().manual_seed(t.seed)
    tensors = {
        name: torch.randn(*shape, generator=dice).half()
        for name, shape in shapes_of(c).items()
    }
    given = "random tensors in GPT-2's layout, float16, two blocks"
    model = t.make(
        t.answer, tensors, c, given=given,
        errors={
            "KeyError": "tensors has GPT-2's names: tensors[there]",
            "must match": "a matrix lies on its side: turn(there, …) first",
            "doesn't match the broadcast": "a matrix lies on its side: "
            "turn(there, …) first",
            "leaf Variable": "change the parameter in place with p.copy_",
        },
    )  # fmt: skip
    block = model.blocks[1]
    w = {name: tensor.float() for name, tensor in tensors.items()}
    lost = (
        "the parameter keeps its random numbers: `p = …` gives its name to "
        "another tensor, p.copy_(…) fills it"
    )

    def place(holds, p, name, turned=False):
        want = w[name].t() if turned else w[name]
        if p.dtype != torch.float32:
            t.true(
                False, "",
                f"{name} is {p.dtype} in the model: copy the numbers into "
                "the parameter, which is float32",
                given=given, expected="float32", got=str(p.dtype),
            )  # fmt: skip
        t.same(
            p.detach(), want, holds, given=f"{given}: {name}",
            mistakes={
                "the numbers are not in their places: turn, do not reshape": (
                    w[name].reshape(want.shape)
                ),
            },
            otherwise=lost,
        )  # fmt: skip

    place("the token table", model.token.weight, "wte.weight")
    place("a matrix, turned", block.mlp.fc.weight, "h.1.mlp.c_fc.weight", True)
    name = "h.1.attn.c_proj.weight"
    place("the square matrix, turned", block.attention.proj.weight, name, True)
    place("a gain", block.norm2.weight, "h.1.ln_2.weight")
    place("a bias", block.attention.qkv.bias, "h.1.attn.c_attn.bias")


PLAIN = "plain[name] = tensor"
ABSENT = "if name not in shapes:\n    raise ValueError(name + ' is missing')\n"
UNLIKE = "if tuple(shapes[name]) != shape:\n    raise ValueError(name)"
SIDES = 'vocab_size, n_embd = shapes["wte.weight"]\n'
ROWS = 'block_size = shapes["wpe.weight"][0]\n'
BLOCKS = (
    'blocks = {name.split(".")[1] for name in shapes if name[:2] == "h."}\n'
)

EXERCISES = [
    Exercise(
        "pretrained.name",
        "gpt2_name",
        check_name,
        (
            'name.split(".") gives the words. Which of them are in WORDS?',
            "WORDS.get(word, word) is the translation, or the word itself; "
            '".".join(…) puts the words together again.',
        ),
        right=(
            "words = []\n"
            'for word in name.split("."):\n'
            "    words.append(WORDS[word] if word in WORDS else word)\n"
            'return ".".join(words)',
        ),
        wrong=(
            ("return WORDS.get(name, name)", "word by word"),
            (
                'return ".".join(WORDS[w] for w in name.split("."))',
                "stays as it is",
            ),
            (
                'return "".join(WORDS.get(w, w) for w in name.split("."))',
                "dots between the words are missing",
            ),
            (
                'first, rest = name.split(".", 1)\n'
                'return WORDS.get(first, first) + "." + rest',
                "only the first word",
            ),
        ),
    ),
    Exercise(
        "pretrained.turn",
        "turn",
        check_turn,
        (
            "Which word in the name says that the layer is a Conv1D? And "
            "what of its bias?",
            'Where ".c_" is in the name and it ends in weight: tensor.t(). '
            "Everything else is returned as it is.",
        ),
        right=(
            'if ".c_" in name and tensor.dim() == 2:\n'
            "    return tensor.transpose(0, 1)\nreturn tensor",
        ),
        wrong=(
            ("return tensor.t()", "token table is turned too"),
            ("return tensor", "nothing is turned"),
            (
                'conv1d = ".c_" in name and tensor.dim() == 2\n'
                "sides = tensor.shape[::-1]\n"
                "return tensor.reshape(sides) if conv1d else tensor",
                "not reshaping",
            ),
            (
                'return tensor.t() if "attn" in name else tensor',
                "not only those of attention",
            ),
            (
                'conv1d = ".c_" in name and tensor.dim() == 2\n'
                "if conv1d and tensor.size(0) != tensor.size(1):\n"
                "    return tensor.t()\nreturn tensor",
                "though its shape does not show it",
            ),
        ),
        core=True,
    ),
    Exercise(
        "pretrained.names",
        "plain_names",
        check_names,
        (
            "The masks are named h.<number>.attn.bias and "
            "h.<number>.attn.masked_bias, from the first letter to the last.",
            "re.fullmatch compares the whole name: "
            r're.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name).',
        ),
        right=(
            'words = name.split(".")[-2:]\n'
            'if words not in (["attn", "bias"], ["attn", "masked_bias"]):\n'
            "    plain[name] = tensor",
        ),
        wrong=(
            (PLAIN, "masks are still there"),
            (
                'if not name.endswith(("attn.bias", "masked_bias")):\n'
                f"    {PLAIN}",
                "though it ends like a mask",
            ),
            (f'if "bias" not in name:\n    {PLAIN}', "every bias is gone"),
            (
                f'if not name.endswith(".attn.bias"):\n    {PLAIN}',
                "masked_bias is still there",
            ),
            (
                f"if tensor.dim() in (1, 2):\n    {PLAIN}",
                "what is unknown must stay",
            ),
        ),
        core=True,
    ),
    Exercise(
        "pretrained.check",
        "check_layout",
        check_check,
        (
            "Two things can be wrong with a tensor of the list: it is not "
            "there, or it has another shape.",
            'raise ValueError(f"{name} …") if name not in shapes, and also '
            "if tuple(shapes[name]) != shape.",
        ),
        right=(
            "got = tuple(shapes.get(name, (None,)))\n"
            "if got != shape:\n"
            "    raise ValueError(f'expected {name} of {shape}, got {got}')",
        ),
        wrong=(
            (
                "if name in shapes and tuple(shapes[name]) != shape:\n"
                "    raise ValueError(name)",
                "a missing tensor is accepted",
            ),
            (
                "if name not in shapes:\n    raise ValueError(name)",
                "another shape is accepted",
            ),
            (UNLIKE, "ask first"),
            (
                ABSENT
                + "if shapes[name] != shape:\n    raise ValueError(name)",
                "never equal to a tuple",
            ),
            (
                "if tuple(shapes.get(name, ())) != shape:\n"
                "    raise ValueError('a tensor does not fit')",
                "which tensor",
            ),
            (
                "if name[0] != 'l':\n    "
                + (ABSENT + UNLIKE).replace("\n", "\n    "),
                "last tensor is not looked at",
            ),
        ),
        core=True,
    ),
    Exercise(
        "pretrained.config",
        "config_from_shapes",
        check_config,
        (
            "wte.weight has a row for each token, wpe.weight one for each "
            "position. How many different numbers stand after `h.`?",
            "The two sides of wte.weight, the first of wpe.weight, and the "
            'length of the set of name.split(".")[1] over the names that '
            'begin with "h.".',
        ),
        right=(
            SIDES + 'block_size, _ = shapes["wpe.weight"]\n'
            'numbers = [int(n.split(".")[1]) for n in shapes if n[:2] == "h."]\n'
            "n_layer = 1 + max(numbers, default=-1)",
        ),
        wrong=(
            (
                SIDES + ROWS + BLOCKS + "n_layer = max(map(int, blocks))",
                "add 1",
            ),
            (
                SIDES + ROWS + BLOCKS + "n_layer = int(max(blocks)) + 1",
                "compared as text",
            ),
            (
                SIDES + ROWS + 'n_layer = sum(n[:2] == "h." for n in shapes)',
                "tensors were counted",
            ),
            (
                'n_embd, vocab_size = shapes["wte.weight"]\n'
                + ROWS
                + BLOCKS
                + "n_layer = len(blocks)",
                "are exchanged",
            ),
            (
                SIDES
                + 'block_size = shapes["wpe.weight"]\n'
                + BLOCKS
                + "n_layer = len(blocks)",
                "first side of wpe.weight",
            ),
        ),
        core=True,
    ),
    Exercise(
        "pretrained.load",
        "from_gpt2",
        check_load,
        (
            "tensors[there] holds the numbers, on their side if `there` is a "
            "Conv1D. How do numbers get into a parameter that exists?",
            "p.copy_(…) fills p in place, and turns float16 into float32 on "
            "the way.",
        ),
        right=(
            "p[...] = turn(there, tensors[there])",
            "p.data.copy_(turn(there, tensors[there].float()))",
        ),
        wrong=(
            ("p = turn(there, tensors[there])", "keeps its random numbers"),
            ("p.copy_(tensors[there])", "lies on its side"),
            (
                "p.copy_(tensors[there].reshape(p.shape))",
                "turn, do not reshape",
            ),
            ("p.data = turn(there, tensors[there])", "which is float32"),
            ("p.copy_(turn(there, tensors[name]))", "has GPT-2's names"),
        ),
        core=True,
    ),
    Question(
        "pretrained.predict-heads",
        "c",
        "each matrix has the same shape for any number of heads; its columns "
        "are cut into six wide heads in place of twelve, and other numbers "
        "come out",
        (
            "Which shape of the layout has the number of heads in it?",
            "The chapter loads four heads as eight. What became of the logits?",
        ),
        wrong={
            "a": "no shape has the number of heads in it: c_attn is (C, 3C)",
            "b": "every head now compares and mixes other channels",
        },
    ),
    Question(
        "pretrained.predict-masks",
        48 * 1024 * 1024 * 4 / 1e6,
        "48 blocks, each 1024 × 1024 numbers of four bytes: 201 MB",
        (
            "A mask says for each of 1,024 positions who may look at whom.",
            "blocks × 1024 × 1024 × 4 bytes; XL has 48 blocks.",
        ),
        wrong={
            12 * 1024 * 1024 * 4 / 1e6: "that is GPT-2 small with its 12 "
            "blocks; XL has 48",
            1024 * 1024 * 4 / 1e6: "that is one block; every block kept one",
            48 * 25 * 1024 * 1024 * 4 / 1e6: "all heads of a block share "
            "one mask",
        },
        within=1.0,
    ),
    Question(
        "pretrained.predict-tied",
        50257 * 768,
        "a second matrix of 50,257 × 768, as large as the token table",
        (
            "Which shape would lm_head.weight have?",
            "(V, C): one row for each token.",
        ),
        wrong={
            768: "a head is more than one row: it has one for each token",
            50257: "each token needs a row of 768 numbers",
            0: "untied, it is a matrix of its own",
        },
        within=0.5,
    ),
]
