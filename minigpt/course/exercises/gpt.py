"""Chapter 8: what its exercises expect."""

import math
from functools import partial
from types import SimpleNamespace

import torch.nn.functional as F

from minigpt.course.exercises import Case, Edit, Exercise, Question


def sizes(model):
    """Name -> the root of the mean square of a parameter."""
    named = model.named_parameters()
    return {name: p.norm().item() / p.numel() ** 0.5 for name, p in named}


def shapes(model):
    """Name -> shape of the parameters outside the blocks."""
    named = model.state_dict().items()
    return {k: tuple(p.shape) for k, p in named if not k.startswith("blocks")}


def past(x):
    """Stands for the cache of a block: two tokens, all their numbers are x."""
    pad = partial(F.pad, pad=(0, 0, 2, 0), value=x)
    return SimpleNamespace(offset=2, update=lambda k, v: (pad(k), pad(v)))


MODEL = "model = fill(GPT(GPTConfig(11, 6, n_layer=2, n_head=2, n_embd=8{})))\n"
IDX = "idx = torch.randint(11, (2, 4))\n"
START = MODEL.format("") + IDX
MASK = "mask = torch.tensor([[True] * {0}, [False] * 2 + [True] * ({0} - 2)])\n"
CACHE = "cache=[past(-0.5), past(0.5)]"
STD = "0.02 / math.sqrt(2 * n_layer)"
ENDS = 'if name.endswith("proj.weight"):\n            '
TIE = "self.head.weight = self.token.weight"
BLOCK = "Block(norm(), attention(), norm(), mlp(), order=c.order)"
POSITION = "position(c.block_size, c.n_embd) if position else None"
WHERE = "x = x + self.position(where)"
CALL = "block(x, mask=allowed, cache=kept, record=record)"
NORM = "return self.norm(x)"
ALLOWED = "attention_mask(T, start + T, mask, idx.device)"

