"""Chapter 10: what its exercises expect."""

from types import SimpleNamespace

import torch
from torch import nn

from minigpt.course.exercises import Exercise, Question

CUT = -torch.inf


def some_logits(t):
    """Two rows of six logits, in no order, their columns moved by seed."""
    rows = torch.tensor(
        [[1.0, 3.0, -1.0, 2.0, 0.5, -2.0], [0.2, -0.5, 1.0, -1.0, 0.6, 0.8]]
    )
    if t.seed == 1:
        return rows
    dice = torch.Generator().manual_seed(t.seed)
    while True:
        logits = rows[:, torch.randperm(6, generator=dice)]
        order = logits.argsort(-1, descending=True)
        if not torch.equal(order < 2, ranks(logits) < 2):
            return logits  # who takes ids for ranks gets something else


def check_temperature(t):
    logits = some_logits(t)
    for heat in (2.0, 0.5):
        given = f"temperature(logits, {heat:g})"
        got = t.call(t.answer, logits, heat, given=given)
        t.same(
            got,
            logits / heat,
            "hot is flat" if heat > 1 else "cold is sharp",
            given=given,
            mistakes={
                "it is the wrong way round: a high temperature makes the "
                "logits smaller": logits * heat,
                "these are probabilities: the logits are asked for": (
                    (logits / heat).softmax(-1)
                ),
                "probabilities were divided: divide the logits": (
                    logits.softmax(-1) / heat
                ),
                "the temperature has no effect": logits,
            },
        )


def keep(logits, kept):
    return logits.masked_fill(~kept, CUT)


def ranks(logits):
    """0 for the largest of each row, 1 for the next, …"""
    return logits.argsort(-1, descending=True).argsort(-1)


ERRORS = {
    "expected dtype": "scatter wants places, whole numbers",
    "out of range": "the places must be along the vocabulary, dim -1",
    "out of bounds": "the places must be along the vocabulary, dim -1",
    "Index tensor must have": "logits have one dimension more: cut along the "
    "last, order[..., k:]",
}


def check_top_k(t):
    logits, k = some_logits(t), 2
    given = "two rows of six logits, k = 2"
    got = t.call(t.answer, logits, k, given=given, errors=ERRORS)
    place = ranks(logits)
    order = logits.sort(descending=True, stable=True).indices
    t.same(
        got,
        keep(logits, place < k),
        "two of each row are left, in their own places",
        given=given,
        mistakes={
            "the largest were cut, and the others kept": keep(
                logits, place >= k
            ),
            "one too many is left": keep(logits, place <= k),
            "one too many was cut": keep(logits, place < k - 1),
            "cut logits became 0, which is no small logit: -inf": (
                logits.masked_fill(place >= k, 0.0)
            ),
            "the logits are sorted now: every token must keep its place": (
                keep(
                    logits.gather(-1, order),
                    torch.arange(6).expand(2, 6) < k,
                )
            ),
            "the first k places were kept, not the k largest": keep(
                logits, torch.arange(6).expand(2, 6) < k
            ),
            "the order of the first row was used for every row": keep(
                logits, place[:1] < k
            ),
            "order holds ids, not places: the ids of the first k stay": keep(
                logits, order < k
            ),
            "nothing was cut": logits,
        },
    )
    given = "one row (V,), k = 3"
    got = t.call(t.answer, logits[0], 3, given=given, errors=ERRORS)
    t.same(got, keep(logits[0], place[0] < 3), "a single row works",
           given=given)  # fmt: skip
    equal = torch.tensor([1.0, 2.0, 1.0, 1.0])
    given = "logits [1, 2, 1, 1], k = 2"
    got = t.call(t.answer, equal, 2, given=given, errors=ERRORS)
    t.same(
        got,
        torch.tensor([1.0, 2.0, CUT, CUT]),
        "of equal logits the lowest ids are kept",
        given=given,
        mistakes={
            "equal logits were all kept, so more than k are left: cut by "
            "place in the order, not by the size of the k-th logit": equal,
            "all of the equal logits were cut, so fewer than k are left: cut "
            "by place in the order": torch.tensor([CUT, 2.0, CUT, CUT]),
        },
    )


