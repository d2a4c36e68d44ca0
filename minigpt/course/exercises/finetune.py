"""Chapter 14: what its exercises expect."""

from types import SimpleNamespace

import torch
from torch import nn

from minigpt.course.exercises import Exercise, Question


def check_mixture(t):
    new = torch.zeros(50 + t.seed % 7, dtype=torch.long)
    old = torch.ones(60, dtype=torch.long)
    given = "8 windows, shares 0.25, 0.7 and 1 of old text"

    def drawn(share):
        batch = t.answer(new, old, share=share, block_size=3, batch_size=8)
        x, _ = batch(torch.Generator().manual_seed(t.seed))
        return [int((x == 0).all(1).sum()), int((x == 1).all(1).sum())]

    got = t.call(
        lambda: [drawn(share) for share in (0.25, 0.7, 1.0)],
        given=given,
        errors={
            "TypeError": "the counts must be whole: round share · batch_size",
            "NameError": "the blank must make `counts`",
            "UnboundLocalError": "the blank must make `counts`",
            "batch_size at least 1": "a count is below 0",
        },
    )
    t.same(
        got,
        [[6, 2], [2, 6], [0, 8]],
        "new and old windows as the share says, rounded",
        given=given,
        mistakes={
            "new and old are exchanged: first the number of new windows": [
                [2, 6], [6, 2], [8, 0],
            ],
            "5.6 windows became 5: round, do not cut": [
                [6, 2], [3, 5], [0, 8],
            ],
            "the old windows come on top: together they are batch_size": [
                [8, 2], [8, 6], [8, 8],
            ],
            "half of the windows are old, whatever the share": [[4, 4]] * 3,
        },
    )  # fmt: skip
    given = "share 0 and no old text"
    got = t.call(
        lambda: len(
            t.answer(new, share=0.0, block_size=3, batch_size=5)(
                torch.Generator().manual_seed(0)
            )[0]
        ),
        given=given,
    )
    t.same(got, 5, "a batch without old text is whole", given=given)


class Stack(nn.Module):
    """Names as a GPT's, with blocks 1, 10 and 11, and blocks elsewhere."""

    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(3, 2)
        self.blocks = nn.ModuleList(nn.Linear(2, 2) for _ in range(12))
        self.other = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(2, 2)])})
        self.other["blocks"].append(nn.Linear(2, 2))
        self.norm = nn.LayerNorm(2)


def check_freeze(t):
    def still(*names, errors=None):
        model = Stack()
        t.call(
            t.answer, model, *names, given=f"freeze(model, {names[0]!r})",
            dice=True, errors=errors,
        )  # fmt: skip
        return [n for n, p in model.named_parameters() if not p.requires_grad]

    def where(fits):
        return [n for n, _ in Stack().named_parameters() if fits(n)]

    name = "blocks.1"
    given = f"freeze(model, {name!r}) of a model with twelve blocks"
    t.same(
        still(
            name,
            errors={
                "a name begins with": "a name means everything below it too: "
                "blocks.1 means blocks.1.weight"
            },
        ),
        where(lambda n: n.startswith(f"{name}.")),
        "a part and all below it, and nothing else",
        given=given,
        mistakes={
            "blocks.10 is frozen with blocks.1: a name ends at a dot": where(
                lambda n: n.startswith("blocks.1")
            ),
            "names are compared only up to the first dot": where(
                lambda n: n.startswith("blocks")
            ),
            "everything is frozen: `found` are those that the name means": (
                where(lambda n: True)
            ),
            "the name is found in the middle of others: it must stand at the "
            "beginning": where(lambda n: name in n),
        },
        otherwise="other parameters than those of the part are frozen",
    )
    name = "norm.weight" if t.seed == 1 else "norm.bias"
    t.same(
        still(
            name,
            errors={
                "a name begins with": "the full name of a parameter is a name "
                "too: norm.weight means itself"
            },
        ),
        [name],
        "a single parameter by its full name",
        given=f"freeze(model, {name!r})",
    )


