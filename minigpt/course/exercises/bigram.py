"""Chapter 3: what its exercises expect."""

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from minigpt.course.exercises import Exercise, Question


def table(first, second, base, V=4):
    """Counts (V, V) of the numbers first · base + second."""
    pairs = (first * base + second).clamp(0)
    return torch.bincount(pairs, minlength=V * V)[: V * V].view(V, V)


def check_count_bigrams(t):
    ids = torch.tensor([0, 1, 3, 1, 3, 2, 0])
    if t.seed > 1:
        ids = (ids + 1 + t.seed % 3) % 4
    a, b = ids[:-1], ids[1:]
    given = f"count_bigrams({ids.tolist()}, 4)"
    got = t.call(
        t.answer, ids, 4, given=given,
        errors={
            "invalid for input": "a number came out larger than V · V - 1: "
            "the first token times V, plus the second",
            "must match the size": "the two sides have different lengths: all "
            "but the last id, and all but the first",
            "1-d non-negative": "one number for each pair, (N - 1,), is asked "
            "for",
        },
    )  # fmt: skip
    t.same(
        got,
        table(a, b, 4),
        "row a, column b holds how often b follows a",
        given=given,
        mistakes={
            "rows and columns are exchanged: the first of a pair is the row, "
            "so it is the one times V": table(b, a, 4),
            "there is one pair too many: the last id was joined with the "
            "first": table(ids, ids.roll(-1), 4),
            "different pairs get the same number: multiply the first by V": (
                table(a, b, 1)
            ),
            "each token is paired with itself": table(ids, ids, 4),
            "the base is 10: with V tokens it is V": table(a, b, 10),
        },
    )


def check_cross_entropy(t):
    torch.manual_seed(t.seed)
    logits = torch.randn(2, 3, 5)
    targets = torch.tensor([[1, 0, 4], [2, 2, -100]])
    given = "logits (2, 3, 5), targets [[1, 0, 4], [2, 2, -100]]"
    errors = {
        "Expected target size": "F.cross_entropy wants the classes second: "
        "make rows of both, (N, V) and (N,)",
        "Expected input batch_size": "logits and targets have different "
        "numbers of rows: flatten both to N = B · T",
        "is invalid for input": "the rows hold V = logits.size(-1) numbers",
        "integer": "targets are ids, whole numbers",
        "view size is not compatible": "view only works on numbers that are "
        "stored in this order, and those of a slice are not: flatten or "
        "reshape",
    }
    got = t.call(t.answer, logits, targets, given=given, errors=errors)
    flat, y = logits.view(-1, 5), targets.view(-1)

    def loss(z, y):
        return F.cross_entropy(z, y, ignore_index=-100)

    t.same(
        got,
        loss(flat, y),
        "the mean over all positions that count",
        given=given,
        mistakes={
            "only the last position counts here: a target stands at every "
            "one": lambda: loss(logits[:, -1], targets[:, -1]),
            "only the first position counts here": lambda: loss(
                logits[:, 0], targets[:, 0]
            ),
            "softmax was taken twice: cross_entropy does it itself, so hand "
            "over the logits": lambda: loss(flat.softmax(-1), y),
            "the positions were averaged before the loss": lambda: loss(
                logits.mean(1), targets[:, 0]
            ),
            "logits and targets are mixed up: reshaping a transposed tensor "
            "puts numbers into other rows": lambda: loss(
                logits.transpose(1, 2).reshape(-1, 5), y
            ),
            "batch and time are exchanged in one of the two: both must be "
            "flattened in the same order": lambda: loss(
                flat, targets.t().reshape(-1)
            ),
        },
    )
    rows = torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    y = torch.tensor([0, 0, 1])
    given = "logits (3, 2), targets (3,)"
    got = t.call(t.answer, rows, y, given=given, errors=errors)
    t.same(got, loss(rows, y), "rows without a batch work too", given=given)
    short, y = logits[:, :-1], targets[:, 1:]
    given = "the same logits without the last position: a slice"
    got = t.call(t.answer, short, y, given=given, errors=errors)
    want = loss(short.reshape(-1, 5), y.reshape(-1))
    t.same(got, want, "and so do slices of a larger tensor", given=given)