def check_top_p(t):
    logits, p = some_logits(t), 0.6
    given = "two rows of six logits, p = 0.6"
    got = t.call(
        t.answer, logits, p, given=given,
        errors={
            "UnboundLocalError": "the blank must make `cut`, True for what "
            "goes",
            "NameError": "the blank must make `cut`, True for what goes",
        },
    )  # fmt: skip
    ordered, order = logits.sort(descending=True, stable=True)
    probs = ordered.softmax(-1)
    before = probs.cumsum(-1) - probs

    def cut(where):
        return logits.masked_fill(where.scatter(-1, order, where), CUT)

    want = cut(before >= p)
    t.same(
        got,
        want,
        "the fewest that reach p together are left",
        given=given,
        mistakes={
            "the token that reaches p is cut too: ask what the likelier ones "
            "reach before it": cut(probs.cumsum(-1) >= p),
            "tokens are compared one by one: add up from the likeliest": cut(
                probs < p
            ),
            "the likely ones are cut and the unlikely kept": cut(before < p),
            "the sum runs over the rows of the batch: along the vocabulary": (
                cut(probs.cumsum(0) - probs >= p)
            ),
            "logits were added up: add up probabilities": cut(
                ordered.cumsum(-1) - ordered >= p
            ),
            "what is left is 1 - p, not p": cut(before >= 1 - p),
            "nothing was cut": logits,
        },
    )
    even = torch.zeros(4)
    given = "four equal logits, p = 0.5"
    got = t.call(t.answer, even, 0.5, given=given)
    t.same(
        got,
        torch.tensor([0.0, 0.0, CUT, CUT]),
        "two quarters reach a half",
        given=given,
        mistakes={
            "a third token is left, though two have exactly p together: cut "
            "where the likelier ones have at least p": (
                torch.tensor([0.0, 0.0, 0.0, CUT])
            ),
        },
    )
    sure = torch.tensor([0.0, 9.0, 0.0])
    given = "logits [0, 9, 0], p = 0.5: one token has nearly all"
    got = t.call(t.answer, sure, 0.5, given=given)
    t.same(
        got, torch.tensor([CUT, 9.0, CUT]), "one token is always left",
        given=given,
    )  # fmt: skip


def check_min_p(t):
    logits, p = some_logits(t), 0.2
    given = "two rows of six logits, p = 0.2"
    got = t.call(
        t.answer, logits, p, given=given,
        errors={
            "must match the size": "the bar has one number for each row: "
            "keepdim=True, so that it can be compared with all of them",
            "multiply sequence": "max along a dimension gives the values and "
            "where they are: amax, or max(…).values",
        },
    )  # fmt: skip
    probs = logits.softmax(-1)
    best = probs.amax(-1, keepdim=True)
    t.same(
        got,
        keep(logits, probs >= p * best),
        "what is below a fifth of the best of its row is cut",
        given=given,
        mistakes={
            "the bar is p itself: it is p times the largest probability": (
                keep(logits, probs >= p)
            ),
            "one bar for the whole batch: each row has its own best": keep(
                logits, probs >= p * probs.max()
            ),
            "the bar is the largest probability: times p": keep(
                logits, probs >= best
            ),
            "the best of each column was taken: dim -1": keep(
                logits, probs >= p * probs.amax(0, keepdim=True)
            ),
            "the bar is made of logits: of probabilities": keep(
                logits, probs >= p * logits.amax(-1, keepdim=True)
            ),
            "the bar is 1 - p times the largest": keep(
                logits, probs >= (1 - p) * best
            ),
        },
    )


