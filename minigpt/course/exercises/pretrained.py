"""Chapter 13: what its exercises expect."""

import torch

from minigpt.course.exercises import Exercise, Question


def check_name(t):
    for name, want, holds in (
        ("wte.weight", "token.weight", "the first word is translated"),
        ("h.10.mlp.c_fc.bias", "blocks.10.mlp.fc.bias", "words without an "
         "entry stay: mlp, bias, the number"),
        ("h.3.ln_1.weight", "blocks.3.norm1.weight", "ln_1 is not ln_f"),
        ("h.0.attn.c_attn.bias", "blocks.0.attention.qkv.bias", "every word "
         "is translated"),
    ):  # fmt: skip
        given = f"rename({name!r})"
        got = t.call(
            t.answer, name, given=given,
            errors={"KeyError": "a word without an entry stays as it is: "
                    "words.get(word, word)"},
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
    given = "rename('token.weight', {'token': 'wte'})"
    got = t.call(t.answer, "token.weight", {"token": "wte"}, given=given)
    t.same(
        got, "wte.weight", "another table works too", given=given,
        mistakes={"NAMES is always used: take the table that was given, "
                  "`words`": "token.weight"},
    )  # fmt: skip


def numbers(t, *shape):
    """Random numbers, other ones by seed."""
    dice = torch.Generator().manual_seed(t.seed)
    return torch.randn(*shape, generator=dice)


def check_transpose(t):
    table = numbers(t, 5, 3)
    given = "wte.weight, a table of 5 rows and 3 columns"
    got = t.call(t.answer, "wte.weight", table, given=given)
    t.same(
        got, table, "a table of rows to look up stays", given=given,
        mistakes={"the token table is transposed too: its rows are looked "
                  "up in both models": table.t()},
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
            "attn.c_attn": "nothing is transposed",
            "mlp.c_proj": "the MLP's matrices are Conv1D too, not only those "
            "of attention",
            "attn.c_proj": "a square matrix must be transposed too, though its "
            "shape does not show it",
        }
        t.same(
            got, w.t(), f"transposed: {note}", given=given,
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


def check_state(t):
    dice = torch.Generator().manual_seed(t.seed)
    C = 4
    long = {
        "transformer.wte.weight": (7, C),
        "transformer.h.0.attn.c_attn.weight": (C, 3 * C),
        "transformer.h.0.attn.c_attn.bias": (3 * C,),
        "transformer.h.0.attn.bias": (1, 1, 5, 5),
        "transformer.h.0.attn.masked_bias": (),
        "transformer.h.10.attn.bias": (1, 1, 5, 5),
        "transformer.h.10.ln_1.bias": (C,),
        "transformer.h.10.attn.rotary": (1, 1, 2, 2),
        "lm_head.weight": (7, C),
    }
    given = "nine tensors: weights, masks, and h.10.attn.rotary"
    tensors = {n: torch.randn(s, generator=dice) for n, s in long.items()}
    got = t.call(
        lambda: t.answer(dict(tensors)), given=given,
        errors={"must be str": "name is text, tensor is what it names"},
    )  # fmt: skip
    t.true(
        isinstance(got, dict), "a dictionary comes back",
        "our_state must give a dictionary", given=given,
        expected="a dictionary", got=got,
    )  # fmt: skip
    theirs = [name.removeprefix("transformer.") for name in long]
    ours = dict(
        zip(
            theirs,
            (
                "token.weight", "blocks.0.attention.qkv.weight",
                "blocks.0.attention.qkv.bias", "blocks.0.attention.bias",
                "blocks.0.attention.masked_bias", "blocks.10.attention.bias",
                "blocks.10.norm1.bias", "blocks.10.attention.rotary",
                "head.weight",
            ),
            strict=True,
        )
    )  # fmt: skip
    masks = [theirs[i] for i in (3, 4, 5)]
    want = [n for n in theirs if n not in masks]

    def without(*parts):
        return sorted(ours[n] for n in want if not any(p in n for p in parts))

    t.same(
        sorted(got),
        without(),
        "the masks are gone, everything else is there",
        given=given,
        mistakes={
            "the masks are still there": sorted(ours.values()),
            "nothing is kept": [],
            "c_attn.bias is a weight, though it ends like a mask: look at "
            "whole words": without("c_attn.bias"),
            "every bias is gone: only the masks of blocks go": without("bias"),
            "masked_bias is still there": sorted([*without(), ours[masks[1]]]),
            "h.10.attn.rotary is gone: what is unknown must stay, so that it "
            "is refused later": without("rotary"),
            "the masks were kept and the weights dropped": sorted(
                ours[n] for n in masks
            ),
            "the names are still GPT-2's: rename(name)": sorted(want),
        },
    )
    name = "blocks.0.attention.qkv.weight"
    w = tensors["transformer.h.0.attn.c_attn.weight"]
    t.same(
        got[name], w.t(), "matrices are transposed", given=f"{given}: {name}",
        mistakes={
            "this matrix is not transposed: transpose(name, tensor)": w,
        },
    )  # fmt: skip
    t.same(
        got["head.weight"], tensors["lm_head.weight"],
        "each name has its own tensor", given=f"{given}: head.weight",
    )  # fmt: skip


def shapes_of(V, T, L, C):
    """What GPT-2's file holds, as {name: [sides]}."""
    found = {"wte.weight": [V, C], "wpe.weight": [T, C]}
    for i in range(L):
        for layer, shape in {
            "ln_1": [C], "attn.c_attn": [C, 3 * C], "attn.c_proj": [C, C],
            "ln_2": [C], "mlp.c_fc": [C, 4 * C], "mlp.c_proj": [4 * C, C],
        }.items():  # fmt: skip
            found[f"h.{i}.{layer}.weight"] = shape
            found[f"h.{i}.{layer}.bias"] = shape[-1:]
    return found | {"ln_f.weight": [C], "ln_f.bias": [C]}


def check_config(t):
    T = 9 + t.seed
    shapes = shapes_of(24, T, 12, 12)
    given = f"wte (24, 12), wpe ({T}, 12), blocks h.0 to h.11, 3 heads"
    no_int = "a size must be one whole number"
    got = t.call(
        t.answer, shapes, 3, given=given,
        errors={
            "block_size must be 1": f"block_size: {no_int}, the first side "
            "of wpe.weight",
            "UnboundLocalError": "the blank must make vocab_size, n_embd, "
            "block_size and n_layer",
            "NameError": "the blank must make vocab_size, n_embd, "
            "block_size and n_layer",
        },
    )  # fmt: skip
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


KEEP = "state[rename(name)] = transpose(name, tensor)"
SIDES = 'vocab_size, n_embd = shapes["wte.weight"]\n'
ROWS = 'block_size = shapes["wpe.weight"][0]\n'
BLOCKS = (
    'blocks = {name.split(".")[1] for name in shapes if name[:2] == "h."}\n'
)

EXERCISES = [
    Exercise(
        "pretrained.name",
        "rename",
        check_name,
        (
            'name.split(".") gives the words. Which of them are in `words`?',
            "words.get(word, word) is the translation, or the word itself; "
            '".".join(…) puts the words together again.',
        ),
        right=(
            "found = []\n"
            'for word in name.split("."):\n'
            "    found.append(words[word] if word in words else word)\n"
            'return ".".join(found)',
        ),
        wrong=(
            ("return words.get(name, name)", "word by word"),
            (
                'return ".".join(words[w] for w in name.split("."))',
                "stays as it is",
            ),
            (
                'return "".join(words.get(w, w) for w in name.split("."))',
                "dots between the words are missing",
            ),
            (
                'first, rest = name.split(".", 1)\n'
                'return words.get(first, first) + "." + rest',
                "only the first word",
            ),
            (
                'return ".".join(NAMES.get(w, w) for w in name.split("."))',
                "NAMES is always used",
            ),
        ),
    ),
    Exercise(
        "pretrained.transpose",
        "transpose",
        check_transpose,
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
            ("return tensor.t()", "token table is transposed too"),
            ("return tensor", "nothing is transposed"),
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
        "pretrained.state",
        "our_state",
        check_state,
        (
            "The masks are named h.<number>.attn.bias and "
            "h.<number>.attn.masked_bias, from the first letter to the last.",
            "re.fullmatch compares the whole name: "
            r're.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name).',
        ),
        right=(
            'words = name.split(".")[-2:]\n'
            'if words not in (["attn", "bias"], ["attn", "masked_bias"]):\n'
            f"    {KEEP}",
        ),
        wrong=(
            (KEEP, "masks are still there"),
            (
                'if not name.endswith(("attn.bias", "masked_bias")):\n'
                f"    {KEEP}",
                "though it ends like a mask",
            ),
            (f'if "bias" not in name:\n    {KEEP}', "every bias is gone"),
            (
                f'if not name.endswith(".attn.bias"):\n    {KEEP}',
                "masked_bias is still there",
            ),
            (
                f"if tensor.dim() in (1, 2):\n    {KEEP}",
                "what is unknown must stay",
            ),
            (
                r'if not re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name):'
                "\n    state[name] = transpose(name, tensor)",
                "still GPT-2's",
            ),
            (
                r'if not re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name):'
                "\n    state[rename(name)] = tensor",
                "not transposed",
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
    Question(
        "pretrained.predict-heads",
        "c",
        "each matrix has the same shape for any number of heads; its columns "
        "are cut into six wide heads in place of twelve, and other numbers "
        "come out",
        (
            "Which shape in the file has the number of heads in it?",
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
