"""Chapter 6: what its exercises expect."""

import torch
import torch.nn.functional as F

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
            "each head got its channels, but as rows: (..., T, D)": (want.mT),
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
            "are not in order: reshape copies where view cannot",
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
            "the heads' channels are interleaved: put them side by side": (
                heads.permute(0, 2, 3, 1).reshape(B, T, H * D)
            ),
            "the heads were added: put them side by side": heads.sum(1),
        },
    )


def split(m, x):
    """(B, T, C) -> (B, H, T, D)."""
    B, T, _ = x.shape
    return x.reshape(B, T, m.n_head, -1).transpose(1, 2)


def a_layer(t):
    given = "MultiHeadAttention(n_embd=12, n_head=3)"
    layer = t.make(t.answer, 12, 3, given=given)
    torch.manual_seed(t.seed)
    return layer.eval(), 3 * torch.randn(2, 5, 12)


def check_heads(t):
    m, x = a_layer(t)
    given = "12 channels, 3 heads, heads(x) with x (2, 5, 12)"
    got = t.call(m.heads, x, given=given)
    got = tuple(got) if isinstance(got, list) else got
    y = m.qkv(x)
    q, k, v = (split(m, part) for part in y.chunk(3, -1))
    t.same(
        got,
        (q, k, v),
        "queries, keys and values, each split into heads",
        given=given,
        mistakes={
            "the first third of the channels are the queries, then come keys, "
            "then values: keys and queries are exchanged": (k, q, v),
            "keys and values are exchanged": (q, v, k),
            "all three are the same": (q, q, q),
            "queries and keys are the same: keys are the second third": (
                q, q, v,
            ),
            "they are not split into heads: split_heads gives each head its "
            "channels": y.chunk(3, -1),
            "the heads were cut before the thirds: chunk(3) first, then "
            "split_heads for each part": tuple(split(m, y).chunk(3, -1)),
            "view mixes the tokens: use split_heads": tuple(
                part.reshape(2, 3, 5, 4) for part in y.chunk(3, -1)
            ),
            "this is one tensor with all three: chunk(3, dim=-1) cuts it": (
                split(m, y)
            ),
        },
    )  # fmt: skip


def check_attend(t):
    m, _ = a_layer(t)
    q, k, v = 2 * torch.randn(3, 2, 3, 5, 4)
    causal = torch.ones(5, 5).tril().bool()
    given = "q, k, v (2, 3, 5, 4), a causal mask (5, 5), a record"
    errors = {
        "missing 1 required positional": "attention wants q, k and v, the mask "
        "and the record",
    }
    record = []
    got = t.call(m.attend, q, k, v, causal, None, given=given, errors=errors)

    def blend(q, k, v, mask=causal):
        return F.scaled_dot_product_attention(q, k, v, mask)

    want = blend(q, k, v)
    t.same(
        got,
        want,
        "every head blends the values that the mask allows",
        given=given,
        mistakes={
            "the future is seen: attention must get the mask": blend(
                q, k, v, None
            ),
            "queries and keys are exchanged": blend(k, q, v),
            "keys and values are exchanged": blend(q, v, k),
            "the heads are joined too early: that is the task of forward": (
                want.transpose(1, 2).reshape(2, 5, 12)
            ),
            "these are the weights: blend the values with them": (
                lambda: blend(q, k, torch.eye(5).expand(2, 3, 5, 5))
            ),
        },
    )
    given = "the same with record = []"
    t.make(m.attend, q, k, v, causal, record, given=given)
    t.true(
        len(record) == 1 and record[0].shape == (2, 3, 5, 5),
        "and a record receives the weights",
        "the record stays empty: attention must get it",
        given=given, expected="one tensor (2, 3, 5, 5)", got=record,
    )  # fmt: skip


