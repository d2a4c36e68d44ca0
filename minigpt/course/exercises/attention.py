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


def check_masked_softmax(t):
    scores = torch.tensor([[1.0, 2.0, 0.0], [0.0, 3.0, 1.0]])
    mask = torch.tensor([[True, True, False], [True, False, True]])
    given = "scores [[1, 2, 0], [0, 3, 1]], mask [[1, 1, 0], [1, 0, 1]]"
    errors = {
        "without overflow": "the number that fills the gaps must fit the "
        "dtype: torch.finfo(scores.dtype).min",
        "Subtraction": "~mask turns a bool mask around",
    }
    got = t.call(t.answer, scores, mask, given=given, errors=errors)
    minus = scores.masked_fill(~mask, -torch.inf)
    t.same(
        got,
        minus.softmax(-1),
        "rows sum to 1 over what may be seen",
        given=given,
        mistakes={
            "scores times the mask gives 0, and exp(0) is 1: what is masked "
            "still gets weight. Fill with a very small number": (
                (scores * mask).softmax(-1)
            ),
            "the mask came after the softmax: rows sum to less than 1": (
                scores.softmax(-1) * mask
            ),
            "rows sum to 1 over queries: softmax over dim=-2, expected -1": (
                (minus.softmax(-2) * mask).nan_to_num(0)
            ),
            "the mask is upside down: True means may look": scores.masked_fill(
                mask, -torch.inf
            ).softmax(-1),
            "these are still scores: softmax is missing": minus,
            "the mask was not used": scores.softmax(-1),
        },
    )
    nowhere = torch.tensor([[True, True, False], [False, False, False]])
    given = "a second row that may look nowhere"
    leaf = scores.clone().requires_grad_()
    got = t.call(t.answer, leaf, nowhere, given=given, errors=errors)
    want = scores.masked_fill(~nowhere, -1e30).softmax(-1) * nowhere
    t.same(
        got,
        want,
        "a row that may look nowhere is all zeros",
        given=given,
        mistakes={
            "a row of -inf only gives NaN: fill with the lowest finite number, "
            "and multiply by the mask": torch.stack(
                [want[0], torch.full((3,), torch.nan)]
            ),
            "a row that may look nowhere looks everywhere: multiply the "
            "weights by the mask": torch.stack(
                [want[0], torch.full((3,), 1 / 3)]
            ),
        },
    )
    values = torch.tensor([1.0, 2.0, 4.0])
    (got @ values).sum().backward()
    grad = leaf.grad if leaf.grad is not None else torch.zeros(2, 3)
    t.true(
        bool(grad.isfinite().all()),
        "and sends no NaN back through the gradient",
        "the numbers are right, but the gradient is NaN: -inf was added and "
        "went through the softmax. Fill with the lowest finite number",
        given=given, expected="a finite gradient", got=grad,
    )  # fmt: skip
    given = "scores in half precision, as on a GPU"
    got = t.call(t.answer, scores.half(), mask, given=given, errors=errors)
    t.same(got, minus.half().softmax(-1), "half precision works too",
           given=given, atol=2e-3)  # fmt: skip


def attend(head, x, real=None, *, scale=None, dim=-1, by="key", late=1.0):
    """What a head gives, with faults that can be chosen."""
    q, k, v = head.query(x), head.key(x), head.value(x)
    scale = q.size(-1) ** -0.5 if scale is None else scale
    scores = q @ k.transpose(-2, -1) * scale
    if by == "swapped":
        scores = scores.transpose(-2, -1)
    mask = torch.ones_like(scores, dtype=torch.bool).tril()
    if real is not None and by == "query":
        mask = mask & real[:, :, None]
    elif real is not None and by == "or":
        mask = mask | real[:, None, :]
    elif real is not None and by == "only":
        mask = real[:, None, :].expand_as(mask)
    elif real is not None and by != "none":
        mask = mask & real[:, None, :]
    weights = scores.masked_fill(~mask, -1e30).softmax(dim) * mask
    return weights * late @ v


def check_head(t):
    head = t.make(t.answer, 12, 3, given="Head(n_embd=12, head_dim=3)")
    torch.manual_seed(t.seed)
    x = 2 * torch.randn(2, 5, 12)
    given = "Head(12, 3) on x (2, 5, 12)"
    errors = {
        "Expected size for first two dimensions": "q and k are (B, T, D): "
        "transpose the last two dimensions of k",
        "must match the size": "the shapes do not fit: scores are (B, T, T), "
        "of every query with every key; a mask (B, T) needs a dimension for "
        "the queries, mask[:, None, :]",
        "mat1 and mat2": "the shapes do not fit: q @ k.transpose(-2, -1), "
        "then weights @ v",
        "must broadcast": "scores are (B, T, T), of every query with every "
        "key: q @ k.transpose(-2, -1)",
    }
    got = t.call(head, x, given=given, errors=errors)
    q, k, v = head.query(x), head.key(x), head.value(x)
    want = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    C, D = 12, 3
    t.same(
        got,
        want,
        "causal, scaled by head_dim, equal to PyTorch's attention",
        given=given,
        mistakes={
            "the scores are not scaled: times head_dim**-0.5": lambda: attend(
                head, x, scale=1.0
            ),
            "the scale is n_embd**-0.5: it must be head_dim**-0.5, the size "
            "that q · k sums over": lambda: attend(head, x, scale=C**-0.5),
            "the scores are multiplied by the root of head_dim: divide": (
                lambda: attend(head, x, scale=D**0.5)
            ),
            "the scores are divided by head_dim, not by its root": (
                lambda: attend(head, x, scale=1 / D)
            ),
            "the scale came after the softmax: scale the scores": lambda: (
                attend(head, x, scale=1.0, late=D**-0.5)
            ),
            "queries and keys are exchanged: row t holds the scores of query "
            "t, q @ k.transpose": lambda: attend(head, x, by="swapped"),
            "these are sums over the queries: weights @ v": lambda: (
                _weights(head, x).transpose(-2, -1) @ v
            ),
            "these are the weights: the output is weights @ v": lambda: (
                _weights(head, x)
            ),
            "the weights are applied to x or to another projection: v is "
            "what is passed on": lambda: _weights(head, x) @ k,
        },
    )
    real = torch.tensor([[True] * 5, [False, True, True, True, False]])
    given = "the same, second sequence padded at both ends"
    got = t.call(head, x, mask=real, given=given, errors=errors)
    t.same(
        got,
        attend(head, x, real),
        "padding is never read, and reads nothing alone",
        given=given,
        mistakes={
            "the padding mask stops the queries: it must stop the keys, "
            "mask[:, None, :]": lambda: attend(head, x, real, by="query"),
            "allowed and real: with | the future of real tokens is seen": (
                lambda: attend(head, x, real, by="or")
            ),
            "the padding mask replaced the causal one: both must allow": (
                lambda: attend(head, x, real, by="only")
            ),
            "padding is read: the mask has no effect": lambda: attend(
                head, x, real, by="none"
            ),
        },
    )


