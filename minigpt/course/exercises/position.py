"""Chapter 5: what its exercises expect."""

import torch

from minigpt.course.exercises import Exercise, Question


def check_learned(t):
    given = "LearnedPosition(6, 4)"
    where = t.make(t.answer, 6, 4, given=given)
    table = where.weight.detach()
    positions = torch.tensor([2, 5, 0])
    if t.seed > 1:
        positions = (positions + 1 + t.seed % 5) % 6
    given += f"(positions {positions.tolist()})"
    got = t.call(
        where, positions, given=given,
        errors={
            "RecursionError": "it calls itself: the embedding's own forward is "
            "super().forward",
            "out of range": "a row outside the table was asked for: row p is "
            "for position p",
            "out of bounds": "a row outside the table was asked for: row p is "
            "for position p",
        },
    )  # fmt: skip
    t.same(
        got,
        table[positions],
        "each place gets its own row of the table",
        given=given,
        mistakes={
            "these are the first rows, whatever the positions were": table[:3],
            "this is the whole table: look up the rows of positions": table,
            "these are the positions: look up their rows": positions,
            "the rows are one off": table[(positions + 1) % 6],
        },
    )
    batch = torch.tensor([[0, 1], [4, 5]])
    given = "positions (2, 2)"
    got = t.call(where, batch, given=given)
    t.same(got, table[batch], "batches of positions work", given=given)


def check_token_positions(t):
    def positions(mask, start, holds, **mistakes):
        given = f"token_positions(5, mask, start={start}), real "
        given += " / ".join("".join("·x"[int(r)] for r in m) for m in mask)
        got = t.call(t.answer, 5, mask, start, given=given)
        first = start[:, None] if torch.is_tensor(start) else start
        seen = mask.cumsum(-1)
        want = (seen - 1).clamp(min=0) + first
        counted = {
            "the first real token has position 0: subtract 1": seen + first,
            "padding is counted: the mask says which tokens are real": (
                torch.arange(5).expand_as(mask) + first
            ),
            "start is missing: it is what came before": want - first,
            "it counts down the batch: count along the tokens, dim -1": (
                (mask.cumsum(0) - 1).clamp(min=0) + first
            ),
            "start is subtracted": (seen - 1).clamp(min=0) - first,
        }
        same_kind = torch.is_tensor(got) and got.shape == want.shape
        if same_kind and got.dtype == want.dtype:
            blank = torch.tensor(0)
            t.same(
                torch.where(mask, got, blank), torch.where(mask, want, blank),
                holds, given=given,
                mistakes={
                    cause: torch.where(mask, other, blank)
                    for cause, other in counted.items()
                },
            )  # fmt: skip
            t.true(
                bool((got >= 0).all() and (got < 5 + start.max()).all())
                if torch.is_tensor(start)
                else bool((got >= 0).all() and (got < 5 + start).all()),
                "and padding has a position that exists",
                "padding on the left gets position -1, for which there is no "
                "row: clamp it",
                given=given, expected="no position below 0", got=got,
            )  # fmt: skip
        else:
            t.same(got, want, holds, given=given, mistakes=counted)

    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [1, 1, 1, 0, 0]])
    positions(mask.bool(), 0, "only real tokens are counted")
    positions(mask[:2].bool(), 3, "counting goes on from start")
    start = torch.tensor([1, 2, 4])
    positions(mask.bool(), start, "each sequence from a start of its own")


def sinusoid(n, C, *, base=10_000.0, step=2, sign=-1, first="sin", join="pair"):
    """The table of positions 0 … n - 1, with faults that can be chosen."""
    places = torch.arange(n, dtype=torch.float64)[:, None]
    exponents = torch.arange(C // 2, dtype=torch.float64) * step / C
    angles = places * base ** (sign * exponents)
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
            "must match the size": "places are (T, 1) and exponents (C / 2,): "
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
            "all sines stand first, then all cosines: sine and cosine of a "
            "pair are neighbours": sinusoid(20, C, join="halves"),
            "cosine stands before sine": sinusoid(20, C, first="cos"),
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
ANGLES = "angles = places[:, None] * 10_000.0**-exponents\n"
STACK = "table = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)"

EXERCISES = [
    Exercise(
        "position.learned",
        "LearnedPosition.forward",
        check_learned,
        (
            "The class is an nn.Embedding, and that is what an embedding "
            "does: it looks up rows.",
            "super().forward(positions), or self.weight[positions].",
        ),
        right=("return self.weight[positions]",),
        wrong=(
            ("return self.weight[: positions.size(-1)]", "first rows"),
            ("return self.weight", "the whole table"),
            ("return self(positions)", "calls itself"),
            ("super().forward(positions)", "`return` missing"),
            ("return self.weight[positions + 1]", "outside the table"),
        ),
    ),
    Exercise(
        "position.token_positions",
        "token_positions",
        check_token_positions,
        (
            "How many real tokens stand before a real token? cumsum along "
            "the tokens counts those up to it.",
            "mask.cumsum(-1) - 1, not below 0 where padding stands left, and "
            "start on top.",
        ),
        right=(
            "return (mask.cumsum(-1) - 1) * mask + start",
            "before = mask.long().cumsum(1) - mask.long()\n"
            "return before.clamp(max=T - 1) + start",
        ),
        wrong=(
            ("return mask.cumsum(-1) + start", "subtract 1"),
            ("return mask.cumsum(-1) - 1 + start", "clamp it"),
            ("return (mask.cumsum(-1) - 1).clamp(min=0)", "start is missing"),
            (
                "return torch.arange(T).expand_as(mask) + start",
                "padding is counted",
            ),
            (
                "return (mask.cumsum(0) - 1).clamp(min=0) + start",
                "down the batch",
            ),
            ("return (mask.float().cumsum(-1) - 1) + start", "dtype"),
        ),
        core=True,
    ),
    Exercise(
        "position.sinusoidal",
        "SinusoidalPosition.__init__",
        check_sinusoidal,
        (
            "First the speed of each pair, 10000 to the power of -2i / C; "
            "then places times speeds; then sine and cosine, interleaved.",
            "torch.arange(0, n_embd, 2) / n_embd are the 2i / C; stacking "
            "sine and cosine on a new last dimension and flattening it puts "
            "them side by side.",
        ),
        right=(
            "speeds = 10_000.0 ** (-torch.arange(0, n_embd, 2) / n_embd)\n"
            "angles = torch.outer(places, speeds.double())\n"
            "table = torch.zeros(block_size, n_embd)\n"
            "table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()",
        ),
        wrong=(
            (
                EXP + ANGLES + "table = torch.cat([angles.sin(), "
                "angles.cos()], -1)",
                "neighbours",
            ),
            (
                EXP + ANGLES + "table = torch.stack([angles.cos(), "
                "angles.sin()], -1).flatten(1)",
                "cosine stands before",
            ),
            (
                "exponents = torch.arange(n_embd // 2).double() / n_embd\n"
                + ANGLES
                + STACK,
                "must be 2i / n_embd",
            ),
            (
                EXP
                + "angles = places[:, None] * 10_000.0**exponents\n"
                + STACK,
                "more slowly",
            ),
            (
                EXP
                + "angles = places[:, None] * 1_000.0**-exponents\n"
                + STACK,
                "10,000",
            ),
            (
                EXP + "angles = places * 10_000.0**-exponents\n" + STACK,
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
