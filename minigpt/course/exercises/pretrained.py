"""Chapter 13: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question

FILE = """
i, C = number(10, 99), 2 * number(2, 4)
tensors = {
    "transformer.wte.weight": torch.randn(7, C),
    f"transformer.h.{i}.attn.c_attn.weight": torch.randn(C, 3 * C),
    f"transformer.h.{i}.attn.c_attn.bias": torch.randn(3 * C),
    f"transformer.h.{i}.attn.bias": torch.ones(1, 1, 5, 5).tril(),
    f"transformer.h.{i}.attn.masked_bias": torch.tensor(-1e4),
    f"transformer.h.{i}.attn.rotary": torch.randn(1, 1, 2, 2),
    "transformer.extra.weight": torch.randn(3),
    f"transformer.h.{i}.mlp.c_gate.weight": torch.randn(C, 4),
    f"transformer.h.{i}.ln_1.bias": torch.randn(C),
    "lm_head.weight": torch.randn(7, C)}
"""
SHAPES = """
V, T, C, L = number(20, 29), number(10, 19), 6, number(13, 15)
inside = {"ln_1": (C,), "attn.c_attn": (C, 3 * C), "attn.c_proj": (C, C),
          "ln_2": (C,), "mlp.c_fc": (C, 4 * C), "mlp.c_proj": (4 * C, C)}
shapes = {"wte.weight": (V, C), "wpe.weight": (T, C), "ln_f.bias": (C,)}
for i in range(L):
    for part, shape in inside.items():
        shapes[f"h.{i}.{part}.weight"] = shape
        shapes[f"h.{i}.{part}.bias"] = shape[-1:]
