"""Chapter 7: what its exercises expect."""

import torch
import torch.nn.functional as F
from torch import nn

from minigpt.course.exercises import Exercise, Question


def check_mlp(t):
    torch.manual_seed(t.seed)
    x = 2 * torch.randn(2, 3, 4)
    errors = {
        "mat1 and mat2": "the layers are in the wrong order: fc goes from C to "
        "4C, proj back",
    }
    for act, holds in [
        (F.gelu, "expand, activate, contract"),
        (F.relu, "with the activation that was asked for"),
    ]:
        given = f"MLP(4, activation=F.{act.__name__}) on x (2, 3, 4)"
        m = t.make(t.answer, 4, activation=act, given=given).eval()
        got = t.call(m, x, given=given, errors=errors)
        t.same(
            got,
            m.proj(act(m.fc(x))),
            holds,
            given=given,
            mistakes={
                "without an activation two linear layers are one: activate "
                "between them": m.proj(m.fc(x)),
                "the activation comes last: it belongs between the two "
                "layers": act(m.proj(m.fc(x))),
                "the residual is added here: that is the block's task": (
                    x + m.proj(act(m.fc(x)))
                ),
                "it is still 4C wide: contract with proj": act(m.fc(x)),
                "the activation is used twice": act(m.proj(act(m.fc(x)))),
                "GELU whatever was asked for: use self.activation": m.proj(
                    F.gelu(m.fc(x))
                ),
                "ReLU whatever was asked for: use self.activation": m.proj(
                    F.relu(m.fc(x))
                ),
            },
        )
    given = "MLP(4, dropout=1.0), which drops everything while training"
    m = t.make(t.answer, 4, dropout=1.0, given=given)
    got = t.make(m, x, given=given)
    t.same(
        got,
        torch.zeros_like(x),
        "and dropout comes last",
        given=given,
        mistakes={
            "dropout is missing: the result goes through self.dropout": (
                m.proj(F.gelu(m.fc(x)))
            ),
            "dropout comes last, after proj": m.proj(torch.zeros(2, 3, 16)),
        },
    )


def check_layer_norm(t):
    x = torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 7.0]])
    w, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, -1.0])
    errors = {
        "NoneType": "without a bias self.bias is None, which cannot be added",
        "normalized_shape": "F.layer_norm wants the shape of what it averages "
        "over, x.shape[-1:]",
        "must match the size": "the mean must keep its dimension to be "
        "subtracted: keepdim=True",
        "name 'standardize' is not defined": "standardize is not part of the "
        "module: write its lines here",
    }
    given = "LayerNorm(3, eps=0.5), x = [[1, 2, 6], [4, 4, 7]]"
    m = t.make(t.answer, 3, eps=0.5, given=given)
    got = t.call(m, x, given=given, errors=errors)

    def norm(dim=-1, correction=0):
        centered = x - x.mean(dim, keepdim=True)
        var = x.var(dim, keepdim=True, correction=correction)
        return centered / (var + 0.5).sqrt()

    flat = F.layer_norm(x, (3,), None, None, 0.5)
    centered = x - x.mean(-1, keepdim=True)
    var = x.var(-1, keepdim=True, correction=0)
    t.same(
        got,
        flat,
        "mean 0, variance 1, eps under the root",
        given=given,
        mistakes={
            "the variance is divided by C - 1, as torch.var does by itself: "
            "correction=0": norm(correction=1),
            "eps is added to the standard deviation: it belongs under the "
            "root": centered / (var.sqrt() + 0.5),
            "it is divided by the variance: take the root": (
                centered / (var + 0.5)
            ),
            "eps is missing, or it is the default and not self.eps": (
                F.layer_norm(x, (3,))
            ),
            "it is taken over the tokens: each token by itself, dim=-1": norm(
                dim=0
            ),
            "it is taken over everything at once: each token by itself, "
            "dim=-1": (x - x.mean()) / (x.var(correction=0) + 0.5).sqrt(),
            "the mean was not subtracted": x / (var + 0.5).sqrt(),
            "torch.std divides by C - 1, and eps belongs under the root": (
                centered / (x.std(-1, keepdim=True) + 0.5)
            ),
        },
    )
    given += ", weight [1, 2, 3], bias [0, 1, -1]"
    with torch.no_grad():
        m.weight.copy_(w)
        m.bias.copy_(b)
    got = t.call(m, x, given=given, errors=errors)
    t.same(
        got,
        flat * w + b,
        "scaled and shifted",
        given=given,
        mistakes={
            "scale and shift are missing": flat,
            "the shift is missing: the bias": flat * w,
            "the scale is missing: the weight": flat + b,
            "shifted before it was scaled": (flat + b) * w,
        },
    )
    given = "LayerNorm(3, bias=False)"
    m = t.make(t.answer, 3, bias=False, given=given)
    got = t.call(m, x, given=given, errors=errors)
    t.same(got, F.layer_norm(x, (3,)), "without a bias too", given=given)


