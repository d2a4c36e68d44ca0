"""Chapter 4: what its exercises expect."""

from minigpt.course.exercises import Case, Exercise

MASK = "mask = causal_mask(x.size(1), device=x.device)\n"
QKV = "q, k, v = self.query(x), self.key(x), self.value(x)\n"
SCORES = "scores = q @ k.mT"
RECORDED = "record.append(weights)\n"
WEIGHTS = "weights = attention_weights(q, k, mask)\n"

EXERCISES = [
    Exercise(
        "attention.causal_mask",
        "causal_mask",
        cases=(
            Case("each position sees itself and what is before it",
                 "causal_mask(3)"),
            Case("two new tokens see the three before them",
                 "causal_mask(2, 5)"),
            Case("one new token sees everything", "causal_mask(1, 4)"),
            Case("so it is for any sizes", """
                T = number(2, 6)
                S = T + number(1, 6)
                causal_mask(T), causal_mask(T, S)"""),
        ),
        hints=(
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
            ("return everywhere.tril()",
             "the new tokens are the last of the S, so the triangle is moved "
             "to the right by S - T"),
            ("return everywhere.triu(S - T)",
             "this is the future: a position looks back, at the lower "
             "triangle"),
            ("return everywhere.tril(S - T - 1)",
             "a position does not see itself"),
            ("return everywhere.tril(S - T + 1)",
             "every position sees one token of the future: off by one"),
            ("return ~everywhere.tril(S - T)",
             "it is upside down: True means may look"),
            ("return everywhere.tril(S - T).float()",
             "the dtype is torch.float32, expected torch.bool"),
            ("return everywhere.tril(T - S)",
             "the triangle is moved to the wrong side: S - T"),
            ("return everywhere", "everything is allowed"),
        ),
    ),
    Exercise(
        "attention.weights",
        "attention_weights",
        cases=(
            Case("rows sum to 1, from scores divided by the root of D", """
                q, k = 2 * torch.randn(2, 2, 3, 4)
                attention_weights(q, k)"""),
            Case("where the mask is False the weight is 0, and the rest sums "
                 "to 1", """
                q, k = 2 * torch.randn(2, 4), 2 * torch.randn(5, 4)
                mask = torch.ones(2, 5, dtype=torch.bool).tril(3)
                mask[0, 1] = False
                attention_weights(q, k, mask)"""),
            Case("half precision works too", """
                q, k = torch.randn(2, 3, 4).half()
                mask = torch.ones(3, 3, dtype=torch.bool).tril()
                attention_weights(q, k, mask)""", atol=5e-3),
        ),
        hints=(
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
                "return torch.nn.functional.softmax(scores, dim=-1)",
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
            ((SCORES, None, None),
             "the scores are not scaled: times D**-0.5"),
            ((SCORES + " * q.size(-1) ** 0.5", None, None),
             "the scores are multiplied by the root of D: divide"),
            ((SCORES + " / q.size(-1)", None, None),
             "the scores are divided by D, not by its root"),
            ((SCORES, None, "return scores.softmax(-1) * q.size(-1) ** -0.5"),
             "the scale came after the softmax: scale the scores"),
            (("scores = k @ q.mT * q.size(-1) ** -0.5", None, None),
             "queries and keys are exchanged: row t holds the scores of query "
             "t, q @ k.mT"),
            (("scores = q @ k", None, None),
             "q and k are (..., T, D): transpose the last two dimensions of "
             "k"),
            ((None, None, "return scores"),
             "these are still scores: softmax is missing"),
            ((None, None, "return scores.softmax(-2)"),
             "columns sum to 1, not rows: softmax over dim=-2, expected -1"),
            ((None, "scores = scores * mask", None),
             "scores times the mask gives 0, and exp(0) is 1: what is masked "
             "still gets weight. Fill with -torch.inf"),
            ((None, None, "return scores.softmax(-1) * mask"),
             "the mask came after the softmax: rows sum to less than 1"),
            ((None, "scores = scores.masked_fill(mask, -torch.inf)", None),
             "the mask is upside down: True means allowed"),
            ((None, "pass", None), "the mask was not used"),
            ((None, "scores = scores.masked_fill(~mask, -1e9)", None),
             "the number that fills the gaps must fit the dtype: -torch.inf "
             "does"),
            ((None, "scores = scores.masked_fill(-mask, -torch.inf)", None),
             "~mask turns a bool mask around"),
            (("q *= q.size(-1) ** -0.5\n" + SCORES, None, None),
             "it changes what it was given: work on a copy"),
            ((None, None, "return scores.detach().softmax(-1)"),
             "the gradient ends here: no detach and no torch.no_grad"),
        ),
        core=True,
    ),
]  # fmt: skip
