"""Chapter 7: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question

X = "x = 2 * torch.randn(2, 3, 4)\n"
TOKENS = "x = torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 7.0]])\n"
MEAN = "mean = x.mean(-1, keepdim=True)\n"
VARIANCE = "variance = (x - mean).square().mean(-1, keepdim=True)\n"
STANDARD = "y = (x - mean) / (variance + self.eps).sqrt()\n"
SHIFT = "return y if self.bias is None else y + self.bias"
END = "y = y * self.weight\n" + SHIFT
SIMPLE = """
block = Block(torch.tanh, lambda x, **options: x.cumsum(1) / 2,
              torch.sin, lambda x: x.square() / 4, order="{}")
x = torch.linspace(-2, 2, 12).view(1, 4, 3)
block(x)
"""
REAL = """
from minigpt.multihead import MultiHeadAttention
block = fill(Block(LayerNorm(8), MultiHeadAttention(8, 2), LayerNorm(8),
                   MLP(8), order="{}"))
x = torch.randn(2, number(3, 6), 8)
mask = torch.ones(x.size(1), x.size(1)).tril().bool()
"""
CACHE = """
cache = SimpleNamespace(offset=2, update=lambda k, v: (
    torch.cat([k / 2, k], 2), torch.cat([1 - v, v], 2)))
