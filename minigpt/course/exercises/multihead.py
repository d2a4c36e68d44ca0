"""Chapter 6: what its exercises expect."""

import torch

from minigpt.course.exercises import Exercise, Question


def check_split(t):
    B, T, H, D = 2, 3, 2, 4
    x = torch.arange(float(B * T * H * D)).view(B, T, H * D)
    given = "x (2, 3, 8) = 0, 1, 2, …; n_head 2"
    got = t.call(
        t.answer, x, H, given=given,
        errors={
            "is invalid for input": "the sizes do not multiply to B · T · C",
        },
    )  # fmt: skip
    want = torch.stack([x[..., :D], x[..., D:]], 1)
    t.same(
        got,
        want,
        "each head has its own channels, of every token",
        given=given,
        mistakes={
            "view alone cuts the row of numbers anew and mixes tokens: first "
            "(B, T, H, D), then exchange T and H": x.view(B, H, T, D),
            "tokens still come before heads: exchange T and H": x.view(
                B, T, H, D
            ),
            "the channels are dealt out in turn: head 0 gets the first D": (
                x.view(B, T, D, H).permute(0, 3, 1, 2)
            ),
            "each head got its channels, but they stand in rows: (…, T, D)": (
                want.mT
            ),
        },
    )


def check_join(t):
    B, T, H, D = 2, 3, 2, 4
    x = torch.arange(float(B * T * H * D)).view(B, T, H * D)
    heads = torch.stack([x[..., :D], x[..., D:]], 1)
    given = "what split_heads makes of x (2, 3, 8) = 0, 1, 2, …"
    got = t.call(
        t.answer, heads, given=given,
        errors={
            "view size is not compatible": "after a transpose the numbers "
            "stand elsewhere: reshape copies where view cannot",
            "is invalid for input": "the sizes do not multiply to B · T · C",
        },
    )  # fmt: skip
    t.same(
        got,
        x,
        "joining undoes splitting",
        given=given,
        mistakes={
            "reshape alone puts channels of other tokens together: first "
            "exchange H and T": heads.reshape(B, T, H * D),
            "heads are not joined yet: make H and D one dimension": (
                heads.transpose(1, 2)
            ),
            "the heads' channels are interleaved: they stand side by side": (
                heads.permute(0, 2, 3, 1).reshape(B, T, H * D)
            ),
            "the heads were added: put them side by side": heads.sum(1),
        },
    )


def attend(m, x, real=None, *, order="qkv", scale=None, by="key", causal=True,
           cut="chunk"):  # fmt: skip
    """What the layer gives, with faults that can be chosen."""
    B, T, C = x.shape
    H, D = m.n_head, C // m.n_head

    def split(z):
        return z.reshape(B, T, H, -1).transpose(1, 2)

    y = m.qkv(x)
    parts = dict(zip("qkv", y.chunk(3, -1), strict=True))
    if cut == "heads":
        parts = dict(zip("qkv", split(y).chunk(3, -1), strict=True))
        q, k, v = parts["q"], parts["k"], parts["v"]
    elif cut == "view":
        q, k, v = (z.reshape(B, H, T, D) for z in parts.values())
    else:
        q, k, v = (split(parts[name]) for name in order)
    scale = D**-0.5 if scale is None else scale
    allowed = torch.ones(T, T, dtype=torch.bool)
    allowed = allowed.tril() if causal else allowed
    if real is not None and by == "key":
        allowed = allowed & real[:, None, None, :]
    elif real is not None and by == "query":
        allowed = allowed & real[:, None, :, None]
    elif real is not None and by == "or":
        allowed = allowed | real[:, None, None, :]
    elif real is not None and by == "only":
        allowed = real[:, None, None, :]
    scores = (q @ k.mT * scale).masked_fill(~allowed, -1e30)
    y = (scores.softmax(-1) * allowed) @ v
    return m.proj(y.transpose(1, 2).reshape(B, T, C))


ERRORS = {
    "mask must broadcast": "the mask has a shape that does not fit the scores "
    "(B, H, T, S): it needs a dimension for heads and one for queries, "
    "mask[:, None, None, :]",
    "must match the size": "the shapes do not fit: q, k, v must be "
    "(B, H, T, D), scores (B, H, T, S), the mask (B, 1, 1, S)",
    "Expected size for first two": "k must be turned: k.transpose(-2, -1)",
    "not enough values to unpack": "q, k and v must each be (B, H, T, D): "
    "split_heads gives each head its channels",
    "too many values to unpack": "three things are asked for: q, k, v",
    "cannot access local variable": "the blank must make every name that the "
    "next lines use",
}