class Part(nn.Module):
    """A part of a block that can be told from every other."""

    def __init__(self, function):
        super().__init__()
        self.function, self.options = function, None

    def forward(self, x, **options):
        self.options = options
        return self.function(x)


def parts():
    """norm1, attention, norm2, mlp."""
    return (
        Part(torch.tanh),
        Part(lambda x: x.cumsum(1) / 2),
        Part(torch.sin),
        Part(lambda x: x.square() / 4),
    )


NO_RETURN = (
    "the result is not returned: without `return` the lines of post-norm "
    "continue with it"
)


def run_block(t, order, mistakes, holds):
    """Compare a block of known parts; `mistakes` maps causes to functions."""
    n1, a, n2, m = parts()
    block = t.make(t.answer, n1, a, n2, m, order=order, given="Block(…)")
    x = torch.linspace(-2, 2, 12).view(1, 4, 3)
    given = f'Block(norm1, attention, norm2, mlp, order="{order}")'
    errors = {
        "unexpected keyword": "only attention takes mask, cache and record",
        "takes": "attention is called with x and **options",
        "block.post: your turn": NO_RETURN,
    }
    record, mask = [], torch.ones(1, 4, dtype=torch.bool)
    got = t.call(block, x, mask=mask, record=record, given=given, errors=errors)
    if order == "pre":
        y = x + a(n1(x))
        want = y + m(n2(y))
    else:
        y = n1(x + a(x))
        want = n2(y + m(y))
    passed = _options(t, block, x, mask, record, given)
    t.same(
        got, want, holds, given=given,
        mistakes={
            cause: f(x, n1, a, n2, m) for cause, f in mistakes.items()
        },
    )  # fmt: skip
    t.true(
        passed.get("mask") is mask and passed.get("record") is record,
        "attention gets mask, cache and record",
        "attention was called without **options: mask, cache and record must "
        "reach it",
        given=given, expected="mask and record", got=str(sorted(passed)),
    )  # fmt: skip


def _options(t, block, x, mask, record, given):
    """What attention is called with."""
    t.call(block, x, mask=mask, record=record, given=given)
    return block.attention.options or {}


def check_pre(t):
    run_block(
        t,
        "pre",
        {
            "the residual is missing: x + …": lambda x, n, a, o, m: m(
                o(a(n(x)))
            ),
            "this is post-norm: in pre-norm what a part reads is normalized": (
                lambda x, n, a, o, m: o(n(x + a(x)) + m(n(x + a(x))))
            ),
            "the norms come after the parts: normalize what a part reads": (
                lambda x, n, a, o, m: _then(x + n(a(x)), lambda y: y + o(m(y)))
            ),
            "the residual is the normed x: it must be x itself": (
                lambda x, n, a, o, m: _then(
                    n(x) + a(n(x)), lambda y: o(y) + m(o(y))
                )
            ),
            "the MLP does not see what attention added": (
                lambda x, n, a, o, m: x + a(n(x)) + m(o(x))
            ),
            "the norms are missing": lambda x, n, a, o, m: _then(
                x + a(x), lambda y: y + m(y)
            ),
            "norm1 was used twice: the MLP has norm2": (
                lambda x, n, a, o, m: _then(x + a(n(x)), lambda y: y + m(n(y)))
            ),
            "the second residual is missing": lambda x, n, a, o, m: m(
                o(x + a(n(x)))
            ),
            "the MLP is missing": lambda x, n, a, o, m: x + a(n(x)),
            NO_RETURN: lambda x, n, a, o, m: _then(
                _then(x + a(n(x)), lambda y: y + m(o(y))),
                lambda z: _then(n(z + a(z)), lambda y: o(y + m(y))),
            ),
        },
        "each part reads the normed stream and adds to it",
    )