def check_forward(t):
    m, x = a_layer(t)
    causal = torch.ones(5, 5).tril().bool()
    given = "12 channels, 3 heads, x (2, 5, 12), a causal mask (5, 5)"
    errors = {
        "mat1 and mat2": "the projection takes (B, T, C): put the heads side "
        "by side first, with join_heads",
        "missing 2 required positional": "attend takes q, k, v, mask, record",
        "missing 1 required positional": "attend takes q, k, v, mask, record",
        "cannot access local variable": "the blank must make y",
    }
    got = t.call(m, x, mask=causal, given=given, errors=errors)

    def blend(mask):
        q, k, v = (split(m, part) for part in m.qkv(x).chunk(3, -1))
        return F.scaled_dot_product_attention(q, k, v, mask)

    def join(heads):
        return heads.transpose(1, 2).reshape(2, 5, 12)

    heads = blend(causal)
    t.same(
        got,
        m.proj(join(heads)),
        "the heads attend, are joined and projected",
        given=given,
        mistakes={
            "the output projection is missing: self.proj": join(heads),
            "the future is seen: attend must get the mask": lambda: m.proj(
                join(blend(None))
            ),
            "the heads are not joined: join_heads": heads,
            "reshape alone mixes the tokens: use join_heads": lambda: m.proj(
                heads.reshape(2, 5, 12)
            ),
            "these are the values, nobody attended": lambda: m.proj(
                m.qkv(x).chunk(3, -1)[2]
            ),
            "y is still x: it must be what attention gives": x,
        },
    )
    record, given = [], given + ", record = []"
    t.make(m, x, mask=causal, record=record, given=given, errors=errors)
    t.true(
        len(record) == 1 and record[0].shape == (2, 3, 5, 5),
        "and a record receives the weights",
        "the record stays empty: attend must get it",
        given=given, expected="one tensor (2, 3, 5, 5)", got=record,
    )  # fmt: skip


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
            "return x.unflatten(-1, (n_head, -1)).transpose(1, 2)",
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
        right=("return x.permute(0, 2, 1, 3).flatten(2)",),
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
        "multihead.heads",
        "MultiHeadAttention.heads",
        check_heads,
        (
            "self.qkv(x) holds queries, keys and values side by side: "
            "(B, T, 3C).",
            "chunk(3, dim=-1) cuts it in three; split_heads each part.",
        ),
        right=(
            "q, k, v = self.qkv(x).split(x.size(-1), dim=-1)\n"
            "q = split_heads(q, self.n_head)\n"
            "k = split_heads(k, self.n_head)\n"
            "v = split_heads(v, self.n_head)\n"
            "return q, k, v",
            "parts = self.qkv(x).chunk(3, dim=-1)\n"
            "return [split_heads(part, self.n_head) for part in parts]",
        ),
        wrong=(
            ("return self.qkv(x).chunk(3, dim=-1)", "not split into heads"),
            (
                "k, q, v = self.qkv(x).chunk(3, dim=-1)\n"
                "return tuple(split_heads(y, self.n_head) for y in (q, k, v))",
                "keys and queries are exchanged",
            ),
            (
                "y = split_heads(self.qkv(x), self.n_head)\n"
                "return y.chunk(3, dim=-1)",
                "before the thirds",
            ),
            (
                "B, T, C = x.shape\nreturn tuple(\n    part.reshape(B, "
                "self.n_head, T, C // self.n_head)\n"
                "    for part in self.qkv(x).chunk(3, dim=-1)\n)",
                "view mixes",
            ),
            (
                "q = split_heads(self.qkv(x).chunk(3, dim=-1)[0], "
                "self.n_head)\nreturn q, q, q",
                "all three",
            ),
            ("return split_heads(self.qkv(x), self.n_head)", "one tensor"),
        ),
        core=True,
    ),
    Exercise(
        "multihead.attend",
        "MultiHeadAttention.attend",
        check_attend,
        (
            "B and H are only a stack of problems of the kind that one head "
            "has. Which function solves one?",
            "attention(q, k, v, mask, record), from chapter 4.",
        ),
        right=("return attention(q, k, v, mask=mask, record=record)",),
        wrong=(
            ("return attention(q, k, v)", "must get the mask"),
            ("return attention(q, k, v, mask)", "record stays empty"),
            ("return attention(k, q, v, mask, record)", "queries and keys"),
            (
                "return join_heads(attention(q, k, v, mask, record))",
                "joined too early",
            ),
        ),
    ),
    Exercise(
        "multihead.forward",
        "MultiHeadAttention.forward",
        check_forward,
        (
            "Three steps, and each has a name: attend, join_heads, proj.",
            "self.attend(q, k, v, mask, record) gives (B, H, T, D); "
            "join_heads makes it (B, T, C), and self.proj mixes the channels.",
        ),
        right=(
            "heads = self.attend(q, k, v, mask=mask, record=record)\n"
            "y = self.proj(join_heads(heads))",
        ),
        wrong=(
            (
                "y = join_heads(self.attend(q, k, v, mask, record))",
                "projection is missing",
            ),
            (
                "y = self.proj(join_heads(self.attend(q, k, v, None, record)))",
                "future is seen",
            ),
            (
                "y = self.proj(join_heads(self.attend(q, k, v, mask, None)))",
                "record stays empty",
            ),
            (
                "y = self.proj(self.attend(q, k, v, mask, record))",
                "side by side first",
            ),
            (
                "y = self.attend(q, k, v, mask, record).reshape(x.shape)\n"
                "y = self.proj(y)",
                "mixes the tokens",
            ),
            ("y = self.proj(join_heads(v))", "nobody attended"),
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