def check_lora(t):
    torch.manual_seed(t.seed)
    linear = nn.Linear(6, 4)
    x = torch.randn(3, 6)
    plain = linear(x).detach()
    given = "LoRA(nn.Linear(6, 4), rank=2, alpha=6.0)"
    lora = t.make(
        t.answer, linear, 2, alpha=6.0, given=given,
        errors={
            "cannot assign": "self.B must be an nn.Parameter",
            "no attribute 'B'": "self.B has no value yet",
        },
    )  # fmt: skip
    B = getattr(lora, "B", None)
    t.true(
        isinstance(B, nn.Parameter),
        "B is a parameter",
        "B must be an nn.Parameter, or no optimizer will find it",
        given=given, expected="an nn.Parameter", got=type(B).__name__,
    )  # fmt: skip
    t.same(
        tuple(B.shape), (4, 2), "its shape is (C_out, rank)", given=given,
        otherwise="B has the wrong shape: from the rank to C_out",
    )  # fmt: skip
    learns = sorted(n for n, p in lora.named_parameters() if p.requires_grad)
    t.same(
        learns, ["A", "B"], "only A and B learn", given=given,
        mistakes={
            "the linear layer still learns: freeze it": [
                "A", "B", "linear.bias", "linear.weight",
            ],
            "nothing learns: freeze the linear layer only": [],
            "the bias of the linear layer still learns": [
                "A", "B", "linear.bias",
            ],
        },
        otherwise="A and B are to learn, and the linear layer not",
    )  # fmt: skip
    unfit = {
        "size mismatch": "the shapes do not fit: x Aᵀ is (…, r), then Bᵀ",
        "shapes cannot be multiplied": "the shapes do not fit: x Aᵀ is "
        "(…, r), then Bᵀ",
    }
    given = "x (3, 6), before any training"
    got = t.call(lora, x, given=given, errors=unfit)
    t.same(
        got, plain, "an identity at the start", given=given,
        mistakes={
            "the linear layer is missing from the sum": torch.zeros(3, 4),
        },
        otherwise="it is not the linear layer at the start: B must be zero",
    )  # fmt: skip
    with torch.no_grad():
        lora.A.copy_(torch.randn(2, 6))
        lora.B.copy_(torch.randn(4, 2))
    detour = (x @ lora.A.T @ lora.B.T).detach()
    given = "x (3, 6), with numbers in A and B, s = 3"
    got = t.call(lora, x, given=given, errors=unfit)
    t.same(
        got, plain + 3 * detour, "the layer plus s times the detour",
        given=given,
        mistakes={
            "the scale s is missing": plain + detour,
            "the scale is for the detour alone": 3 * (plain + detour),
            "the detour is missing": plain,
            "the detour is subtracted": plain - 3 * detour,
        },
    )  # fmt: skip


def check_merge(t):
    torch.manual_seed(t.seed)
    linear = nn.Linear(6, 4).requires_grad_(False)
    A, B, scale = torch.randn(2, 6), torch.randn(4, 2), 3.0
    lora = SimpleNamespace(
        linear=linear, A=A, B=B, scale=scale, in_features=6, out_features=4
    )
    given = "a layer (4, 6) with B (4, 2), A (2, 6), scale 3"
    got = t.call(
        t.answer, lora, given=given, dice=True,
        errors={
            "cannot be multiplied": "B (C_out, r) comes first, then A "
            "(r, C_in)",
            "must match the size": "weight must have the shape of the linear "
            "layer's, (C_out, C_in)",
            "UnboundLocalError": "the blank must make `weight`",
        },
    )  # fmt: skip
    W, BA = linear.weight, B @ A
    t.same(
        got.weight.detach(), W + scale * BA,
        "one matrix for both ways", given=given,
        mistakes={
            "the scale is missing": W + BA,
            "the old matrix is missing": scale * BA,
            "the detour is missing": W.clone(),
            "the scale is for the detour alone": scale * (W + BA),
        },
    )  # fmt: skip
    t.same(got.bias.detach(), linear.bias.detach(), "the bias is kept",
           given=given)  # fmt: skip


