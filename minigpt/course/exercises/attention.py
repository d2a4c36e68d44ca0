"""Chapter 4: what its exercises expect."""

import torch
import torch.nn.functional as F

from minigpt.course.exercises import Exercise, Question


def check_causal_mask(t):
    errors = {
        "size of tensor": "a mask for other sizes came out: (T, S)",
    }
    for T, S, holds in [
        (3, None, "each position sees itself and what is before it"),
        (2, 5, "two new tokens see the three before them"),
        (1, 4, "one new token sees everything"),
    ]:
        given = f"causal_mask({T}, {S})" if S else f"causal_mask({T})"
        args = (T, S) if S else (T,)
        got = t.call(t.answer, *args, given=given, errors=errors)
        S = S or T
        ones = torch.ones(T, S, dtype=torch.bool)
        mistakes = {
            "this is the future: a position looks back, at the lower "
            "triangle": ones.triu(S - T),
            "it is upside down: True means may look": ~ones.tril(S - T),
            "a position does not see itself": ones.tril(S - T - 1),
            "every position sees one token of the future: off by one": (
                ones.tril(S - T + 1)
            ),
            "everything is allowed": ones,
            "the new tokens are the last of the S, so the triangle is moved "
            "to the right by S - T": ones.tril(),
            "the triangle is moved to the wrong side: S - T": ones.tril(T - S),
        }
        want = ones.tril(S - T)
        t.same(got, want, holds, given=given, mistakes=mistakes)


def weights_of(q, k, mask=None, *, scale=None, dim=-1):
    """Attention weights, with faults that can be chosen."""
    scores = q @ k.mT * (q.size(-1) ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim)


def check_weights(t):
    torch.manual_seed(t.seed)
    q, k = 2 * torch.randn(2, 2, 3, 4)  # (2, 3, 4) each
    D = q.size(-1)
    given = "q (2, 3, 4), k (2, 3, 4), no mask"
    errors = {
        "Expected size for first two dimensions": "q and k are (..., T, D): "
        "transpose the last two dimensions of k",
        "without overflow": "the number that fills the gaps must fit the "
        "dtype: -torch.inf does",
        "Subtraction": "~mask turns a bool mask around",
    }
    got = t.call(t.answer, q, k, given=given, errors=errors)
    scores = q @ k.mT * D**-0.5
    t.same(
        got,
        weights_of(q, k),
        "rows sum to 1, from scores divided by the root of D",
        given=given,
        mistakes={
            "the scores are not scaled: times D**-0.5": lambda: weights_of(
                q, k, scale=1.0
            ),
            "the scores are multiplied by the root of D: divide": (
                lambda: weights_of(q, k, scale=D**0.5)
            ),
            "the scores are divided by D, not by its root": (
                lambda: weights_of(q, k, scale=1 / D)
            ),
            "the scale came after the softmax: scale the scores": (
                lambda: weights_of(q, k, scale=1.0) * D**-0.5
            ),
            "queries and keys are exchanged: row t holds the scores of query "
            "t, q @ k.mT": lambda: weights_of(k, q),
            "columns sum to 1, not rows: softmax over dim=-2, expected -1": (
                lambda: weights_of(q, k, dim=-2)
            ),
            "these are still scores: softmax is missing": scores,
        },
    )
    q, k = 2 * torch.randn(2, 4), 2 * torch.randn(5, 4)
    mask = torch.ones(2, 5, dtype=torch.bool).tril(3)
    mask[0, 1] = False
    given = "q (2, 4), k (5, 4), mask [[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]]"
    got = t.call(t.answer, q, k, mask, given=given, errors=errors)
    scores = q @ k.mT * 0.5
    want = weights_of(q, k, mask)
    t.same(
        got,
        want,
        "where the mask is False the weight is 0, and the rest sums to 1",
        given=given,
        mistakes={
            "scores times the mask gives 0, and exp(0) is 1: what is masked "
            "still gets weight. Fill with -torch.inf": (
                (scores * mask).softmax(-1)
            ),
            "the mask came after the softmax: rows sum to less than 1": (
                scores.softmax(-1) * mask
            ),
            "the mask is upside down: True means allowed": (
                lambda: weights_of(q, k, ~mask)
            ),
            "the mask was not used": weights_of(q, k),
        },
    )
    given = "the same in half precision, as on a GPU"
    got = t.call(t.answer, q.half(), k.half(), mask, given=given, errors=errors)
    t.same(got, want.half(), "half precision works too", given=given, atol=5e-3)


