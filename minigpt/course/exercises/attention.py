"""Chapter 4: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question

SCORES = "scores = q @ k.mT * q.size(-1) ** -0.5\n"
FILL = "scores.masked_fill(~mask, -torch.inf)"
WEIGHTS = "weights = attention_weights(q, k, mask)\n"
RECORDED = WEIGHTS + "record.append(weights)\n"
QKV = "q, k, v = 2 * torch.randn(3, 2, 4, 3)\nmask = causal_mask(4)\n"
HEAD = "head = fill(Head(12, 3))\nx = 2 * torch.randn(2, 5, 12)\n"

EXERCISES = [
    Exercise("attention.causal_mask", "causal_mask", cases=(
        Case("each position sees itself and what is before it",
             "causal_mask(3)"),
        Case("two new tokens see the three before them", "causal_mask(2, 5)"),
        Case("one new token sees everything", "causal_mask(1, 4)"),
        Case("so it is for any sizes", """
            T = number(2, 6)
            S = T + number(1, 6)
            causal_mask(T), causal_mask(T, S)"""),
        Case("it is on the device that is asked for",
             'causal_mask(2, 5, device="meta").device.type'),
    ), hints=(
        "tril keeps the lower triangle; its argument moves the diagonal to "
        "the right.",
        "The T queries are the last of S positions, so the first of them sees "
        "S - T + 1 keys: move the diagonal by S - T.",
    ), right=(
        "rows = torch.arange(S - T, S, device=device)[:, None]\n"
        "return rows >= torch.arange(S, device=device)",
        "return ~everywhere.triu(S - T + 1)",
    ), wrong=(
        ("return everywhere.tril()",
         "the new tokens are the last of the S, so the triangle is moved to "
         "the right by S - T"),
        ("return everywhere.triu(S - T)",
         "this is the future: a position looks back, at the lower triangle"),
        ("return everywhere.tril(S - T - 1)", "a position does not see itself"),
        ("return everywhere.tril(S - T + 1)",
         "every position sees one token of the future: off by one"),
        ("return ~everywhere.tril(S - T)",
         "it is upside down: True means that a position may look"),
        ("return everywhere.tril(T - S)",
         "the triangle is moved to the wrong side: S - T"),
        ("return everywhere", "everything is allowed"),
    )),
    Exercise("attention.weights", "attention_weights", core=True, cases=(
        Case("rows sum to 1, from scores divided by the root of D", """
            q, k = 2 * torch.randn(2, 2, 3, 4)
            attention_weights(q, k)"""),
        Case("where the mask is False the weight is 0, the rest sums to 1", """
            q, k = 2 * torch.randn(2, 4), 2 * torch.randn(5, 4)
            mask = torch.ones(2, 5, dtype=torch.bool).tril(3)
            mask[0, 1] = False
            attention_weights(q, k, mask)"""),
        Case("a mask of numbers is added to the scores", """
            q, k = 2 * torch.randn(2, 3, 4)
            mask = torch.randn(3, 3)
            mask[0, 1] = -torch.inf
            attention_weights(q, k, mask)"""),
        Case("there may be more dimensions in front: batch and heads", """
            q, k = torch.randn(2, 3, number(2, 5), 4), torch.randn(2, 3, 6, 4)
            mask = torch.rand(2, 1, 1, 6) < 0.5
            mask[..., 0] = True
            attention_weights(q[..., 1:], k[..., 1:], mask)"""),
        Case("large scores are no problem", """
            q, k = 40 * torch.randn(2, 2, 3, 4)
            attention_weights(q, k)""", gradients=False),
        Case("half precision works too", """
            q, k = torch.randn(2, 3, 4).half()
            mask = torch.ones(3, 3, dtype=torch.bool).tril()
            attention_weights(q, k, mask)""", atol=5e-3),
    ), hints=(
        "Scores: every query with every key, so the last two dimensions of k "
        "must be exchanged. What is -inf becomes 0 in a softmax, and "
        "mask.dtype tells the two kinds of masks apart.",
        "q @ k.mT * q.size(-1) ** -0.5; scores.masked_fill(~mask, -torch.inf) "
        "if mask.dtype is torch.bool, otherwise scores + mask; "
        "scores.softmax(-1).",
    ), right=(
        'scores = torch.einsum("...td,...sd->...ts", q, k)\n'
        "scores = scores / q.size(-1) ** 0.5\n"
        "if mask is None:\n    return F.softmax(scores, dim=-1)\n"
        "if mask.dtype == torch.bool:\n"
        "    mask = torch.where(mask, 0.0, -torch.inf).to(scores)\n"
        "return F.softmax(scores + mask, dim=-1)",
        "scores = q * k.size(-1) ** -0.5 @ k.transpose(-2, -1)\n"
        "if mask is not None:\n    if mask.dtype == torch.bool:\n"
        "        scores = torch.where(mask, scores, -torch.inf)\n"
        "    else:\n        scores = scores + mask\n"
        "e = (scores - scores.amax(-1, keepdim=True)).exp()\n"
        "return e / e.sum(-1, keepdim=True)",
        Edit("-torch.inf", "torch.finfo(scores.dtype).min"),
    ), wrong=(
        (Edit(" * q.size(-1) ** -0.5", ""),
         "the scores are not scaled: times D**-0.5"),
        (Edit("** -0.5", "** 0.5"),
         "the scores are multiplied by the root of D: divide"),
        (Edit("* q.size(-1) ** -0.5", "/ q.size(-1)"),
         "the scores are divided by D, not by its root"),
        (Edit("q.size(-1)", "q.size(1)"),
         "q.size(1) is not D here: the channels come last, q.size(-1)"),
        ("scores = q @ k.mT\nif mask is not None:\n"
         f"    scores = {FILL}\nreturn scores.softmax(-1) * q.size(-1) ** -0.5",
         "the scale came after the softmax: scale the scores"),
        (Edit("q @ k.mT", "k @ q.mT"),
         "queries and keys are exchanged: row t holds the scores of query t, "
         "q @ k.mT"),
        (Edit("k.mT", "k"),
         "q and k are (..., T, D): transpose the last two dimensions of k"),
        (Edit("k.mT", "k.T"),
         "`.T` turns all dimensions around, the batch too: `.mT` exchanges "
         "only the last two"),
        (Edit("k.mT", "k.transpose(1, 2)"),
         "there may be any number of dimensions in front: count from the end, "
         "k.transpose(-2, -1)"),
        (Edit("return scores.softmax(-1)", "return scores"),
         "these are still scores: softmax is missing"),
        (Edit("softmax(-1)", "softmax(-2)"),
         "columns sum to 1, not rows: softmax over dim=-2, expected -1"),
        (Edit("return scores.softmax(-1)",
              "e = scores.exp()\nreturn e / e.sum(-1, keepdim=True)"),
         "exp of a large score is infinite: subtract the largest score of "
         "each row first, as softmax does"),
        (Edit(FILL, "scores * mask"),
         "a masked score became 0, and exp(0) is 1, so it still gets weight: "
         "fill with -torch.inf"),
        (SCORES + "e = scores.exp()\nweights = e / e.sum(-1, keepdim=True)\n"
         "return weights if mask is None else weights * mask",
         "the mask came after the softmax: rows sum to less than 1"),
        (Edit("~mask", "mask"), "the mask is upside down: True means allowed"),
        (Edit(FILL, "scores"), "the mask was not used"),
        (Edit("-torch.inf", "torch.inf"),
         "a score of +inf asks for all of the weight: fill with -torch.inf"),
        (Edit("-torch.inf", "-1e9"),
         "the number that fills the gaps must fit the dtype: -torch.inf does"),
        (Edit("~mask", "-mask"), "~mask turns a bool mask around"),
        (SCORES + "if mask is not None:\n"
         "    scores.masked_fill(~mask, -torch.inf)\nreturn scores.softmax(-1)",
         "masked_fill gives a new tensor, which was not kept: scores = …"),
        (Edit("~mask", "not mask"),
         "`not mask` and `if mask` ask for one truth value, but a mask has "
         "many: use ~mask and `mask is not None`"),
        (SCORES + "if mask is not None:\n    scores = scores + mask\n"
         "return scores.softmax(-1)",
         "the boolean mask was added, so True counted as 1: fill with "
         "-torch.inf where it is False"),
        (Edit(" and mask.dtype == torch.bool", ""),
         "only booleans can be turned around: a mask of numbers is added"),
        (Edit("scores + mask", "scores"),
         "a mask of numbers has no effect: add it to the scores"),
        (Edit("mask is not None and mask.dtype", "mask.dtype"),
         "there may be no mask: ask for `mask is not None` first"),
    )),
    Exercise("attention.attention", "attention", core=True, cases=(
        Case("each query receives the values, blended with its weights",
             QKV + "recorded(attention, q, k, v)[0]"),
        Case("and the mask keeps the future out",
             QKV + "recorded(attention, q, k, v, mask)[0]"),
        Case("there may be more keys than queries", """
            q, k = torch.randn(number(1, 3), 3), torch.randn(5, 3)
            v, mask = torch.randn(5, 3), causal_mask(len(q), 5)
            recorded(attention, q, k, v, mask)[0]"""),
        Case("record receives the weights", QKV
             + "recorded(attention, q, k, v, mask)[1]", gradients=False),
    ), hints=(
        "attention_weights(q, k, mask) gives the weights. Which matrix "
        "product takes a blend of the rows of v?",
        "record.append(weights), and then return weights @ v.",
    ), right=(
        "record.append(attention_weights(q, k, mask))\n"
        'return torch.einsum("...ts,...sd->...td", record[-1], v)',
    ), wrong=(
        (RECORDED + "return weights",
         "these are the weights: the output is weights @ v"),
        (RECORDED + "return weights @ k",
         "the keys were blended: what a position passes on is its value"),
        (RECORDED + "return weights.mT @ v",
         "these are sums over the queries: weights @ v"),
        (RECORDED + "return v @ weights",
         "weights are (..., T, S) and v is (..., S, D), so the weights come "
         "first: weights @ v"),
        (RECORDED + "return weights.softmax(-1) @ v",
         "attention_weights has already applied the softmax"),
        (RECORDED.replace("mask", "~mask") + "return weights @ v",
         "the mask is upside down: pass it on as it is"),
        (RECORDED.replace(", mask", "") + "return weights @ v",
         "the mask has no effect: pass it on to attention_weights"),
        (RECORDED.replace("q, k", "k, q") + "return weights @ v",
         "queries and keys are exchanged"),
        (WEIGHTS + "return weights @ v",
         "nothing was recorded: record.append(weights)"),
        (WEIGHTS + "out = weights @ v\nrecord.append(out)\nreturn out",
         "the output was recorded: the weights are asked for"),
        (WEIGHTS + "record += weights\nreturn weights @ v",
         "`+=` adds the table of each text by itself: append the whole tensor"),
    )),
    Exercise("attention.head", "Head", core=True, cases=(
        Case("there are three layers without biases: query, key, value", """
            head = Head(12, 3)
            {name: tuple(p.shape) for name, p in head.named_parameters()}"""),
        Case("every token attends to itself and to what is before it",
             HEAD + "head(x)"),
        Case("record receives the weights", HEAD + "recorded(head, x)[1]"),
        Case("it works for any number of tokens", """
            head = fill(Head(8, number(2, 6)))
            x = torch.randn(number(6, 9), 3, 8).transpose(0, 1)
            head(x), head(x[:, :1])"""),
    ), hints=(
        "nn.Linear(n_embd, head_dim, bias=False) is one of the three layers. "
        "Calling it on x makes the queries, (B, T, D).",
        "causal_mask(x.size(1), device=x.device) is the mask, and "
        "attention(q, k, v, mask, record) does the rest.",
    ), right=(
        ('for name in ("query", "key", "value"):\n'
         "    setattr(self, name, nn.Linear(n_embd, head_dim, bias=False))",
         "q, k, v = (f(x) for f in (self.query, self.key, self.value))\n"
         "mask = causal_mask(x.shape[-2], x.shape[-2])\n"
         "return attention(q, k, v, mask=mask, record=record)"),
    ), wrong=(
        (("self.query = nn.Linear(n_embd, head_dim)\n"
          "self.key = nn.Linear(n_embd, head_dim)\n"
          "self.value = nn.Linear(n_embd, head_dim)", None),
         "the layers have biases: bias=False leaves them out"),
        (Edit("n_embd, head_dim", "head_dim, n_embd"),
         "a layer goes from n_embd channels to head_dim: "
         "nn.Linear(n_embd, head_dim)"),
        (Edit("n_embd, head_dim", "n_embd, n_embd"),
         "queries, keys and values have head_dim channels, not n_embd"),
        (("query = nn.Linear(n_embd, head_dim, bias=False)\n"
          "key = nn.Linear(n_embd, head_dim, bias=False)\n"
          "value = nn.Linear(n_embd, head_dim, bias=False)", None),
         "the layers are gone when __init__ ends: keep them, self.query = ..."),
        (Edit("v, mask, record", "v, record=record"),
         "the future is seen: without a mask every token sees every other"),
        (Edit("(q, k, v", "(k, q, v"), "queries and keys are exchanged"),
        (Edit("(q, k, v", "(q, k, k"),
         "the keys were blended: the third argument is the values"),
        (Edit("(q, k, v", "(q, k, x"),
         "x itself was blended: v is what is passed on"),
        (Edit("(q, k, v", "(x, x, x"),
         "x itself asks and answers: it must go through the three layers"),
        (Edit("v, mask", "v, ~mask"),
         "the mask is upside down: True means allowed"),
        (Edit("(q, k", "(q * q.size(-1) ** -0.5, k"),
         "attention already divides by the root of D: once is enough"),
        (Edit("x.size(1)", "x.size(-1)"),
         "the mask is for another number of tokens: there are T = x.size(1)"),
        (Edit("x.size(1)", "x.size(0)"),
         "x.size(0) is the number of texts: there are T = x.size(1) tokens"),
        (Edit("self.query(x)", "query(x)"),
         "the layers belong to the head: self.query(x)"),
        (Edit("mask, record", "record, mask"),
         "attention takes the mask before the record"),
        (Edit("mask, record", "mask"), "record was not passed on to attention"),
    )),
    Question(
        "attention.predict-swap", "b",
        "row t now holds what was column t: key t asks, and query t answers",
        ("scores[t, s] is q_t · k_s.",
         "Write down the new scores[t, s], and compare with scores[s, t]."),
        wrong={
            "a": "q_t · k_s and k_t · q_s are different numbers",
            "c": "no sign changes: k · q is the same number as q · k",
        },
    ),
    Question(
        "attention.break-scale", 0.125,
        "q · k sums 4 products of variance 1, so its variance is 4. Dividing "
        "by the root of 32 divides that by 32: the weights are too even",
        ("What is the variance of a sum of 4 independent products of variance "
         "1?", "Dividing a number by s divides its variance by s squared."),
        wrong={
            1: "that would be right for the root of head_dim, 4",
            4: "that is the variance before the division",
            8: "dividing by a larger number makes the variance smaller",
            0.35: "that is the standard deviation: its square is asked for",
        },
        within=0.01,
    ),
]  # fmt: skip