def check_bayes(t):
    counts = torch.tensor([[2.0, 1, 0], [0, 1, 3], [1, 0, 0], [0, 2, 1]])
    counts[0, 0] += t.seed % 5
    labels = torch.tensor([0, 1, 0, 1])
    k = 0.5
    given = f"counts {counts.int().tolist()}, labels [0, 1, 0, 1], k = 0.5"
    got = t.call(
        t.answer, counts, labels, 2, k=k, given=given,
        errors={
            "UnboundLocalError": "the blank must make `weight`",
        },
    )  # fmt: skip
    sums = torch.stack([counts[0] + counts[2], counts[1] + counts[3]])
    share = (sums + k) / (sums + k).sum(1, keepdim=True)
    plain = sums / sums.sum(1, keepdim=True)
    t.same(
        got[0],
        share.log().T,
        "logarithms of the words' shares in each class",
        given=given,
        mistakes={
            "words that a class has never seen get -inf: add k": plain.log().T,
            "these are shares: their logarithms are asked for": share.T,
            "k was added to the shares, not to the counts": (plain + k).log().T,
            "shares are over the classes: over the words of a class": (
                ((sums + k) / (sums + k).sum(0)).log().T
            ),
            "these are the logarithms of counts: divide by their sum": (
                (sums + k).log().T
            ),
        },
        otherwise="not the logarithms of (count + k) / sum, a column a class",
    )
    t.same(got[1], torch.tensor([0.5, 0.5]).log(), "the bias is kept",
           given=given)  # fmt: skip


def check_answer_batch(t):
    a = 5 + t.seed % 3
    pairs = [([7, 8], [a]), ([7], [6, 4])]
    given = f"prompt and answer {pairs}, end 0"
    errors = {
        "max() ": "`targets` is still empty: append a list for each row",
        "can only concatenate": "prompt and answer are lists: [*answer, end]",
    }
    got = t.call(t.answer, pairs, end=0, given=given, errors=errors)
    I = -100
    t.same(
        got[1],
        torch.tensor([[I, a, 0], [6, 4, 0]]),
        "the answer and its end, each asked for one place before",
        given=given,
        mistakes={
            "the prompt is learned too: its targets stay -100": torch.tensor(
                [[8, a, 0], [6, 4, 0]]
            ),
            "the answer's first token is missing: the last token of the "
            "prompt asks for it": torch.tensor([[I, I, 0], [I, 4, 0]]),
            "the end is missing: the model must learn to stop": torch.tensor(
                [[I, a, I], [6, 4, I]]
            ),
            "each token is asked to say itself: the target is the next "
            "token": torch.tensor([[I, I, a], [I, 6, 4]]),
            "a target too many: the last token of the prompt already asks "
            "for the answer": torch.tensor([[I, I, a, 0], [I, 6, 4, 0]]),
            "the prompt has no places: the targets of a row are as many as "
            "its tokens": torch.tensor([[a, 0, I], [6, 4, 0]]),
        },
    )
    t.same(got[0], torch.tensor([[7, 8, a], [7, 6, 4]]), "the rows as they are",
           given=given)  # fmt: skip
    pairs = [([7], [5]), ([7, 8, 9], [6, 4])]
    given = f"{pairs}: the first row is padded"
    got = t.call(t.answer, pairs, end=0, given=given, errors=errors)
    t.same(
        got[1],
        torch.tensor([[5, 0, I, I, I], [I, I, 6, 4, 0]]),
        "padding is no target",
        given=given,
    )


FIT = "[p for n, p in every.items() if {}]"
START = "self.linear.requires_grad_(False)\n"
ZERO = "self.B = nn.Parameter(torch.zeros(n_out, rank))"
SUM = "return self.linear(x) + self.scale * (x @ self.A.T @ self.B.T)"
TOTALS = (
    "totals = torch.stack([\n"
    "    counts[labels == c].sum(0) for c in range(n_classes)\n"
    "])\n"
)

