"""Chapter 15: what its exercises expect."""

import torch

from minigpt.course.exercises import Exercise, Question


def numbers(t, *shape):
    """Random numbers, others for another seed."""
    dice = torch.Generator().manual_seed(t.seed)
    return torch.randn(*shape, generator=dice)


def check_rmsnorm(t):
    given = "RMSNorm(4, eps=0.5) with gains 1, 2, 3, 4; x (2, 3, 4)"
    norm = t.make(t.answer, 4, 0.5, given=given)
    gain, eps = torch.tensor([1.0, 2.0, 3.0, 4.0]), 0.5
    with torch.no_grad():
        norm.weight.copy_(gain)
    x = numbers(t, 2, 3, 4) + 1
    got = t.call(
        norm, x, given=given,
        errors={
            "must match the size": "the mean must keep its dimension, "
            "(…, 1): keepdim=True",
        },
    )  # fmt: skip
    square = x.square().mean(-1, keepdim=True)
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    over_tokens = x.square().mean(1, keepdim=True)
    t.same(
        got,
        x / (square + eps).sqrt() * gain,
        "each token over its root mean square, times the gain",
        given=given,
        mistakes={
            "that is LayerNorm: RMSNorm does not subtract the mean": centred
            / (variance + eps).sqrt()
            * gain,
            "the gain self.weight is missing": x / (square + eps).sqrt(),
            "it is divided by the mean square: take the root": x
            / (square + eps)
            * gain,
            "eps belongs under the root, to the mean square": x
            / (square.sqrt() + eps)
            * gain,
            "self.eps is missing under the root": x / square.sqrt() * gain,
            "the squares are added up: take their mean": x
            / (4 * square + eps).sqrt()
            * gain,
            "the mean goes over tokens: it must go over the channels of each, "
            "dim -1": x / (over_tokens + eps).sqrt() * gain,
            "one mean for all tokens: each has its own, over dim -1": x
            / (x.square().mean() + eps).sqrt()
            * gain,
            "multiplied by the root: divide by it": x
            * (square + eps).sqrt()
            * gain,
            "that is the square of the mean: the mean of the squares is asked "
            "for": x / (x.mean(-1, keepdim=True).square() + eps).sqrt() * gain,
            "x.norm() is the root of the sum of the squares: take the mean, "
            "and eps goes under the root": x
            / (x.norm(dim=-1, keepdim=True) + eps)
            * gain,
            "x.std() subtracts the mean first: RMSNorm does not": x
            / x.std(-1, keepdim=True)
            * gain,
        },
        otherwise="the numbers are others: x over the root of (mean square + "
        "self.eps), times self.weight",
    )


FITS = {
    "'turned'": "`turned` takes single numbers: write its two sums with a, b, "
    "cos and sin",
    "converted to Python scalars": "`turned` takes single numbers: write its "
    "two sums with a, b, cos and sin",
    "cannot be converted to Scalar": "`turned` takes single numbers: write "
    "its two sums with a, b, cos and sin",
    "must match the size": "the shapes do not fit: a, b, cos and sin all end "
    "in (T, D / 2)",
}


def check_rotate(t):
    x, angles = numbers(t, 1, 2, 3, 6), 3 * numbers(t, 3, 3)
    given = "x (1, 2, 3, 6), angles (3, 3)"
    got = t.call(t.answer, x, angles, given=given, errors=FITS)
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, -1)

    def join(first, second):
        return torch.cat([first, second], -1)

    turned = a * cos - b * sin, a * sin + b * cos
    t.same(
        got,
        join(*turned),
        "each pair turned by its angle, in halves",
        given=given,
        mistakes={
            "that turns the other way: a · cos − b · sin comes first": join(
                a * cos + b * sin, b * cos - a * sin
            ),
            "both signs are plus: that stretches and does not turn": join(
                a * cos + b * sin, a * sin + b * cos
            ),
            "the pairs are put side by side, a0 b0 a1 b1: the halves belong "
            "one behind the other": torch.stack(turned, -1).flatten(-2),
            "the halves are exchanged": join(*turned[::-1]),
            "sine and cosine are exchanged": join(
                a * sin - b * cos, a * cos + b * sin
            ),
            "each half is multiplied by itself: a turn mixes the two": join(
                a * cos, b * sin
            ),
            "the sine is missing: without it nothing turns": join(
                a * cos, b * cos
            ),
            "the halves are put behind one another along the batch: dim=-1": (
                torch.cat(turned)
            ),
            "two halves are returned: put them together with torch.cat": turned,
            "torch.stack makes a dimension more: torch.cat": torch.stack(
                turned, -1
            ),
        },
        otherwise="the numbers are others: (a · cos − b · sin), then "
        "(a · sin + b · cos)",
    )
    where = angles[None, None] + torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    given = "x (2, 2, 3, 6), angles (2, 1, 3, 3): each row its own"
    both = torch.cat([x, x])
    got = t.call(t.answer, both, where, given=given, errors=FITS)
    a, b = both.chunk(2, -1)
    cos, sin = where.cos(), where.sin()
    t.same(
        got,
        join(a * cos - b * sin, a * sin + b * cos),
        "each sequence by its own positions",
        given=given,
    )