class Table(nn.Module):
    """Logits of the next token, for each token."""

    def __init__(self, V=3):
        super().__init__()
        self.table = nn.Embedding(V, V)
        nn.init.zeros_(self.table.weight)

    def forward(self, idx):
        return self.table(idx)


BATCHES = [
    (torch.tensor([[0, 1, 2]]), torch.tensor([[1, 2, 0]])),
    (torch.tensor([[1, 1, 0]]), torch.tensor([[0, 1, 1]])),
    (torch.tensor([[2, 0, 2]]), torch.tensor([[2, 2, 1]])),
    (torch.tensor([[0, 1, 2]]), torch.tensor([[1, 2, 0]])),
]


def losses_of(order, lr):
    """Losses of four steps; `order` names what is done in each."""
    model = Table()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    losses = []
    for x, y in BATCHES:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        for word in order.split():
            if word == "zero":
                optimizer.zero_grad()
            elif word == "back":
                loss.backward()
            else:
                optimizer.step()
        losses.append(loss.item())
    return losses


def check_fit(t):
    model, turns = Table(), iter(BATCHES)
    lr = 0.1 if t.seed == 1 else 0.05 + t.seed % 40 / 1000
    given = f"a table of 3 tokens, 4 steps, lr {lr:g}: the losses"
    want = losses_of("zero back step", lr)  # also loads what AdamW needs
    got = t.call(
        t.answer, model, lambda: next(turns), steps=4, lr=lr, given=given,
        dice=True,
        errors={
            "second time": "backward was called twice for one loss",
            "does not require grad": "the loss does not know the model: was "
            "it computed from model(x)?",
            "has no attribute 'grad'": "gradients are cleared by "
            "optimizer.zero_grad()",
        },
    )  # fmt: skip
    t.same(
        got,
        want,
        "each step clears, computes and uses the gradient",
        given=given,
        mistakes={
            "the model does not change: is optimizer.step() called, after "
            "loss.backward()?": losses_of("", lr),
            "gradients of earlier steps are still in there: backward adds to "
            "them, so clear them first": losses_of("back step", lr),
            "the step is taken before the gradient is computed: it uses the "
            "one of the batch before": losses_of("step zero back", lr),
            "each step uses the gradient of the batch before, or none: the "
            "order is clear, backward, step": losses_of("zero step back", lr),
            "two steps are taken for each batch": losses_of(
                "zero back step step", lr
            ),
        },
    )
    moved = model.table.weight.abs().sum() > 0
    t.true(
        bool(moved), "the model itself has changed",
        "the losses fit, but the model handed in has not changed",
        given=given, expected="a changed table", got="zeros",
    )  # fmt: skip


class Fixed(nn.Module):
    """Logits that depend on the token; refuses more than four tokens."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, idx):
        if idx.shape[1] > 4:
            raise RuntimeError("only 4 tokens fit into this model")
        return self.logits[idx]


def draw(logits_to_probs, idx, n=6, seed=5):
    """What `sample_tokens` gives when a model's logits become these stretches."""
    model = Fixed(LOGITS)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n):
        ends = logits_to_probs(model(idx[:, -4:])).cumsum(-1)
        dart = torch.rand(len(idx), 1, generator=generator) * ends[:, -1:]
        drawn = torch.searchsorted(ends, dart, right=True)
        idx = torch.cat([idx, drawn], dim=1)
    return idx


LOGITS = torch.tensor(
    [
        [0.0, 2.0, 1.0, -1.0],
        [1.0, 0.0, 0.5, 2.0],
        [-1.0, 1.0, 0.0, 0.5],
        [2.0, 0.0, 1.5, 0.0],
    ]
)


