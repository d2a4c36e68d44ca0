"""Chapter 5: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question

COUNT = "(mask.cumsum(-1) - 1).clamp(min=0)"
PADDED = """
mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1], [0, 1, 1, 0]]).bool()
"""
KEEP = 'self.register_buffer("table", table.float(), persistent=False)'
WHERE = """
block_size, n_embd = number(5, 9), 2 * number(3, 5)
where = SinusoidalPosition(block_size, n_embd)
"""


def real(positions, mask):
    """The positions of the real tokens, and 0 for padding."""
    return positions * mask[:, -positions.size(1) :]


EXERCISES = [
    Exercise("position.sinusoidal", "SinusoidalPosition", cases=(
        Case("pairs of sine and cosine, each pair slower than the one before",
             WHERE + "where.table", atol=1e-3),
        Case("a table that is neither trained nor saved", WHERE + """
[name for name, p in where.named_parameters()], list(where.state_dict())"""),
        Case("but is a buffer, which moves with the model to a GPU", WHERE + """
[name for name, x in where.named_buffers()]"""),
        Case("each position receives its row", WHERE + """
positions = torch.tensor([[2, 0, 4], [1, 1, 3]])
where(positions), where(positions[0, 0])""", atol=1e-3),
    ), hints=(
        "First the speed of each pair, 10000 to the power of -2i / C; then "
        "positions times speeds; then sine and cosine, interleaved. forward "
        "needs only an index.",
        "torch.arange(0, n_embd, 2) / n_embd are the 2i / C; stacking sine "
        "and cosine on a new last dimension and flattening it puts them side "
        "by side.",
    ), right=(
        ("places = torch.arange(block_size)\n"
         "speeds = 10_000.0 ** (-torch.arange(0, n_embd, 2) / n_embd)\n"
         "angles = torch.outer(places, speeds)\n"
         "table = torch.zeros(block_size, n_embd)\n"
         "table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()\n"
         'self.register_buffer("table", table, persistent=False)',
         "return nn.functional.embedding(positions, self.table)"),
    ), wrong=(
        (Edit("torch.stack([angles.sin(), angles.cos()], -1).flatten(1)",
              "torch.cat([angles.sin(), angles.cos()], -1)"),
         "all sines come first, then all cosines: sine and cosine of a pair "
         "are neighbors"),
        (Edit("angles.sin(), angles.cos()", "angles.cos(), angles.sin()"),
         "cosine comes before sine"),
        (Edit("(0, n_embd, 2,", "(n_embd // 2,"),
         "the exponent of pair i is i / n_embd: it must be 2i / n_embd"),
        (Edit("(0, n_embd, 2,", "(0, 2 * n_embd, 4,"),
         "torch.arange(0, n_embd, 2) has the 2 of 2i already: not twice"),
        (Edit("**-exponents", "**exponents"),
         "the exponent is positive: later pairs must turn more slowly"),
        (Edit("10_000.0", "1_000.0"), "the base is 1,000: it must be 10,000"),
        (Edit(" / n_embd\n", "\n"), "the exponents are not divided by n_embd"),
        (Edit("positions[:, None]", "positions"),
         "positions[:, None] is (T, 1), exponents are (C / 2,): their product "
         "is (T, C / 2)"),
        (Edit(KEEP, "self.table = table.float()"),
         "a plain attribute stays behind when the model moves to a GPU: "
         "register a buffer"),
        (Edit(KEEP, "self.table = nn.Parameter(table.float())"),
         "the table would be trained: a buffer, not a parameter"),
        (Edit(", persistent=False", ""),
         "the table would be saved with the weights: persistent=False"),
        (Edit("table.float()", "table"),
         "the table has double precision: use table.float()"),
        (Edit("self.table[positions]", "self.table"),
         "every row was returned: forward gets the positions it is asked for"),
        (Edit("self.table[positions]", "self.table[:positions.size(-1)]"),
         "these are the first rows, whatever the positions: self.table["
         "positions]"),
    )),
    Exercise("position.token_positions", "token_positions", core=True, cases=(
        Case("without a mask, places are counted from start", """
            T = number(1, 4)
            token_positions(4), token_positions(T, start=5)"""),
        Case("a mask without padding gives each row the same places", """
            mask = torch.ones(3, 5, dtype=torch.bool)
            token_positions(5, mask), token_positions(2, mask)"""),
        Case("only real tokens are counted",
             PADDED + "real(token_positions(4, mask), mask)"),
        Case("so it is for the last T of them",
             PADDED + "real(token_positions(2, mask), mask)"),
        Case("and with any padding", """
            T = number(2, 6)
            mask = torch.rand(4, T + 4) < 0.6
            real(token_positions(T, mask), mask)"""),
        Case("a mask covers all tokens so far, so start does not count", """
            mask = torch.ones(2, 5, dtype=torch.bool)
            token_positions(2, mask, start=3)"""),
        Case("they are on the device that is asked for",
             'token_positions(3, device="meta").device.type'),
        Case("padding has a place that exists, from 0 to S - 1", PADDED + """