EXERCISES = [
    Exercise(
        "finetune.mixture",
        "mixture",
        check_mixture,
        (
            "The share of all windows, rounded, is old; the rest is new.",
            "n_old = round(share * batch_size); counts has the new first.",
        ),
        right=(
            "n_new = batch_size - round(share * batch_size)\n"
            "counts = (n_new, batch_size - n_new)",
        ),
        wrong=(
            (
                "n_old = round(share * batch_size)\n"
                "counts = [n_old, batch_size - n_old]",
                "exchanged",
            ),
            (
                "n_old = int(share * batch_size)\n"
                "counts = [batch_size - n_old, n_old]",
                "do not cut",
            ),
            (
                "counts = [batch_size, round(share * batch_size)]",
                "on top",
            ),
            (
                "counts = [(1 - share) * batch_size, share * batch_size]",
                "must be whole",
            ),
            ("counts = [batch_size // 2, batch_size // 2]", "whatever"),
        ),
    ),
    Exercise(
        "finetune.freeze",
        "freeze",
        check_freeze,
        (
            "A parameter's name is `name` itself, or begins with `name` and a "
            "dot.",
            'With a dot behind both, one startswith is enough: f"{n}.".',
        ),
        right=(
            "found = [\n"
            "    p for n, p in every.items()\n"
            '    if n == name or n.startswith(name + ".")\n'
            "]",
            'words = name.split(".")\n'
            "found = [\n"
            "    p for n, p in every.items()\n"
            '    if n.split(".")[: len(words)] == words\n'
            "]",
        ),
        wrong=(
            ("found = " + FIT.format("n.startswith(name)"), "ends at a dot"),
            ("found = " + FIT.format("n == name"), "everything below"),
            ("found = " + FIT.format("name in n"), "in the middle"),
            (
                "found = " + FIT.format('n.startswith(f"{name}.")'),
                "full name of a parameter",
            ),
            ("found = list(every.values())", "everything is frozen"),
            (
                "found = "
                + FIT.format('n.split(".")[0] == name.split(".")[0]'),
                "up to the first dot",
            ),
        ),
        core=True,
    ),
    Exercise(
        "finetune.lora",
        "LoRA",
        check_lora,
        (
            "requires_grad_(False) freezes a layer. B goes from rank to n_out, "
            "and is zero at the start.",
            "The detour is x @ self.A.T @ self.B.T, times self.scale.",
        ),
        right=(
            (
                "for p in linear.parameters():\n    p.requires_grad = False\n"
                "self.B = nn.Parameter(torch.zeros(n_out, rank))",
                "weight = self.scale * self.B @ self.A\n"
                "return self.linear(x) + nn.functional.linear(x, weight)",
            ),
        ),
        wrong=(
            ((START + "self.B = torch.zeros(n_out, rank)", SUM), "Parameter"),
            (
                (
                    START + "self.B = nn.Parameter(torch.randn(n_out, rank))",
                    SUM,
                ),
                "B must be zero",
            ),
            ((ZERO, SUM), "freeze it"),
            (
                (
                    START + "self.B = nn.Parameter(torch.zeros(rank, n_out))",
                    SUM,
                ),
                "wrong shape",
            ),
            (
                (ZERO + "\nself.requires_grad_(False)", SUM),
                "nothing learns",
            ),
            (
                (
                    START + ZERO,
                    "return self.linear(x) + x @ self.A.T @ self.B.T",
                ),
                "scale s is missing",
            ),
            (
                (
                    START + ZERO,
                    "return self.scale * (x @ self.A.T @ self.B.T)",
                ),
                "missing from the sum",
            ),
            ((START + ZERO, "return self.linear(x)"), "detour is missing"),
        ),
        core=True,
        blanks=2,
    ),
    Exercise(
        "finetune.merge",
        "merge",
        check_merge,
        (
            "y = W x + s B A x: what stands before x, if you put it together?",
            "lora.linear.weight + lora.scale * lora.B @ lora.A",
        ),
        right=("weight = lora.linear.weight + lora.B @ (lora.scale * lora.A)",),
        wrong=(
            (
                "weight = lora.linear.weight + lora.B @ lora.A",
                "scale is missing",
            ),
            ("weight = lora.scale * lora.B @ lora.A", "old matrix"),
            (
                "weight = lora.linear.weight + lora.scale * lora.A @ lora.B",
                "comes first",
            ),
            (
                "weight = lora.scale * (lora.linear.weight + lora.B @ lora.A)",
                "detour alone",
            ),
        ),
    ),
    Exercise(
        "finetune.naive_bayes",
        "naive_bayes",
        check_bayes,
        (
            "Add up the rows of each class, add k, and divide each class by "
            "its sum.",
            "index_add(0, labels, counts) adds rows by label; weight is the "
            "logarithm, transposed to (V, K).",
        ),
        right=(
            TOTALS + "totals = totals + k\n"
            "weight = (totals.log() - totals.sum(1, keepdim=True).log()).T",
        ),
        wrong=(
            (
                TOTALS
                + "weight = (totals / totals.sum(1, keepdim=True)).log().T",
                "-inf",
            ),
            (
                TOTALS + "totals = totals + k\n"
                "weight = (totals / totals.sum(1, keepdim=True)).T",
                "these are shares",
            ),
            (
                TOTALS + "totals = totals + k\n"
                "weight = (totals / totals.sum(0)).log().T",
                "over the classes",
            ),
            (
                TOTALS + "weight = (totals + k).log().T",
                "divide by their sum",
            ),
            (
                TOTALS + "weight = "
                "(totals / totals.sum(1, keepdim=True) + k).log().T",
                "not to the counts",
            ),
        ),
    ),
    Exercise(
        "finetune.answers",
        "answer_batch",
        check_answer_batch,
        (
            "The target of a place is the next token. So which place asks for "
            "the answer's first?",
            "The last of the prompt. So [-100] * (len(prompt) - 1) comes first, "
            "then every token of the answer, then `end`.",
        ),
        right=(
            "row = [*rows[-1], end]\n"
            "n = len(prompt)\n"
            "targets.append([-100] * (n - 1) + row[n:])",
        ),
        wrong=(
            (
                "targets.append([*prompt[1:], *answer, end])",
                "prompt is learned",
            ),
            (
                "targets.append([-100] * len(prompt) + [*answer[1:], end])",
                "first token",
            ),
            (
                "targets.append([-100] * (len(prompt) - 1) + [*answer, -100])",
                "end is missing",
            ),
            ("targets.append([-100] * len(prompt) + [*answer])", "say itself"),
            (
                "targets.append([-100] * len(prompt) + [*answer, end])",
                "target too many",
            ),
            ("targets.append([*answer, end])", "has no places"),
        ),
        core=True,
    ),
    Question(
        "finetune.predict-lora",
        3840,
        "A has 4 · 192 numbers and B has 768 · 4: 3,840 in place of 147,456",
        (
            "A takes 192 channels to 4, B takes 4 to 768.",
            "4 · 192 + 768 · 4.",
        ),
        wrong={
            147_456: "that is the matrix itself, which stays as it is",
            960: "that is rank 1",
            768: "that is A alone",
            3072: "that is B alone",
        },
    ),
    Question(
        "finetune.predict-targets",
        4,
        "the three tokens of the answer and the token that ends it",
        (
            "Every token of the answer is asked for once. What comes after?",
            "The answer, and the end: the model must learn to stop.",
        ),
        wrong={
            3: "the end of the answer is asked for too",
            12: "those of the prompt are -100: there is no loss on them",
            9: "those are the places with -100, and one more",
        },
    ),
]