def check_sample(t):
    start = torch.tensor([[0, 1, 2], [3, 2, 0], [1, 1, 1], [2, 0, 3]])
    given = "a model of 4 tokens that takes at most 4, 6 tokens after (4, 3)"
    got = t.call(
        t.answer, Fixed(LOGITS), start, 6, torch.Generator().manual_seed(5),
        block_size=4, given=given,
        errors={
            "only 4 tokens": "the model was given more than block_size "
            "tokens: call it on seen, not on idx",
            "first N-1 dimensions": "probs must be (B, V): one row for each "
            "text, from its last position",
            "same number of dimensions": "probs must be (B, V): of all the "
            "positions take the last",
            "out of range": "a token outside the vocabulary was drawn: the "
            "stretches must be probabilities",
            "must match the size": "probs do not fit the texts: [-1] takes the "
            "last text of the batch, [:, -1] the last position of each",
        },
    )  # fmt: skip
    t.true(
        torch.is_tensor(got) and got.shape == (4, 9),
        "six tokens were appended to each text",
        "the result has another shape: probs must be (B, V), from the last "
        "position of each text",
        given=given, expected="shape (4, 9)",
        got=str(tuple(getattr(got, "shape", ()))),
    )  # fmt: skip
    t.same(
        got,
        draw(lambda z: z[:, -1].softmax(-1), start),
        "each is drawn from the softmax of the last logits",
        given=given,
        mistakes={
            "it looks at the first position: what comes next is said at the "
            "last": lambda: draw(lambda z: z[:, 0].softmax(-1), start),
            "softmax runs over the texts of the batch: it must run over the "
            "vocabulary, dim -1": lambda: draw(
                lambda z: z[:, -1].softmax(0), start
            ),
            "softmax runs over the positions: it must run over the "
            "vocabulary": lambda: draw(lambda z: z.softmax(1)[:, -1], start),
            "sigmoid looks at each token alone: softmax weighs them against "
            "each other": lambda: draw(lambda z: z[:, -1].sigmoid(), start),
            "always the most likely token: draw from the probabilities": (
                lambda: draw(
                    lambda z: F.one_hot(z[:, -1].argmax(-1), 4).float(), start
                )
            ),
            "the logits are used as probabilities, but some are negative: "
            "softmax first": lambda: draw(lambda z: z[:, -1], start),
            "log_softmax gives logarithms, all negative: softmax": lambda: draw(
                lambda z: z[:, -1].log_softmax(-1), start
            ),
        },
        otherwise="the tokens are drawn from other probabilities: softmax of "
        "the logits at the last position, over the vocabulary",
    )


def texts(t):
    """The text that was counted and the one that is asked for (V = 3)."""
    move = 0 if t.seed == 1 else 1 + t.seed % 2
    text = np.array([0, 1, 2, 0, 1, 0, 0, 1, 2])
    return (text + move) % 3, (np.array([0, 1, 2, 2, 0, 0]) + move) % 3


def pair_counts(text, asked):
    """seen, total, kinds of the pairs of `asked` in `text` (V = 3)."""
    counts = np.zeros((3, 3), dtype=int)
    np.add.at(counts, (text[:-1], text[1:]), 1)
    seen = counts[asked[:-1], asked[1:]]
    return seen, counts.sum(1)[asked[:-1]], (counts > 0).sum(1)[asked[:-1]]


def logs(function):
    """A function that computes log p without warnings."""

    def compute():
        with np.errstate(all="ignore"):
            return np.log(function())

    return compute