0 <= token_positions(4, mask).min(), token_positions(4, mask).max() < 4"""),
    ), hints=(
        "torch.arange makes the first kind. With a mask: how many real tokens "
        "come before a real token? cumsum along the tokens counts those up "
        "to it.",
        "torch.arange(start, start + T, device=device); mask.cumsum(-1) - 1, "
        "not below 0 where padding is on the left, and of that the last T "
        "columns.",
    ), right=(
        Edit(COUNT, "((mask.cumsum(-1) - 1) * mask)"),
        "if mask is None:\n    return start + torch.arange(T, device=device)\n"
        "before = mask.long().cumsum(1) - mask.long()\n"
        "before = before.clamp(max=mask.size(1) - 1)\n"
        "return before[:, mask.size(1) - T :]",
    ), wrong=(
        (Edit("start, start + T", "T"),
         "start is the number of tokens before these: count on from there"),
        (Edit("start, start + T", "start, T"),
         "arange stops before its second argument, so it must be start + T"),
        (Edit(COUNT, "mask.cumsum(-1)"),
         "the first real token has position 0: subtract 1"),
        (Edit(COUNT, "(mask.cumsum(-1) - 1)"),
         "padding on the left gets position -1, for which there is no row: "
         "clamp it"),
        (Edit("[:, -T:]", ""),
         "these are the positions of all S tokens: return the last T of them"),
        (Edit("-T:", ":T"),
         "these are the first T of the S tokens: the new ones come last"),
        (Edit("[:, -T:]", "[-T:]"),
         "[-T:] takes rows of the batch: the tokens come second, [:, -T:]"),
        (Edit("mask.cumsum", "mask[:, -T:].cumsum"),
         "the count starts afresh at the last T tokens: those before them "
         "count too"),
        (Edit(COUNT, "torch.arange(mask.size(1)).expand_as(mask)"),
         "padding is counted: the mask says which tokens are real"),
        (Edit("cumsum(-1)", "cumsum(0)"),
         "it counts down the batch: count along the tokens, dim -1"),
        (Edit("mask.cumsum", "mask.float().cumsum"),
         "positions are whole numbers: do not make floats of the mask"),
        (Edit("[:, -T:]", "[:, -T:] + start"),
         "the tokens before are counted twice: the mask has them already"),
        ("return torch.arange(start, start + T, device=device)",
         "the mask is not used: it says which tokens are real"),
    )),
    Question(
        "position.predict-prefix", "b",
        "the speed of pair i is 10000 to the power of -2i / n_embd, so with "
        "more channels the speeds lie closer together",
        ("Look at the exponent: what is divided by what?",
         "Compare the second pair of both tables at place 1."),
        wrong={
            "a": "the first pair is equal, the second is not: its exponent is "
                 "2 / n_embd",
            "c": "they would be if the exponent were 2i: it is 2i / n_embd",
        },
    ),
    Question(
        "position.break-same", "a",
        "the same vector at every place tells no two places apart, and the "
        "token table could have learned it by itself",
        ("Can the model tell from its input which of two equal tokens came "
         "first?",
         "Adding the same vector everywhere only gives another token table."),
        wrong={
            "b": "for that, the vectors would have to differ between places",
            "c": "the head still sees the tokens before, as a bag",
        },
    ),
]  # fmt: skip