def recorded(function):
    """function(..., record) as one that returns its output and the record."""

    def call(*args):
        record = []
        return function(*args, record), record

    return call


def check_attention(t):
    torch.manual_seed(t.seed)
    q, k, v = 2 * torch.randn(3, 2, 4, 3)  # (2, 4, 3) each
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    given = "q, k, v (2, 4, 3), a causal mask and record = []"
    got, record = t.call(
        recorded(t.answer), q, k, v, mask, given=given,
        errors={
            "Expected size for first two dimensions": "weights are (..., T, "
            "S) and v is (..., S, D): weights @ v",
        },
    )  # fmt: skip
    weights = weights_of(q, k, mask)
    want = weights @ v
    t.same(
        got,
        want,
        "each query receives the values, blended with its weights",
        given=given,
        mistakes={
            "these are the weights: the output is weights @ v": weights,
            "the keys were blended: what a position hands over is its value": (
                weights @ k
            ),
            "these are sums over the queries: weights @ v": weights.mT @ v,
            "the mask has no effect: hand it on to attention_weights": (
                lambda: weights_of(q, k) @ v
            ),
            "queries and keys are exchanged": lambda: (
                weights_of(k, q, mask) @ v
            ),
        },
    )
    given = "the record after that call"
    t.same(
        record,
        [weights],
        "record receives the weights",
        given=given,
        mistakes={
            "nothing was recorded: record.append(weights)": [],
            "the output was recorded: the weights are asked for": [want],
        },
        otherwise="record must hold the weights, and nothing else",
    )
    given = "the same without a record"
    got = t.call(t.answer, q, k, v, mask, given=given)
    t.same(got, want, "without a record the output is the same", given=given)


def check_head(t):
    head = t.make(t.answer, 12, 3, given="Head(n_embd=12, head_dim=3)")
    torch.manual_seed(t.seed)
    x = 2 * torch.randn(2, 5, 12)
    given = "Head(12, 3) on x (2, 5, 12)"
    errors = {
        "must match": "the mask is for another number of tokens: there are "
        "T = x.size(1)",
        "broadcast": "the mask is for another number of tokens: there are "
        "T = x.size(1)",
    }
    got = t.call(head, x, given=given, errors=errors)
    q, k, v = head.query(x), head.key(x), head.value(x)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()

    def attended(q, k, v, mask=mask):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    t.same(
        got,
        attended(q, k, v),
        "every token attends to itself and to what is before it",
        given=given,
        mistakes={
            "the future is seen: without a mask every token sees every "
            "other": lambda: attended(q, k, v, None),
            "queries and keys are exchanged": lambda: attended(k, q, v),
            "the keys were blended: the third argument is the values": (
                lambda: attended(q, k, k)
            ),
            "x itself was blended: v is what is passed on": lambda: attended(
                q, k, x
            ),
            "x itself asks and answers: it must go through the three layers": (
                lambda: attended(x, x, x)
            ),
            "the mask is upside down: True means allowed": lambda: attended(
                q, k, v, ~mask
            ),
        },
    )
    given = "the same with record = []"
    got, record = t.call(recorded(head), x, given=given, errors=errors)
    t.same(
        record,
        [weights_of(q, k, mask)],
        "record receives the weights",
        given=given,
        mistakes={"record was not handed on to attention": []},
        otherwise="record must hold the weights, and nothing else",
    )