def check_add_k(t):
    text, asked = texts(t)
    n, total, _ = pair_counts(text, asked)
    given = f"AddK({text}, order 2, V = 3, k = 0.5)"
    model = t.make(t.answer, text, 2, 3, k=0.5, given=given)
    given += f".log_probs({asked})"
    with np.errstate(all="ignore"):
        got = t.call(model.log_probs, asked, given=given)
    k, V = 0.5, 3
    t.same(
        got,
        logs(lambda: (n + k) / (total + k * V))(),
        "every pair counts k times more, and each row sums to 1",
        given=given,
        mistakes={
            "the row has V cells and each got k more, so the total grew by "
            "k · V, not by k": logs(lambda: (n + k) / (total + k)),
            "the total was left as it was: the probabilities of a row sum to "
            "more than 1": logs(lambda: (n + k) / total),
            "nothing was added to what was seen: an unseen pair still has "
            "probability 0": logs(lambda: n / (total + k * V)),
            "the total grew by V: that is right for k = 1 only": logs(
                lambda: (n + k) / (total + V)
            ),
            "k was added after the division": logs(lambda: n / total + k),
            "this is add-one: use self.k": logs(lambda: (n + 1) / (total + V)),
            "nothing was smoothed": logs(lambda: n / total),
        },
    )


def mixture(text, asked, mix):
    """log p of `asked` with `mix(seen, total, kinds, p)` at orders 1 and 2."""
    counts = np.bincount(text, minlength=3)
    kinds = np.full(len(asked), (counts > 0).sum())
    with np.errstate(all="ignore"):
        one = mix(
            counts[asked],
            np.full(len(asked), len(text)),
            kinds,
            np.full(len(asked), 1 / 3),
        )
        seen, total, kinds = pair_counts(text, asked)
        two = mix(seen, total, kinds, one[1:])
        return np.log(np.where(kinds > 0, two, one[1:]))


def check_witten_bell(t):
    text, asked = texts(t)
    witten_bell = partial(mixture, text, asked)
    given = f"WittenBell({text}, order 2, V = 3)"
    model = t.make(t.answer, text, 2, 3, given=given)
    given += f".log_probs({asked})"
    with np.errstate(all="ignore"):
        got = t.call(
            model.log_probs, asked, given=given,
            errors={"broadcast": "p is the shorter order's probability of the "
                    "same tokens: p, as it stands"},
        )  # fmt: skip
    t.same(
        got,
        witten_bell(lambda n, N, T, p: (n + T * p) / np.maximum(N + T, 1)),
        "each order is topped up by the shorter one, by the kinds seen",
        given=given,
        mistakes={
            "the shorter order weighs 1 for every context: it weighs as much "
            "as the context had kinds of surprises": lambda: witten_bell(
                lambda n, N, T, p: (n + p) / np.maximum(N + 1, 1)
            ),
            "what was added above is missing below: divide by total + kinds, "
            "or the probabilities sum to more than 1": lambda: witten_bell(
                lambda n, N, T, p: (n + T * p) / np.maximum(N, 1)
            ),
            "total and kinds are exchanged: kinds weighs the shorter order": (
                lambda: witten_bell(
                    lambda n, N, T, p: (n + N * p) / np.maximum(N + T, 1)
                )
            ),
            "the shorter order is missing: the numerator is seen + kinds · p": (
                lambda: witten_bell(lambda n, N, T, p: n / np.maximum(N + T, 1))
            ),
            "kinds is added without the shorter order's probability: "
            "kinds · p": lambda: witten_bell(
                lambda n, N, T, p: (n + T) / np.maximum(N + T, 1)
            ),
            "the shorter orders are forgotten: p, not 1 / V": lambda: (
                witten_bell(
                    lambda n, N, T, p: (n + T / 3) / np.maximum(N + T, 1)
                )
            ),
            "half of each, whatever was seen: the weight is kinds": lambda: (
                witten_bell(
                    lambda n, N, T, p: 0.5 * n / np.maximum(N, 1) + 0.5 * p
                )
            ),
        },
    )


LOOK = "probs = model(seen)"