def check_groups(t):
    times = 3
    x = numbers(t, 2, 2, 2, 1)
    given = f"x (2, 2, 2, 1), times {times}"
    got = t.call(t.answer, x, times, given=given)
    t.same(
        got,
        x[:, [0, 0, 0, 1, 1, 1]],
        "each head three times in a row",
        given=given,
        mistakes={
            "the heads stand a, b, a, b, …: each must stand `times` times in a "
            "row": x.repeat(1, times, 1, 1),
            "the tokens are repeated: heads are dimension 1": (
                x.repeat_interleave(times, 2)
            ),
            "the sequences are repeated: heads are dimension 1": (
                x.repeat_interleave(times, 0)
            ),
            "the channels are repeated: heads are dimension 1": (
                x.repeat_interleave(times, 3)
            ),
            "every single number is repeated: name the dimension": (
                x.repeat_interleave(times)
            ),
            "nothing is repeated": x,
        },
    )


def seen(got, want):
    """What a query may look at; the rest is masked and may be anything."""
    if not torch.is_tensor(got) or got.shape != want.shape:
        return got
    return got.tril(want.size(-1) - want.size(-2))


SHAPES = {
    "must match the size": "the shapes do not fit: distances are (…, T, S), "
    "and slopes[:, None, None] is (H, 1, 1)",
}
ROWS = dict.fromkeys(
    ("must match the size", "out of range"),
    "positions may be (S) or (B, S): count dimensions from the end, "
    "positions[..., -T:, None], and put the heads before (T, S)",
)


def check_alibi(t):
    S, T, H = 6, 3, 4
    positions = torch.arange(S) * (1 + t.seed % 3)
    given = f"positions {positions.tolist()}, T = 3, 4 heads"
    got = t.call(t.answer, positions, T, H, given=given, errors=SHAPES)
    slopes = (2.0 ** (-2 * torch.arange(1, 5)))[:, None, None]
    distance = positions[-T:, None] - positions[None]
    first = positions[:T, None] - positions[None]
    want = -slopes * distance
    mistakes = {
        "far keys are rewarded: the number must be negative": slopes * distance,
        "the slopes are missing": (-1.0 * distance).expand(H, T, S),
        "the first T positions ask: it is the last T": -slopes * first,
        "the distance does not count: only the slope is taken away": (
            (-slopes).expand(H, T, S)
        ),
        "the slopes go to the queries: they belong to the heads, "
        "slopes[:, None, None]": -slopes[:T, :, 0] * distance,
    }
    t.same(
        seen(got, want),
        want.tril(S - T),
        "minus slope times distance, for every head",
        given=given,
        mistakes={cause: seen(x, want) for cause, x in mistakes.items()},
        otherwise="the numbers are others: -slope · (position of the query - "
        "position of the key)",
    )
    both = torch.stack([positions, positions + 5])
    given = "positions (2, 6), T = 3, 4 heads"
    got = t.call(t.answer, both, T, H, given=given, errors=ROWS)
    want = want.expand(2, H, T, S)
    t.same(
        seen(got, want),
        want.tril(S - T),
        "each sequence by its own positions",
        given=given,
        mistakes={
            "heads and sequences are exchanged: (B, H, T, S)": (
                want.transpose(0, 1)
            ),
        },
    )