def check_post(t):
    run_block(
        t,
        "post",
        {
            "the residuals are missing: norm(x + part(x))": (
                lambda x, n, a, o, m: o(m(n(a(x))))
            ),
            "this is pre-norm: here the stream is normed after each part": (
                lambda x, n, a, o, m: _then(x + a(n(x)), lambda y: y + m(o(y)))
            ),
            "only the part is normed, not the sum: norm(x + part(x))": (
                lambda x, n, a, o, m: _then(x + n(a(x)), lambda y: y + o(m(y)))
            ),
            "one residual around both parts: each part has its own": (
                lambda x, n, a, o, m: o(m(a(x)) + x)
            ),
            "the second norm is missing": lambda x, n, a, o, m: _then(
                n(x + a(x)), lambda y: y + m(y)
            ),
            "the norms are exchanged": lambda x, n, a, o, m: _then(
                o(x + a(x)), lambda y: n(y + m(y))
            ),
            "one residual around both parts, after the first norm: each part "
            "has its own": lambda x, n, a, o, m: o(x + m(n(a(x)))),
        },
        "the stream is normed after each part",
    )


def _then(y, function):
    return function(y)


MEAN = "mean = x.mean(-1, keepdim=True)\n"
VARIANCE = "variance = (x - mean).square().mean(-1, keepdim=True)\n"
STANDARD = "y = (x - mean) / (variance + self.eps).sqrt()\n"
END = "return y * self.weight + self.bias"

