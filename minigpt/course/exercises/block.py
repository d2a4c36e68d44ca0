"""Chapter 7: what its exercises expect."""

import torch
import torch.nn.functional as F
from torch import nn

from minigpt.course.exercises import Exercise, Question


def check_mlp(t):
    torch.manual_seed(t.seed)
    x = 2 * torch.randn(2, 3, 4)
    for kind, act, holds in [
        ("gelu", F.gelu, "expand, activate, contract"),
        ("relu", F.relu, "with the activation that was asked for"),
    ]:
        given = f'MLP(4, activation="{kind}") on x (2, 3, 4)'
        m = t.make(t.answer, 4, activation=kind, given=given).eval()
        got = t.call(
            m, x, given=given,
            errors={
                "mat1 and mat2": "the layers are in the wrong order: fc goes "
                "from C to 4C, proj back",
            },
        )  # fmt: skip
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
                "x went through unchanged": x,
            },
        )


def check_standardize(t):
    x = torch.tensor([[[1.0, 2.0, 6.0], [4.0, 4.0, 7.0]]])
    given = "x = [[[1, 2, 6], [4, 4, 7]]], eps = 0.5"
    errors = {
        "must match the size": "the mean must keep its dimension to be "
        "subtracted: keepdim=True",
        "unexpected keyword": "a function was given a word that it does not "
        "know",
    }
    got = t.call(t.answer, x, 0.5, given=given, errors=errors)
    mean = x.mean(-1, keepdim=True)
    var = x.var(-1, keepdim=True, correction=0)
    other, spread = x.mean(-2, True), x.var(-2, correction=0, keepdim=True)
    t.same(
        got,
        (x - mean) / (var + 0.5).sqrt(),
        "mean 0, variance 1, eps under the root",
        given=given,
        mistakes={
            "the variance is divided by C - 1, as torch.var does by itself: "
            "correction=0": (x - mean) / (x.var(-1, keepdim=True) + 0.5).sqrt(),
            "eps is added to the standard deviation: it belongs under the "
            "root": (x - mean) / (var.sqrt() + 0.5),
            "it is divided by the variance: take the root": (x - mean)
            / (var + 0.5),
            "eps is missing": (x - mean) / var.sqrt(),
            "it is taken over the tokens: each token stands alone, dim=-1": (
                (x - other) / (spread + 0.5).sqrt()
            ),
            "it is taken over everything at once: each token stands alone, "
            "dim=-1": (x - x.mean()) / (x.var(correction=0) + 0.5).sqrt(),
            "the mean was not subtracted": x / (var + 0.5).sqrt(),
            "torch.std divides by C - 1, and eps belongs under the root": (
                (x - mean) / (x.std(-1, keepdim=True) + 0.5)
            ),
        },
    )


