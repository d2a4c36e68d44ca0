"""Chapter 6: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question

LAYER = """
layer = fill(MultiHeadAttention(12, 3))
x = 3 * torch.randn(2, 5, 12)
mask = torch.ones(5, 5).tril().bool()
"""
QKV = LAYER + "q, k, v = 2 * torch.randn(3, 2, 3, 5, 4)\n"
PARTS = "q, k, v = self.qkv(x).chunk(3, dim=-1)\n"
SPLIT = "return tuple(split_heads(y, self.n_head) for y in {})"

EXERCISES = [
    Exercise("multihead.split", "split_heads", core=True, cases=(
        Case("each head has its own channels, of every token", """
            x = torch.arange(48.0).view(2, 3, 8)
            split_heads(x, 2)"""),
        Case("and so it is for any sizes", """
            n_head = number(2, 5)
            x = torch.randn(2, 5, 3 * n_head)
            split_heads(x[:, 1:], n_head)"""),
    ), hints=(
        "Cut only the last dimension, (B, T, H, D): that leaves every number "
        "with its token. Then put heads before tokens.",
        "x.view(B, T, n_head, C // n_head), then transpose(1, 2).",
    ), right=(
        "return x.unflatten(-1, (n_head, -1)).transpose(1, 2)",
        "return x.reshape(B, T, n_head, -1).permute(0, 2, 1, 3)",
    ), wrong=(
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
    )),
    Exercise("multihead.join", "join_heads", cases=(
        Case("joining undoes splitting", """
            heads = split_heads(torch.arange(24.0).view(2, 3, 4), 2)
            join_heads(heads)"""),
        Case("and so it is for any sizes", """
            heads = torch.randn(2, number(2, 4), 5, number(2, 4))
            join_heads(heads)"""),
    ), hints=(
        "Go the way of split_heads backwards.",
        "transpose(1, 2) gives (B, T, H, D); reshape joins the last two.",
    ), right=("return x.permute(0, 2, 1, 3).flatten(2)",), wrong=(
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
        ("return x.sum(1)", "the heads were added: put them side by side"),
    )),
    Exercise("multihead.layer", "MultiHeadAttention", core=True, cases=(
        Case("its parts are qkv, from C to 3C channels, and proj", """
            layer = MultiHeadAttention(8, 2)
            {name: tuple(p.shape) for name, p in layer.named_parameters()}"""),
        Case("without biases, if so asked, and with some dropout", """
            layer = MultiHeadAttention(8, 2, bias=False, dropout=0.25)
            len(list(layer.parameters())), layer.dropout.p, layer.n_head"""),
        Case("queries, keys and values, each split into heads",
             LAYER + "tuple(layer.heads(x))"),
        Case("every head blends the values that the mask allows",
             QKV + "layer.attend(q, k, v, mask, None)"),
        Case("attend passes a record on",
             QKV + "record = []\nlayer.attend(q, k, v, mask, record), record"),
        Case("forward: the heads attend, are joined and projected",
             LAYER + "layer(x, mask=mask)"),
        Case("forward calls attend, which chapter 15 replaces", LAYER + """
layer.attend = lambda q, k, v, mask, record: v / 2
layer(x, mask=mask)"""),
        Case("the record receives the weights",
             LAYER + "recorded(layer, x, mask=mask)[1]"),
        Case("a cache adds earlier keys and values", LAYER + """
cache = SimpleNamespace(offset=5, update=lambda k, v: (
    torch.cat([k / 2, k], 2), torch.cat([1 - v, v], 2)))