def check_penalty(t):
    logits = some_logits(t)
    rising = logits.argsort(-1).tolist()
    a, b = rising[0][5], rising[0][1]  # logits 3 and -1
    c, d = rising[1][2], rising[1][0]  # logits 0.2 and -1
    seen = torch.tensor([[a, b, a], [c, -1, d]])
    given = f"penalty 2; ids {a} and {b} seen in the first row, {c} and {d} in "
    given += "the next"
    got = t.call(t.answer, logits, seen, 2.0, given=given)
    was = torch.zeros_like(logits, dtype=torch.bool)
    was[0, [a, b]] = True
    was[1, [c, d]] = True

    def lowered(value):
        return torch.where(was, value, logits)

    t.same(
        got,
        lowered(torch.where(logits > 0, logits / 2, logits * 2)),
        "what was seen is less likely, whatever its sign",
        given=given,
        mistakes={
            "a negative logit divided comes closer to 0, which makes it more "
            "likely: multiply those": lowered(logits / 2),
            "a positive logit multiplied becomes more likely: divide those": (
                lowered(logits * 2)
            ),
            "it is the wrong way round: divide the positive, multiply the "
            "negative": lowered(
                torch.where(logits > 0, logits * 2, logits / 2)
            ),
            "the penalty is subtracted: the paper divides": lowered(logits - 2),
            "nothing became less likely": logits,
        },
    )


class Counter(nn.Module):
    """Is nearly sure of one token: 1, the first and twice the sum, modulo 7."""

    config = SimpleNamespace(block_size=32, vocab_size=7)
    head = nn.Identity()

    def hidden(self, idx, *, mask=None, cache=None, record=None):
        total = (1 + idx[:, :1] + 2 * idx.cumsum(-1)) % 7
        return 50.0 * nn.functional.one_hot(total, 7).float()


class Favorites(nn.Module):
    """Prefers lower ids, whatever it reads; it can read three tokens."""

    config = SimpleNamespace(block_size=3, vocab_size=7)
    head = nn.Identity()

    def hidden(self, idx, *, mask=None, cache=None, record=None):
        logits = torch.arange(7.0, 0.0, -1.0)  # (V,)
        return logits.expand(*idx.shape, 7)


def written(start, n, step):
    """n tokens of each row, when `step` says what the model sees next."""
    out = []
    for _ in range(n):
        new = (1 + start[:, 0] + 2 * start.sum(-1)) % 7
        out.append(new)
        start = step(start, new)
    return torch.stack(out, 1)


def check_generate(t):
    start = torch.tensor([[1, 2], [3, 1]])
    if t.seed > 1:
        start = (start + torch.tensor([[1, t.seed], [t.seed, 2]])) % 6 + 1
    given = "a model that says 1 + the first token + twice the sum, modulo 7, "
    given += f"after {start.tolist()}"
    dice = torch.Generator().manual_seed(0)
    model = Counter()

    def run():
        found = t.answer(model, start, n=5, generator=dice)
        return torch.stack([ids for ids, _ in found], 1)

    got = t.call(
        run, given=given,
        errors={
            "same number of dimensions": "new is (B,): give it a dimension, "
            "new[:, None]",
            "Dimension out of range": "new is (B,): give it a dimension, "
            "new[:, None]",
            "Sizes of tensors must match": "put it after the tokens, along "
            "dim 1",
            "must be (B, T)": "idx must stay (B, T)",
        },
    )  # fmt: skip
    t.same(
        got,
        written(start, 5, lambda x, new: torch.cat([x, new[:, None]], 1)),
        "each token is seen by those after it",
        given=given,
        mistakes={
            "the model never sees what was written: append it to idx": (
                written(start, 5, lambda x, new: x)
            ),
            "the model sees the new token only: keep the text before it": (
                written(start, 5, lambda x, new: new[:, None])
            ),
            "the new token took the place of the last": written(
                start, 5, lambda x, new: torch.cat([x[:, :-1], new[:, None]], 1)
            ),
            "the oldest token was dropped: the window has room": written(
                start, 5, lambda x, new: torch.cat([x[:, 1:], new[:, None]], 1)
            ),
            "the new token went before the text: it comes after it": written(
                start, 5, lambda x, new: torch.cat([new[:, None], x], 1)
            ),
        },
    )
    check_memory(t)