EXERCISES = [
    Exercise(
        "bigram.count_bigrams",
        "count_bigrams",
        check_count_bigrams,
        (
            "The pairs are ids[:-1] with ids[1:]. As two digits make one "
            "number in base 10, two ids make one in base V.",
            "First id times vocab_size, plus the second.",
        ),
        right=("pairs = torch.add(ids[1:], ids[:-1], alpha=vocab_size)",),
        wrong=(
            ("pairs = ids[1:] * vocab_size + ids[:-1]", "exchanged"),
            ("pairs = ids[:-1] + ids[1:]", "the same number"),
            ("pairs = ids * vocab_size + ids.roll(-1)", "one pair too many"),
            ("pairs = ids[:-1] * 10 + ids[1:]", "larger than V"),
            ("pairs = ids * vocab_size + ids[1:]", "different lengths"),
        ),
    ),
    Exercise(
        "bigram.cross_entropy",
        "cross_entropy",
        check_cross_entropy,
        (
            "F.cross_entropy takes rows: logits (N, V) and targets (N,).",
            "flatten(0, -2) joins all dimensions but the last; the targets "
            "are flattened whole.",
        ),
        right=(
            "logits = logits.reshape(-1, logits.size(-1))\n"
            "targets = targets.reshape(-1)",
            "logits, targets = logits.movedim(-1, 1) if logits.ndim > 2 else "
            "logits, targets",
        ),
        wrong=(
            ("pass", "classes second"),
            (
                "logits, targets = logits[:, -1], targets[:, -1]",
                "only the last position",
            ),
            ("logits = logits.flatten(0, -2)", "different numbers of rows"),
            (
                "logits = logits.view(-1, logits.size(-1))\n"
                "targets = targets.view(-1)",
                "those of a slice are not",
            ),
            (
                "logits = logits.flatten(0, -2).softmax(-1)\n"
                "targets = targets.flatten()",
                "softmax was taken twice",
            ),
            (
                "V = logits.size(-1)\n"
                "logits = logits.transpose(1, 2).reshape(-1, V)\n"
                "targets = targets.flatten()",
                "mixed up",
            ),
            (
                "logits = logits.flatten(0, -2)\n"
                "targets = targets.t().reshape(-1)",
                "same order",
            ),
        ),
    ),
    Exercise(
        "bigram.fit",
        "fit",
        check_fit,
        (
            "Three things: forget the old gradient, compute the new one, take "
            "a step along it.",
            "optimizer.zero_grad(), loss.backward(), optimizer.step().",
        ),
        right=(
            "model.zero_grad()\nloss.backward()\noptimizer.step()",
            "loss.backward()\noptimizer.step()\noptimizer.zero_grad()",
        ),
        wrong=(
            ("loss.backward()\noptimizer.step()", "earlier steps"),
            ("optimizer.zero_grad()\nloss.backward()", "does not change"),
            (
                "optimizer.step()\noptimizer.zero_grad()\nloss.backward()",
                "before the gradient",
            ),
            (
                "optimizer.zero_grad()\nloss.backward()\nloss.backward()\n"
                "optimizer.step()",
                "called twice",
            ),
            (
                "optimizer.zero_grad()\nloss.backward()\noptimizer.step()\n"
                "optimizer.step()",
                "two steps",
            ),
        ),
        core=True,
    ),
    Exercise(
        "bigram.sample",
        "sample_tokens",
        check_sample,
        (
            "model(seen) is (B, T, V): a guess at every position. Which one "
            "says what comes next?",
            "Take position -1 of each text, then softmax over the vocabulary, "
            "dim -1.",
        ),
        right=(
            "probs = torch.softmax(model(seen), dim=2)[:, -1, :]",
            "z = model(seen)[:, -1]\n"
            "probs = (z - z.logsumexp(1, keepdim=True)).exp()",
        ),
        wrong=(
            (f"{LOOK}[:, 0].softmax(-1)", "first position"),
            (f"{LOOK}[:, -1].softmax(0)", "texts of the batch"),
            (f"{LOOK}.softmax(1)[:, -1]", "over the positions"),
            ("probs = model(idx)[:, -1].softmax(-1)", "more than block_size"),
            (f"{LOOK}[:, -1].sigmoid()", "sigmoid"),
            (f"{LOOK}.softmax(-1)", "(B, V)"),
            (f"{LOOK}[-1].softmax(-1)", "last text of the batch"),
            (
                f"{LOOK}[:, -1]\n"
                "probs = F.one_hot(probs.argmax(-1), 4).float()",
                "most likely",
            ),
        ),
        core=True,
    ),
    Exercise(
        "bigram.add_k",
        "AddK.log_probs",
        check_add_k,
        (
            "Each of the V cells of a row was counted k times more. By how "
            "much did the row's total grow?",
            "(seen + k) over (total + k · V), with self.k and self.vocab_size.",
        ),
        right=(
            "k, V = self.k, self.vocab_size\np = (k + seen) / (V * k + total)",
        ),
        wrong=(
            ("p = (seen + self.k) / (total + self.k)", "V cells"),
            ("p = (seen + self.k) / total", "more than 1"),
            (
                "p = seen / (total + self.k * self.vocab_size)",
                "probability 0",
            ),
            (
                "p = (seen + self.k) / (total + self.vocab_size)",
                "k = 1 only",
            ),
            ("p = (seen + 1) / (total + self.vocab_size)", "add-one"),
        ),
    ),
    Exercise(
        "bigram.witten_bell",
        "WittenBell.log_probs",
        check_witten_bell,
        (
            "It is the formula above, for all tokens at once: n is seen, "
            "N is total, t is kinds, and p is the shorter order.",
            "(seen + kinds · p) over (total + kinds); np.maximum(…, 1) keeps "
            "an unseen context from dividing by 0.",
        ),
        right=(
            "top = kinds / np.maximum(total + kinds, 1)\n"
            "mixed = (1 - top) * seen / np.maximum(total, 1) + top * p",
        ),
        wrong=(
            (
                "mixed = (seen + p) / np.maximum(total + 1, 1)",
                "weighs 1",
            ),
            (
                "mixed = (seen + kinds * p) / np.maximum(total, 1)",
                "divide by total + kinds",
            ),
            ("mixed = seen / np.maximum(total + kinds, 1)", "is missing"),
            (
                "mixed = (seen + total * p) / np.maximum(total + kinds, 1)",
                "are exchanged",
            ),
            (
                "mixed = (seen + kinds) / np.maximum(total + kinds, 1)",
                "without the shorter",
            ),
            (
                "mixed = (seen + kinds / self.vocab_size) / np.maximum(\n"
                "    total + kinds, 1)",
                "forgotten",
            ),
            (
                "mixed = 0.5 * seen / np.maximum(total, 1) + 0.5 * p",
                "half of each",
            ),
        ),
        core=True,
    ),
    Question(
        "bigram.predict-untrained",
        math.log(1000),
        "every token has probability 1/1000, and -ln(1/1000) is 6.91 nats",
        (
            "A model without an opinion gives each token the same probability.",
            "That is 1/1000, and the loss is -ln of it.",
        ),
        wrong={
            math.log2(1000): "these are bits; the question asks for nats, "
            "with the natural logarithm",
            3: "this is the logarithm to base 10; nats take the natural one",
            1000: "this is the perplexity; the loss is its logarithm",
            0: "a loss of 0 means to be sure, and right, every time",
        },
        within=0.05,
    ),
    Question(
        "bigram.predict-perplexity",
        3,
        "as uncertain as among 8 equally likely characters, and 2**3 = 8",
        (
            "Perplexity is e to the loss in nats, and 2 to the loss in bits.",
            "2 to the power of what is 8?",
        ),
        wrong={
            math.log(8): "these are nats; bits use the logarithm to base 2",
            8: "this is the perplexity itself; the bits are its logarithm",
        },
        within=0.05,
    ),
]