block(x, cache=cache)
"""
OPTIONS = {
    order: [
        Case(holds, REAL.format(order) + code)
        for holds, code in [
            ("so it is with real parts", "block(x)"),
            ("the mask reaches attention", "block(x, mask=mask)"),
            ("so does the record", "recorded(block, x, mask=mask)[1]"),
            ("and the cache", CACHE),
        ]
    ]
    for order in ("pre", "post")
}

EXERCISES = [
    Exercise("block.mlp", "MLP.forward", cases=(
        Case("expand, activate, contract", X + "mlp = fill(MLP(4))\nmlp(x)"),
        Case("with the activation that was asked for", X
             + "mlp = fill(MLP(4, activation=F.relu))\nmlp(x)"),
        Case("and dropout comes last", X
             + "mlp = fill(MLP(4, dropout=1.0)).train()\nmlp(x)"),
    ), hints=(
        "fc makes it wide, proj narrow again. What comes between them?",
        "self.proj(self.activation(self.fc(x))), and dropout around it.",
    ), right=(
        "x = self.fc(x)\nx = self.activation(x)\nx = self.proj(x)\n"
        "return self.dropout(x)",
    ), wrong=(
        ("return self.dropout(self.proj(self.fc(x)))",
         "without an activation two linear layers are one: activate between "
         "them"),
        ("return self.dropout(self.activation(self.proj(self.fc(x))))",
         "the activation comes last: it belongs between the two layers"),
        (Edit("return ", "return x + "),
         "the residual is added here: that is the block's task"),
        ("return self.dropout(self.activation(self.fc(x)))",
         "it is still 4C wide: contract with proj"),
        (Edit("self.proj(hidden)", "self.activation(self.proj(hidden))"),
         "the activation is used twice: it belongs between the two layers"),
        (Edit("self.activation", "F.gelu"),
         "GELU whatever was asked for: use self.activation"),
        (Edit("self.activation", "F.relu"),
         "ReLU whatever was asked for: use self.activation"),
        ("return self.dropout(self.fc(self.proj(x)))",
         "the layers are in the wrong order: fc goes from C to 4C, proj back"),
        (Edit("self.dropout(self.proj(hidden))", "self.proj(hidden)"),
         "dropout is missing: the result goes through self.dropout"),
        (Edit("self.dropout(self.proj(hidden))",
              "self.proj(self.dropout(hidden))"),
         "dropout comes last, after proj"),
    )),
    Exercise("block.layer_norm", "LayerNorm", core=True, cases=(
        Case("weight and bias are parameters that start at 1 and 0", """
            norm = LayerNorm(3)
            dict(norm.named_parameters())"""),
        Case("bias=False leaves the bias out, and eps is kept", """
            norm = LayerNorm(3, eps=0.5, bias=False)
            list(dict(norm.named_parameters())), norm.bias, norm.eps"""),
        Case("mean 0, variance 1, eps under the root",
             TOKENS + "norm = LayerNorm(3, eps=0.5)\nnorm(x)"),
        Case("scaled and shifted", TOKENS + "norm = fill(LayerNorm(3))\nnorm(x)"),
        Case("without a bias too",
             TOKENS + "norm = fill(LayerNorm(3, bias=False))\nnorm(x)"),
        Case("and for any shape (..., C)", """
            norm = fill(LayerNorm(4, eps=0.1))
            x = 3 * torch.randn(number(2, 5), 2, 3, 4) + 1
            norm(x.transpose(0, 1)), norm(x[0, 0, 0])"""),
    ), hints=(
        "Over the last dimension: subtract the mean, divide by the root of "
        "the variance plus eps. keepdim=True keeps a dimension of size 1, so "
        "that the result can be subtracted.",
        "nn.Parameter(torch.ones(n_embd)) is the weight. F.layer_norm(x, "
        "shape, weight, bias, eps) is all of forward: the shape is "
        "x.shape[-1:], and a bias of None is allowed.",
    ), right=(
        (None, "variance, mean = torch.var_mean(\n"
               "    x, -1, correction=0, keepdim=True\n)\n"
               "y = (x - mean) * torch.rsqrt(variance + self.eps)\n" + END),
        ("self.eps, self.weight = eps, nn.Parameter(torch.ones(n_embd))\n"
         'self.register_parameter("bias", None)\nif bias:\n'
         "    self.bias = nn.Parameter(torch.zeros(n_embd))",
         MEAN + VARIANCE + STANDARD + "y = y * self.weight\n"
         "if self.bias is not None:\n    y = y + self.bias\nreturn y"),
    ), wrong=(
        (Edit("nn.Parameter(torch.ones(n_embd))", "torch.ones(n_embd)"),
         "the weight is a plain tensor, which is not trained: nn.Parameter"),
        (Edit("torch.ones", "torch.zeros"),
         "the weight starts at 0, which makes everything 0: start at 1"),
        (Edit("torch.zeros", "torch.ones"), "the bias starts at 1: start at 0"),
        (("self.weight, self.eps = torch.ones(n_embd), eps\n"
          "self.bias = torch.zeros(n_embd) if bias else None", None),
         "a plain tensor is not trained: nn.Parameter(...)"),
        (("self.weight, self.eps = nn.Parameter(torch.ones(n_embd)), eps\n"
          "if bias:\n    self.bias = nn.Parameter(torch.zeros(n_embd))", None),
         "with bias=False there is no self.bias at all: it must be None"),
        (Edit("self.eps = eps", "pass"),
         "forward needs eps later: keep it, self.eps = eps"),
        (Edit(" if bias else None", ""),
         "there is a bias even with bias=False: self.bias must be None then"),
        (Edit("self.eps = eps", "self.eps = 1e-5"),
         "eps is 1e-5 whatever was asked for: self.eps = eps"),
        ((None, MEAN + "variance = x.var(-1, keepdim=True)\n" + STANDARD
                + END),
         "the variance is divided by C - 1, as torch.var does by itself: "
         "correction=0"),
        ((None, MEAN + VARIANCE
                + "y = (x - mean) / (variance.sqrt() + self.eps)\n" + END),
         "eps is added to the standard deviation: it belongs under the root"),
        ((None, MEAN + "y = (x - mean) / (x.std(-1, keepdim=True) + self.eps)\n"
                + END),
         "torch.std divides by C - 1, and eps belongs under the root"),
        ((None, (MEAN + VARIANCE).replace("-1", "-2") + STANDARD + END),
         "it is taken over the tokens: each token by itself, dim=-1"),
        ((None, "mean, variance = x.mean(-1), x.var(-1, correction=0)\n"
                + STANDARD + END),
         "the mean must keep its dimension to be subtracted: keepdim=True"),
        ((None, MEAN + VARIANCE + "y = (x - mean) / (variance + self.eps)\n"
                + END),
         "it is divided by the variance: take the root"),
        ((None, MEAN + VARIANCE + "y = x / (variance + self.eps).sqrt()\n"
                + END), "the mean was not subtracted"),
        ((None, "mean, variance = x.mean(), x.var(correction=0)\n"
                + STANDARD + END),
         "it is taken over everything at once: each token by itself, dim=-1"),
        ((None, "mean, variance = x.mean(), x.var()\n" + STANDARD + END),
         "mean and variance are those of all numbers: each token has its own, "
         "x.mean(-1, keepdim=True)"),
        ((None, "y = (x - x.mean()) / (x.std() + self.eps)\n" + END),
         "mean and deviation are those of all numbers: each token has its own, "
         "and eps belongs under the root"),
        ((None, "mean = x.mean()\n" + VARIANCE + STANDARD + END),
         "the mean of all numbers was subtracted: each token has its own mean"),
        ((None, MEAN + VARIANCE + STANDARD + "return y"),
         "scale and shift are missing"),
        ((None, MEAN + VARIANCE + STANDARD + "return y * self.weight"),
         "the shift is missing: the bias"),
        ((None, MEAN + VARIANCE + STANDARD + SHIFT),
         "the scale is missing: the weight"),
        ((None, MEAN + VARIANCE + STANDARD + "return y * self.weight + "
                "self.bias"),
         "without a bias self.bias is None, which cannot be added"),
        ((None, MEAN + VARIANCE + STANDARD + "y = y * self.weight\n"
                "if self.bias:\n    y = y + self.bias\nreturn y"),
         "`if self.bias` asks whether its numbers are true: `is not None`"),
        (Edit(", self.eps)", ")"),
         "eps is missing, or it is the default and not self.eps"),
        (Edit("x.shape[-1:]", "x.shape"),
         "F.layer_norm wants the shape of what it averages over, x.shape[-1:]"),
        ((None, MEAN + VARIANCE + STANDARD
                + "return (y + self.bias) * self.weight"),
         "shifted before it was scaled"),
        ((None, "y = standardize(x, self.eps) * self.weight\n" + SHIFT),
         "standardize is not part of the module: write its lines here"),
    )),
    Exercise("block.pre", "Block.forward", core=True, cases=(
        Case("each part reads the normed stream and adds to it",
             SIMPLE.format("pre")), *OPTIONS["pre"],
    ), hints=(
        "The stream x is never normed itself: each part reads a normed copy "
        "and adds what it found.",
        "x + attention(norm1(x)), and to that the same with norm2 and the "
        "MLP; attention gets **options.",
    ), right=(
        "found = self.attention(self.norm1(x), **options)\n"
        "x = x + found\nfound = self.mlp(self.norm2(x))\nreturn x + found",
    ), wrong=(
        (Edit("x = x + self", "x = self"), "the first residual is missing: x + …"),
        (Edit("return x + self", "return self"),
         "the second residual is missing: x + …"),
        ("x = self.attention(self.norm1(x), **options)\n"
         "return self.mlp(self.norm2(x))",
         "both residuals are missing: x + …"),
        ("x = self.norm1(x + self.attention(x, **options))\n"
         "return self.norm2(x + self.mlp(x))",
         "this is post-norm: in pre-norm what a part reads is normalized"),
        ("x = self.norm1(x)\nx = x + self.attention(x, **options)\n"
         "x = self.norm2(x)\nreturn x + self.mlp(x)",
         "the residual is the normed x: it must be x itself"),
        ("return (\n    x\n    + self.attention(self.norm1(x), **options)\n"
         "    + self.mlp(self.norm2(x))\n)",
         "the MLP does not see what attention added"),
        ("x = x + self.norm1(self.attention(x, **options))\n"
         "return x + self.norm2(self.mlp(x))",
         "the norms come after the parts: normalize what a part reads"),
        ("x = x + self.attention(x, **options)\nreturn x + self.mlp(x)",
         "the norms are missing"),
        (Edit("self.norm1(x)", "x"), "norm1 is missing: attention reads norm1(x)"),
        (Edit("self.norm2(x)", "x"), "norm2 is missing: the MLP reads norm2(x)"),
        ("y = x + self.attention(self.norm1(x), **options)\n"
         "return x + self.mlp(self.norm2(y))",
         "what attention added is lost: the MLP adds to the new stream"),
        (Edit("norm2", "norm1"), "norm1 was used twice: the MLP has norm2"),
        ("return x + self.attention(self.norm1(x), **options)",
         "the MLP is missing"),
        (Edit("return x +", "x = x +"),
         "the result is not returned: without `return` the lines of post-norm "
         "continue with it"),
        (Edit(", **options", ""),
         "attention was called without **options: mask, cache and record must "
         "reach it"),
        (Edit("**options", "mask=mask"),
         "cache and record must reach attention too: **options"),
        (Edit("**options", "mask=mask, record=record"),
         "the cache must reach attention too: **options"),
        (Edit(", **options", ", options"),
         "attention takes the options by name: **options"),
        (Edit("self.norm2(x)", "self.norm2(x), **options"),
         "only attention takes mask, cache and record"),
    )),
    Exercise("block.post", "Block.forward", cases=(
        Case("the stream is normed after each part", SIMPLE.format("post")),
        *OPTIONS["post"],
    ), hints=(
        "Here the sum is normed: first add, then norm, twice.",
        "norm1(x + attention(x, **options)), then norm2 of that plus its MLP.",
    ), right=(
        "x = x + self.attention(x, **options)\nx = self.norm1(x)\n"
        "x = x + self.mlp(x)\nreturn self.norm2(x)",
    ), wrong=(
        (Edit("x + ", ""), "the residuals are missing: norm(x + part(x))"),
        ("x = x + self.attention(self.norm1(x), **options)\n"
         "return x + self.mlp(self.norm2(x))",
         "this is pre-norm: here the stream is normed after each part"),
        ("x = x + self.norm1(self.attention(x, **options))\n"
         "return x + self.norm2(self.mlp(x))",
         "only the part is normed, not the sum: norm(x + part(x))"),
        ("y = self.mlp(self.attention(x, **options))\nreturn self.norm2(y + x)",
         "one residual around both parts: each part has its own"),
        ("y = self.mlp(self.norm1(self.attention(x, **options)))\n"
         "return self.norm2(x + y)",
         "one residual around both parts, after the first norm: each part has "
         "its own"),
        ("x = x + self.attention(x, **options)\nreturn x + self.mlp(x)",
         "both norms are missing: norm(x + part(x))"),
        ("x = self.norm1(x) + self.attention(x, **options)\n"
         "return self.norm2(x) + self.mlp(x)",
         "only the stream is normed, not the sum: norm(x + part(x))"),
        (Edit("self.norm2(x + self.mlp(x))", "x + self.mlp(x)"),
         "the second norm is missing"),
        ("x = self.norm2(x + self.attention(x, **options))\n"
         "return self.norm1(x + self.mlp(x))", "the norms are exchanged"),
        (Edit("norm2", "norm1"), "norm1 was used twice: norm2 comes last"),
        (Edit(", **options", ""),
         "attention was called without **options: mask, cache and record must "
         "reach it"),
        (Edit("**options", "mask=mask, record=record"),
         "the cache must reach attention too: **options"),
        (Edit("self.mlp(x", "self.mlp(x, **options"),
         "only attention takes mask, cache and record"),
    )),
    Question(
        "block.predict-zero", "b",
        "both parts add 0 to the stream: such a block leaves everything as "
        "it is",
        ("What do attention and the MLP give when their weights are 0?",
         "Then follow x along the residual path."),
        wrong={
            "a": "the parts give 0, but the residual path carries x past them",
            "c": "the norm comes before a part, not on the stream",
        },
    ),
    Question(
        "block.break-leak", "c",
        "the mean over the tokens includes those to come: every position sees "
        "the future through it, whatever the mask says",
        ("Which tokens enter the mean that is subtracted at position 0?",
         "Why would the training loss fall so nicely?"),
        wrong={
            "a": "the mask stops attention, and nothing else",
            "b": "the past is in the mean too, but so is the future",
        },
    ),
]  # fmt: skip