def check_memory(t):
    """What was written longer ago than block_size counts for the penalty."""
    given = (
        "a model that reads 3 tokens and prefers lower ids; a penalty of 100"
    )
    sampling = SimpleNamespace(temperature=0, penalty=100.0)

    def run():
        start = torch.tensor([[6]])
        found = t.answer(Favorites(), start, n=6, sampling=sampling)
        return torch.stack([ids for ids, _ in found], 1)

    t.same(
        t.call(run, given=given),
        torch.tensor([[0, 1, 2, 3, 4, 5]]),
        "nothing that was written is forgotten",
        given=given,
        mistakes={
            "the text was cropped to block_size: the penalty needs all of it, "
            "and next_logits takes the last block_size tokens by itself": (
                torch.tensor([[0, 1, 2, 3, 0, 1]])
            ),
        },
        otherwise="idx must hold the whole text, the prompt and all that was "
        "written",
    )


BEFORE = "before = probs.cumsum(-1) - probs\n"

EXERCISES = [
    Exercise(
        "sample.temperature",
        "temperature",
        check_temperature,
        (
            "Hot is flat: the differences between logits must shrink when t "
            "grows.",
            "Divide the logits by t.",
        ),
        right=("return logits * (1 / t)",),
        wrong=(
            ("return logits * t", "wrong way round"),
            ("return (logits / t).softmax(-1)", "these are probabilities"),
            ("return logits.softmax(-1) / t", "divide the logits"),
            ("logits / t", "`return` missing"),
        ),
    ),
    Exercise(
        "sample.top_k",
        "top_k",
        check_top_k,
        (
            "order[..., :k] are the ids of the k largest of each row. Which "
            "ids must be cut?",
            "logits.scatter(-1, order[..., k:], -torch.inf) writes -inf at "
            "the places of all the others.",
        ),
        right=(
            "kept = torch.full_like(logits, -torch.inf)\n"
            "best = order[..., :k]\n"
            "return kept.scatter(-1, best, logits.gather(-1, best))",
        ),
        wrong=(
            (
                "return logits.scatter(-1, order[..., :k], -torch.inf)",
                "largest were cut",
            ),
            (
                "return logits.scatter(-1, order[..., k + 1 :], -torch.inf)",
                "one too many is left",
            ),
            ("return logits.scatter(-1, order[..., k:], 0.0)", "became 0"),
            (
                "out = logits.gather(-1, order)\n"
                "out[..., k:] = -torch.inf\nreturn out",
                "are sorted now",
            ),
            (
                "out = logits.clone()\nout[..., k:] = -torch.inf\nreturn out",
                "first k places",
            ),
            (
                "return logits.masked_fill(order >= k, -torch.inf)",
                "ids, not places",
            ),
            (
                "out = logits.clone()\nout[..., order[0, k:]] = -torch.inf\n"
                "return out",
                "first row was used",
            ),
            (
                "bar = logits.topk(k).values[..., -1:]\n"
                "return logits.masked_fill(logits < bar, -torch.inf)",
                "equal logits were all kept",
            ),
        ),
        core=True,
    ),
    Exercise(
        "sample.top_p",
        "top_p",
        check_top_p,
        (
            "A token goes when the likelier ones alone reach p. What do they "
            "reach together?",
            "probs.cumsum(-1) counts the token itself: subtract probs. Cut "
            "where that is at least p.",
        ),
        right=(
            "reached = probs.cumsum(-1) >= p\n"
            "cut = torch.zeros_like(reached)\n"
            "cut[..., 1:] = reached[..., :-1]",
        ),
        wrong=(
            ("cut = probs.cumsum(-1) >= p", "reaches p is cut too"),
            ("cut = probs < p", "one by one"),
            (BEFORE + "cut = before < p", "unlikely kept"),
            ("cut = probs.cumsum(0) - probs >= p", "rows of the batch"),
            ("cut = ordered.cumsum(-1) - ordered >= p", "logits were added"),
            (BEFORE + "cut = before >= 1 - p", "1 - p, not p"),
            (BEFORE + "cut = before > p", "exactly p together"),
        ),
        core=True,
    ),
    Exercise(
        "sample.min_p",
        "min_p",
        check_min_p,
        (
            "The bar is relative: a share p of the best probability of the "
            "row.",
            "p * probs.amax(-1, keepdim=True).",
        ),
        right=("bar = probs.max(dim=-1, keepdim=True).values * p",),
        wrong=(
            ("bar = p", "p itself"),
            ("bar = p * probs.max()", "whole batch"),
            ("bar = probs.amax(-1, keepdim=True)", "times p"),
            ("bar = p * probs.amax(-1)", "keepdim"),
            ("bar = p * probs.max(-1, keepdim=True)", "where they are"),
            ("bar = p * probs.amax(0, keepdim=True)", "each column"),
        ),
    ),
    Exercise(
        "sample.repetition_penalty",
        "repetition_penalty",
        check_penalty,
        (
            "Dividing by 2 lowers 4, but it raises -4.",
            "torch.where(logits > 0, logits / penalty, logits * penalty).",
        ),
        right=(
            "lower = logits * penalty ** -logits.sign()",
            "lower = torch.minimum(logits / penalty, logits * penalty)",
        ),
        wrong=(
            ("lower = logits / penalty", "closer to 0"),
            ("lower = logits * penalty", "divide those"),
            (
                "lower = torch.where(logits > 0, logits * penalty, "
                "logits / penalty)",
                "wrong way round",
            ),
            ("lower = logits - penalty", "subtracted"),
        ),
    ),
    Exercise(
        "sample.generate",
        "generate",
        check_generate,
        (
            "The next turn of the loop must know what was written in this one.",
            "torch.cat([idx, new[:, None]], 1): new is (B,), and idx (B, T).",
        ),
        right=("idx = torch.hstack([idx, new.unsqueeze(1)])",),
        wrong=(
            ("pass", "never sees"),
            ("idx = new[:, None]", "new token only"),
            (
                "idx = torch.cat([idx[:, :-1], new[:, None]], 1)",
                "place of the last",
            ),
            ("idx = torch.cat([idx, new], 1)", "give it a dimension"),
            ("idx = torch.cat([idx[:, 1:], new[:, None]], 1)", "oldest token"),
            ("idx = torch.cat([new[:, None], idx], 1)", "before the text"),
            (
                "idx = torch.cat([idx, new[:, None]], 1)\n"
                "idx = idx[:, -model.config.block_size :]",
                "cropped to block_size",
            ),
        ),
    ),
    Question(
        "sample.predict-greedy",
        "a",
        "one token is left by either, the most likely one, with the lowest "
        "id among equals",
        (
            "How many tokens does each of the two leave?",
            "Which one, and what if two are equally likely?",
        ),
        wrong={
            "b": "with one token left there is no chance left either",
            "c": "both break ties by the lowest id",
        },
        words=("no",),
    ),
    Question(
        "sample.predict-min-p",
        0.05,
        "a tenth of the best, 0.5, is 0.05",
        (
            "The bar is relative to the most likely token.",
            "Multiply p by the largest probability.",
        ),
        wrong={
            0.1: "that would be the bar if the best had probability 1",
            0.5: "that is the best itself",
            0.4: "the bar is p times the best, not the best minus p",
        },
        within=0.001,
    ),
]