def check_layer_norm(t):
    given = "LayerNorm(3, eps=0.5), weight [1, 2, 3], bias [0, 1, -1]"
    m = t.make(t.answer, 3, eps=0.5, given=given)
    w, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, -1.0])
    with torch.no_grad():
        m.weight.copy_(w)
        m.bias.copy_(b)
    x = torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 7.0]])
    errors = {
        "NoneType": "without a bias self.bias is None, which cannot be added",
        "normalized_shape": "F.layer_norm wants the shape of what it averages "
        "over, x.shape[-1:]",
    }
    got = t.call(m, x, given=given, errors=errors)
    flat = F.layer_norm(x, (3,), None, None, 0.5)
    t.same(
        got,
        flat * w + b,
        "standardised, scaled, shifted",
        given=given,
        mistakes={
            "scale and shift are missing": flat,
            "the shift is missing: the bias": flat * w,
            "the scale is missing: the weight": flat + b,
            "eps is the default, not self.eps": F.layer_norm(x, (3,), w, b),
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
        self.function, self.keys = function, None

    def forward(self, x, **keys):
        self.keys = keys
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
    "the result is not returned: without `return` the lines of post-norm go "
    "on with it"
)


def run_block(t, order, mistakes, holds):
    """Compare a block of known parts; `mistakes` maps causes to functions."""
    n1, a, n2, m = parts()
    block = t.make(t.answer, n1, a, n2, m, order=order, given="Block(…)")
    x = torch.linspace(-2, 2, 12).view(1, 4, 3)
    given = f'Block(norm1, attention, norm2, mlp, order="{order}")'
    errors = {
        "unexpected keyword": "only attention takes mask, cache and record",
        "takes": "attention is called with x and **keys",
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
    a_keys = _keys(t, block, x, mask, record, given)
    t.same(
        got, want, holds, given=given,
        mistakes={
            cause: f(x, n1, a, n2, m) for cause, f in mistakes.items()
        },
    )  # fmt: skip
    t.true(
        a_keys.get("mask") is mask and a_keys.get("record") is record,
        "attention gets mask, cache and record",
        "attention was called without **keys: mask, cache and record must "
        "reach it",
        given=given, expected="mask and record", got=str(sorted(a_keys)),
    )  # fmt: skip


def _keys(t, block, x, mask, record, given):
    """What attention is called with."""
    t.call(block, x, mask=mask, record=record, given=given)
    return block.attention.keys or {}


def check_pre(t):
    run_block(
        t,
        "pre",
        {
            "the residual is missing: x + …": lambda x, n, a, o, m: m(
                o(a(n(x)))
            ),
            "this is post-norm: in pre-norm what a part reads is normalised": (
                lambda x, n, a, o, m: o(n(x + a(x)) + m(n(x + a(x))))
            ),
            "the norms come after the parts: normalise what a part reads": (
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


EXERCISES = [
    Exercise(
        "block.mlp",
        "MLP.forward",
        check_mlp,
        (
            "fc makes it wide, proj narrow again. What stands between them?",
            "self.proj(self.activation(self.fc(x))); the result is called x.",
        ),
        right=("x = self.fc(x)\nx = self.activation(x)\nx = self.proj(x)",),
        wrong=(
            ("x = self.proj(self.fc(x))", "two linear layers are one"),
            ("x = self.activation(self.proj(self.fc(x)))", "comes last"),
            (
                "x = x + self.proj(self.activation(self.fc(x)))",
                "the block's task",
            ),
            ("x = self.activation(self.fc(x))", "4C wide"),
            ("x = self.proj(F.gelu(self.fc(x)))", "GELU whatever"),
            ("x = self.fc(self.proj(x))", "wrong order"),
            ("hidden = self.proj(self.activation(self.fc(x)))", "unchanged"),
        ),
    ),
    Exercise(
        "block.standardize",
        "standardize",
        check_standardize,
        (
            "Over the last dimension: subtract the mean, divide by the root "
            "of the variance plus eps.",
            "keepdim=True keeps a dimension of size 1, so that the result can "
            "be subtracted; the variance is the mean of the squares, over C.",
        ),
        right=(
            "variance, mean = torch.var_mean(\n"
            "    x, -1, correction=0, keepdim=True\n)\n"
            "return (x - mean) * torch.rsqrt(variance + eps)",
        ),
        wrong=(
            (
                "mean = x.mean(-1, keepdim=True)\n"
                "return (x - mean) / (x.var(-1, keepdim=True) + eps).sqrt()",
                "as torch.var does",
            ),
            (
                "mean = x.mean(-1, keepdim=True)\n"
                "std = x.var(-1, keepdim=True, correction=0).sqrt()\n"
                "return (x - mean) / (std + eps)",
                "added to the standard deviation",
            ),
            (
                "mean = x.mean(-1, keepdim=True)\n"
                "return (x - mean) / (x.std(-1, keepdim=True) + eps)",
                "torch.std divides",
            ),
            (
                "mean = x.mean(-2, keepdim=True)\n"
                "variance = x.var(-2, keepdim=True, correction=0)\n"
                "return (x - mean) / (variance + eps).sqrt()",
                "over the tokens",
            ),
            (
                "return (x - x.mean(-1)) / (x.var(-1) + eps).sqrt()",
                "keepdim",
            ),
            (
                "mean = x.mean(-1, keepdim=True)\n"
                "variance = x.var(-1, keepdim=True, correction=0)\n"
                "return (x - mean) / (variance + eps)",
                "take the root",
            ),
            (
                "return (x - x.mean()) / (x.var(correction=0) + eps).sqrt()",
                "everything at once",
            ),
        ),
        core=True,
    ),
    Exercise(
        "block.layer_norm",
        "LayerNorm.forward",
        check_layer_norm,
        (
            "F.layer_norm does all of it; or standardize(x, eps), times weight, "
            "plus bias.",
            "F.layer_norm(x, shape, weight, bias, eps): the shape is "
            "x.shape[-1:], and a bias of None is allowed.",
        ),
        right=(
            "y = standardize(x, self.eps) * self.weight\n"
            "return y if self.bias is None else y + self.bias",
        ),
        wrong=(
            ("return standardize(x, self.eps)", "scale and shift are missing"),
            (
                "return standardize(x, self.eps) * self.weight",
                "the shift is missing",
            ),
            (
                "return standardize(x, self.eps) * self.weight + self.bias",
                "is None",
            ),
            (
                "return F.layer_norm(x, x.shape[-1:], self.weight, self.bias)",
                "not self.eps",
            ),
            (
                "return (standardize(x, self.eps) + self.bias) * self.weight",
                "before it was scaled",
            ),
        ),
    ),
    Exercise(
        "block.pre",
        "Block.forward",
        check_pre,
        (
            "The stream x is never normed itself: each part reads a normed "
            "copy and adds what it found.",
            "x + attention(norm1(x)), and to that the same with norm2 and the "
            "MLP; attention gets **keys.",
        ),
        right=(
            "found = self.attention(self.norm1(x), **keys)\n"
            "x = x + found\nfound = self.mlp(self.norm2(x))\n"
            "return x + found",
        ),
        wrong=(
            (
                "x = self.attention(self.norm1(x), **keys)\n"
                "return self.mlp(self.norm2(x))",
                "residual is missing",
            ),
            (
                "x = self.norm1(x + self.attention(x, **keys))\n"
                "return self.norm2(x + self.mlp(x))",
                "this is post-norm",
            ),
            (
                "x = self.norm1(x)\nx = x + self.attention(x, **keys)\n"
                "x = self.norm2(x)\nreturn x + self.mlp(x)",
                "the normed x",
            ),
            (
                "return (\n    x\n"
                "    + self.attention(self.norm1(x), **keys)\n"
                "    + self.mlp(self.norm2(x))\n)",
                "does not see",
            ),
            (
                "x = x + self.attention(self.norm1(x))\n"
                "return x + self.mlp(self.norm2(x))",
                "without **keys",
            ),
            (
                "x = x + self.attention(self.norm1(x), **keys)\n"
                "x = x + self.mlp(self.norm2(x))",
                "not returned",
            ),
            (
                "x = x + self.norm1(self.attention(x, **keys))\n"
                "return x + self.norm2(self.mlp(x))",
                "come after",
            ),
            (
                "x = x + self.attention(self.norm1(x), **keys)\n"
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
            "norm1(x + attention(x, **keys)), then norm2 of that plus its MLP.",
        ),
        right=(
            "x = x + self.attention(x, **keys)\nx = self.norm1(x)\n"
            "x = x + self.mlp(x)\nreturn self.norm2(x)",
        ),
        wrong=(
            (
                "x = x + self.attention(self.norm1(x), **keys)\n"
                "return x + self.mlp(self.norm2(x))",
                "this is pre-norm",
            ),
            (
                "x = x + self.norm1(self.attention(x, **keys))\n"
                "return x + self.norm2(self.mlp(x))",
                "not the sum",
            ),
            (
                "y = self.mlp(self.attention(x, **keys))\n"
                "return self.norm2(y + x)",
                "one residual",
            ),
            (
                "x = self.norm1(x + self.attention(x, **keys))\n"
                "return x + self.mlp(x)",
                "second norm is missing",
            ),
            (
                "x = self.norm2(x + self.attention(x, **keys))\n"
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
            "c": "the norm stands in front of a part, not on the stream",
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