def _weights(head, x):
    q, k = head.query(x), head.key(x)
    scores = q @ k.transpose(-2, -1) * q.size(-1) ** -0.5
    mask = torch.ones_like(scores, dtype=torch.bool).tril()
    return scores.masked_fill(~mask, -torch.inf).softmax(-1)


S = "scores = q @ k.transpose(-2, -1)"
FILL = "scores.masked_fill(~mask, {})"

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
        "attention.masked_softmax",
        "masked_softmax",
        check_masked_softmax,
        (
            "What is filled with a very small number gets weight 0 from "
            "softmax. But what if a row has nothing else?",
            "masked_fill(~mask, lowest), with the lowest finite number of the "
            "dtype; softmax(-1); then times the mask, for empty rows.",
        ),
        right=(
            "lowest = torch.finfo(scores.dtype).min\n"
            "weights = torch.where(mask, scores, lowest).softmax(-1)\n"
            "return torch.where(mask, weights, 0.0)",
            "filled = scores.masked_fill(~mask, -torch.inf)\n"
            "return filled.softmax(-1).nan_to_num(0.0)",
        ),
        wrong=(
            ("return (scores * mask).softmax(-1)", "exp(0) is 1"),
            ("return scores.softmax(-1) * mask", "after the softmax"),
            (
                f"return {FILL.format('-torch.inf')}.softmax(-1)",
                "gives NaN",
            ),
            (
                "far = torch.where(mask, 0.0, -torch.inf)\n"
                "return (scores + far).softmax(-1).nan_to_num(0.0)",
                "the gradient is NaN",
            ),
            (
                f"return {FILL.format('-1e30')}.softmax(-2) * mask",
                "dim=-2",
            ),
            (
                f"return {FILL.format('-1e30')}.softmax(-1)",
                "looks everywhere",
            ),
            (
                f"return {FILL.format('-1e9')}.softmax(-1) * mask",
                "must fit the dtype",
            ),
            (
                "return scores.masked_fill(mask, -1e30).softmax(-1)",
                "upside down",
            ),
            (
                "scores.masked_fill_(~mask, -1e30)\n"
                "return scores.softmax(-1) * mask",
                "changes what it was given",
            ),
        ),
        core=True,
    ),
    Exercise(
        "attention.head",
        "Head.forward",
        check_head,
        (
            "Scores: every query with every key, (B, T, T). The mask: a key "
            "may be read if it is causal and real. The output: a sum of "
            "values.",
            "q @ k.transpose(-2, -1), times q.size(-1) ** -0.5; allowed & "
            "mask[:, None, :]; weights @ v.",
        ),
        right=(
            (
                'scores = torch.einsum("btd,bsd->bts", q, k)\n'
                "scores = scores / q.size(-1) ** 0.5",
                None,
                'return torch.einsum("bts,bsd->btd", weights, v)',
            ),
            (
                "scores = torch.bmm(q * k.size(2) ** -0.5, k.mT)",
                "allowed = torch.logical_and(allowed, mask.unsqueeze(1))",
                None,
            ),
        ),
        wrong=(
            ((S, None, None), "not scaled"),
            ((S + " * x.size(-1) ** -0.5", None, None), "n_embd**-0.5"),
            ((S + " * q.size(-1) ** 0.5", None, None), "divide"),
            ((S + " / q.size(-1)", None, None), "not by its root"),
            (
                (S, None, "return weights * q.size(-1) ** -0.5 @ v"),
                "after the softmax",
            ),
            (
                (
                    "scores = k @ q.transpose(-2, -1) * q.size(-1) ** -0.5",
                    None,
                    None,
                ),
                "exchanged",
            ),
            (("scores = q @ k", None, None), "transpose the last two"),
            ((None, None, "return weights"), "these are the weights"),
            (
                (None, None, "return weights.transpose(-2, -1) @ v"),
                "over the queries",
            ),
            ((None, None, "return weights @ k"), "passed on"),
            (
                (None, "allowed = allowed & mask[:, :, None]", None),
                "stops the queries",
            ),
            (
                (None, "allowed = allowed | mask[:, None, :]", None),
                "with |",
            ),
            ((None, "allowed = mask[:, None, :]", None), "replaced"),
            ((None, "pass", None), "has no effect"),
            ((None, "allowed = allowed & mask", None), "needs a dimension"),
        ),
        core=True,
        blanks=3,
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