"""
CONV = 'is_conv1d = ".c_" in name and tensor.dim() == 2\n'
MASK = r're.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name)'
KEEP = "state[rename(name)] = transpose(name, tensor)"
LAYERS = 'len({name.split(".")[1] for name in shapes if name[:2] == "h."})'

EXERCISES = [
    Exercise(
        "pretrained.name", "rename",
        cases=(
            Case("a word of the table is translated",
                 'rename("wte.weight")'),
            Case("words without an entry stay, and so does a number", """
                name = f"h.{number(10, 99)}.mlp.c_fc.bias"
                rename(name)"""),
            Case("every word is translated",
                 'rename("h.3.ln_1.weight"), rename("h.0.attn.c_attn.bias")'),
            Case("another table works too", """
                word = letters("token")
                rename(f"blocks.0.{word}.wte", {word: "wte"})"""),
        ),
        hints=('name.split(".") gives the words. Which of them are in '
               "`words`?",
               "words.get(word, word) is the translation, or the word itself; "
               '".".join(…) puts the words together again.'),
        right=(
            "found = []\n"
            'for word in name.split("."):\n'
            "    found.append(words[word] if word in words else word)\n"
            'return ".".join(found)',
        ),
        wrong=(
            ("return words.get(name, name)",
             "no word is translated: split the name at its dots, look up each "
             "word, and keep what you find"),
            ("for old, new in words.items():\n"
             "    name = name.replace(old, new)\nreturn name",
             "replace also finds letters inside of words: split at the dots"),
            ('return ".".join(words[w] for w in name.split("."))',
             "a word without an entry stays as it is: words.get(word, word)"),
            ('return ".".join(words.get(w) for w in name.split("."))',
             "words.get(word) is None for a word without an entry: "
             "words.get(word, word)"),
            ('return ".".join(words[w] for w in name.split(".") if w in words)',
             "words without an entry are gone: they stay as they are"),
            ('return "".join(words.get(w, w) for w in name.split("."))',
             "the dots between the words are missing"),
            ('return [words.get(w, w) for w in name.split(".")]',
             "these are the words: join them with dots"),
            ('first, rest = name.split(".", 1)\n'
             'return words.get(first, first) + "." + rest',
             "only the first word is translated"),
            ('return ".".join(NAMES.get(w, w) for w in name.split("."))',
             "NAMES is always used: take the table that was given, `words`"),
        ),
    ),
    Exercise(
        "pretrained.transpose", "transpose", core=True,
        cases=(
            Case("tables of rows to look up stay, and so does a head", """
                wte, wpe = torch.randn(5, 3), torch.randn(4, 3)
                rows = {"wte": wte, "wpe": wpe, "lm_head": wte}
                [transpose(f"{name}.weight", t) for name, t in rows.items()]"""),
            Case("the wide matrix of attention is transposed", """
                w = torch.arange(8.0).view(2, 4)
                transpose("h.11.attn.c_attn.weight", w)"""),
            Case("a matrix of the MLP is transposed", """
                w = torch.randn(8, 2)
                name = f"h.{number(0, 47)}.mlp.c_proj.weight"
                transpose(name, w)"""),
            Case("a square matrix is transposed", """
                w = torch.randn(3, 3)
                transpose("h.2.attn.c_proj.weight", w)"""),
            Case("biases and norms stay", """
                v = torch.randn(4)
                names = "h.0.attn.c_attn.bias", "h.0.ln_1.weight"
                [transpose(name, v) for name in names]"""),
        ),
        hints=("Which word in the name says that the layer is a Conv1D? And "
               "what of its bias?",
               'Where ".c_" is in the name and it ends in weight: tensor.t(). '
               "Everything else is returned as it is."),
        right=(
            CONV + "return tensor.transpose(0, 1) if is_conv1d else tensor",
        ),
        wrong=(
            ("return tensor.t()",
             "the token table is transposed too, but both look up its rows"),
            ('return tensor if name == "wte.weight" else tensor.t()',
             "the position table is transposed too, but both look up its rows"),
            ("return tensor", "nothing is transposed"),
            (CONV + "sides = tensor.shape[::-1]\n"
             "return tensor.reshape(sides) if is_conv1d else tensor",
             "transposing is not reshaping: the numbers are in other places"),
            ('return tensor.t() if "attn" in name else tensor',
             "the MLP's matrices are Conv1D too, not only those of attention"),
            (CONV + "if is_conv1d and tensor.size(0) != tensor.size(1):\n"
             "    return tensor.t()\nreturn tensor",
             "a square matrix is transposed too: its shape cannot show it"),
            ('return tensor.mT if ".c_" in name else tensor',
             "the bias of a Conv1D stays: only weights are transposed"),
            ('return tensor.transpose(0, 1) if ".c_" in name else tensor',
             "a bias has only one dimension: transpose the weights alone"),
        ),
    ),
    Exercise(
        "pretrained.state", "our_state", core=True,
        cases=(
            Case("a tensor is there under its new name", """
                tensors = {"ln_f.bias": torch.randn(3)}
                our_state(tensors)"""),
            Case("a `transformer.` in front is dropped, where there is one", """
                tensors = {"transformer.wpe.weight": torch.randn(2, 2),
                           "lm_head.weight": torch.randn(3, 2)}
                our_state(tensors)"""),
            Case("matrices are transposed", """
                tensors = {"h.0.attn.c_proj.weight": torch.randn(2, 2)}
                our_state(tensors)"""),
            Case("the masks are gone, everything else is there",
                 FILE + "sorted(our_state(tensors))"),
            Case("each name has its own tensor", FILE + "our_state(tensors)"),
        ),
        hints=("The masks are named h.<number>.attn.bias and "
               "h.<number>.attn.masked_bias, from the first letter to the "
               "last. And c_attn is a word of GPT-2's names, not of ours.",
               'name.removeprefix("transformer.") first. re.fullmatch compares '
               're.fullmatch(r"h\\.\\d+\\.attn\\.(masked_)?bias", name) with '
               "the whole name. What is left: state[rename(name)] = "
               "transpose(name, tensor)."),
        right=(
            Edit(f"if not {MASK}:", 'words = name.split(".")[-2:]\n'
                 '    if words not in (["attn", "bias"], '
                 '["attn", "masked_bias"]):'),
            "state = {}\nfor name in tensors:\n"
            '    short = name.replace("transformer.", "")\n'
            '    if short.endswith((".attn.bias", ".attn.masked_bias")):\n'
            "        continue\n"
            "    state[rename(short)] = transpose(short, tensors[name])\n"
            "return state",
        ),
        wrong=(
            (Edit(f"if not {MASK}", "if True"), "the masks are still there"),
            (Edit(f"not {MASK}",
                  'not name.endswith(("attn.bias", "masked_bias"))'),
             "c_attn.bias is no mask, though its end looks like one"),
            (Edit(f"not {MASK}", '"bias" not in name'),
             "every bias is gone: only the masks of blocks go"),
            (Edit(f"not {MASK}", 'not name.endswith(".attn.bias")'),
             "masked_bias is still there"),
            (Edit(f"not {MASK}", "tensor.dim() in (1, 2)"),
             "attn.rotary is gone: unknown tensors stay, to be refused later"),
            (Edit("if not", "if"),
             "the masks were kept and the weights dropped"),
            (Edit("state[rename(name)]", "state[name]"),
             "the names are still GPT-2's: rename(name)"),
            (Edit(KEEP, "state[rename(name)] = tensor"),
             "this matrix is not transposed: transpose(name, tensor)"),
            (Edit('    name = name.removeprefix("transformer.")\n', ""),
             "the names still begin with `transformer.`"),
            (Edit("removeprefix", "lstrip"),
             "lstrip takes away any of these letters, one by one: removeprefix"),
            (Edit('name.removeprefix("transformer.")', 'name.split(".", 1)[1]'),
             "some names have no `transformer.`: drop it only where it is"),
            (Edit(KEEP, "name = rename(name)\n"
                  "        state[name] = transpose(name, tensor)"),
             "transpose needs GPT-2's name: this one is renamed already"),
            (Edit("\nreturn state", "\n    return state"),
             "the return is inside the loop: only the first tensor is there"),
        ),
    ),
    Exercise(
        "pretrained.config", "config_from_shapes", core=True,
        cases=(
            Case("vocabulary, positions, blocks, channels",
                 SHAPES + "vars(config_from_shapes(shapes, 3))"),
        ),
        hints=("wte.weight has a row for each token, wpe.weight one for each "
               "position. How many different numbers come after `h.`?",
               "The two sides of wte.weight, the first of wpe.weight, and the "
               'length of the set of name.split(".")[1] over the names that '
               'begin with "h.".'),
        right=(
            'vocab_size, n_embd = shapes["wte.weight"]\n'
            'block_size, _ = shapes["wpe.weight"]\n'
            'numbers = [int(n.split(".")[1]) for n in shapes if n[:2] == "h."]\n'
            "n_layer = 1 + max(numbers, default=-1)",
        ),
        wrong=(
            (Edit(LAYERS, 'max(int(name.split(".")[1]) for name in shapes '
                  'if name[:2] == "h.")'),
             "the first block is h.0: add 1 to the last number"),
            (Edit(LAYERS, 'int(max(name.split(".")[1] for name in shapes '
                  'if name[:2] == "h.")) + 1'),
             "as text, 9 comes after 11: compare the numbers, int(...)"),
            (Edit(LAYERS, 'sum(name[:2] == "h." for name in shapes)'),
             "tensors were counted, not blocks: each block has several"),
            (Edit(LAYERS, LAYERS.replace(' if name[:2] == "h."', "")),
             "other names have a second word too: only those that begin with "
             "`h.`"),
            (Edit("vocab_size, n_embd =", "n_embd, vocab_size ="),
             "the sides of wte.weight are exchanged: a row for each token"),
            (Edit('shapes["wpe.weight"][0]', 'shapes["wpe.weight"]'),
             "block_size must be one number, the first side of wpe.weight"),
            (Edit('shapes["wpe.weight"][0]', 'shapes["wpe.weight"][1]'),
             "block_size is the number of rows of wpe.weight"),
            (Edit('shapes["wpe.weight"][0]', 'shapes["wte.weight"][0]'),
             "block_size was taken from the token table"),
            (Edit(f"n_layer = {LAYERS}", "pass"),
             "the blank must make vocab_size, n_embd, block_size and n_layer"),
        ),
    ),
    Question(
        "pretrained.predict-heads", "c",
        "each matrix has the same shape for any number of heads; its columns "
        "are cut into six wide heads in place of twelve, and other numbers "
        "come out",
        ("Which shape in the file has the number of heads in it?",
         "The chapter loads four heads as eight. What became of the logits?"),
        wrong={"a": "no shape has the number of heads in it: c_attn is (C, "
                "3C)",
               "b": "every head now compares and mixes other channels"},
    ),
    Question(
        "pretrained.predict-masks", 48 * 1024 * 1024 * 4 / 1e6,
        "48 blocks, each 1024 × 1024 numbers of four bytes: 201 MB",
        ("A mask says for each of 1,024 positions who may look at whom.",
         "blocks × 1024 × 1024 × 4 bytes; XL has 48 blocks."),
        wrong={12 * 1024 * 1024 * 4 / 1e6: "that is GPT-2 small with its 12 "
                "blocks; XL has 48",
               1024 * 1024 * 4 / 1e6: "that is one block; every block kept "
                "one",
               48 * 25 * 1024 * 1024 * 4 / 1e6: "all heads of a block share "
                "one mask"},
        within=1.0,
    ),
    Question(
        "pretrained.predict-tied", 50257 * 768,
        "a second matrix of 50,257 × 768, as large as the token table",
        ("Which shape would lm_head.weight have?",
         "(V, C): one row for each token."),
        wrong={768: "a head is more than one row: it has one for each token",
               50257: "each token needs a row of 768 numbers",
               0: "untied, it is a matrix of its own"},
        within=0.5,
    ),
]  # fmt: skip