def a_layer(t):
    given = "MultiHeadAttention(n_embd=12, n_head=3)"
    layer = t.make(t.answer, 12, 3, given=given)
    torch.manual_seed(t.seed)
    return layer.eval(), 3 * torch.randn(2, 5, 12)


def check_qkv(t):
    m, x = a_layer(t)
    given = "12 channels, 3 heads, x (2, 5, 12)"
    got = t.call(m, x, given=given, errors=ERRORS)
    t.same(
        got,
        attend(m, x),
        "queries, keys and values, each split into heads",
        given=given,
        mistakes={
            "the first third of the channels are the queries, then come keys, "
            "then values: keys and queries are exchanged": lambda: attend(
                m, x, order="kqv"
            ),
            "keys and values are exchanged": lambda: attend(m, x, order="qvk"),
            "all three are the same": lambda: attend(m, x, order="qqq"),
            "the heads were cut before the thirds: chunk(3) first, then "
            "split_heads for each part": lambda: attend(m, x, cut="heads"),
            "view mixes the tokens: use split_heads": lambda: attend(
                m, x, cut="view"
            ),
            "queries and keys are the same: keys are the second third": (
                lambda: attend(m, x, order="qqv")
            ),
        },
    )


def check_mask(t):
    m, x = a_layer(t)
    real = torch.tensor([[True] * 5, [False, True, True, True, False]])
    given = "x (2, 5, 12), the second sequence padded at both ends"
    got = t.call(m, x, mask=real, given=given, errors=ERRORS)
    t.same(
        got,
        attend(m, x, real),
        "no head reads padding, and what can read nothing gets zeros",
        given=given,
        mistakes={
            "the mask stops the queries: it must stop the keys, the last "
            "dimension": lambda: attend(m, x, real, by="query"),
            "with | the future of real tokens is seen: both must allow": (
                lambda: attend(m, x, real, by="or")
            ),
            "the padding mask replaced the causal one: both must allow": (
                lambda: attend(m, x, real, by="only")
            ),
            "padding is read: the mask has no effect": lambda: attend(m, x),
        },
    )


def check_weights(t):
    m, x = a_layer(t)
    given = "12 channels, 3 heads, x (2, 5, 12)"
    got = t.call(m, x, given=given, errors=ERRORS)
    C, D = 12, 4
    t.same(
        got,
        attend(m, x),
        "scaled, masked, softmax: rows of weights",
        given=given,
        mistakes={
            "the scores are not scaled: by head_dim**-0.5": lambda: attend(
                m, x, scale=1.0
            ),
            "the scale is n_embd**-0.5: it must be that of one head, "
            "q.size(-1)**-0.5": lambda: attend(m, x, scale=C**-0.5),
            "the scores are divided by head_dim, not by its root": lambda: (
                attend(m, x, scale=1 / D)
            ),
            "the future is seen: use masked_softmax with allowed": lambda: (
                attend(m, x, causal=False)
            ),
            "the scores are multiplied by the root of head_dim: divide": (
                lambda: attend(m, x, scale=D**0.5)
            ),
            "q and k are both scaled by the root: once is enough, or each by "
            "the fourth root": lambda: attend(m, x, scale=1 / D),
        },
    )


PART = "q, k, v = (\n    split_heads(part, self.n_head)\n    for part in {}\n)"
SOFT = "\nweights = masked_softmax(scores, allowed)"

