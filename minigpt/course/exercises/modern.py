"""Chapter 15: what its exercises expect."""

import torch

from minigpt.course.exercises import Exercise, Question


def numbers(t, *shape):
    """Random numbers, others for another seed."""
    dice = torch.Generator().manual_seed(t.seed)
    return torch.randn(*shape, generator=dice)


def check_rmsnorm(t):
    eps, x = 0.5, numbers(t, 2, 3, 4) + 1
    given = "x (2, 3, 4), eps 0.5"
    got = t.call(
        t.answer, x, eps, given=given,
        errors={
            "must match the size": "the mean must keep its dimension, "
            "(..., 1): keepdim=True",
        },
    )  # fmt: skip
    square = x.square().mean(-1, keepdim=True)
    centered = x - x.mean(-1, keepdim=True)
    variance = centered.square().mean(-1, keepdim=True)
    over_tokens = x.square().mean(1, keepdim=True)
    t.same(
        got,
        x / (square + eps).sqrt(),
        "each token over its root mean square",
        given=given,
        mistakes={
            "that is LayerNorm: RMSNorm does not subtract the mean": centered
            / (variance + eps).sqrt(),
            "it is divided by the mean square: take the root": x
            / (square + eps),
            "eps belongs under the root, to the mean square": x
            / (square.sqrt() + eps),
            "eps is missing under the root": x / square.sqrt(),
            "the squares are added up: take their mean": x
            / (4 * square + eps).sqrt(),
            "the mean goes over tokens: it must go over the channels of each, "
            "dim -1": x / (over_tokens + eps).sqrt(),
            "one mean for all tokens: each has its own, over dim -1": x
            / (x.square().mean() + eps).sqrt(),
            "multiplied by the root: divide by it": x * (square + eps).sqrt(),
            "that is the square of the mean: the mean of the squares is asked "
            "for": x / (x.mean(-1, keepdim=True).square() + eps).sqrt(),
            "x.norm() is the root of the sum of the squares: take the mean, "
            "and eps goes under the root": x
            / (x.norm(dim=-1, keepdim=True) + eps),
            "x.std() subtracts the mean first: RMSNorm does not": x
            / x.std(-1, keepdim=True),
        },
        otherwise="the numbers are others: x over the root of (mean square + "
        "eps)",
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
    given = "x (1, 2, 3, 6), cos and sin of angles (3, 3)"
    cos, sin = angles.cos(), angles.sin()
    got = t.call(t.answer, x, cos, sin, given=given, errors=FITS)
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
    "must match the size": "the shapes do not fit: distances are (T, S), and "
    "slopes[:, None, None] is (H, 1, 1)",
}


def check_alibi(t):
    S, T, H = 6, 2 + t.seed % 2, 4
    given = f"T = {T}, S = 6, 4 heads"
    got = t.call(t.answer, T, S, H, given=given, errors=SHAPES)
    slopes = (2.0 ** (-2 * torch.arange(1, 5)))[:, None, None]
    positions = torch.arange(S)
    distance = positions[-T:, None] - positions
    first = positions[:T, None] - positions
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
        "all S positions ask: it is the last T": (
            -slopes * (positions[:, None] - positions)
        ),
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


def check_qknorm(t):
    given = "12 channels, 3 heads, 1 of keys and values, qk_norm=True"
    m = t.make(
        t.answer, 12, 3, block_size=8, n_kv_head=1, position="none",
        qk_norm=True, given=given,
    )  # fmt: skip
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
        "queries and keys normalized, values as they were",
        given=given,
        mistakes={
            "nothing is normalized": [q, k, v],
            "only the queries are normalized": [norm(q, "q"), k, v],
            "only the keys are normalized": [q, norm(k, "k"), v],
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
            "the values are normalized too: what is passed on keeps its "
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
    "UnboundLocalError": "a round gives two names new values: A and W",
}