layer(x, mask=torch.ones(5, 10).tril(5).bool(), cache=cache)"""),
        Case("dropout comes last", """
            layer = fill(MultiHeadAttention(12, 3, dropout=1.0)).train()
            layer(torch.randn(2, 5, 12))"""),
    ), hints=(
        "B and H are only a stack of problems of the kind that one head has, "
        "so the functions you have do the work: split_heads, attention, "
        "join_heads.",
        "nn.Linear(n_embd, 3 * n_embd, bias=bias) is qkv. chunk(3, dim=-1) "
        "cuts what it gives in three. attention(q, k, v, mask, record) is "
        "attend; forward ends with self.dropout(self.proj(join_heads(y))).",
    ), right=(
        ("self.n_head, self.dropout = n_head, nn.Dropout(dropout)\n"
         "self.qkv = nn.Linear(n_embd, n_embd * 3, bias)\n"
         "self.proj = nn.Linear(n_embd, n_embd, bias)",
         "q, k, v = self.qkv(x).split(x.size(-1), dim=-1)\n"
         "q = split_heads(q, self.n_head)\nk = split_heads(k, self.n_head)\n"
         "v = split_heads(v, self.n_head)\nreturn q, k, v",
         "return attention(q, k, v, mask=mask, record=record)",
         "heads = self.attend(q, k, v, mask=mask, record=record)\n"
         "return self.dropout(self.proj(join_heads(heads)))"),
        Edit("return tuple(split_heads(part, self.n_head) for part in parts)",
             "return [split_heads(part, self.n_head) for part in parts]"),
    ), wrong=(
        (Edit("3 * n_embd", "n_embd"),
         "qkv makes queries, keys and values: C to 3C channels"),
        (Edit("3 * n_embd", "3 * n_embd // n_head"),
         "qkv is for all heads at once: 3 * n_embd channels, not 3 * D"),
        (Edit("self.proj = nn.Linear(n_embd, n_embd, bias=bias)\n", ""),
         "the output projection is missing: self.proj, from C to C"),
        (Edit(", bias=bias", ""),
         "both linear layers must pass bias on: bias=bias"),
        (Edit("(dropout)", "()"),
         "nn.Dropout() drops half of its input: nn.Dropout(dropout)"),
        (Edit("self.n_head = n_head\n", ""),
         "heads needs n_head later: keep it, self.n_head = n_head"),
        (Edit("nn.Dropout(dropout)", "dropout"),
         "self.dropout is a layer: nn.Dropout(dropout)"),
        ((None, PARTS.replace(", dim=-1", "") + SPLIT.format("(q, k, v)"),
          None, None),
         "the texts of the batch were dealt out to q, k and v: it is the "
         "channels that chunk(3, dim=-1) cuts"),
        ((None, PARTS.replace("-1", "1") + SPLIT.format("(q, k, v)"),
          None, None),
         "the tokens were dealt out to q, k and v: the channels are dim=-1"),
        ((None, PARTS.replace("chunk", "split") + SPLIT.format("(q, k, v)"),
          None, None),
         "split takes the size of a part, chunk how many parts there are: "
         "chunk(3, dim=-1)"),
        (Edit("chunk", "split"),
         "these are many parts of 3 channels: chunk(3, dim=-1) makes 3 parts"),
        ((None, PARTS + "return q, k, v", None, None),
         "they are not split into heads: split_heads gives each head its "
         "channels"),
        ((None, PARTS + SPLIT.format("(k, q, v)"), None, None),
         "the first third of the channels are the queries, then come keys, "
         "then values: keys and queries are exchanged"),
        ((None, PARTS + SPLIT.format("(q, v, k)"), None, None),
         "keys and values are exchanged: keys are the second third"),
        ((None, PARTS + SPLIT.format("(q, q, v)"), None, None),
         "queries and keys are the same: keys are the second third"),
        ((None, PARTS + SPLIT.format("(q, q, q)"), None, None),
         "all three are the same"),
        ((None, "y = split_heads(self.qkv(x), self.n_head)\n"
                "return y.chunk(3, dim=-1)", None, None),
         "the heads were cut before the thirds: chunk(3, dim=-1) first, then "
         "split_heads for each part"),
        ((None, "B, T, C = x.shape\nreturn tuple(\n"
                "    part.reshape(B, self.n_head, T, C // self.n_head)\n"
                "    for part in self.qkv(x).chunk(3, dim=-1)\n)", None, None),
         "view or reshape alone mixes the tokens: use split_heads"),
        ((None, "return split_heads(self.qkv(x), self.n_head)", None, None),
         "this is one tensor with all three: chunk(3, dim=-1) cuts it"),
        (Edit(", dim=-1", ""),
         "the batch was cut in three, not the channels: chunk(3, dim=-1)"),
        (Edit("attention(q, k, v, mask, record)", "attention(q, k, v)"),
         "the future is seen: attention must get the mask"),
        (Edit("return attention(q, k, v, mask, record)",
              "return attention(q, k, v, mask)"),
         "the record stays empty: attention must get it"),
        (Edit("return attention(q, k,", "return attention(k, q,"),
         "queries and keys are exchanged"),
        (Edit("return attention(q, k, v", "return attention(q, v, k"),
         "attention takes the keys before the values"),
        (Edit("return attention(q, k, v, mask, record)",
              "return join_heads(attention(q, k, v, mask, record))"),
         "the heads are joined too early: that is the task of forward"),
        ((None, None, "scores = (q @ k.mT).masked_fill(~mask, -torch.inf)\n"
                      "return scores.softmax(-1) @ v", None),
         "the scores are not scaled: use attention"),
        ((None, None, "scores = q @ k.transpose * q.size(-1) ** -0.5\n"
                      "return scores.softmax(-1) @ v", None),
         "transpose is a method and needs the two dimensions: use attention"),
        (Edit("self.attend(q, k, v, mask, record)", "self.attend(q, k, v)"),
         "attend takes q, k, v, mask, record"),
        (Edit("self.proj(join_heads(y))", "join_heads(y)"),
         "the output projection is missing: self.proj"),
        (Edit("v, mask, record)  #", "v, None, record)  #"),
         "the future is seen: attend must get the mask"),
        (Edit("v, mask, record)  #", "v, mask, None)  #"),
         "the record stays empty: attend must get it"),
        (Edit("self.proj(join_heads(y))", "self.proj(y)"),
         "the projection takes (B, T, C): put the heads side by side first, "
         "with join_heads"),
        (Edit("self.proj(join_heads(y))", "y"),
         "the heads are not joined: join_heads"),
        (Edit("join_heads(y)", "y.reshape(x.shape)"),
         "reshape alone mixes the tokens: use join_heads"),
        (Edit("self.attend(q, k, v, mask, record)", "v"),
         "these are the values, nobody attended"),
        (Edit("self.proj(join_heads(y))", "x"),
         "this is still x: return what attention gives"),
        (Edit("self.dropout(y)", "x + self.dropout(y)"),
         "x is not added here: return what attention gives"),
        (Edit("self.dropout(y)", "y"), "dropout is missing: self.dropout(y)"),
        ((None, None, None, "y = join_heads(self.attend(q, k, v, mask, record))"
                            "\nreturn self.proj(self.dropout(y))"),
         "dropout comes last, after proj"),
    )),
    Question(
        "multihead.predict-parameters", 1,
        "the heads share the same channels: more heads are narrower heads",
        ("How wide is each of 4 heads in 64 channels, and each of 8?",
         "qkv is a matrix of C × 3C, whatever the number of heads."),
        wrong={
            2: "twice as many heads, but each is half as wide",
            4: "no matrix grew: the heads divide up the same channels",
            0.5: "each head is half as wide, but there are twice as many",
        },
    ),
    Question(
        "multihead.break-scale", "a",
        "C is larger than D, so the scores come out smaller, and the softmax "
        "of smaller scores is more even",
        ("Which is the larger number to divide by?",
         "What does softmax give when all scores are nearly 0?"),
        wrong={
            "b": "the division is by a larger number, so scores are smaller",
            "c": "they sum to 1 either way, but a factor is a temperature: "
                 "it makes them flatter or sharper",
        },
    ),
]  # fmt: skip