def check_qknorm(t):
    given = "12 channels, 3 heads, 1 of keys and values, qk_norm=True"
    m = t.make(t.answer, 12, 3, n_kv_head=1, qk_norm=True, given=given)
    gains = {
        "q": torch.tensor([1.0, 2.0, 3.0, 4.0]),
        "k": torch.tensor([2.0, 1.0, 0.5, 3.0]),
    }
    with torch.no_grad():
        m.norm_q.weight.copy_(gains["q"])
        m.norm_k.weight.copy_(gains["k"])
    x = numbers(t, 2, 5, 12)
    got = t.call(m.heads, x, given=given)
    raw = m.qkv(x).split([12, 4, 4], -1)
    q, k, v = (z.view(2, 5, -1, 4).transpose(1, 2) for z in raw)  # (B, H, T, D)

    def norm(z, gain="", eps=m.norm_q.eps):
        scaled = z / (z.square().mean(-1, keepdim=True) + eps).sqrt()
        return scaled * gains[gain] if gain else scaled

    t.same(
        list(got),
        [norm(q, "q"), norm(k, "k"), v],
        "queries and keys normalised, values as they were",
        given=given,
        mistakes={
            "nothing is normalised": [q, k, v],
            "only the queries are normalised": [norm(q, "q"), k, v],
            "only the keys are normalised": [q, norm(k, "k"), v],
            "the norms are exchanged: norm_q is for queries": [
                norm(q, "k"),
                norm(k, "q"),
                v,
            ],
            "the queries' norm is used for the keys too": [
                norm(q, "q"),
                norm(k, "q"),
                v,
            ],
            "queries and keys are exchanged": [norm(k, "k"), norm(q, "q"), v],
            "the values are normalised too: what is passed on keeps its "
            "length": [norm(q, "q"), norm(k, "k"), norm(v, "k")],
            "the learned gains are missing: use self.norm_q and self.norm_k": [
                norm(q),
                norm(k),
                v,
            ],
        },
        otherwise="other numbers: self.norm_q(q), self.norm_k(k), and v as it "
        "is",
    )


PRODUCTS = {
    "cannot be multiplied": "A = X @ X.mT is (rows, rows), so it stands on the "
    "left of X",
    "must match the size": "a · X and the product must both be (rows, "
    "columns): A = X @ X.mT stands on the left of X",
}


def check_orthogonalize(t):
    G = numbers(t, 3, 5)
    given = "G (3, 5), rounds 1"
    got = t.call(t.answer, G, 1, given=given, errors=PRODUCTS)
    a, b, c = 3.4445, -4.7750, 2.0315
    X = G / G.norm()
    A = X @ X.mT
    want = a * X + (b * A + c * A @ A) @ X
    t.same(
        got,
        want,
        "one round",
        given=given,
        mistakes={
            "A · A is taken number by number: @ is the product of matrices": a
            * X
            + (b * A + c * A * A) @ X,
            "the part with c is missing: c · A² · X": a * X + b * A @ X,
            "the part with a is missing: a · X": (b * A + c * A @ A) @ X,
            "the part with b is missing: b · A · X": a * X + c * A @ A @ X,
            "b and c are exchanged": a * X + (c * A + b * A @ A) @ X,
            "b is negative already: add it": a * X + (-b * A + c * A @ A) @ X,
            "the last product with X stands only behind c A²": lambda: (
                a * X + b * X + c * A @ A @ X
            ),
            "X is not changed": X,
        },
        otherwise="the numbers are others: a·X + (b·A + c·A²)·X with A = X·Xᵀ",
    )
    given = "G (5, 3), rounds 5"
    got = t.call(t.answer, G.mT.contiguous(), given=given, errors=PRODUCTS)
    for _ in range(5):
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    t.same(
        got,
        X.mT,
        "five rounds, and a tall matrix",
        given=given,
        mistakes={
            "it is one round, whatever `rounds` says": want.mT,
            "it returns inside the loop: name the result X, the lines below "
            "do the rest": want,
        },
        atol=1e-4,
    )


ROUND = "A = X @ X.mT\nX = {}"

