"""Chapter 6: what its exercises expect."""

from minigpt.course.exercises import Case, Exercise, Question

LAYER = """
layer = fill(MultiHeadAttention(12, 3))
x = 3 * torch.randn(2, 5, 12)
mask = torch.ones(5, 5).tril().bool()
"""
MAKE_Y = "y = self.proj(join_heads(self.attend(q, k, v, {})))"

EXERCISES = [
    Exercise(
        "multihead.split",
        "split_heads",
        cases=(
            Case("each head has its own channels, of every token",
                 "x = torch.arange(24.0).view(2, 3, 4)\nsplit_heads(x, 2)"),
            Case("so it is for any numbers",
                 "x = torch.randn(2, 5, 12)\nsplit_heads(x[:, 1:], 3)"),
        ),
        hints=(
            "Cut only the last dimension, (B, T, H, D): that leaves every "
            "number with its token. Then put heads before tokens.",
            "x.view(B, T, n_head, C // n_head), then transpose(1, 2).",
        ),
        right=(
            "return x.unflatten(-1, (n_head, -1)).transpose(1, 2)",
            "return x.reshape(B, T, n_head, -1).permute(0, 2, 1, 3)",
        ),
        wrong=(
            ("return x.view(B, n_head, T, C // n_head)",
             "view alone cuts the row of numbers anew and mixes tokens: first "
             "(B, T, H, D), then exchange T and H"),
            ("return x.view(B, T, n_head, C // n_head)",
             "tokens still come before heads: exchange T and H"),
            ("return x.view(B, T, C // n_head, n_head).permute(0, 3, 1, 2)",
             "the channels are dealt out in turn: head 0 gets the first D"),
            ("return x.view(B, T, n_head, C // n_head).permute(0, 2, 3, 1)",
             "each head got its channels, but as rows: (..., T, D)"),
            ("return x.view(B, T, n_head, n_head)",
             "the sizes do not multiply to B · T · C"),
        ),
        core=True,
    ),
    Exercise(
        "multihead.join",
        "join_heads",
        cases=(
            Case("joining undoes splitting", """
                heads = split_heads(torch.arange(24.0).view(2, 3, 4), 2)
                join_heads(heads)"""),
            Case("so it is for any numbers", """
                heads = torch.randn(2, 3, 5, 4)
                join_heads(heads)"""),
        ),
        hints=(
            "Go the way of split_heads backwards.",
            "transpose(1, 2) gives (B, T, H, D); reshape joins the last two.",
        ),
        right=("return x.permute(0, 2, 1, 3).flatten(2)",),
        wrong=(
            ("return x.reshape(B, T, H * D)",
             "reshape alone puts channels of other tokens together: first "
             "exchange H and T"),
            ("return x.transpose(1, 2)",
             "heads are not joined yet: make H and D one dimension"),
            ("return x.transpose(1, 2).view(B, T, H * D)",
             "after a transpose the numbers are not in order: reshape copies "
             "where view cannot"),
            ("return x.permute(0, 2, 3, 1).reshape(B, T, H * D)",
             "the heads' channels are interleaved: put them side by side"),
            ("return x.sum(1)",
             "the heads were added: put them side by side"),
        ),
    ),
    Exercise(
        "multihead.heads",
        "MultiHeadAttention.heads",
        cases=(
            Case("queries, keys and values, each split into heads",
                 LAYER + "tuple(layer.heads(x))"),
        ),
        hints=(
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
            ("return self.qkv(x).chunk(3, dim=-1)",
             "they are not split into heads: split_heads gives each head its "
             "channels"),
            ("k, q, v = self.qkv(x).chunk(3, dim=-1)\n"
             "return tuple(split_heads(y, self.n_head) for y in (q, k, v))",
             "the first third of the channels are the queries, then come "
             "keys, then values: keys and queries are exchanged"),
            ("q, v, k = self.qkv(x).chunk(3, dim=-1)\n"
             "return tuple(split_heads(y, self.n_head) for y in (q, k, v))",
             "keys and values are exchanged"),
            ("y = split_heads(self.qkv(x), self.n_head)\n"
             "return y.chunk(3, dim=-1)",
             "the heads were cut before the thirds: chunk(3) first, then "
             "split_heads for each part"),
            ("B, T, C = x.shape\nreturn tuple(\n    part.reshape(B, "
             "self.n_head, T, C // self.n_head)\n"
             "    for part in self.qkv(x).chunk(3, dim=-1)\n)",
             "view mixes the tokens: use split_heads"),
            ("q, _, v = self.qkv(x).chunk(3, dim=-1)\n"
             "return tuple(split_heads(y, self.n_head) for y in (q, q, v))",
             "queries and keys are the same: keys are the second third"),
            ("q = split_heads(self.qkv(x).chunk(3, dim=-1)[0], self.n_head)\n"
             "return q, q, q",
             "all three are the same"),
            ("return split_heads(self.qkv(x), self.n_head)",
             "this is one tensor with all three: chunk(3, dim=-1) cuts it"),
            ("parts = self.qkv(x).chunk(3)\n"
             "return tuple(split_heads(part, self.n_head) for part in parts)",
             "the batch was cut in three, not the channels: chunk(3, "
             "dim=-1)"),
        ),
        core=True,
    ),
    Exercise(
        "multihead.attend",
        "MultiHeadAttention.attend",
        cases=(
            Case("every head blends the values that the mask allows", LAYER
                 + "q, k, v = 2 * torch.randn(3, 2, 3, 5, 4)\n"
                 "layer.attend(q, k, v, mask, None)"),
            Case("and a record receives the weights", LAYER
                 + "q, k, v = 2 * torch.randn(3, 2, 3, 5, 4)\nrecord = []\n"
                 "layer.attend(q, k, v, mask, record)"),
        ),
        hints=(
            "B and H are only a stack of problems of the kind that one head "
            "has. Which function solves one?",
            "attention(q, k, v, mask, record), from chapter 4.",
        ),
        right=("return attention(q, k, v, mask=mask, record=record)",),
        wrong=(
            ("return attention(q, k, v)",
             "the future is seen: attention must get the mask"),
            ("return attention(q, k, v, mask)",
             "the record stays empty: attention must get it"),
            ("return attention(k, q, v, mask, record)",
             "queries and keys are exchanged"),
            ("return attention(q, v, k, mask, record)",
             "keys and values are exchanged"),
            ("return join_heads(attention(q, k, v, mask, record))",
             "the heads are joined too early: that is the task of forward"),
            ("scores = (q @ k.mT).masked_fill(~mask, -torch.inf)\n"
             "return scores.softmax(-1) @ v",
             "the scores are not scaled: use attention"),
        ),
    ),
    Exercise(
        "multihead.forward",
        "MultiHeadAttention.forward",
        cases=(
            Case("the heads attend, are joined and projected",
                 LAYER + "layer(x, mask=mask)"),
            Case("and a record receives the weights",
                 LAYER + "record = []\nlayer(x, mask=mask, record=record)"),
        ),
        hints=(
            "Three steps, and each has a name: attend, join_heads, proj.",
            "self.attend(q, k, v, mask, record) gives (B, H, T, D); "
            "join_heads makes it (B, T, C), and self.proj mixes the channels.",
        ),
        right=(
            "heads = self.attend(q, k, v, mask=mask, record=record)\n"
            "y = self.proj(join_heads(heads))",
        ),
        wrong=(
            ("y = join_heads(self.attend(q, k, v, mask, record))",
             "the output projection is missing: self.proj"),
            (MAKE_Y.format("None, record"),
             "the future is seen: attend must get the mask"),
            (MAKE_Y.format("mask, None"),
             "the record stays empty: attend must get it"),
            ("y = self.proj(self.attend(q, k, v, mask, record))",
             "the projection takes (B, T, C): put the heads side by side "
             "first, with join_heads"),
            ("y = self.attend(q, k, v, mask, record)",
             "the heads are not joined: join_heads"),
            ("y = self.attend(q, k, v, mask, record).reshape(x.shape)\n"
             "y = self.proj(y)",
             "reshape alone mixes the tokens: use join_heads"),
            ("y = self.proj(join_heads(v))",
             "these are the values, nobody attended"),
            ("y = x", "y is still x: it must be what attention gives"),
            ("heads = self.proj(join_heads(self.attend(q, k, v, mask, "
             "record)))", "the blank must make y"),
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
]  # fmt: skip