EXERCISES = [
    Exercise(
        "gpt.init_weights",
        "init_weights",
        cases=(
            Case("matrices start at 0.02, those that end a branch at "
                 "0.02/√(2·n_layer), biases at 0, gains at 1", """
                model = nn.ModuleDict({"norm": LayerNorm(64), "mlp": MLP(64)})
                n_layer = number(2, 6)
                [init_weights(model, n_layer), sizes(model)][1]""", atol=1e-3),
            Case("also when the matrix is not inside another module", """
                model = MLP(64)
                [init_weights(model, 2), sizes(model)][1]""", atol=1e-3),
        ),
        hints=(
            "Which matrices end a branch? Their names end in proj.weight.",
            "For these, std = 0.02 / math.sqrt(2 * n_layer); for all others "
            "0.02. nn.init.normal_(p, std=std), nn.init.zeros_(p).",
        ),
        right=(
            "for name, p in model.named_parameters():\n"
            '    parts = name.split(".")\n'
            '    if parts[-1] == "bias":\n        p.data.zero_()\n'
            "    elif p.dim() > 1:\n        p.data.normal_(std=0.02)\n"
            '        if "proj" in parts:\n'
            "            p.data /= (2 * n_layer) ** 0.5",
        ),
        wrong=(
            (Edit(f"        {ENDS}std = {STD}\n", ""),
             "the matrices that end a branch start like all others: look for "
             "names that end in proj.weight"),
            (Edit(ENDS, ""), "every matrix starts smaller: only those whose "
             "name ends in proj.weight end a branch"),
            (Edit(STD, "0.02 / math.sqrt(n_layer)"),
             "each block has two branches: the root of 2 · n_layer, not of "
             "n_layer"),
            (Edit(STD, "0.02 / (2 * n_layer)"),
             "0.02 is divided by 2 · n_layer: take the root"),
            (Edit(STD, "0.02 * math.sqrt(2 * n_layer)"),
             "0.02 is multiplied by the root: divide, so that the sum of many "
             "branches stays small"),
            (Edit(STD, "1 / math.sqrt(2 * n_layer)"),
             "0.02 is missing: 0.02 divided by the root"),
            (Edit('name.endswith("proj.weight")', 'name == "proj.weight"'),
             "only a name that is proj.weight and nothing more was found: in "
             "a model it is mlp.proj.weight, so look at how a name ends"),
            (Edit("        std = 0.02\n", ""),
             "std needs a value where the name does not end a branch: 0.02"),
            (Edit("std=std", "std=std**2"),
             "0.02² is the variance: normal_ takes the standard deviation"),
            (Edit("normal_(p, std=std)", "normal_(p, std)"),
             "the second argument of normal_ is the mean: std=std"),
            (Edit("nn.init.normal_(p, std=std)", "p = std * torch.randn(p.shape)"),
             "this makes a new tensor: nn.init.normal_ fills p itself"),
            (Edit("p.dim() >= 2", 'name.endswith("weight")'),
             "the gains of norms are called weight too: a matrix has two "
             "dimensions"),
            (Edit('elif name.endswith("bias"):\n        nn.init.zeros_(p)', ""),
             "the biases are not 0"),
            (Edit('elif name.endswith("bias")', "else"),
             "the gains of norms became 0: only biases do"),
        ),
    ),
    Exercise(
        "gpt.model",
        "GPT",
        cases=(
            Case("token, position, norm and head have these shapes", """
                V, C = number(7, 20), 4 * number(1, 3)
                model = GPT(GPTConfig(V, 6, 2, 2, n_embd=C, tied=False))
                shapes(model)"""),
            Case("after post-norm blocks there is no norm, and no table where "
                 "positions are not learned", """
                model = GPT(GPTConfig(
                    9, 6, 2, 2, 8, order="post", position="sinusoidal"))
                other = GPT(GPTConfig(9, 6, 2, 2, 8, position="none"))
                [shapes(model), shapes(other)]"""),
            Case("each block has parameters of its own", """
                model = GPT(GPTConfig(9, 6, n_layer=3, n_head=2, n_embd=8))
                [len(model.blocks), sum(p.numel() for p in model.parameters())]
                """),
            Case("where tied, head and token table are one parameter", """
                model = GPT(GPTConfig(9, 6, 2, 2, 8, tied=True))
                other = GPT(GPTConfig(9, 6, 2, 2, 8, tied=False))
                head, table = model.head.weight, model.token.weight
                [type(model.head).__name__, head.shape == table.shape,
                 torch.equal(head, table), head is table,
                 other.head.weight is other.token.weight]"""),
            Case("all of it is initialized", """
                model = GPT(GPTConfig(200, 64, 2, 2, n_embd=64, tied=False))
                sizes(model)""", atol=2e-3),
            Case("embed adds the positions", START + "model.embed(idx)"),
            Case("padding shifts no place",
                 START + MASK.format(4) + "model.embed(idx, mask)"),
            Case("start is the place of the first token",
                 START + "model.embed(idx, start=2)"),
            Case("sinusoids are added to √C times the tokens",
                 MODEL.format(", position='sinusoidal'") + IDX
                 + "model.embed(idx)"),
            Case("a model without positions has the tokens alone",
                 MODEL.format(", position='none'") + IDX
                 + "model.embed(idx)"),
            Case("then comes dropout", """
                model = GPT(GPTConfig(11, 64, 1, 2, n_embd=64, dropout=0.2))
                idx = torch.randint(11, (4, 64))
                (model.embed(idx) == 0).float().mean().item()""", atol=0.05),
            Case("hidden goes through all blocks, then the last norm",
                 START + "model.hidden(idx)"),
            Case("so it does with post-norm blocks",
                 MODEL.format(", order='post'") + IDX + "model.hidden(idx)"),
            Case("padding is not read",
                 START + MASK.format(4) + "model.hidden(idx, mask=mask)"),
            Case("each block has its own cache, and all use one record",
                 START + f"recorded(model.hidden, idx, {CACHE})"),
            Case("forward gives the logits",
                 MODEL.format(", tied=False") + IDX + "model(idx)"),
            Case("forward hands mask, cache and record on to hidden", START + MASK.format(6)
                 + f"recorded(model, idx, mask=mask, {CACHE})"),
        ),
        hints=(
            "Write one method after the other. In hidden, each block reads "
            "what the one before gave, and the stream is normed once, at the "
            "end.",
            "Block(norm(), attention(), norm(), mlp(), order=c.order); "
            "x + self.position(where); and in a loop over zip(self.blocks, "
            "caches), x = block(x, mask=allowed, cache=kept, record=record).",
        ),
        right=(
            Edit(f"    {BLOCK}\n    for _ in range(c.n_layer)\n",
                 f"    [{BLOCK} for i in range(c.n_layer)]\n"),
            Edit(TIE, "self.token.weight = self.head.weight"),
            Edit(WHERE, "x = torch.add(self.position(where), x)"),
            Edit("for block, kept in zip(self.blocks, caches, strict=True):\n",
                 "for i, block in enumerate(self.blocks):\n"
                 "    kept = caches[i]\n"),
        ),
        wrong=(
            (Edit(BLOCK, "Block(norm, attention, norm, mlp, order=c.order)"),
             "norm, attention and mlp make a part when they are called: "
             "norm(), attention(), mlp()"),
            (Edit("norm() if c.order", "norm if c.order"),
             "the last norm was not made: norm()"),
            (Edit("nn.ModuleList(", "list("),
             "parameters() finds no blocks in a plain list: nn.ModuleList"),
            (Edit(f"{BLOCK}\n    for _ in range(c.n_layer)\n",
                  f"[{BLOCK}] * c.n_layer\n"),
             "it is one block, n_layer times: make a new one for each"),
            (Edit(", order=c.order", ""), "the blocks need the order"),
            (Edit("attention(), norm(), mlp()", "mlp(), norm(), attention()"),
             "the attention of a block comes before its MLP"),
            (Edit('norm() if c.order == "pre" else nn.Identity()', "norm()"),
             "post-norm blocks end with a norm already: nn.Identity()"),
            (Edit(", bias=False", ""), "the head has no bias"),
            (Edit(POSITION, "nn.Embedding(c.block_size, c.n_embd)"),
             "positions need not be learned: `position` is what the "
             "configuration names"),
            (Edit(POSITION, POSITION.split(" if")[0]),
             "a model without positions has None in their place: ask before "
             "you call it"),
            (Edit("init_weights(self, c.n_layer)", ""),
             "the weights are not those of init_weights: call it at the end, "
             "when all layers are there"),
            (Edit(TIE, "self.head = self.token"),
             "the head has become the table itself, which takes ids and not "
             "vectors: tie their weights, not the layers"),
            (Edit(TIE, "self.head.weight = nn.Parameter(self.token.weight.T)"),
             "the head has another shape: nn.Linear holds its weight as (out, "
             "in), which is the token table as it is"),
            (Edit(TIE, "self.head.weight.data = self.token.weight.data"),
             "they share their numbers but are two parameters: .weight, not "
             ".weight.data"),
            (Edit(TIE, "self.head.weight.data = "
                  "self.token.weight.data.clone()"),
             "head and token table are two matrices: one must be the other, "
             "self.head.weight = self.token.weight"),
            (Edit("if c.tied:\n    ", ""),
             "they are tied although the configuration says tied=False"),
            (Edit(WHERE, "pass"),
             "the positions are missing: equal tokens look equal everywhere"),
            (Edit(WHERE, "x = self.position(where)"),
             "the tokens are lost: add the positions to x"),
            (Edit(WHERE, "x = x * self.position(where)"),
             "tokens and positions are multiplied: add them"),
            (Edit(WHERE, "x = x + self.position(idx)"),
             "the ids say which tokens they are, not where: "
             "token_positions gives the positions"),
            (Edit(WHERE, "x = x + self.position.weight"),
             "these are all block_size positions: self.position(where) gives "
             "(T, C) or (B, T, C)"),
            (Edit("mask, start, idx.device", "start=start"),
             "padding is counted: token_positions needs the mask"),
            (Edit("mask, start, idx.device", "mask"),
             "the first token is not at position 0 but at `start`"),
            (Edit("x = x * math.sqrt(self.config.n_embd)", "pass"),
             "sinusoidal positions need larger tokens: times √C"),
            (Edit('if self.config.position == "sinusoidal":\n    ', ""),
             "the tokens are multiplied by √C for sinusoidal positions only"),
            (Edit("if self.position is not None:\n    where",
                  "if True:\n    where"),
             "self.position is None in a model without positions: ask before "
             "you call it"),
            (Edit("self.position is not None", 'self.config.position == "learned"'),
             "sinusoids are positions too: only where self.position is None is "
             "there nothing to add"),
            (Edit("return self.dropout(x)", "return x"),
             "embed ends with dropout: self.dropout(x)"),
            (Edit("self.embed(idx, mask, start)", "self.embed(idx)"),
             "embed needs mask and start, too"),
            (Edit(ALLOWED, "causal_mask(T, start + T)"),
             "padding may be attended to: attention_mask knows better"),
            (Edit("start + T, mask", "T, mask"),
             "the cached tokens can be seen too, start + T in all"),
            (Edit("cache or [None] * len(self.blocks)", "cache"),
             "there may be no cache: then each block gets None"),
            (Edit("for block, kept in zip(self.blocks, caches, strict=True):\n",
                  "for i, block in enumerate(self.blocks):\n"
                  "    kept = cache[i]\n"),
             "there may be no cache, and None has no entries: then each block "
             "gets None"),
            (Edit(f"x = {CALL}\n{NORM}", f"x = {CALL}\nreturn x"),
             "the last norm is missing"),
            (Edit(NORM, "x = self.norm(x)\nreturn self.norm(x)"),
             "the last norm is used twice"),
            (Edit(f"x = {CALL}", f"x = x + {CALL}"),
             "each block adds its residual itself: x = block(x)"),
            (Edit(f"x = {CALL}\n{NORM}", f"x = self.norm({CALL})\nreturn x"),
             "the norm is used after each block: once, at the end"),
            (Edit(CALL, f"self.norm({CALL})"),
             "the norm is used after each block, and again at the end: once"),
            (Edit(f"x = {CALL}\n{NORM}", f"y = {CALL}\nreturn self.norm(y)"),
             "only the last block has an effect: each reads what the one "
             "before gave"),
            (Edit(NORM, f"    {NORM}"),
             "only the first block was used: the return is inside the loop"),
            (Edit("x = block(", "x = self.blocks[0]("),
             "the first block was used every time"),
            (Edit("    x = " + CALL, "    pass"), "no block was used"),
            (Edit("mask=allowed, ", ""),
             "the mask does not reach the blocks: they read padding and the "
             "future"),
            (Edit("mask=allowed", "mask=mask"),
             "the blocks need what attention_mask gives: `mask` says which "
             "tokens are real, not who may attend to whom"),
            (Edit("mask=allowed", "allowed=allowed"),
             "a block takes mask, cache and record"),
            (Edit(CALL, "block(x, allowed, kept, record)"),
             "mask, cache and record are handed over by name"),
            (Edit("cache=kept, record=record", "cache=kept"),
             "record does not reach every block"),
            (Edit("cache=kept, ", ""),
             "the caches do not reach the blocks, one each: cache=kept"),
            (Edit("cache=kept", "cache=cache"),
             "cache is the list of all caches: each block gets its own"),
            (Edit("cache=kept", "cache=caches[0]"),
             "all blocks use the first cache: each gets its own"),
            (Edit("cache=kept, record=record", "cache=record, record=kept"),
             "the blocks got cache and record the wrong way around"),
            (Edit(NORM, "return self.head(self.norm(x))"),
             "the head comes in forward: hidden stays (B, T, C)"),
            (Edit("return self.head(x)", "return x"), "the head is missing"),
            (Edit("self.head(x)", "x @ self.token.weight.T"),
             "the head need not be tied: self.head(x)"),
            (Edit("idx, mask=mask, cache=cache, record=record", "idx"),
             "hidden needs mask, cache and record, too"),
            (Edit("cache=cache, record=record", "cache=record, record=cache"),
             "hidden got cache and record the wrong way around"),
        ),
        core=True,
    ),
    Question(
        "gpt.count",
        1330,
        "12 · 10² in matrices, 9 · 10 in biases, 4 · 10 in the norms",
        ("How many matrices of C × C has attention? And of C × 4C the MLP? "
         "Every linear layer has as many biases as outputs.",
         "Attention: 4C² and 4C biases. MLP: 8C² and 4C + C biases. Each "
         "norm: C gains and C biases."),
        wrong={
            1200: "those are the matrices; biases and norms are missing",
            1290: "the two norms are missing",
            1310: "a norm has a bias besides its gain",
            1220: "attention has four matrices: queries, keys, values and the "
            "projection",
            920: "the MLP has two matrices: C × 4C and back",
            1320: "C biases are missing: attention has 3C and C of them, the "
            "MLP 4C and C",
            1360: "the MLP has a bias of 5C: 8C would be two of the wide "
            "layer",
            1240: "the biases of the linear layers are missing",
        },
    ),
    Question(
        "gpt.predict-width",
        4,
        "the matrices are C × C and C × 4C: twice the width is four times "
        "the numbers, up to the biases",
        ("Both sides of each matrix grow.",
         "Compare 12 · C² for C = 64 and for C = 128."),
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
        ("What probability does a model without an opinion give to each of "
         "50,257 tokens?",
         "The loss is -ln of it."),
        wrong={
            math.log2(50257): "these are bits; the loss is in nats",
            0: "a loss of 0 means being sure, and right, from the start",
            4.66: "that is the start of the model of characters, ln 106",
        },
        within=0.05,
    ),
]  # fmt: skip