EXERCISES = [
    Exercise(
        "modern.rmsnorm",
        "RMSNorm.forward",
        check_rmsnorm,
        (
            "One number for each token: the mean of the squares of its "
            "channels, with keepdim=True.",
            "x.square().mean(-1, keepdim=True), then x times (that + "
            "self.eps).rsqrt() times self.weight.",
        ),
        right=(
            "root = (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()\n"
            "return self.weight * (x / root)",
            "return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)",
        ),
        wrong=(
            (
                "return F.layer_norm(x, x.shape[-1:], self.weight, None, "
                "self.eps)",
                "LayerNorm",
            ),
            (
                "s = x.square().mean(-1, keepdim=True)\n"
                "return x * (s + self.eps).rsqrt()",
                "gain",
            ),
            (
                "s = x.square().mean(-1, keepdim=True)\n"
                "return x / (s + self.eps) * self.weight",
                "take the root",
            ),
            (
                "s = x.square().mean(-1, keepdim=True)\n"
                "return x / (s.sqrt() + self.eps) * self.weight",
                "under the root, to",
            ),
            (
                "s = x.square().mean()\n"
                "return x * (s + self.eps).rsqrt() * self.weight",
                "one mean",
            ),
            (
                "s = x.square().sum(-1, keepdim=True)\n"
                "return x * (s + self.eps).rsqrt() * self.weight",
                "added up",
            ),
            (
                "return x / (x.pow(2).mean(-1) + self.eps).sqrt()",
                "keepdim",
            ),
            (
                "root = x.norm(dim=-1, keepdim=True) + self.eps\n"
                "return x / root * self.weight",
                "of the sum",
            ),
            (
                "return x / x.std(-1, keepdim=True) * self.weight",
                "subtracts the mean first",
            ),
        ),
    ),
    Exercise(
        "modern.rotate",
        "rotate",
        check_rotate,
        (
            "`turned` above does it for one pair: a · cos − b · sin and "
            "a · sin + b · cos.",
            "torch.cat([first, second], dim=-1) puts the halves together.",
        ),
        right=(
            "swapped = torch.cat([-b, a], -1)\n"
            "twice = torch.cat([cos, cos], -1)\n"
            "return x * twice + swapped * torch.cat([sin, sin], -1)",
            "z = torch.complex(a, b) * torch.complex(cos, sin)\n"
            "return torch.cat([z.real, z.imag], -1)",
        ),
        wrong=(
            (
                "return torch.cat([a * cos + b * sin, b * cos - a * sin], -1)",
                "other way",
            ),
            (
                "return torch.cat([a * cos + b * sin, a * sin + b * cos], -1)",
                "both signs",
            ),
            (
                "return torch.stack(\n    [a * cos - b * sin, a * sin + "
                "b * cos], -1\n).flatten(-2)",
                "side by side",
            ),
            ("return torch.cat([a * cos, b * sin], -1)", "by itself"),
            (
                "return torch.cat([a * sin + b * cos, a * cos - b * sin], -1)",
                "halves are exchanged",
            ),
            (
                "return torch.cat([a * cos - b * sin, a * sin + b * cos])",
                "along the batch",
            ),
            ("return a * cos - b * sin, a * sin + b * cos", "two halves"),
            ("return torch.cat(turned((a, b), angles), -1)", "single numbers"),
        ),
        core=True,
    ),
    Exercise(
        "modern.groups",
        "repeat_heads",
        check_groups,
        (
            "Heads are dimension 1. Which of repeat and repeat_interleave "
            "keeps equal ones together?",
            "x.repeat_interleave(times, dim=1)",
        ),
        right=(
            "return torch.stack([x] * times, 2).flatten(1, 2)",
            "heads = torch.arange(x.size(1)).repeat_interleave(times)\n"
            "return x[:, heads]",
        ),
        wrong=(
            ("return x.repeat(1, times, 1, 1)", "a, b, a, b"),
            ("return x.repeat_interleave(times, dim=2)", "tokens are"),
            ("return x.repeat_interleave(times, dim=0)", "sequences are"),
            ("return x.repeat_interleave(times)", "every single number"),
        ),
    ),
    Exercise(
        "modern.alibi",
        "alibi",
        check_alibi,
        (
            "Two steps: distances (…, T, S), of the last T positions to all; "
            "then minus slopes for each head.",
            "positions[..., -T:, None] - positions[..., None, :], then a "
            "dimension for the heads in front of (T, S).",
        ),
        right=(
            "asks, keys = positions[..., -T:], positions\n"
            "far = (asks.unsqueeze(-1) - keys.unsqueeze(-2)).abs()\n"
            "return far.unsqueeze(-3) * -slopes.view(-1, 1, 1)",
        ),
        wrong=(
            (
                "far = positions[..., -T:, None] - positions[..., None, :]\n"
                "return slopes[:, None, None] * far[..., None, :, :]",
                "rewarded",
            ),
            (
                "far = positions[..., :T, None] - positions[..., None, :]\n"
                "return -slopes[:, None, None] * far[..., None, :, :]",
                "first T",
            ),
            (
                "far = positions[..., -T:, None] - positions[..., None, :]\n"
                "return -slopes * far",
                "do not fit",
            ),
            (
                "far = positions[-T:, None] - positions[None, :]\n"
                "return -slopes[:, None, None] * far",
                "count dimensions",
            ),
        ),
    ),
    Exercise(
        "modern.qknorm",
        "GroupedQueryAttention.heads",
        check_qknorm,
        (
            "Two of the three are normalised, each by its own norm.",
            "q = self.norm_q(q) and k = self.norm_k(k).",
        ),
        right=("q = self.norm_q(q)\nk = self.norm_k(k)",),
        wrong=(
            ("pass", "nothing is"),
            ("q = self.norm_q(q)", "only the queries"),
            ("q, k = self.norm_k(q), self.norm_q(k)", "exchanged: norm_q"),
            (
                "q, k, v = self.norm_q(q), self.norm_k(k), self.norm_k(v)",
                "values are",
            ),
            ("q, k = self.norm_q(q), self.norm_q(k)", "keys too"),
        ),
    ),
    Exercise(
        "modern.orthogonalize",
        "orthogonalize",
        check_orthogonalize,
        (
            "The formula has A = X Xᵀ three times. Compute it once.",
            "A = X @ X.mT, then a * X plus (b * A + c * A @ A) @ X.",
        ),
        right=("A = X @ X.T\nB = A @ X\nX = a * X + b * B + c * (A @ B)",),
        wrong=(
            (ROUND.format("a * X + (b * A + c * A * A) @ X"), "by number"),
            (ROUND.format("a * X + b * A @ X"), "with c is missing"),
            (ROUND.format("(b * A + c * A @ A) @ X"), "with a is missing"),
            ("A = X.mT @ X\nX = a * X + (b * A + c * A @ A) @ X", "left of X"),
            (ROUND.format("a * X + (c * A + b * A @ A) @ X"), "b and c"),
            (
                "A = X @ X.mT\nreturn a * X + (b * A + c * A @ A) @ X",
                "inside the loop",
            ),
        ),
        core=True,
    ),
    Question(
        "modern.predict-cache",
        4,
        "only keys and values are kept, and 8 heads of them are a quarter of 32",
        (
            "Queries are not kept.",
            "How many heads of keys are there, how many would there be?",
        ),
        wrong={
            8: "8 heads are what is left of 32: that is how many times fewer?",
            2: "keys and values both become fewer: the factor is 32 / 8",
            1: "the cache holds keys and values, and there are fewer of them",
            24: "a factor is asked for, not how many heads are saved",
        },
    ),
    Question(
        "modern.break-padding",
        "b",
        "all move by the same five places, and only distances count",
        (
            "What does the product of a turned query and a turned key know?",
            "Both are turned by five steps more.",
        ),
        wrong={
            "a": "that is so for learned positions: with RoPE only the "
            "distance of two tokens counts, and it has not changed",
            "c": "later tokens look at earlier ones, at the same distances as "
            "before",
        },
    ),
    Question(
        "modern.predict-muon",
        1,
        "the running mean of the gradient, and nothing of its size: half of "
        "AdamW's memory",
        (
            "Look for self.state in the class.",
            "`mean` is as large as the matrix.",
        ),
        wrong={
            2: "that is AdamW: Muon keeps no squares",
            0: "the momentum must be kept from step to step",
            5: "the five rounds begin anew in each step and keep nothing",
        },
    ),
]
