"""Chapter 5: what its exercises expect."""

import torch

from minigpt.course.exercises import Exercise, Question


def check_token_positions(t):
    def positions(T, mask, holds):
        given = f"token_positions({T}, mask), real "
        given += " / ".join("".join("·x"[int(r)] for r in m) for m in mask)
        got = t.call(t.answer, T, mask, given=given)
        seen, S = mask.cumsum(-1), mask.size(1)
        want = (seen - 1).clamp(min=0)[:, -T:]
        counted = {
            "the first real token has position 0: subtract 1": seen[:, -T:],
            "padding is counted: the mask says which tokens are real": (
                torch.arange(S).expand_as(mask)[:, -T:]
            ),
            "it counts down the batch: count along the tokens, dim -1": (
                (mask.cumsum(0) - 1).clamp(min=0)[:, -T:]
            ),
            "these are the positions of all S tokens: return those of the "
            "last T": (seen - 1).clamp(min=0),
            "these are the first T of the S tokens: the new ones come last": (
                (seen - 1).clamp(min=0)[:, :T]
            ),
            "the count starts afresh at the last T tokens: those before them "
            "count too": (mask[:, -T:].cumsum(-1) - 1).clamp(min=0),
        }
        if not torch.is_tensor(got) or got.shape != want.shape:
            t.same(got, want, holds, given=given, mistakes=counted)
        real, blank = mask[:, -T:], torch.tensor(0)
        t.same(
            torch.where(real, got, blank), torch.where(real, want, blank),
            holds, given=given,
            mistakes={
                cause: torch.where(real, other, blank)
                for cause, other in counted.items()
                if other.shape == want.shape
            },
        )  # fmt: skip
        t.true(
            bool((got >= 0).all() and (got < S).all()),
            "and padding has a position that exists",
            "padding on the left gets position -1, for which there is no "
            "row: clamp it",
            given=given, expected="no position below 0", got=got,
        )  # fmt: skip

    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [1, 1, 1, 0, 0]])
    positions(5, mask.bool(), "only real tokens are counted")
    positions(2, mask[:2].bool(), "the last T tokens continue the count")