def check_orthogonalize(t):
    G = numbers(t, 3, 5)
    a, b, c = 3.4445, -4.7750, 2.0315
    I, X = torch.eye(3), G / G.norm()  # noqa: E741

    def after(rounds, P=lambda A: a * I + b * A + c * A @ A,
              next_A=lambda P, A: P @ A @ P, next_W=lambda P, W: P @ W):  # fmt: skip
        A, W = X @ X.mT, I
        for _ in range(rounds):
            p = P(A)
            A, W = next_A(p, A), next_W(p, W)
        return W @ X

    given = "G (3, 5), rounds 1"
    got = t.call(t.answer, G, 1, given=given, errors=PRODUCTS)
    t.same(
        got,
        after(1),
        "one round",
        given=given,
        mistakes={
            "A · A is taken number by number: @ is the product of matrices": (
                after(1, lambda A: a * I + b * A + c * A * A)
            ),
            "the part with c is missing: c · A²": (
                after(1, lambda A: a * I + b * A)
            ),
            "the part with a is missing: a · I": (
                after(1, lambda A: b * A + c * A @ A)
            ),
            "the part with b is missing: b · A": (
                after(1, lambda A: a * I + c * A @ A)
            ),
            "a is a number, and a matrix is needed: a · I": (
                after(1, lambda A: a + b * A + c * A @ A)
            ),
            "b and c are exchanged": (
                after(1, lambda A: a * I + c * A + b * A @ A)
            ),
            "b is negative already: add it": (
                after(1, lambda A: a * I - b * A + c * A @ A)
            ),
            "W is not changed: it is multiplied by P in each round": X,
        },
        otherwise="the numbers are others: P = a·I + b·A + c·A², and W "
        "becomes P·W",
    )
    given = "G (5, 3), rounds 5"
    got = t.call(t.answer, G.mT.contiguous(), given=given, errors=PRODUCTS)
    t.same(
        got,
        after(5).mT,
        "five rounds, and a tall matrix",
        given=given,
        mistakes={
            "A is the same in every round: the next one is P·A·P": (
                after(5, next_A=lambda P, A: A).mT
            ),
            "the next A is P·A·P: P is on one side only": (
                after(5, next_A=lambda P, A: P @ A).mT
            ),
            "W is the P of the last round: multiply all of them": (
                after(5, next_W=lambda P, W: P).mT
            ),
            "it is one round, whatever `rounds` says": after(1).mT,
        },
        atol=1e-4,
    )


ROUND = "P = {}\nA, W = P @ A @ P, P @ W"
RIGHT_P = "a * I + b * A + c * A @ A"

EXERCISES = [
    Exercise(
        "modern.rmsnorm",
        "rms_normalize",
        check_rmsnorm,
        (
            "One number for each token: the mean of the squares of its "
            "channels, with keepdim=True.",
            "x.square().mean(-1, keepdim=True), then x times (that + "
            "eps).rsqrt().",
        ),
        right=(
            "return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()",
            "return F.rms_norm(x, x.shape[-1:], None, eps)",
        ),
        wrong=(
            (
                "return F.layer_norm(x, x.shape[-1:], None, None, eps)",
                "LayerNorm",
            ),
            (
                "return x / (x.square().mean(-1, keepdim=True) + eps)",
                "take the root",
            ),
            (
                "s = x.square().mean(-1, keepdim=True)\n"
                "return x / (s.sqrt() + eps)",
                "under the root, to",
            ),
            ("return x * (x.square().mean() + eps).rsqrt()", "one mean"),
            (
                "s = x.square().sum(-1, keepdim=True)\n"
                "return x * (s + eps).rsqrt()",
                "added up",
            ),
            ("return x / (x.pow(2).mean(-1) + eps).sqrt()", "keepdim"),
            (
                "return x / (x.norm(dim=-1, keepdim=True) + eps)",
                "of the sum",
            ),
            (
                "return x / x.std(-1, keepdim=True)",
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
            ("return torch.cat(turned((a, b), cos), -1)", "single numbers"),
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
            "Two steps: distances (T, S), of the last T positions to all S; "
            "then minus slopes for each head.",
            "t[-T:, None] - t gives the distances, and slopes[:, None, None] "
            "has a dimension for each of their two.",
        ),
        right=(
            "far = (t[-T:].unsqueeze(-1) - t.unsqueeze(0)).abs()\n"
            "return far * -slopes.view(-1, 1, 1)",
        ),
        wrong=(
            (
                "far = t[-T:, None] - t\nreturn slopes[:, None, None] * far",
                "rewarded",
            ),
            (
                "far = t[:T, None] - t\nreturn -slopes[:, None, None] * far",
                "first T",
            ),
            (
                "far = t[:, None] - t\nreturn -slopes[:, None, None] * far",
                "all S",
            ),
            ("far = t[-T:, None] - t\nreturn -slopes * far", "do not fit"),
        ),
    ),
    Exercise(
        "modern.qknorm",
        "GroupedQueryAttention.heads",
        check_qknorm,
        (
            "Two of the three are normalized, each by its own norm.",
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
            "Write P as the formula has it. The next A is P A P.",
            "P = a * I + b * A + c * A @ A, then A, W = P @ A @ P, P @ W.",
        ),
        right=(
            ROUND.format("c * A @ A + b * A + a * I"),
            f"P = {RIGHT_P}\nW = P @ W\nA = P @ P @ A",
        ),
        wrong=(
            (ROUND.format("a * I + b * A + c * A * A"), "by number"),
            (ROUND.format("a * I + b * A"), "with c is missing"),
            (ROUND.format("b * A + c * A @ A"), "with a is missing"),
            (ROUND.format("a + b * A + c * A @ A"), "a matrix is needed"),
            (ROUND.format("a * I + c * A + b * A @ A"), "b and c"),
            (f"P = {RIGHT_P}\nW = P @ W", "same in every round"),
            (f"P = {RIGHT_P}\nA, W = P @ A, P @ W", "one side"),
            (f"P = {RIGHT_P}\nA, W = P @ A @ P, P", "last round"),
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
        "all move by the same five positions, and only distances count",
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