EXERCISES = [
    Exercise(
        "multihead.split",
        "split_heads",
        check_split,
        (
            "Cut only the last dimension, (B, T, H, D): that leaves every "
            "number with its token. Then put heads before tokens.",
            "x.view(B, T, n_head, C // n_head), then transpose(1, 2).",
        ),
        right=(
            "return torch.stack(x.chunk(n_head, -1), 1)",
            "return x.view(B, T, n_head, -1).permute(0, 2, 1, 3)",
        ),
        wrong=(
            ("return x.view(B, n_head, T, C // n_head)", "mixes tokens"),
            (
                "return x.view(B, T, n_head, C // n_head)",
                "before heads",
            ),
            (
                "return x.view(B, T, C // n_head, n_head).permute(0, 3, 1, 2)",
                "dealt out",
            ),
            ("return x.view(B, T, n_head, n_head)", "do not multiply"),
        ),
        core=True,
    ),
    Exercise(
        "multihead.join",
        "join_heads",
        check_join,
        (
            "Go the way of split_heads backwards.",
            "transpose(1, 2) gives (B, T, H, D); reshape joins the last two.",
        ),
        right=("return torch.cat(x.unbind(1), -1)",),
        wrong=(
            ("return x.reshape(B, T, H * D)", "other tokens together"),
            ("return x.transpose(1, 2)", "not joined yet"),
            ("return x.transpose(1, 2).view(B, T, H * D)", "reshape copies"),
            (
                "return x.permute(0, 2, 3, 1).reshape(B, T, H * D)",
                "interleaved",
            ),
        ),
    ),
    Exercise(
        "multihead.qkv",
        "MultiHeadAttention.forward",
        check_qkv,
        (
            "self.qkv(x) holds queries, keys and values side by side: "
            "(B, T, 3C).",
            "chunk(3, dim=-1) cuts it in three; split_heads each part.",
        ),
        right=(
            "q, k, v = self.qkv(x).split(x.size(-1), dim=-1)\n"
            "q = split_heads(q, self.n_head)\n"
            "k = split_heads(k, self.n_head)\n"
            "v = split_heads(v, self.n_head)",
        ),
        wrong=(
            (
                "q, k, v = self.qkv(x).chunk(3, dim=-1)",
                "split_heads gives each",
            ),
            (
                PART.format("self.qkv(x).chunk(3, dim=-1)").replace(
                    "q, k, v", "k, q, v"
                ),
                "keys and queries are exchanged",
            ),
            (
                "q, k, v = split_heads(self.qkv(x), self.n_head)"
                ".chunk(3, dim=-1)",
                "before the thirds",
            ),
            (
                "B, T, C = x.shape\nq, k, v = (\n    part.reshape(B, "
                "self.n_head, T, C // self.n_head)\n"
                "    for part in self.qkv(x).chunk(3, dim=-1)\n)",
                "view mixes",
            ),
            (
                "q = k = v = split_heads(self.qkv(x).chunk(3, dim=-1)[0], "
                "self.n_head)",
                "all three",
            ),
        ),
        core=True,
    ),
    Exercise(
        "multihead.mask",
        "MultiHeadAttention.forward",
        check_mask,
        (
            "allowed is (T, S), mask (B, S); scores are (B, H, T, S). Which "
            "dimensions does the mask lack?",
            "mask[:, None, None, :] is (B, 1, 1, S): the same for all heads "
            "and queries. Both masks must allow: &.",
        ),
        right=(
            "real = mask.view(len(mask), 1, 1, -1)\n"
            "allowed = torch.logical_and(allowed, real)",
        ),
        wrong=(
            ("allowed = allowed & mask[:, None, :, None]", "stops the queries"),
            ("allowed = allowed & mask[:, None, :]", "for heads and one"),
            ("allowed = allowed | mask[:, None, None, :]", "with |"),
            ("allowed = mask[:, None, None, :]", "replaced"),
            ("pass", "no effect"),
        ),
    ),
    Exercise(
        "multihead.weights",
        "MultiHeadAttention.forward",
        check_weights,
        (
            "The same as in one head: only the last two dimensions matter, "
            "the others are batch.",
            "q @ k.transpose(-2, -1) times q.size(-1) ** -0.5, then "
            "masked_softmax(scores, allowed).",
        ),
        right=(
            'scores = torch.einsum("bhtd,bhsd->bhts", q, k)\n'
            "scores = scores / q.size(-1) ** 0.5" + SOFT,
        ),
        wrong=(
            ("scores = q @ k.transpose(-2, -1)" + SOFT, "not scaled"),
            (
                "scores = q @ k.transpose(-2, -1) * x.size(-1) ** -0.5" + SOFT,
                "n_embd**-0.5",
            ),
            (
                "scores = q @ k.transpose(-2, -1) / q.size(-1)" + SOFT,
                "not by its root",
            ),
            (
                "scores = q @ k.transpose(-2, -1) * q.size(-1) ** -0.5\n"
                "weights = scores.softmax(-1)",
                "future is seen",
            ),
            ("scores = q @ k * q.size(-1) ** -0.5" + SOFT, "must be turned"),
        ),
        core=True,
    ),
    Question(
        "multihead.predict-parameters",
        1,
        "the heads share the same channels: more heads are narrower heads",
        (
            "How wide is each of 4 heads in 64 channels, and each of 8?",
            "qkv is a matrix of C × 3C, whatever the number of heads.",
        ),
        wrong={
            2: "twice as many heads, but each is half as wide",
            4: "no matrix grew: the heads divide up the same channels",
            0.5: "each head is half as wide, but there are twice as many",
        },
    ),
    Question(
        "multihead.break-scale",
        "a",
        "C is larger than D, so the scores come out smaller, and softmax of "
        "smaller scores is more even",
        (
            "Which is the larger number to divide by?",
            "What does softmax give when all scores are nearly 0?",
        ),
        wrong={
            "b": "the division is by a larger number, so scores are smaller",
            "c": "softmax does not forgive a factor: it is a temperature",
        },
    ),
]