SCORES = "scores = q @ k.mT"
QKV = "q, k, v = self.query(x), self.key(x), self.value(x)\n"
MASK = "mask = causal_mask(x.size(1))\n"

EXERCISES = [
    Exercise(
        "attention.causal_mask",
        "causal_mask",
        check_causal_mask,
        (
            "tril keeps the lower triangle; its argument moves the diagonal "
            "to the right.",
            "The T queries are the last of S positions, so the first of them "
            "sees S - T + 1 keys: move the diagonal by S - T.",
        ),
        right=(
            "rows = torch.arange(S - T, S, device=device)[:, None]\n"
            "return rows >= torch.arange(S, device=device)",
        ),
        wrong=(
            ("return everywhere.tril()", "moved to the right"),
            ("return everywhere.triu(S - T)", "the future"),
            ("return everywhere.tril(S - T - 1)", "see itself"),
            ("return everywhere.tril(S - T + 1)", "off by one"),
            ("return ~everywhere.tril(S - T)", "upside down"),
            ("return everywhere.tril(S - T).float()", "dtype"),
            ("return everywhere.tril(T - S)", "wrong side"),
        ),
    ),
    Exercise(
        "attention.weights",
        "attention_weights",
        check_weights,
        (
            "Scores: every query with every key, so the last two dimensions "
            "of k must be exchanged. What is -inf becomes 0 in a softmax.",
            "q @ k.mT * q.size(-1) ** -0.5; scores.masked_fill(~mask, "
            "-torch.inf); scores.softmax(-1).",
        ),
        right=(
            (
                'scores = torch.einsum("...td,...sd->...ts", q, k)\n'
                "scores = scores / q.size(-1) ** 0.5",
                "scores = torch.where(mask, scores, -torch.inf)",
                "return F.softmax(scores, dim=-1)",
            ),
            (
                "scores = q * k.size(-1) ** -0.5 @ k.transpose(-2, -1)",
                "scores = scores + torch.zeros_like(\n"
                "    mask, dtype=scores.dtype).masked_fill(~mask, -torch.inf)",
                "e = (scores - scores.amax(-1, keepdim=True)).exp()\n"
                "return e / e.sum(-1, keepdim=True)",
            ),
            (
                None,
                "lowest = torch.finfo(scores.dtype).min\n"
                "scores = scores.masked_fill(~mask, lowest)",
                None,
            ),
        ),
        wrong=(
            ((SCORES, None, None), "not scaled"),
            ((SCORES + " * q.size(-1) ** 0.5", None, None), "divide"),
            ((SCORES + " / q.size(-1)", None, None), "not by its root"),
            (
                (
                    SCORES,
                    None,
                    "return scores.softmax(-1) * q.size(-1) ** -0.5",
                ),
                "scale came after",
            ),
            (
                ("scores = k @ q.mT * q.size(-1) ** -0.5", None, None),
                "exchanged",
            ),
            (("scores = q @ k", None, None), "transpose the last two"),
            ((None, None, "return scores"), "softmax is missing"),
            ((None, None, "return scores.softmax(-2)"), "dim=-2"),
            ((None, "scores = scores * mask", None), "exp(0) is 1"),
            (
                (
                    None,
                    "return scores.softmax(-1) * mask",
                    None,
                ),
                "mask came after",
            ),
            (
                (
                    None,
                    "scores = scores.masked_fill(mask, -torch.inf)",
                    None,
                ),
                "upside down",
            ),
            ((None, "pass", None), "was not used"),
            (
                (None, "scores = scores.masked_fill(~mask, -1e9)", None),
                "must fit the dtype",
            ),
            (
                (
                    "q *= q.size(-1) ** -0.5\n" + SCORES,
                    None,
                    None,
                ),
                "changes what it was given",
            ),
        ),
        core=True,
        blanks=3,
    ),
    Exercise(
        "attention.attention",
        "attention",
        check_attention,
        (
            "attention_weights(q, k, mask) gives the weights. Which matrix "
            "product takes a blend of the rows of v?",
            "record.append(weights), and then return weights @ v.",
        ),
        right=(
            "record.append(attention_weights(q, k, mask))\n"
            'return torch.einsum("...ts,...sd->...td", record[-1], v)',
        ),
        wrong=(
            (
                "weights = attention_weights(q, k, mask)\n"
                "record.append(weights)\nreturn weights",
                "these are the weights",
            ),
            (
                "weights = attention_weights(q, k, mask)\n"
                "record.append(weights)\nreturn weights @ k",
                "keys were blended",
            ),
            (
                "weights = attention_weights(q, k, mask)\n"
                "record.append(weights)\nreturn weights.mT @ v",
                "over the queries",
            ),
            (
                "weights = attention_weights(q, k)\n"
                "record.append(weights)\nreturn weights @ v",
                "mask has no effect",
            ),
            (
                "weights = attention_weights(k, q, mask)\n"
                "record.append(weights)\nreturn weights @ v",
                "exchanged",
            ),
            (
                "return attention_weights(q, k, mask) @ v",
                "nothing was recorded",
            ),
            (
                "out = attention_weights(q, k, mask) @ v\n"
                "record.append(out)\nreturn out",
                "output was recorded",
            ),
            (
                "weights = attention_weights(q, k, mask)\n"
                "record.append(weights)\nweights @ v",
                "`return` missing",
            ),
        ),
        core=True,
    ),
    Exercise(
        "attention.head",
        "Head.forward",
        check_head,
        (
            "self.query, self.key and self.value are layers: call them on x. "
            "The mask is that of T tokens, and x is (B, T, C).",
            "q, k, v = self.query(x), self.key(x), self.value(x); "
            "causal_mask(x.size(1), device=x.device); "
            "attention(q, k, v, mask, record).",
        ),
        right=(
            "layers = self.query, self.key, self.value\n"
            "q, k, v = (layer(x) for layer in layers)\n"
            "T = x.shape[-2]\n"
            "return attention(q, k, v, causal_mask(T, T), record=record)",
        ),
        wrong=(
            (QKV + "return attention(q, k, v, record=record)", "future"),
            (
                QKV + MASK + "return attention(k, q, v, mask, record)",
                "exchanged",
            ),
            (
                QKV + MASK + "return attention(q, k, k, mask, record)",
                "third argument",
            ),
            (
                QKV + MASK + "return attention(q, k, x, mask, record)",
                "x itself was blended",
            ),
            (
                MASK + "return attention(x, x, x, mask, record)",
                "the three layers",
            ),
            (
                QKV + MASK + "return attention(q, k, v, ~mask, record)",
                "upside down",
            ),
            (
                QKV + "mask = causal_mask(x.size(-1))\n"
                "return attention(q, k, v, mask, record)",
                "another number of tokens",
            ),
            (QKV + MASK + "return attention(q, k, v, mask)", "handed on"),
        ),
        core=True,
    ),
    Question(
        "attention.predict-swap",
        "b",
        "row t then holds what was column t: key t asks, and query t answers",
        (
            "scores[t, s] is q_t · k_s.",
            "Write down the new scores[t, s], and compare with scores[s, t].",
        ),
        wrong={
            "a": "q_t · k_s and k_t · q_s are different numbers",
            "c": "no sign changes: a product does not mind the order of two "
            "vectors",
        },
    ),
    Question(
        "attention.break-scale",
        0.125,
        "q · k sums 4 products of variance 1, so its variance is 4, and "
        "dividing by the root of 32 divides it by 32: weights too even",
        (
            "What is the variance of a sum of 4 independent products of "
            "variance 1?",
            "Dividing a number by s divides its variance by s squared.",
        ),
        wrong={
            1: "that is so for the root of head_dim, 4",
            4: "that is the variance before the division",
            8: "the division is by the larger number: it makes them smaller",
            0.35: "that is the standard deviation; its square was asked for",
        },
        within=0.01,
    ),
]