def sinusoid(n, C, *, base=10_000.0, step=2, sign=-1, first="sin", join="pair"):
    """The table of positions 0 … n - 1, with faults that can be chosen."""
    positions = torch.arange(n, dtype=torch.float64)[:, None]
    exponents = torch.arange(C // 2, dtype=torch.float64) * step / C
    angles = positions * base ** (sign * exponents)
    pair = [angles.sin(), angles.cos()]
    if first == "cos":
        pair.reverse()
    if join == "halves":
        return torch.cat(pair, -1).float()
    return torch.stack(pair, -1).flatten(1).float()


def check_sinusoidal(t):
    C = 6 if t.seed == 1 else 8 + 2 * (t.seed % 7)
    given = f"SinusoidalPosition(block_size=20, n_embd={C})"
    where = t.make(
        t.answer, 20, C, given=given,
        errors={
            "must match the size": "positions[:, None] is (T, 1), exponents are (C / 2,): "
            "their product is (T, C / 2)",
            "UnboundLocalError": "the last line must make `table`",
            "NameError": "the last line must make `table`",
        },
    )  # fmt: skip
    places = torch.arange(20)
    got = t.call(where, places, given=f"{given}, positions 0 … 19")
    t.same(
        got,
        sinusoid(20, C),
        "pairs of sine and cosine, each pair slower than the one before",
        given=f"{given}, positions 0 … 19",
        mistakes={
            "all sines come first, then all cosines: sine and cosine of a "
            "pair are neighbors": sinusoid(20, C, join="halves"),
            "cosine comes before sine": sinusoid(20, C, first="cos"),
            "the exponent of pair i is i / n_embd: it must be 2i / n_embd": (
                sinusoid(20, C, step=1)
            ),
            "the exponent is positive: later pairs must turn more slowly": (
                sinusoid(20, C, sign=1)
            ),
            "the base is 1,000: it must be 10,000": sinusoid(20, C, base=1e3),
            "the exponents are not divided by n_embd": sinusoid(
                20, C, step=2 * C
            ),
        },
        atol=1e-4,
    )


EXP = "exponents = torch.arange(0, n_embd, 2, dtype=torch.float64) / n_embd\n"
ANGLES = "angles = positions[:, None] * 10_000.0**-exponents\n"
STACK = "table = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)"

EXERCISES = [
    Exercise(
        "position.token_positions",
        "token_positions",
        check_token_positions,
        (
            "How many real tokens come before a real token? cumsum along "
            "the tokens counts those up to it.",
            "mask.cumsum(-1) - 1, not below 0 where padding is on the left, "
            "and of that the last T columns.",
        ),
        right=(
            "return ((mask.cumsum(-1) - 1) * mask)[:, -T:]",
            "before = mask.long().cumsum(1) - mask.long()\n"
            "before = before.clamp(max=mask.size(1) - 1)\n"
            "return before[:, mask.size(1) - T :]",
        ),
        wrong=(
            ("return mask.cumsum(-1)[:, -T:]", "subtract 1"),
            ("return (mask.cumsum(-1) - 1)[:, -T:]", "clamp it"),
            ("return (mask.cumsum(-1) - 1).clamp(min=0)", "all S tokens"),
            ("return (mask.cumsum(-1) - 1).clamp(min=0)[:, :T]", "come last"),
            (
                "return (mask[:, -T:].cumsum(-1) - 1).clamp(min=0)",
                "starts afresh",
            ),
            (
                "return torch.arange(T).expand(len(mask), T)",
                "padding is counted",
            ),
            (
                "return (mask.cumsum(0) - 1).clamp(min=0)[:, -T:]",
                "down the batch",
            ),
            ("return (mask.float().cumsum(-1) - 1)[:, -T:]", "dtype"),
        ),
        core=True,
    ),
    Exercise(
        "position.sinusoidal",
        "SinusoidalPosition.__init__",
        check_sinusoidal,
        (
            "First the speed of each pair, 10000 to the power of -2i / C; "
            "then positions times speeds; then sine and cosine, interleaved.",
            "torch.arange(0, n_embd, 2) / n_embd are the 2i / C; stacking "
            "sine and cosine on a new last dimension and flattening it puts "
            "them side by side.",
        ),
        right=(
            "speeds = 10_000.0 ** (-torch.arange(0, n_embd, 2) / n_embd)\n"
            "angles = torch.outer(positions, speeds.double())\n"
            "table = torch.zeros(block_size, n_embd)\n"
            "table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()",
        ),
        wrong=(
            (
                EXP + ANGLES + "table = torch.cat([angles.sin(), "
                "angles.cos()], -1)",
                "neighbors",
            ),
            (
                EXP + ANGLES + "table = torch.stack([angles.cos(), "
                "angles.sin()], -1).flatten(1)",
                "cosine comes before",
            ),
            (
                "exponents = torch.arange(n_embd // 2).double() / n_embd\n"
                + ANGLES
                + STACK,
                "must be 2i / n_embd",
            ),
            (
                EXP
                + "angles = positions[:, None] * 10_000.0**exponents\n"
                + STACK,
                "more slowly",
            ),
            (
                EXP
                + "angles = positions[:, None] * 1_000.0**-exponents\n"
                + STACK,
                "10,000",
            ),
            (
                EXP + "angles = positions * 10_000.0**-exponents\n" + STACK,
                "(T, 1)",
            ),
        ),
    ),
    Question(
        "position.predict-prefix",
        "b",
        "the speed of pair i is 10000 to the power of -2i / n_embd: with more "
        "channels the speeds lie closer together",
        (
            "Look at the exponent: what is divided by what?",
            "Compare the second pair of both tables at place 1.",
        ),
        wrong={
            "a": "the first pair is equal, the second is not: its exponent "
            "is 2 / n_embd",
            "c": "they would be if the exponent were 2i: it is 2i / n_embd",
        },
    ),
    Question(
        "position.break-same",
        "a",
        "one vector added to every token changes nothing that tells places "
        "apart; the token table could have learned it by itself",
        (
            "Can the model tell from its input which of two equal tokens came "
            "first?",
            "Adding the same vector everywhere is another token table.",
        ),
        wrong={
            "b": "for that the vectors would have to differ between places",
            "c": "the head still sees the tokens before, as a bag",
        },
    ),
]