EXERCISES = [
    Exercise(
        "block.mlp",
        "MLP.forward",
        check_mlp,
        (
            "fc makes it wide, proj narrow again. What comes between them?",
            "self.proj(self.activation(self.fc(x))), and dropout around it.",
        ),
        right=(
            "x = self.fc(x)\nx = self.activation(x)\nx = self.proj(x)\n"
            "return self.dropout(x)",
        ),
        wrong=(
            (
                "return self.dropout(self.proj(self.fc(x)))",
                "two linear layers are one",
            ),
            (
                "return self.dropout(self.activation(self.proj(self.fc(x))))",
                "comes last: it",
            ),
            (
                "hidden = self.activation(self.fc(x))\n"
                "return x + self.dropout(self.proj(hidden))",
                "the block's task",
            ),
            ("return self.dropout(self.activation(self.fc(x)))", "4C wide"),
            (
                "return self.dropout(self.proj(F.gelu(self.fc(x))))",
                "GELU whatever",
            ),
            ("return self.dropout(self.fc(self.proj(x)))", "wrong order"),
            (
                "return self.proj(self.activation(self.fc(x)))",
                "dropout is missing",
            ),
            (
                "return self.proj(self.dropout(self.activation(self.fc(x))))",
                "after proj",
            ),
        ),
    ),
    Exercise(
        "block.layer_norm",
        "LayerNorm.forward",
        check_layer_norm,
        (
            "Over the last dimension: subtract the mean, divide by the root "
            "of the variance plus eps. keepdim=True keeps a dimension of size "
            "1, so that the result can be subtracted.",
            "F.layer_norm(x, shape, weight, bias, eps) does all of it: the "
            "shape is x.shape[-1:], and a bias of None is allowed.",
        ),
        right=(
            "variance, mean = torch.var_mean(\n"
            "    x, -1, correction=0, keepdim=True\n)\n"
            "y = (x - mean) * torch.rsqrt(variance + self.eps) * self.weight\n"
            "return y if self.bias is None else y + self.bias",
            MEAN + VARIANCE + STANDARD + "y = y * self.weight\n"
            "if self.bias is not None:\n    y = y + self.bias\nreturn y",
        ),
        wrong=(
            (
                MEAN + "variance = x.var(-1, keepdim=True)\n" + STANDARD + END,
                "as torch.var does",
            ),
            (
                MEAN
                + VARIANCE
                + "y = (x - mean) / (variance.sqrt() + self.eps)\n"
                + END,
                "added to the standard deviation",
            ),
            (
                MEAN
                + "y = (x - mean) / (x.std(-1, keepdim=True) + self.eps)\n"
                + END,
                "torch.std divides",
            ),
            (
                (MEAN + VARIANCE).replace("-1", "-2") + STANDARD + END,
                "over the tokens",
            ),
            (
                "y = (x - x.mean(-1)) / (x.var(-1) + self.eps).sqrt()\n" + END,
                "keepdim",
            ),
            (
                MEAN
                + VARIANCE
                + "y = (x - mean) / (variance + self.eps)\n"
                + END,
                "take the root",
            ),
            (
                "y = x - x.mean()\n"
                "y = y / (x.var(correction=0) + self.eps).sqrt()\n" + END,
                "everything at once",
            ),
            (
                MEAN + VARIANCE + STANDARD + "return y",
                "scale and shift are missing",
            ),
            (
                MEAN + VARIANCE + STANDARD + "return y * self.weight",
                "the shift is missing",
            ),
            (MEAN + VARIANCE + STANDARD + END, "is None"),
            (
                "return F.layer_norm(x, x.shape[-1:], self.weight, self.bias)",
                "not self.eps",
            ),
            (
                MEAN
                + VARIANCE
                + STANDARD
                + "return (y + self.bias) * self.weight",
                "before it was scaled",
            ),
            (
                "y = standardize(x, self.eps) * self.weight\n"
                "return y if self.bias is None else y + self.bias",
                "not part of the module",
            ),
        ),
        core=True,
    ),
    Exercise(
        "block.pre",
        "Block.forward",
        check_pre,
        (
            "The stream x is never normed itself: each part reads a normed "
            "copy and adds what it found.",
            "x + attention(norm1(x)), and to that the same with norm2 and the "
            "MLP; attention gets **options.",
        ),
        right=(
            "found = self.attention(self.norm1(x), **options)\n"
            "x = x + found\nfound = self.mlp(self.norm2(x))\n"
            "return x + found",
        ),
        wrong=(
            (
                "x = self.attention(self.norm1(x), **options)\n"
                "return self.mlp(self.norm2(x))",
                "residual is missing",
            ),
            (
                "x = self.norm1(x + self.attention(x, **options))\n"
                "return self.norm2(x + self.mlp(x))",
                "this is post-norm",
            ),
            (
                "x = self.norm1(x)\nx = x + self.attention(x, **options)\n"
                "x = self.norm2(x)\nreturn x + self.mlp(x)",
                "the normed x",
            ),
            (
                "return (\n    x\n"
                "    + self.attention(self.norm1(x), **options)\n"
                "    + self.mlp(self.norm2(x))\n)",
                "does not see",
            ),
            (
                "x = x + self.attention(self.norm1(x))\n"
                "return x + self.mlp(self.norm2(x))",
                "without **options",
            ),
            (
                "x = x + self.attention(self.norm1(x), **options)\n"
                "x = x + self.mlp(self.norm2(x))",
                "not returned",
            ),
            (
                "x = x + self.norm1(self.attention(x, **options))\n"
                "return x + self.norm2(self.mlp(x))",
                "come after",
            ),
            (
                "x = x + self.attention(self.norm1(x), **options)\n"
                "return x + self.mlp(self.norm1(x))",
                "used twice",
            ),
        ),
        core=True,
    ),
    Exercise(
        "block.post",
        "Block.forward",
        check_post,
        (
            "Here the sum is normed: first add, then norm, twice.",
            "norm1(x + attention(x, **options)), then norm2 of that plus its MLP.",
        ),
        right=(
            "x = x + self.attention(x, **options)\nx = self.norm1(x)\n"
            "x = x + self.mlp(x)\nreturn self.norm2(x)",
        ),
        wrong=(
            (
                "x = x + self.attention(self.norm1(x), **options)\n"
                "return x + self.mlp(self.norm2(x))",
                "this is pre-norm",
            ),
            (
                "x = x + self.norm1(self.attention(x, **options))\n"
                "return x + self.norm2(self.mlp(x))",
                "not the sum",
            ),
            (
                "y = self.mlp(self.attention(x, **options))\n"
                "return self.norm2(y + x)",
                "one residual",
            ),
            (
                "x = self.norm1(x + self.attention(x, **options))\n"
                "return x + self.mlp(x)",
                "second norm is missing",
            ),
            (
                "x = self.norm2(x + self.attention(x, **options))\n"
                "return self.norm1(x + self.mlp(x))",
                "exchanged",
            ),
        ),
    ),
    Question(
        "block.predict-zero",
        "b",
        "both parts add 0 to the stream: at its start a block can leave "
        "everything as it is",
        (
            "What do attention and the MLP give when their weights are 0?",
            "Then follow x along the residual path.",
        ),
        wrong={
            "a": "the parts give 0, but the residual path carries x past them",
            "c": "the norm comes before a part, not on the stream",
        },
    ),
    Question(
        "block.break-leak",
        "c",
        "the mean over the tokens holds those to come: every position reads "
        "the future through it, whatever the mask says",
        (
            "Which tokens enter the mean that is subtracted at position 0?",
            "Why would the training loss fall so nicely?",
        ),
        wrong={
            "a": "the mask stops attention, and nothing else",
            "b": "the past is in the mean too, but so is the future",
        },
    ),
]
